import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { compilePattern, load } from './fixture.ts';
import { loadPolicy } from './load.ts';
import { writePins } from './pins.ts';

const GOOD = `rules:
  - name: analysts-read-orders
    description: Analysts read.
    principals: { groups: [analysts] }
    connections: [orders]
    tools: [query, "list_*"]
    condition: sql.readOnly(args.query)
    effect: allow
    masks: [email, employee-id]
    maskRequests: [card]
    replaceBlobs: ["image/*"]
    limits: { maxCalls: { count: 100, per: 1h }, maxResultBytes: 1MiB }
    screen: { modelArmor: { template: projects/p/locations/eu/templates/t, of: [results], onMatch: deny } }
patterns: { employee-id: "EMP-[0-9]{6}" }
`;
const access = (text: string, name = 'orders') => ({ path: `access/${name}.yaml`, text });
const problems = (...files: { path: string; text: string }[]) => {
  const loaded = load(...files);
  assert.ok(!loaded.ok, 'no problems');
  for (const { problem, fix, level } of loaded.problems) {
    assert.ok(problem.length > 3 && fix.length > 5 && level === 'error');
  }
  return loaded.problems.map(({ file, line, column, key }) => `${file}:${line}:${column} ${key}`);
};
const one = (more: string) =>
  access(`rules:\n  - name: a\n    principals: any\n    connections: [orders]\n${more.replaceAll(/^/gm, '    ')}\n`);

test('a good file, whole', () => {
  const loaded = load(access(GOOD));
  assert.ok(loaded.ok, JSON.stringify(loaded));
  const [rule] = loaded.set.rules;
  assert.ok(rule !== undefined);
  const { condition, masks, ...plain } = rule;
  assert.equal(condition?.source, 'sql.readOnly(args.query)');
  assert.deepEqual(
    masks.map(({ name }) => name),
    ['email', 'employee-id'],
  );
  assert.ok('pattern' in (masks[1] ?? {}));
  assert.deepEqual(plain, {
    name: 'analysts-read-orders',
    file: 'access/orders.yaml',
    line: 2,
    description: 'Analysts read.',
    principals: { groups: ['analysts'] },
    connections: ['orders'],
    methods: ['tools/call', 'tools/list'],
    names: { tools: ['query', 'list_*'] },
    effect: 'allow',
    maskRequests: [{ name: 'card' }],
    replaceBlobs: ['image/*'],
    limits: { maxCalls: { count: 100, per: 3_600_000 }, maxResultBytes: 1_048_576 },
    screen: {
      modelArmor: {
        template: 'projects/p/locations/eu/templates/t',
        of: ['results'],
        onMatch: 'deny',
        timeout: 2000,
        mode: 'enforce',
      },
    },
    mode: 'enforce',
  });
});

test('the digest is of what is in force: not of order, places, comments or spelling of units', () => {
  const second = 'rules: [{ name: b, principals: any, connections: ["*"], tools: [x], effect: deny }]';
  const first = load(access(GOOD), access(second, 'other'));
  const moved = load(access(`# moved\n${GOOD.replace('1MiB', '1024KiB')}`, 'z'), access(second, 'a'));
  const changed = load(access(GOOD.replace('[card]', '[ip]')), access(second, 'other'));
  assert.ok(first.ok && moved.ok && changed.ok);
  assert.equal(first.set.digest, moved.set.digest);
  assert.notEqual(first.set.digest, changed.set.digest);
  assert.equal(first.set.digest, createHash('sha256').update(first.set.canonical).digest('hex'));
  const keys = Object.keys(JSON.parse(first.set.canonical.toString()));
  assert.deepEqual(keys, ['patterns', 'pins', 'rules', 'v']);
});

test('names imply methods', () => {
  const methods = (written: string) => {
    const loaded = load(one(`${written}\neffect: deny`));
    assert.ok(loaded.ok, JSON.stringify(loaded));
    return loaded.set.rules[0]?.methods;
  };
  assert.deepEqual(methods('prompts: ["*"]'), ['prompts/get', 'prompts/list', 'completion/complete']);
  assert.equal(methods('resources: ["*"]')?.length, 6);
  assert.equal(methods('resources: ["*"]\nprompts: [x]')?.length, 8);
  assert.deepEqual(methods('tools: [x]\nmethods: [tools/call]'), ['tools/call']);
  assert.deepEqual(methods('methods: ["*"]'), ['*']);
});

