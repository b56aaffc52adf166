import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ALLOW_ALL } from './allow-all.ts';
import { createPolicy } from './decide.ts';
import type { Decision } from './decision.ts';
import { ANA, decided, inputOf, setOf } from './fixture.ts';
import { questionKey, type Reading } from './statement.ts';

const call = (name = 'query', args: unknown = {}) => inputOf('tools/call', { name, arguments: args });
const names = (detectors: Decision['masks']) => detectors.map(({ name }) => name);
const approval = { approvers: ['leads'] };
const screen = (template: string) => ({
  modelArmor: { template: `projects/p/locations/eu/templates/${template}`, of: ['results'], onMatch: 'deny' },
});

test('what matching rules add adds up: masks once each, limits and screens by rule, every approval', () => {
  const set = setOf([
    { name: 'a', tools: ['*'], effect: 'allow', masks: ['email', 'card'], limits: { maxResultBytes: '1MiB' } },
    { name: 'b', tools: ['q*'], effect: 'allow', masks: ['card', 'ip'], maskRequests: ['card'], screen: screen('t') },
    { name: 'c', tools: ['query'], effect: 'approve', masks: ['jwt'], replaceBlobs: ['image/*'], approval },
    { name: 'd', tools: ['query'], effect: 'approve', approval: { approvers: ['dpo'], pending: '2h', usable: '5m' } },
    { name: 'e', tools: ['other'], effect: 'allow', masks: ['iban'] },
    { name: 'f', tools: ['query'], effect: 'allow', masks: ['ssn'], mode: 'shadow' },
  ]);
  const decision = decided(set, call());
  assert.equal(decision.effect, 'approve');
  assert.deepEqual(decision.rules, ['c', 'd']);
  assert.deepEqual(names(decision.masks).sort(), ['card', 'email', 'ip', 'jwt']);
  assert.deepEqual(names(decision.maskRequests), ['card']);
  assert.deepEqual(decision.replaceBlobs, ['image/*']);
  assert.deepEqual(decision.limits, [{ rule: 'a', maxResultBytes: 1024 * 1024 }]);
  assert.deepEqual(decision.approvals, [
    { rule: 'c', approvers: ['leads'], pending: 3_600_000, usable: 600_000 },
    { rule: 'd', approvers: ['dpo'], pending: 7_200_000, usable: 300_000 },
  ]);
  assert.deepEqual(
    decision.screens.map(({ rule }) => rule),
    ['b'],
  );
  assert.deepEqual(decision.shadow, { effect: 'allow', rules: ['f'] });
});

test('the order of rules never matters', () => {
  const rules = [
    { name: 'a', tools: ['q*'], effect: 'allow', masks: ['email'] },
    { name: 'b', tools: ['query'], effect: 'deny', condition: 'has(args.drop)' },
    { name: 'c', tools: ['query'], effect: 'approve', condition: 'has(args.big)', approval },
    { name: 'd', tools: ['*'], effect: 'allow', masks: ['card'], condition: 'args.n > 0' },
    { name: 'e', tools: ['query'], effect: 'deny', mode: 'shadow' },
  ];
  const args = fc.record(
    { drop: fc.constant(1), big: fc.constant(1), n: fc.constantFrom(0, 1, 'x') },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(fc.shuffledSubarray(rules, { minLength: rules.length }), args, (shuffled, given) => {
      const plain = (decision: Decision) => ({
        effect: decision.effect,
        rules: [...decision.rules].sort(),
        masks: names(decision.masks).sort(),
        shadow: decision.shadow,
      });
      const one = decided(setOf(rules), call('query', given));
      assert.deepEqual(plain(decided(setOf(shuffled), call('query', given))), plain(one));
    }),
    { numRuns: 60 },
  );
});

test('what is denied is recorded all the same: its requests are masked as any rule of the connection would', () => {
  const set = setOf([
    { name: 'a', connections: ['orders'], tools: ['query'], effect: 'allow', maskRequests: ['card'] },
    { name: 'b', connections: ['other'], tools: ['query'], effect: 'allow', maskRequests: ['ip'] },
    { name: 'c', tools: ['drop'], effect: 'deny' },
  ]);
  for (const name of ['drop', 'unknown']) {
    const decision = decided(set, call(name));
    assert.equal(decision.effect, 'deny');
    assert.deepEqual(names(decision.maskRequests), ['card']);
    assert.deepEqual(decision.masks, []);
  }
});

