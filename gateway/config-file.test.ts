import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { loadConfigFile } from './config-file.ts';
import { type FileProblem, problemWords } from './yaml-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'verbatim-config-'));
after(() => rmSync(folder, { recursive: true }));

const GOOD = `listen: { host: 127.0.0.1, port: 8080 }
publicUrl: https://mcp.example.com
data: ./data
stores:
  recordings: file:///var/lib/verbatim/store
policies: allow-all
issuers:
  corp: { issuer: https://idp.example.com }
connections:
  orders:
    upstream:
      url: http://10.0.0.1:4001
      ca: file:ca.pem
    groups: [analysts, engineers]
    credential: { header: X-Api-Key, value: "file:keys/orders" }
    recording: on
`;

function load(content: string | Buffer) {
  const path = join(folder, 'verbatim.yaml');
  writeFileSync(path, content);
  return loadConfigFile(path);
}

function problemsIn(content: string | Buffer): readonly FileProblem[] {
  const loaded = load(content);
  assert.ok(!loaded.ok);
  for (const { problem, fix } of loaded.problems) assert.ok(problem.length > 5 && fix.length > 5);
  return loaded.problems;
}

const places = (content: string | Buffer) =>
  problemsIn(content).map(({ line, column, key }) => `${line}:${column} ${key}`);

test('a good file: parsed, paths resolved against its folder', () => {
  const loaded = load(`${GOOD}secrets: ["file:keys/shared"]\n`);
  assert.ok(loaded.ok);
  assert.equal(loaded.config.data, join(folder, 'data'));
  const { orders } = loaded.config.connections;
  assert.deepEqual(loaded.config.secrets, [`file:${join(folder, 'keys/shared')}`]);
  assert.equal(orders?.upstream.ca, `file:${join(folder, 'ca.pem')}`);
  assert.deepEqual(orders?.credential, { header: 'X-Api-Key', value: `file:${join(folder, 'keys/orders')}` });
  assert.equal(orders?.recording, 'on');
  assert.equal(loaded.config.connections.constructor, undefined);
});

const KEY = 'key: file:keys/one';
const LOGIN =
  'login: { providers: { corp: { google: { clientId: c, clientSecret: env:S, hostedDomains: [a.example] } } } }';
const FORMS: readonly (readonly [string, string])[] = [
  ['bearer', '{ bearer: file:keys/one }'],
  ['header', '{ header: X-Api-Key, value: file:keys/one }'],
  ['googleIdToken', `{ googleIdToken: { ${KEY} } }`],
  ['googleAccessToken', `{ googleAccessToken: { ${KEY}, scopes: [s] } }`],
  [
    'oauthClient',
    '{ oauthClient: { tokenUrl: https://idp.example/token, clientId: file:id, clientSecret: file:keys/one } }',
  ],
  ['userOauth', '{ userOauth: { client: { id: file:id, secret: file:keys/one } } }'],
];
for (const [form, written] of FORMS) {
  test(`a relative file: of ${form} starts at the configuration's folder, in credentialByGroup too`, () => {
    const here = process.cwd();
    process.chdir(tmpdir());
    try {
      const loaded = load(
        GOOD.replace('http://10.0.0.1:4001', 'https://orders.googleapis.com')
          .replace(
            / {4}credential:.*/,
            `    credential: ${written}\n    credentialByGroup: [{ groups: [analysts], credential: ${written} }]`,
          )
          .replace(/^connections:/m, `${LOGIN}\nconnections:`),
      );
      assert.ok(loaded.ok, JSON.stringify(loaded));
      const { credential, credentialByGroup } = loaded.config.connections.orders ?? assert.fail();
      const absolute = JSON.stringify(`file:${join(folder, 'keys/one')}`);
      for (const one of [credential, ...credentialByGroup.map((entry) => entry.credential)]) {
        assert.equal(JSON.stringify(one).split(absolute).length, 2, JSON.stringify(one));
        assert.ok(!JSON.stringify(one).includes('file:keys'));
        assert.ok(!('oauthClient' in one) || one.oauthClient.clientId === 'file:id');
      }
    } finally {
      process.chdir(here);
    }
  });
}

test('canonical bytes do not depend on order, comments or spelling of units; the digest is theirs', () => {
  const first = load(GOOD);
  const lines = GOOD.trimEnd().split('\n');
  const second = load(`# moved\n${lines.slice(1).join('\n')}\nsealEvery: 1000ms\n${lines[0]}\n`);
  assert.ok(first.ok && second.ok);
  assert.deepEqual(second.canonical, first.canonical);
  assert.equal(first.digest, createHash('sha256').update(first.canonical).digest('hex'));
  const changed = load(GOOD.replace('analysts', 'analyst'));
  assert.ok(changed.ok && changed.digest !== first.digest);
  const keys = Object.keys(JSON.parse(first.canonical.toString()));
  assert.deepEqual(keys, [...keys].sort());
});

test('each mistake at its line, column and key, all at once', () => {
  const bad = GOOD.replace('publicUrl:', 'publicURL:')
    .replace('port: 8080', 'port: 99999')
    .replace('[analysts, engineers]', '[analysts, 7]')
    .replace('http://10', 'http://127')
    .replace('recording: on', 'recording: maybe\n    limits: { firstByte: 5 }');
  assert.deepEqual(places(bad), [
    ...['1:1 publicUrl', '1:28 listen.port', '2:1 publicURL', '12:7 connections.orders.upstream.url'],
    ...[
      '14:24 connections.orders.groups[1]',
      '16:5 connections.orders.recording',
      '17:15 connections.orders.limits.firstByte',
    ],
  ]);
  assert.match(problemsIn(bad).find(({ key }) => key === 'publicURL')?.fix ?? '', /publicUrl/);
});