test('every mistake of all files at once, at its place', () => {
  const bad = GOOD.replace('connections:', 'conections:').replace('per: 1h', 'per: soon').replace('[email,', '[mail,');
  const other =
    'rules:\n  - name: b\n    principals: { group: [x] }\n    connections: [orders]\n    effect: permit\n    tools: [x]\n';
  assert.deepEqual(
    problems(access(bad), access(other, 'other'), access('rules: [', 'syntax'), { path: 'tools/x.json', text: '{' }),
    [
      'access/orders.yaml:2:5 rules[0].connections',
      'access/orders.yaml:5:5 rules[0].conections',
      'access/orders.yaml:12:39 rules[0].limits.maxCalls.per',
      'access/other.yaml:3:19 rules[0].principals.group',
      'access/other.yaml:5:5 rules[0].effect',
      'access/syntax.yaml:1:9 ',
      'tools/x.json:0:0 ',
    ],
  );
  const loaded = load(access(bad));
  assert.ok(!loaded.ok && loaded.problems.some(({ fix }) => /connections\?/.test(fix)));
});

test('a mistake in one rule hides none of another', () => {
  const two = `${GOOD.replace('effect: allow', 'effect: maybe')}`.replace(
    'patterns:',
    '  - { name: b, principals: any, connections: [orders], tools: [x], effect: allow, condition: arg.x == 1 }\npatterns:',
  );
  assert.deepEqual(problems(access(two)), [
    'access/orders.yaml:8:5 rules[0].effect',
    'access/orders.yaml:14:83 rules[1].condition',
  ]);
});

const MISTAKES: readonly (readonly [string, string])[] = [
  ['effect: allow', 'methods'],
  ['tools: []\neffect: allow', 'tools'],
  ['tools: x\neffect: allow', 'tools'],
  ['tools: [7]\neffect: allow', 'tools[0]'],
  ['tools: ["a\\nb"]\neffect: allow', 'tools[0]'],
  ['tools: [x]', 'effect'],
  ['tools: [x]\neffect: Deny', 'effect'],
  ['tools: [x]\neffect: approve', 'approval'],
  ['tools: [x]\neffect: approve\napproval: { approvers: [] }', 'approval.approvers'],
  ['tools: [x]\neffect: approve\napproval: { approvers: [a], pending: 1s }', 'approval.pending'],
  ['tools: [x]\neffect: allow\napproval: { approvers: [a] }', 'approval'],
  ['tools: [x]\neffect: deny\nmasks: all', 'masks'],
  ['tools: [x]\neffect: deny\nmaskRequests: all', 'maskRequests'],
  ['tools: [x]\neffect: deny\nlimits: { maxResultBytes: 1MiB }', 'limits'],
  ['tools: [x]\neffect: deny\nreplaceBlobs: ["*"]', 'replaceBlobs'],
  ['tools: [x]\neffect: allow\nmasks: [nothing]', 'masks'],
  ['tools: [x]\neffect: allow\nreplaceBlobs: [images]', 'replaceBlobs[0]'],
  ['tools: [x]\neffect: allow\nmasks: []', 'masks'],
  ['tools: [x]\neffect: allow\nmode: off', 'mode'],
  ['tools: [x]\nmethods: [ping]\neffect: allow', 'methods[0]'],
  ['tools: [x]\nmethods: [prompts/get]\neffect: allow', 'methods[0]'],
  ['methods: [tools/cal]\neffect: deny', 'methods[0]'],
  ['tools: [x]\ncondition: 7\neffect: allow', 'condition'],
  ['tools: [x]\ncondition: args.x\neffect: allow', 'condition'],
  [
    'tools: [x]\nscreen: { modelArmor: { template: x, of: [results], onMatch: deny } }\neffect: allow',
    'screen.modelArmor.template',
  ],
];
for (const [written, key] of MISTAKES) {
  test(`refused: ${written.replaceAll('\n', ', ')}`, () => {
    assert.deepEqual(
      problems(one(written)).map((place) => place.split(' ')[1]),
      [`rules[0].${key}`],
    );
  });
}

test('names are unique over all files, and none is the gateway’s own', () => {
  const rule = (name: string) =>
    `rules: [{ name: ${name}, principals: any, connections: [x], tools: [x], effect: deny }]`;
  assert.deepEqual(problems(access(rule('a'), 'one'), access(rule('a'), 'two')), [
    'access/two.yaml:1:11 rules[0].name',
  ]);
  for (const name of ['no-policy', 'base-protocol', 'awaited-response', 'A', '""', '__proto__']) {
    assert.equal(problems(access(rule(name))).length, 1, name);
  }
});

