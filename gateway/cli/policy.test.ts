import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Context, createContext } from './context.ts';
import { runPolicyCheck } from './policy-check.ts';
import { type PolicyExplainOptions, runPolicyExplain } from './policy-explain.ts';
import type { PolicyParts } from './policy-parts.ts';
import { withParts } from './policy-readers.ts';
import { runPolicyTest } from './policy-test.ts';

const SHIPPED = fileURLToPath(new URL('../../policies', import.meta.url));
const root = mkdtempSync(join(tmpdir(), 'verbatim-policy-'));
after(() => rmSync(root, { recursive: true }));

let made = 0;
function folder(access: Record<string, string>): string {
  const path = join(root, String(made++));
  mkdirSync(join(path, 'access'), { recursive: true });
  for (const [name, content] of Object.entries(access)) writeFileSync(join(path, 'access', name), content);
  return path;
}

async function run(command: (context: Context, parts: PolicyParts) => Promise<number>) {
  const out = new PassThrough();
  const context = createContext({ stdout: out, stderr: new PassThrough(), env: {}, cwd: () => root });
  const code = await withParts((parts) => command(context, parts));
  out.end();
  return { code, out: await text(out) };
}
const check = (path: string | undefined, options = {}) =>
  run((context, parts) => runPolicyCheck(context, path, options, parts));
const golden = (path: string | undefined, options = {}) =>
  run((context, parts) => runPolicyTest(context, path, options, parts));
const explain = (options: Partial<PolicyExplainOptions>, path: string | null = SHIPPED) =>
  run((context, parts) => {
    const whole = { message: '{}', principal: '{"kind":"human"}', connection: 'warehouse', ...options };
    return runPolicyExplain(context, path ?? undefined, whole, parts);
  });

const RULE = 'rules:\n  - { name: a, principals: any, connections: [orders], tools: [query], effect: allow }\n';
const CASE = (effect: string) =>
  `- { name: a call, principal: { kind: human }, connection: orders, message: { method: tools/call, params: { name: query } }, expect: { effect: ${effect}, rules: [a], masks: [] } }\n`;

test('the shipped sets are good, and decide as their golden decisions say', async () => {
  const checked = await check(SHIPPED, { strict: true });
  assert.equal(checked.code, 0, checked.out);
  const tested = await golden(SHIPPED);
  assert.equal(tested.code, 0, tested.out);
  assert.match(tested.out, /^(\d+) of \1 decisions are as they should be\.\n$/);
});

test('a shipped rule that is turned round makes its golden decisions fail', async () => {
  const turned = join(root, 'turned');
  cpSync(SHIPPED, turned, { recursive: true });
  const file = join(turned, 'access/no-destructive-sql.yaml');
  writeFileSync(file, readFileSync(file, 'utf8').replace("'!sql", "'sql"));
  const tested = await golden(turned);
  assert.equal(tested.code, 1);
  assert.match(
    tested.out,
    /access\/read-only-sql\.decisions\.yaml:1 an analyst reads\n {4}effect: deny instead of allow\n {4}rules: \[no-destructive-sql\] instead of \[read-only-sql\]/,
  );
});

test('check: mistakes, warnings, strictness, JSON', async () => {
  const good = folder({ 'a.yaml': RULE });
  assert.match((await check(good)).out, /: good\. 1 rule\. Policy [0-9a-f]{64}\.\n$/);
  const bad = folder({ 'a.yaml': RULE.replace('tools', 'tool'), 'b.yaml': 'rules: [' });
  const told = await check(bad);
  assert.equal(told.code, 1);
  assert.match(
    told.out,
    new RegExp(
      `error ${bad}/access/a\\.yaml:2:\\d+ rules\\[0\\]\\.tool: is not known here\\. Fix: Did you mean tools\\?`,
    ),
  );
  assert.match(told.out, /b\.yaml:1:/);
  const all = folder({ 'a.yaml': RULE.replace('[orders]', '["*"]').replace('[query]', '["*"]') });
  assert.equal((await check(all)).code, 0);
  assert.match((await check(all)).out, /warning .*access\/a\.yaml:2:1 a: lets everything pass/);
  assert.equal((await check(all, { strict: true })).code, 1);
  const json = JSON.parse((await check(all, { json: true })).out);
  assert.deepEqual([json.ok, json.problems.length, json.problems[0].level], [true, 1, 'warning']);
  const unread = folder({ 'a.yml': RULE });
  assert.match((await check(unread)).out, /access\/a\.yml: has a name that nobody reads\. Fix: /);
  assert.match((await check(join(root, 'nothing'))).out, /is no folder/);
  const wrong = folder({ 'a.yaml': RULE, 'a.decisions.yaml': '- { name: x }\n' });
  assert.equal((await check(wrong)).code, 1);
});

