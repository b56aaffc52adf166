import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Evaluated } from './condition.ts';
import { createConditionCompiler } from './condition-compile.ts';
import type { PolicyInput } from './decision.ts';
import { type Dialect, questionKey, type Reading } from './statement.ts';

const compiler = createConditionCompiler(new Map());

function compiled(source: string, types?: Record<string, string>) {
  const made = compiler.compile(source, types);
  assert.ok(made.ok, `${source}: ${JSON.stringify(made)}`);
  return made.condition;
}

function input(args: unknown = {}, more: Partial<PolicyInput> = {}): PolicyInput {
  return {
    principal: {
      kind: 'human',
      issuer: 'https://idp.example',
      subject: 'u1',
      email: 'ana@example.com',
      groups: ['analysts', 'eu'],
      attributes: { team: 'orders' },
    },
    connection: 'orders',
    access: 'standing',
    clientAddress: '10.0.0.7',
    from: 'client',
    message: { kind: 'request', method: 'tools/call', name: 'query', params: { name: 'query', arguments: args } },
    now: Date.UTC(2026, 10, 22, 18, 4),
    ...more,
  };
}

const QUERY = 'SELECT 1';
const question = { kind: 'sql', dialect: 'postgresql', text: QUERY } as const;
const facts: Reading = { ok: true, commands: ['SELECT'], tables: ['a.b'], functions: [], readOnly: true };

function evaluate(source: string, args: unknown = {}, reading?: Reading, dialect: Dialect = 'postgresql'): Evaluated {
  const readings = new Map(reading === undefined ? [] : [[questionKey(question), reading]]);
  return compiled(source).evaluate(input(args), { readings, dialect });
}

const TRUE: readonly (readonly [string, unknown?])[] = [
  ['principal.kind == "human" && principal.issuer == "https://idp.example" && principal.subject == "u1"'],
  ['principal.email == "ana@example.com" && principal.owner == "" && principal.onBehalfOf == ""'],
  ['"eu" in principal.groups && principal.groups.exists(g, g == "analysts") && principal.clientId == ""'],
  ['principal.attributes.team == "orders" && !has(principal.attributes.other)'],
  ['connection == "orders" && method == "tools/call" && name == "query" && access == "standing"'],
  ['client.startsWith("10.") && now < timestamp("2026-11-23T00:00:00Z") && now.getHours() == 18'],
  ['now.getHours("Europe/Berlin") == 19'],
  ['params.name == "query" && params.arguments.n == 5', { n: 5 }],
  ['tool.name == "query" && tool.destructive && !tool.readOnly && !tool.pinned'],
  ['args.n == 5 && args.n > 4 && args.n < 5.5', { n: 5 }],
  ['args.list.all(x, x > 0) && args.list[0] == 1 && size(args.list) == 2', { list: [1, 2] }],
  ['!has(args.limit) || args.limit <= 100'],
  ['args.text.matches("^[a-z]+$") && args.text.matches("(?i)ABC")', { text: 'abc' }],
  ['args.text // a comment: .matches("x")\n .matches("b.d")', { text: 'a.matches("b") b.d' }],
  ['args.text == ".matches(" && args.text.contains(".matches(")', { text: '.matches(' }],
  ["args.text.contains('\\'.contains(') || true", { text: '' }],
  ['args.text.split(",").exists(x, x == "b")', { text: 'a,b' }],
  ['args.text.lowerAscii() == "abc" && args.text.upperAscii() == "ABC"', { text: 'aBc' }],
  // The Kelvin sign is no k: a tool that runs `kill` is not let in by a look-alike, nor the look-alike by `kill`.
  ['args.text.lowerAscii() != "kill"', { text: '\u212aill' }],
  ['1 - (2 - 3) == 2 && 8 / (4 / 2) == 4 && args.text.contains("a")', { text: 'a' }],
  ['0.000000000001 < 0.00000001 && args.text.contains("a")', { text: 'a' }],
  ['(false ? true : false) ? false : args.text.matches("a")', { text: 'a' }],
  // A NUL, a lone escape, a text of several lines: what is written is what is looked for.
  ['args.text.contains("\\u0041\\n") && args.text.matches(r"\\d\\s")', { text: 'A\n1 ' }],
  ['args.a.contains(args.b)', { a: `x${'ab*'.repeat(50)}y`, b: 'ab*'.repeat(50) }],
  ['!args.a.contains(args.b)', { a: 'ab'.repeat(200), b: `${'ab'.repeat(60)}b` }],
];
for (const [source, args] of TRUE) {
  test(`true: ${source}`, () => assert.deepEqual(evaluate(source, args), { value: true }));
}