test('words name rules and reasons, and nothing of the message', () => {
  const set = setOf([
    { name: 'no-drop', tools: ['drop'], effect: 'deny' },
    { name: 'typed', tools: ['query'], condition: 'args.hunter2 == "x"', effect: 'allow' },
  ]);
  const words = (input: Parameters<typeof decided>[1]) => decided(set, input).words;
  assert.equal(words(call('drop')), 'The rule no-drop denies this.');
  assert.equal(words(call('hunter2')), 'No rule allows this.');
  assert.match(
    words(call('query', { 'hunter-secret': 1 })),
    /^The condition of the rule typed can not be decided \(no_such_key, character 6\)/,
  );
  for (const input of [call('drop'), call('hunter2'), call('query', { hunter2: ['s3cret'] })]) {
    assert.doesNotMatch(words(input), /hunter|s3cret/);
  }
});

test('statements: all that have no reading are asked for at once, each once; then the decision', () => {
  const set = setOf([
    { name: 'read', tools: ['query'], condition: 'sql.readOnly(args.sql)', effect: 'allow' },
    { name: 'kinds', tools: ['query'], condition: '"DROP TABLE" in sql.commands(args.sql)', effect: 'deny' },
    { name: 'programs', tools: ['query'], condition: '"rm" in shell.programs(args.after)', effect: 'deny' },
  ]);
  const input = call('query', { sql: 'SELECT 1', after: 'ls' });
  const policy = createPolicy(set);
  const asked = policy.decide(input, new Map(), 'mysql');
  const sql = { kind: 'sql', dialect: 'mysql', text: 'SELECT 1' } as const;
  const shell = { kind: 'shell', text: 'ls' } as const;
  assert.deepEqual(asked, { needs: [sql, shell] });
  const facts: Reading = { ok: true, commands: ['SELECT'], tables: [], functions: [], readOnly: true };
  const readings = new Map<string, Reading>([
    [questionKey(sql), facts],
    [questionKey(shell), { ok: true, programs: ['ls'] }],
  ]);
  const decision = policy.decide(input, readings, 'mysql');
  assert.ok('effect' in decision && decision.effect === 'allow');
  readings.set(questionKey(shell), { ok: false, words: 'it is a pipe' });
  const denied = policy.decide(input, readings, 'mysql');
  assert.ok('effect' in denied && denied.effect === 'deny');
  assert.match(denied.words, /a command can not be read: it is a pipe/);
});

test('base messages are masked by what matches them, and stopped by a deny alone', () => {
  const set = setOf([
    {
      name: 'all',
      methods: ['*'],
      effect: 'allow',
      masks: ['email'],
      condition: 'args.n == 1',
      limits: { maxResultBytes: 2048 },
    },
    { name: 'ask', methods: ['*'], effect: 'approve', masks: ['card'], approval },
  ]);
  const log = decided(set, inputOf('notifications/message', { data: 'x' }, { from: 'upstream', kind: 'notification' }));
  assert.equal(log.effect, 'allow');
  assert.deepEqual(names(log.masks), ['email', 'card']);
  assert.deepEqual([log.limits, log.approvals], [[], []]);
  const deny = setOf([{ name: 'quiet', methods: ['notifications/message'], effect: 'deny' }]);
  assert.equal(decided(deny, inputOf('notifications/message', {}, { from: 'upstream' })).effect, 'deny');
  assert.equal(decided(deny, inputOf('ping')).effect, 'allow');
  const broken = setOf([{ name: 'broken', methods: ['ping'], condition: 'args.x == 1', effect: 'deny' }]);
  assert.equal(decided(broken, inputOf('ping')).effect, 'deny');
});

test('an awaited answer is masked as what can have let the server ask', () => {
  const set = setOf([
    { name: 'ask', methods: ['elicitation/create'], effect: 'allow', maskRequests: ['card'] },
    { name: 'others', principals: { groups: ['nobody'] }, methods: ['*'], effect: 'allow', maskRequests: ['ip'] },
    { name: 'tools', tools: ['*'], effect: 'allow', maskRequests: ['email'] },
    { name: 'shadow', methods: ['*'], effect: 'allow', maskRequests: ['jwt'], mode: 'shadow' },
  ]);
  const decision = decided(set, inputOf(undefined, undefined, { kind: 'response' }));
  assert.deepEqual([decision.effect, names(decision.maskRequests)], ['allow', ['card']]);
});

