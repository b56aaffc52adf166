import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileExpression } from './claims-expression.ts';
import { compileMapping, type MappingConfig } from './claims-mapping.ts';

const CLAIMS = {
  sub: 'repo:acme/orders:ref:refs/heads/main',
  repository: 'acme/orders',
  iat: 1_800_000_000,
  run_id: '17',
  run_attempt: '2',
  teams: ['orders', 'platform'],
  mixed: ['orders', 1],
  verified: true,
  act: { sub: 'agent-7' },
  'kubernetes.io': { namespace: 'agents', pod: { uid: 'u-1' } },
};

const given = (expression: string, claims: Record<string, unknown> = CLAIMS) =>
  compileMapping({ subject: expression }).map(claims).subject;
const groups = (expression: string, claims: Record<string, unknown> = CLAIMS) =>
  compileMapping({ groups: expression }).map(claims).groups;

test('texts and lists, from claims and from what is written', () => {
  assert.equal(given('claims.run_id + "/" + claims.run_attempt'), '17/2');
  assert.equal(given('string(int(claims.iat) / 43200)'), '41666');
  assert.equal(given('claims["kubernetes.io"].pod.uid'), 'u-1');
  assert.equal(given('claims.repository == "acme/orders" ? "orders-bot" : claims.sub'), 'orders-bot');
  assert.deepEqual(groups('["deployers", "team-" + claims.repository.split("/")[0]]'), ['deployers', 'team-acme']);
  assert.deepEqual(groups('claims.teams.map(team, "t-" + team)'), ['t-orders', 't-platform']);
  assert.deepEqual(groups('claims.teams'), ['orders', 'platform']);
  assert.deepEqual(groups('[]'), []);
});

test('a whole mapping; an empty text is not given', () => {
  const mapped = compileMapping({
    subject: 'claims.act.sub',
    onBehalfOf: 'claims.sub',
    owner: '"team-orders"',
    email: 'has(claims.email) ? claims.email : ""',
    session: 'claims.run_id',
    attributes: { repository: 'claims.repository', branch: 'has(claims.branch) ? claims.branch : ""' },
  }).map(CLAIMS);
  assert.deepEqual(mapped, {
    subject: 'agent-7',
    onBehalfOf: CLAIMS.sub,
    owner: 'team-orders',
    session: '17',
    attributes: { repository: 'acme/orders' },
  });
  assert.deepEqual(compileMapping({}).map(CLAIMS), {});
});

const REFUSED: readonly (readonly [string, MappingConfig, Record<string, unknown>?])[] = [
  ['a claim that is not there', { subject: 'claims.name' }],
  ['a number for a text', { subject: 'claims.iat' }],
  ['a list for a text', { owner: 'claims.teams' }],
  ['an error in the middle', { session: 'claims.run_id + claims.iat' }],
  ['an empty subject', { subject: '""' }],
  ['an empty session', { session: 'claims.repository.split("acme/orders")[0]' }],
  ['a text that is too long', { attributes: { a: 'claims.sub' } }, { sub: 'x'.repeat(513) }],
  ['a text of two lines', { email: 'claims.sub' }, { sub: 'ana\nroot' }],
  ['an attribute of another type', { attributes: { a: 'claims.verified' } }],
  ['a list longer than is looped over', { subject: '"x"' }, { all: Array.from({ length: 1001 }, () => 1) }],
  ['claims that nest too deeply', { subject: '"x"' }, JSON.parse(`${'{"a":'.repeat(40)}1${'}'.repeat(40)}`)],
  ['a name of Object.prototype', { subject: 'claims.constructor' }],
];
for (const [name, mapping, claims = CLAIMS] of REFUSED) {
  test(`refused: ${name}`, () => {
    assert.throws(() => compileMapping(mapping).map(claims), { code: 'unauthenticated', fate: 'not_forwarded' });
  });
}

test('groups that do not fit are unknown, never none', () => {
  for (const expression of ['claims.groups', 'claims.sub', 'claims.mixed', '[""]', '[claims.iat]']) {
    assert.throws(() => groups(expression), { code: 'not_in_group' }, expression);
  }
});

test('a condition holds only where it is true', () => {
  const holds = (condition: string, claims: Record<string, unknown> = CLAIMS) =>
    compileMapping({ condition }).holds(claims);
  assert.ok(holds('claims.repository == "acme/orders" && claims.verified == true'));
  assert.ok(holds('claims.sub.startsWith("repo:acme/") && "orders" in claims.teams'));
  for (const condition of [
    'claims.repository == "acme/other"',
    'claims.nothing == "x"',
    'claims.verified && claims.iat',
    'claims.iat > "x"',
  ]) {
    assert.equal(holds(condition), false, condition);
  }
  assert.equal(holds('true', { all: Array.from({ length: 1001 }, () => 1) }), false);
  assert.ok(compileMapping({}).holds(CLAIMS));
});

test('what is no expression, or none of its type, is found before any token comes', () => {
  const cases: readonly (readonly [unknown, 'text' | 'texts' | 'bool', RegExp])[] = [
    ['clams.sub', 'text', /unknown_variable, character 1\)/],
    ['claims.sub +', 'text', /character 13\)/],
    ['"a" + 1', 'text', /no_such_overload/],
    ['claims.sub == "x"', 'text', /does not give a text/],
    ['claims.sub', 'bool', /does not give true or false/],
    ['{"a": claims.sub}', 'texts', /does not give a list of texts/],
    ['claims.sub.size()', 'text', /does not give a text/],
    ['claims.teams.map(x, 1)', 'texts', /does not give a list of texts/],
    ['[1]', 'texts', /does not give a list of texts/],
    ['claims.sub.matches("^(a+)+$")', 'bool', /calls matches/],
    ['[claims.sub].exists(x, x.matches("a"))', 'bool', /calls matches/],
    ['claims.a.all(x, claims.b.all(y, claims.c.all(z, x == z)))', 'bool', /nests more/],
    [`claims.a.all(x, claims.b.all(y, cel.bind(z, y, z == x)))`, 'bool', /nests more/],
    [`${'('.repeat(60)}claims.sub${')'.repeat(60)}`, 'text', /is not a CEL expression/],
    [Array.from({ length: 300 }, () => 'claims.a').join(' + '), 'text', /is not a CEL expression/],
    ['x'.repeat(5000), 'text', /is not a CEL expression/],
    ['', 'text', /is not a CEL expression/],
    [7, 'text', /is not a CEL expression/],
    ['undefined_function(claims.sub)', 'text', /character 1\)/],
  ];
  for (const [source, type, problem] of cases) {
    const compiled = compileExpression(source, type);
    assert.ok(!compiled.ok, String(source));
    assert.match(compiled.problem, problem, String(source).slice(0, 60));
    assert.notEqual(compiled.fix, '');
  }
  for (const source of ['hunter2 +', 'hunter2.sub', '"hunter2" + 1', 'claims.hunter2 == hunter3']) {
    const compiled = compileExpression(source, 'text');
    assert.ok(!compiled.ok && !`${compiled.problem} ${compiled.fix}`.includes('hunter'), source);
  }
});

test('two loops inside one another over the longest lists take bounded time', () => {
  const list = Array.from({ length: 1000 }, (_, index) => `g${index}`);
  const mapping = compileMapping({ condition: 'claims.a.all(x, claims.a.exists(y, x == y))' });
  const began = performance.now();
  assert.ok(mapping.holds({ a: list }));
  assert.ok(performance.now() - began < 5000);
});