const ERRORS: readonly (readonly [string, unknown])[] = [
  ['args.query == "x"', {}],
  ['args.query.startsWith("x")', { query: 1 }],
  ['"ell" in args.query', { query: 'hello' }],
  ['args.query == "x"', 'query'],
  ['args.query == "x"', [1]],
  ['args.query == "x"', { constructor: 1, query: { a: 1 } }],
  ['args.constructor == "x"', {}],
  ['args.toString == "x"', {}],
  ['args.__proto__.a == 1', {}],
  ['args.n + 1 == 2', { n: 1 }],
  ['principal.attributes.other == "x"', {}],
  ['args.list.all(x, true)', { list: Array.from({ length: 1001 }, () => 1) }],
  ['args.a == 1', JSON.parse(`${'{"a":'.repeat(40)}1${'}'.repeat(40)}`)],
  ['args.list.exists(x, x == "y")', { list: Array.from({ length: 900 }, () => 'x'.repeat(400)) }],
  ['args.text.matches("a")', { text: 'x'.repeat(256 * 1024 + 1) }],
  ['args.text.split("").exists(x, x == "y")', { text: 'x'.repeat(2000) }],
  ['sql.readOnly(args.query)', { query: 7 }],
  ['sql.readOnly(args.query)', { query: ['SELECT 1'] }],
  ['shell.programs(args.query).all(p, p == "ls")', { query: null }],
  ['args.ok', { ok: 'true' }],
];
for (const [source, args] of ERRORS) {
  test(`an error: ${source} of ${JSON.stringify(args).slice(0, 40)}`, () => {
    const wrapped = source === 'args.ok' ? 'args.ok && true' : source;
    const evaluated = evaluate(wrapped, args);
    assert.ok('error' in evaluated, JSON.stringify(evaluated));
    assert.doesNotMatch(evaluated.error, /hello|SELECT|xxx/);
  });
}

test('an own key called __proto__ is data like any other', () => {
  assert.deepEqual(evaluate('args.__proto__.admin == true', JSON.parse('{"__proto__":{"admin":true}}')), {
    value: true,
  });
  assert.ok('error' in evaluate('args.admin == true', JSON.parse('{"__proto__":{"admin":true}}')));
});

test('statements: asked for first, then known, or an error', () => {
  assert.deepEqual(evaluate('sql.readOnly(args.query)', { query: QUERY }), { needs: [question] });
  assert.deepEqual(evaluate('sql.readOnly(args.query) || true', { query: QUERY }), { needs: [question] });
  assert.deepEqual(evaluate('true || sql.readOnly(args.query)', { query: QUERY }), { value: true });
  assert.deepEqual(evaluate('sql.readOnly(args.query)', { query: QUERY }, facts), { value: true });
  assert.deepEqual(evaluate('sql.readOnly(args.query)', { query: QUERY }, { ...facts, readOnly: false }), {
    value: false,
  });
  assert.deepEqual(evaluate('sql.commands(args.query) == ["SELECT"]', { query: QUERY }, facts), { value: true });
  assert.deepEqual(evaluate('"a.b" in sql.tables(args.query)', { query: QUERY }, facts), { value: true });
  assert.deepEqual(evaluate('size(sql.functions(args.query)) == 0', { query: QUERY }, facts), { value: true });
  const unreadable = evaluate('sql.readOnly(args.query)', { query: QUERY }, { ok: false, words: 'it is empty' });
  assert.deepEqual(unreadable, { error: 'a statement can not be read: it is empty' });
  const wrong = evaluate('sql.readOnly(args.query)', { query: QUERY }, { ok: true, programs: [] });
  assert.ok('error' in wrong);
  const shell = compiled('shell.programs(args.c) == ["ls"]').evaluate(input({ c: 'ls' }), { readings: new Map() });
  assert.deepEqual(shell, { needs: [{ kind: 'shell', text: 'ls' }] });
  const none = compiled('sql.readOnly(args.query)').evaluate(input({ query: QUERY }), { readings: new Map() });
  assert.deepEqual(none, { error: 'the connection has no dialect' });
  const many = compiled('args.l.all(q, sql.readOnly(q) || true)').evaluate(
    input({ l: Array.from({ length: 40 }, (_, i) => `${i}`) }),
    { readings: new Map(), dialect: 'mysql' },
  );
  assert.ok('needs' in many && many.needs.length === 16);
});