test('lists: allowed by what could be used, never by what could not, masked and screened by it', () => {
  const set = setOf([
    {
      name: 'a',
      tools: ['query'],
      condition: 'sql.readOnly(args.sql)',
      effect: 'allow',
      masks: ['email'],
      screen: screen('t'),
    },
    { name: 'b', principals: { groups: ['nobody'] }, tools: ['*'], effect: 'allow', masks: ['ip'] },
    {
      name: 'c',
      methods: ['tools/call'],
      effect: 'approve',
      masks: ['card'],
      approval,
      limits: { maxResultBytes: 2048 },
    },
    { name: 'd', tools: ['drop'], effect: 'deny' },
    { name: 'e', methods: ['tools/*'], condition: 'args.x == 1', effect: 'deny' },
    { name: 'f', prompts: ['*'], condition: 'access == "breakGlass"', effect: 'allow' },
  ]);
  const tools = decided(set, inputOf('tools/list'));
  assert.deepEqual([tools.effect, tools.rules, names(tools.masks)], ['allow', ['a', 'c'], ['email', 'card']]);
  assert.deepEqual([tools.screens.map(({ rule }) => rule), tools.limits, tools.approvals], [['a'], [], []]);
  assert.equal(decided(set, inputOf('prompts/list')).effect, 'deny');
  assert.equal(decided(set, inputOf('prompts/list', {}, { access: 'breakGlass' })).effect, 'allow');
  assert.equal(decided(set, inputOf('resources/list')).effect, 'deny');
  const all = { name: 'all', tools: ['*'], effect: 'allow' };
  assert.equal(
    decided(setOf([all, { name: 'x', methods: ['tools/*'], effect: 'deny' }]), inputOf('tools/list')).effect,
    'deny',
  );
  const only = setOf([{ name: 'only', methods: ['tools/list'], effect: 'allow' }]);
  assert.equal(decided(only, inputOf('tools/list')).effect, 'allow');
  assert.equal(decided(only, call()).effect, 'deny');
});

test('mayList: unless it surely can’t be used', () => {
  const pins = {
    orders: [
      { name: 'wipe', inputSchema: {}, annotations: { destructiveHint: true } },
      { name: 'look', inputSchema: {}, annotations: { readOnlyHint: true } },
    ],
  };
  const set = setOf(
    [
      { name: 'a', tools: ['query', 'wipe', 'look'], condition: 'sql.readOnly(args.sql)', effect: 'allow' },
      { name: 'b', tools: ['refund'], effect: 'approve', approval },
      { name: 'c', tools: ['see_*'], effect: 'allow' },
      { name: 'd', tools: ['see_secrets'], effect: 'deny' },
      { name: 'e', tools: ['see_some'], condition: 'has(args.all)', effect: 'deny' },
      { name: 'f', tools: ['see_broken'], condition: 'principal.attributes.x == "1"', effect: 'deny' },
      { name: 'g', tools: ['night'], condition: 'now.getHours() < 6', effect: 'allow' },
      { name: 'h', principals: { groups: ['nobody'] }, tools: ['theirs'], effect: 'allow' },
      { name: 'i', tools: ['shadowed'], effect: 'allow', mode: 'shadow' },
      { name: 'j', methods: ['tools/call'], condition: 'tool.destructive && name == "wipe"', effect: 'deny' },
      { name: 'k', prompts: ['p*'], effect: 'allow' },
      { name: 'l', resources: ['orders://eu/*', 'orders://one'], effect: 'allow' },
      { name: 'm', resources: ['orders://eu/secret/*'], effect: 'deny' },
    ],
    pins,
  );
  const { mayList } = createPolicy(set);
  const may = (kind: Parameters<typeof mayList>[1], name: string) => mayList(inputOf('tools/list'), kind, name);
  const table = {
    tool: {
      query: true,
      refund: true,
      see_orders: true,
      see_some: true,
      look: true,
      see_secrets: false,
      see_broken: false,
      night: false,
      theirs: false,
      shadowed: false,
      wipe: false,
      other: false,
      p1: false,
    },
    prompt: { p1: true, q: false, query: false },
    resource: { 'orders://eu/1': true, 'orders://one': true, 'orders://us/1': false, 'orders://eu/secret/1': false },
    template: {
      'orders://eu/{id}': true,
      'orders://{region}/{id}': true,
      'orders://{id}': true,
      'orders://us/{id}': false,
      'orders://eu/secret/{id}': false,
      'x://{id}': false,
    },
  } as const;
  for (const [kind, rows] of Object.entries(table)) {
    for (const [name, wanted] of Object.entries(rows)) {
      assert.equal(may(kind as keyof typeof table, name), wanted, `${kind} ${name}`);
    }
  }
});