test('check --config: what connections demand', async () => {
  const config = join(root, 'gateway.yaml');
  const written = (more: string) =>
    writeFileSync(
      config,
      `listen: { host: 127.0.0.1, port: 8080 }\npublicUrl: https://mcp.example.com\ndata: ./data\nstores: { recordings: file:///x }\npolicies: ./policies\nissuers: { corp: { issuer: https://idp.example.com } }\nconnections:\n  orders: { upstream: { url: https://orders.internal }, groups: [a], credential: { none: true }${more} }\n`,
    );
  const good = folder({ 'a.yaml': RULE });
  written('');
  assert.equal((await check(good, { config, strict: true })).code, 0);
  written(', data: pci');
  const told = await check(good, { config });
  assert.equal(told.code, 1);
  assert.match(
    told.out,
    /a: lets data of the connection orders \(data: pci\) pass without its masks\. Fix: Add masks: \[card\] and maskRequests: \[card\]/,
  );
});

test('test: differences, files without golden decisions, wrong ones, JSON', async () => {
  const passes = folder({ 'a.yaml': RULE, 'a.decisions.yaml': CASE('allow') });
  assert.deepEqual(await golden(passes), { code: 0, out: '1 of 1 decisions are as they should be.\n' });
  const fails = folder({ 'a.yaml': RULE, 'a.decisions.yaml': CASE('deny') });
  const told = await golden(fails);
  assert.equal(told.code, 1);
  assert.match(
    told.out,
    /failed .*a\.decisions\.yaml:1 a call\n {4}effect: allow instead of deny\n {4}Allowed by a\.\n0 of 1/,
  );
  const untested = await golden(folder({ 'a.yaml': RULE }));
  assert.deepEqual([untested.code, /warning .*a\.yaml has no golden decisions/.test(untested.out)], [0, true]);
  const wrong = await golden(folder({ 'a.yaml': RULE, 'a.decisions.yaml': '- 7\n' }));
  assert.deepEqual([wrong.code, /nothing was tested/.test(wrong.out)], [1, false], wrong.out);
  const json = JSON.parse((await golden(fails, { json: true })).out);
  assert.deepEqual([json.ok, json.passed, json.failures[0].differences], [false, 0, ['effect: allow instead of deny']]);
  await assert.rejects(golden(folder({ 'a.yaml': 'x' })), /access\/a\.yaml:1:1 .*Fix: /);
  const none = await golden(folder({}));
  assert.match(none.out, /^There are no golden decisions in .*: nothing was tested\.\n$/);
});

const configuration = (policies: string) => {
  const config = join(root, `${made++}.yaml`);
  writeFileSync(
    config,
    `listen: { host: 127.0.0.1, port: 8080 }\npublicUrl: https://mcp.example.com\ndata: ./data\nstores: { recordings: file:///x }\npolicies: ${policies}\nissuers: { corp: { issuer: https://idp.example.com } }\nconnections:\n  orders: { upstream: { url: https://orders.internal }, groups: [a], credential: { none: true }, dialect: sqlite }\n`,
  );
  return config;
};

test('without a folder it is that of the configuration', async () => {
  const mine = folder({ 'mine.yaml': RULE });
  const config = configuration(mine);
  assert.match((await check(undefined, { config })).out, new RegExp(`^${mine}: good\\. 1 rule\\.`));
  assert.match((await golden(undefined, { config })).out, new RegExp(`golden decisions in ${mine}/access`));
  const message = '{"method":"tools/call","params":{"name":"query"}}';
  assert.match((await explain({ message, connection: 'orders', config }, null)).out, /mine\.yaml:2\n\nallow\n/);
  await assert.rejects(check(undefined, { config: configuration('allow-all') }), /allow-all, so there are no rules/);
  await assert.rejects(
    explain({ message, connection: 'order', config }),
    /has no connection "order"\. It has: orders\./,
  );
});