const REFUSED: readonly (readonly [unknown, RegExp])[] = [
  ['arg.query == "x"', /unknown_variable, character 1\)/],
  ['principal.mail == "x"', /no_such_key, character 11\)/],
  ['tool.destructiv', /character 6\)/],
  ['sql.readonly(args.q)', /not known here/],
  ['args.q.matches("(a+)+$") && m_tches("a")', /not known here/],
  ['args.q.m_tches("a")', /not known here/],
  ['args.q.matches(args.p)', /not written out/],
  ['args.q.matches("a" + "b")', /not written out/],
  ['args.q.matches("(?=a)")', /pattern that is none/],
  ['args.q.matches(r"(a)\\1")', /pattern that is none/],
  ['args.q.join(",") == "a"', /not known here/],
  ['cel.bind(x, args.q, x == x)', /not known here/],
  ['bytes(args.q) == b"a"', /not known here/],
  ['b"a" == b"b"', /bytes or an unsigned/],
  ['args.n in [1u]', /bytes or an unsigned/],
  ['args.q', /true or false/],
  ['tool', /true or false/],
  ['principal.email', /true or false/],
  ['"a" + 1 == "a"', /no_such_overload/],
  ['args.a.all(x, args.b.all(y, args.c.all(z, x == z)))', /nests more/],
  [`${'('.repeat(60)}true${')'.repeat(60)}`, /is not a CEL/],
  [Array.from({ length: 300 }, () => 'args.a').join(' && '), /is not a CEL/],
  ['args.q ==', /is not a CEL expression \(/],
  ['', /is not a CEL/],
  ['x'.repeat(5000), /is not a CEL/],
  [7, /is not a CEL/],
];
for (const [source, problem] of REFUSED) {
  test(`refused: ${String(source).slice(0, 60)}`, () => {
    const made = compiler.compile(source);
    assert.ok(!made.ok, String(source));
    assert.match(made.problem, problem);
    assert.notEqual(made.fix, '');
  });
}

test('what to write instead, where it is most likely known', () => {
  const fixOf = (source: string) => {
    const made = compiler.compile(source);
    return made.ok ? '' : made.fix;
  };
  assert.match(fixOf('sql.readonly(args.q)'), /^Did you mean readOnly\? Known: /);
  assert.match(fixOf('args.q.startWith("a")'), /^Did you mean startsWith\? /);
  assert.match(fixOf('args.q == "a" and name == "b"'), /^Write && for and/);
  assert.match(fixOf('args.q == "this and that'), /^Write /);
  assert.doesNotMatch(fixOf('args.q == "this and that" =='), /for and/);
});

test('pinned arguments: a field that no schema has is found at load, a wrong type denies', () => {
  const types = { query: 'string', limit: 'dyn' };
  assert.ok(!compiler.compile('args.qery == "x"', types).ok);
  const condition = compiled('args.query == "x" && (!has(args.limit) || args.limit <= 5)', types);
  const of = (args: unknown) => condition.evaluate(input(args), { readings: new Map() });
  assert.deepEqual(of({ query: 'x' }), { value: true });
  assert.deepEqual(of({ query: 'x', limit: 6 }), { value: false });
  assert.ok('error' in of({ query: 7 }));
  assert.ok('error' in of({}));
  assert.ok('error' in of('x'));
});

test('clauses are its parts between && at the top, each with a value of its own', () => {
  const { clauses } = compiled('args.a == 1 && (args.b == 2 || args.c == 3) && args.t.matches("x") && (true && false)');
  assert.deepEqual(
    clauses.map(({ source }) => source),
    ['args.a == 1', 'args.b == 2 || args.c == 3', 'args.t.matches("x")', 'true', 'false'],
  );
  const values = clauses.map(({ condition }) =>
    condition.evaluate(input({ a: 1, b: 3, c: 3, t: 'y' }), { readings: new Map() }),
  );
  assert.deepEqual(
    values,
    [true, true, false, true, false].map((value) => ({ value })),
  );
  assert.deepEqual(compiled('true || false').clauses, []);
  assert.deepEqual(compiled('("a" + "b").contains("a") && true').clauses.length, 0);
});

test('what it reads', () => {
  assert.deepEqual([...compiled('principal.kind == "human" && sql.readOnly(args.q)').reads].sort(), [
    'args',
    'principal',
    'sql',
  ]);
});

test('hostile texts take bounded time', () => {
  const began = performance.now();
  // V8's own search takes minutes for it.
  const halves = 'a'.repeat(500_000);
  evaluate('args.a.contains(args.b)', { a: 'a'.repeat(4_000_000), b: `${halves}b${halves}` });
  evaluate('args.t.matches("^(a+)+$")', { t: `${'a'.repeat(100_000)}b` });
  const list = Array.from({ length: 1000 }, (_, index) => `g${index}`);
  evaluate('args.a.all(x, args.a.exists(y, x == y))', { a: list });
  assert.ok(performance.now() - began < 5000);
});