test('masks of a connection: of all enforced rules that reach it', () => {
  const { masksOfConnection } = createPolicy(
    setOf([
      {
        name: 'a',
        connections: ['orders'],
        tools: ['x'],
        effect: 'allow',
        masks: ['email'],
        replaceBlobs: ['image/*'],
      },
      {
        name: 'b',
        connections: ['or*'],
        principals: { groups: ['nobody'] },
        tools: ['y'],
        effect: 'approve',
        masks: ['card'],
        approval,
      },
      { name: 'c', connections: ['orders'], tools: ['x'], effect: 'allow', masks: ['ip'], mode: 'shadow' },
      { name: 'd', connections: ['other'], tools: ['x'], effect: 'allow', masks: ['jwt'] },
    ]),
  );
  const made = masksOfConnection('orders');
  assert.deepEqual([names(made.masks), made.replaceBlobs], [['email', 'card'], ['image/*']]);
  assert.deepEqual(names(masksOfConnection('none').masks), []);
});

test('subscriptions: what each resource needs, and what its rules add', () => {
  const set = setOf([
    { name: 'listen', methods: ['subscriptions/listen'], effect: 'allow' },
    { name: 'open', resources: ['open://*'], effect: 'allow', masks: ['email'] },
    { name: 'ask', resources: ['ask://*'], effect: 'approve', masks: ['card'], approval },
    { name: 'sql', resources: ['sql://*'], condition: 'sql.readOnly(params.uri)', effect: 'allow' },
  ]);
  const listen = (...resourceSubscriptions: string[]) =>
    inputOf('subscriptions/listen', { notifications: { resourceSubscriptions } });
  assert.deepEqual(names(decided(set, listen('open://1', 'open://2')).masks), ['email']);
  const ask = decided(set, listen('open://1', 'ask://1', 'ask://2'));
  assert.deepEqual([ask.effect, ask.approvals.length, names(ask.masks)], ['approve', 1, ['card', 'email']]);
  const needs = createPolicy(set).decide(listen('sql://1', 'sql://2'), new Map(), 'sqlite');
  assert.ok('needs' in needs && needs.needs.length === 2);
  const many = Array.from({ length: 1001 }, (_, index) => `open://${index}`);
  assert.equal(decided(set, listen(...many)).effect, 'deny');
});

test('allow-all: everything, also what nobody knows, is allowed by no-policy', () => {
  for (const from of ['client', 'upstream'] as const) {
    for (const [method, params] of [
      ['initialize', {}],
      ['tools/call', { name: ['x'] }],
      ['tools/call', undefined],
      ['x/unknown', {}],
      ['subscriptions/listen', { notifications: { resourceSubscriptions: ['a'] } }],
      ['sampling/createMessage', {}],
      ['tools/list', {}],
      ['completion/complete', { ref: { type: 'ref/other' } }],
    ] as const) {
      const decision = decided(ALLOW_ALL, inputOf(method, params, { from }));
      assert.deepEqual([decision.effect, decision.rules], ['allow', ['no-policy']], method);
    }
  }
  assert.ok(createPolicy(ALLOW_ALL).mayList(inputOf('tools/list'), 'tool', 'x'));
  assert.equal(ALLOW_ALL.digest.length, 64);
});

test('a principal without what a rule names is not one with the text undefined', () => {
  const { email: _, clientId: __, ...bare } = ANA;
  const set = setOf([{ name: 'a', principals: { emails: ['undefined'] }, tools: ['*'], effect: 'allow' }]);
  assert.equal(decided(set, { ...call(), principal: bare }).effect, 'deny');
});