test('a folder that is not the one, and one without rules, is said to be so once', async () => {
  const path = folder({ 'a.yaml': RULE });
  mkdirSync(join(root, 'above/policies'), { recursive: true });
  for (const [wrong, words] of [
    [join(path, 'access'), /: is access\/ itself\. Fix: .*\n$/],
    [join(root, 'above'), /: has no access\/, but a folder policies\/\. Fix: .*\n$/],
    [root, /: has no access\/\. Fix: .*\n$/],
  ] as const) {
    const told = await check(wrong);
    assert.deepEqual([told.code, told.out.split('\n').length], [1, 2], told.out);
    assert.match(told.out, words);
  }
  const empty = await check(folder({}));
  assert.deepEqual([empty.code, /warning .*: There is no rule, so every call is denied\./.test(empty.out)], [0, true]);
});

test('explain: what a decision brings with it, and what could not be decided', async () => {
  const path = folder({
    'a.yaml': RULE.replace(
      'effect: allow',
      'effect: allow, masks: [email], maskRequests: [card], condition: args.n == 1',
    ),
    'b.yaml':
      'rules: [{ name: b, principals: any, connections: [orders], tools: [query], effect: approve, approval: { approvers: [leads] } }]',
  });
  const call = (args: string) => `{"method":"tools/call","params":{"name":"query","arguments":${args}}}`;
  const passes = await explain({ message: call('{"n":1}'), connection: 'orders' }, path);
  assert.match(
    passes.out,
    /\napprove\n.*\nWaits for one of leads \(b\)\.\nMasked in the request: card\.\nMasked in the answer: email\.\n$/,
  );
  const fails = await explain({ message: call('{}'), connection: 'orders' }, path);
  assert.match(
    fails.out,
    /^a +allow +denies, since args\.n == 1 can not be decided: no_such_key, .* test it with has\(…\)/m,
  );
  await assert.rejects(
    explain({ principal: '{"kind":"human","group":["a"]}' }, path),
    /no other keys but kind, issuer/,
  );
});

test('explain: each rule, and which effect won', async () => {
  const call = (sql: string) => JSON.stringify({ method: 'tools/call', params: { name: 'query', arguments: { sql } } });
  const principal = '{"kind":"human","groups":["analysts"]}';
  const made = await explain({ message: call('DROP TABLE orders'), principal, dialect: 'postgresql' });
  assert.equal(made.code, 0);
  assert.match(made.out, /^no-destructive-sql +deny +matched/m);
  assert.match(made.out, /^read-only-sql +allow +not true: sql\.readOnly\(args\.sql\)/m);
  assert.match(made.out, /^no-shell +deny +not for this name/m);
  assert.match(made.out, /\ndeny\nThe rule no-destructive-sql denies this\.\n$/);
  const file = join(root, 'message.json');
  writeFileSync(file, `{"jsonrpc":"2.0","id":7,${call('SELECT 1').slice(1)}`);
  const json = JSON.parse((await explain({ message: file, principal, dialect: 'mysql', json: true })).out);
  assert.deepEqual([json.decision.effect, json.decision.rules], ['allow', ['read-only-sql']]);
  const broken = await explain({ message: call('SELEC'), principal, dialect: 'postgresql' });
  assert.match(
    broken.out,
    /^read-only-sql +allow +denies, since sql\.readOnly\(args\.sql\) can not be decided: a statement can not be read/m,
  );
});

test('explain: what is no message and no principal is said without repeating it', async () => {
  for (const options of [
    { message: '{"hunter2":' },
    { message: '{"method":"x","params":[]}' },
    { message: join(root, 'none.json') },
    { message: '{"method":"x"}', principal: '{"kind":"hunter2"}' },
    { message: '{"method":"x","method":"y"}' },
  ]) {
    await assert.rejects(explain(options), (error: Error) => {
      assert.match(error.message, /^--(message|principal)/);
      assert.doesNotMatch(error.message, /hunter2/);
      return true;
    });
  }
});