test('a missing key is shown at the map that lacks it', () => {
  assert.deepEqual(places(GOOD.replace(/ {4}groups.*\n/, '')), ['10:3 connections.orders.groups']);
});

const SYNTAX: readonly (readonly [string, string, string])[] = [
  ['a key twice', `${GOOD}policies: allow-all\n`, '17:1 '],
  ['an open bracket', 'listen: [\n', '2:1 '],
  ['a tab', 'a:\n\tb: 1\n', '2:1 '],
  ['a tag', GOOD.replace('allow-all', '!x allow-all'), '6:11 '],
  ['a second document', `${GOOD}---\na: 1\n`, '17:1 '],
];
for (const [name, content, place] of SYNTAX) {
  test(`YAML: ${name}`, () => assert.equal(places(content)[0], place));
}

test('YAML: each kind of mistake has words of its own, one a line, three at most', () => {
  const HUNTER: readonly (readonly [string, RegExp])[] = [
    ['a: "hunter2\n', /ends inside quotes/],
    ["a: 'hunter2\n", /ends inside quotes/],
    ['a: [hunter2\nb: 1\n', /closing \] or \}/],
    ['a: { b: hunter2 \n', /closing \] or \}/],
    ['a: 1\nhunter2\nb: 2\n', /`key: value`/],
    ['a: b: hunter2\n', /has a key where/],
    ['a:\n  b: 1\n c: hunter2\n', /not indented like/],
    ['a: @hunter2\n', /a character of YAML/],
    ['a: "\\xhunter2"\n', /an escape/],
    ['a: "x" hunter2\n', /does not belong there/],
    ['a: |hunter2\n  x\n', /does not belong there/],
    ['a: !hunter2 x\n', /a YAML tag/],
    ['%hunter2\n---\na: 1\n', /a directive/],
    ['a: *hunter2\n', /aliases that can not be resolved/],
    ['a: &x &hunter2 1\n', /anchor or a tag/],
    ['a: { b: 1 c: hunter2 }\n', /no comma/],
  ];
  for (const [content, words] of HUNTER) {
    const problems = problemsIn(content);
    assert.match(problems[0]?.problem ?? '', words, content);
    assert.doesNotMatch(JSON.stringify(problems), /hunter2|hu\b/, content);
    assert.equal(new Set(problems.map(({ line }) => line)).size, problems.length);
    assert.doesNotMatch(problems.map((one) => problemWords('f', one)).join('\n'), / : /);
  }
  assert.equal(problemsIn('a: @x\n'.repeat(9)).length, 3);
});

test('words: a place where there is one, none where it is the file itself', () => {
  const [missing] = problemsIn(GOOD.replace(/ {4}groups.*\n/, ''));
  assert.match(
    problemWords('g.yaml', missing ?? assert.fail()),
    /^g\.yaml:10:3 connections\.orders\.groups: is missing\. Fix: /,
  );
  const [doubled] = problemsIn(`${GOOD}policies: allow-all\n`);
  assert.match(problemWords('g.yaml', doubled ?? assert.fail()), /^g\.yaml:17:1 is a key that is there twice\. Fix: /);
  const gone = loadConfigFile(join(folder, 'none.yaml'));
  assert.ok(!gone.ok);
  assert.equal(problemWords('none.yaml', gone.problems[0] ?? assert.fail()), 'none.yaml does not exist.');
});

test('no line of the file is repeated in the words', () => {
  assert.doesNotMatch(JSON.stringify(problemsIn(`${GOOD}x: "hunter2\n`)), /hunter2/);
  assert.doesNotMatch(JSON.stringify(problemsIn(GOOD.replace('"file:keys/orders"', 'hunter2'))), /hunter2/);
});

test('aliases: a few are resolved, a bomb is not', () => {
  const shared = GOOD.replace('engineers]', 'engineers]\n    limits: &l { firstByte: 5s }').concat('limits: *l\n');
  const loaded = load(shared);
  assert.ok(loaded.ok && loaded.config.limits.firstByte === 5000);
  const letters = 'abcdefgh'.split('');
  const bomb = letters.map(
    (name, i) =>
      `${name}: &${name} [${Array(9)
        .fill(i === 0 ? 'x' : `*${letters[i - 1]}`)
        .join(', ')}]`,
  );
  assert.deepEqual(places(`${bomb.join('\n')}\n`), ['1:1 ']);
});

test('prototype keys are unknown keys', () => {
  assert.deepEqual(places(`${GOOD}__proto__: { policies: x }\n`), ['17:1 __proto__']);
  assert.deepEqual(places(GOOD.replace('  orders:', '  __proto__:')), ['10:3 connections.__proto__']);
});

test('a file that is not there, not a file, not text, too large, empty', () => {
  assert.ok(!loadConfigFile(join(folder, 'none.yaml')).ok);
  assert.ok(!loadConfigFile(folder).ok);
  assert.equal(problemsIn(Buffer.from([0x61, 0xff]))[0]?.problem, 'is not UTF-8');
  assert.equal(problemsIn(`#${'x'.repeat(1024 * 1024)}`)[0]?.problem, 'is larger than 1 MiB');
  assert.deepEqual(places(''), ['1:1 ']);
});