test('patterns: unknown ones, doubled ones, names that are taken', () => {
  assert.deepEqual(problems(access('patterns: { a: "(" }')), ['access/orders.yaml:1:13 patterns.a']);
  assert.deepEqual(problems(access('patterns: { email: "a" }')), ['access/orders.yaml:1:13 patterns.email']);
  assert.deepEqual(problems(access('patterns: { all: "a" }')), ['access/orders.yaml:1:13 patterns.all']);
  const twice = [access('patterns: { a: "x" }', 'one'), access('patterns: { a: "y" }', 'two')];
  assert.deepEqual(problems(...twice), ['access/two.yaml:1:13 patterns.a']);
  const shared = load(access('patterns: { a: "x" }', 'z'), one('tools: [x]\neffect: allow\nmasks: [a]'));
  assert.ok(shared.ok);
});

test('each unknown mask is told apart by what was most likely meant', () => {
  const loaded = load(
    access('patterns: { employee-id: "E[0-9]" }', 'z'),
    one('tools: [x]\neffect: allow\nmasks: [emails, employe-id, zzz]'),
  );
  assert.ok(!loaded.ok);
  assert.deepEqual(
    loaded.problems.map(({ fix }) => fix.replace(/ ?Write all.*/, '')),
    ['Did you mean email?', 'Did you mean employee-id?', ''],
  );
});

test('no value of a file is repeated', () => {
  const hunter = [
    access('rules: [{ name: Hunter2, principals: hunter2, connections: hunter2, effect: hunter2 }]'),
    one('tools: [x]\neffect: allow\ncondition: hunter2 == "hunter2"\nmasks: [hunter2]'),
    { path: 'tools/x.json', text: '{"v":1,"connection":"hunter2","tools":[]}' },
  ];
  for (const file of hunter) {
    const loaded = load(file);
    assert.ok(!loaded.ok);
    assert.doesNotMatch(JSON.stringify(loaded.problems), /hunter/i);
  }
});

test('sizes: a file, rules', () => {
  assert.deepEqual(problems(access(`#${'x'.repeat(1024 * 1024)}`)), ['access/orders.yaml:0:0 ']);
  const rules = (from: number) =>
    JSON.stringify({
      rules: Array.from({ length: 600 }, (_, index) => ({
        name: `r${from + index}`,
        principals: 'any',
        connections: ['x'],
        tools: ['x'],
        effect: 'deny',
      })),
    });
  assert.deepEqual(problems(access(rules(0), 'one'), access(rules(600), 'two')), [':0:0 ']);
});

const TOOL = {
  name: 'query',
  inputSchema: { type: 'object', properties: { sql: { type: 'string' }, n: { type: 'integer' } } },
};
const pins = { path: 'tools/orders.json', text: writePins('orders', [TOOL]) };

test('pins are part of what is in force, and their mistakes of what is named', () => {
  const one = load(pins);
  const none = load();
  assert.ok(one.ok && none.ok && one.set.digest !== none.set.digest);
  assert.equal(one.set.pins.get('orders')?.tools.length, 1);
  const changed = { ...pins, text: pins.text.replace('"integer"', '"string"') };
  assert.deepEqual(problems(changed), ['tools/orders.json:0:0 tools.0.digest']);
  assert.equal(problems({ ...pins, path: 'tools/other.json' }).length, 1);
  assert.equal(problems({ ...pins, text: `${pins.text}${' '.repeat(1024 * 1024)}` }).length, 1);
});

test('a condition is held to pinned arguments where tools and connections are named to the letter', () => {
  const rule = (tools: string, condition: string) => one(`tools: ${tools}\ncondition: ${condition}\neffect: allow`);
  assert.ok(load(pins, rule('[query]', 'args.sql == "x" && args.n == 5')).ok);
  assert.equal(problems(pins, rule('[query]', 'args.sqll == "x"')).length, 1);
  assert.ok(load(pins, rule('["quer*"]', 'args.sqll == "x"')).ok);
  assert.ok(load(pins, rule('[query, other]', 'args.sqll == "x"')).ok);
  assert.ok(load(rule('[query]', 'args.sqll == "x"')).ok);
});

test('golden decisions among the files are not rules', () => {
  assert.ok(load({ path: 'access/orders.decisions.yaml', text: 'rules: [' }).ok);
  assert.ok(loadPolicy([], compilePattern).ok);
});
