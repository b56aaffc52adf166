/**
 * A table of decisions. What is expected is written by hand, or comes from the few lines here that know the semantics and
 * nothing of the code.
 */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import type { PolicyInput } from './decision.ts';
import { ANA, decided, inputOf, setOf } from './fixture.ts';
import type { Effect } from './rule.ts';

let decisions = 0;
after(() => assert.ok(decisions >= 300, `${decisions} decisions`));

function check(set: ReturnType<typeof setOf>, input: PolicyInput, effect: Effect, rules?: readonly string[]): void {
  decisions += 1;
  const decision = decided(set, input);
  assert.equal(decision.effect, effect, decision.words);
  if (rules !== undefined) assert.deepEqual([...decision.rules].sort(), [...rules].sort());
}

/** Each method of both eras with what it names. b: base protocol. l: a list. */
const METHODS: readonly (readonly [string, unknown, 'b' | 'l' | ''])[] = [
  ['initialize', { protocolVersion: '2025-11-25' }, 'b'],
  ['server/discover', {}, 'b'],
  ['ping', undefined, 'b'],
  ['logging/setLevel', { level: 'debug' }, 'b'],
  ['notifications/initialized', undefined, 'b'],
  ['notifications/cancelled', { requestId: 1 }, 'b'],
  ['notifications/progress', { progressToken: 1, progress: 1 }, 'b'],
  ['notifications/message', { level: 'info', data: 'x' }, 'b'],
  ['notifications/roots/list_changed', undefined, 'b'],
  ['notifications/tools/list_changed', undefined, 'b'],
  ['notifications/prompts/list_changed', undefined, 'b'],
  ['notifications/resources/list_changed', undefined, 'b'],
  ['notifications/resources/updated', { uri: 'orders://1' }, 'b'],
  ['notifications/subscriptions/acknowledged', {}, 'b'],
  ['notifications/elicitation/complete', { elicitationId: 'e' }, 'b'],
  ['tools/list', {}, 'l'],
  ['prompts/list', {}, 'l'],
  ['resources/list', {}, 'l'],
  ['resources/templates/list', {}, 'l'],
  ['tools/call', { name: 'query', arguments: { sql: 'x' } }, ''],
  ['tools/call', { name: 'query', arguments: {}, task: { ttl: 1000 } }, ''],
  ['resources/read', { uri: 'orders://1' }, ''],
  ['resources/subscribe', { uri: 'orders://1' }, ''],
  ['resources/unsubscribe', { uri: 'orders://1' }, ''],
  ['subscriptions/listen', { notifications: { toolsListChanged: true } }, ''],
  ['subscriptions/listen', { notifications: { resourceSubscriptions: ['orders://1'] } }, ''],
  ['prompts/get', { name: 'summary' }, ''],
  ['completion/complete', { ref: { type: 'ref/prompt', name: 'summary' } }, ''],
  ['completion/complete', { ref: { type: 'ref/resource', uri: 'orders://{id}' } }, ''],
  ['sampling/createMessage', { messages: [] }, ''],
  ['elicitation/create', { message: 'x' }, ''],
  ['roots/list', undefined, ''],
  ['tasks/list', {}, ''],
  ['tasks/get', { taskId: 't' }, ''],
  ['tasks/result', { taskId: 't' }, ''],
  ['tasks/update', { taskId: 't' }, ''],
  ['tasks/cancel', { taskId: 't' }, ''],
  ['notifications/tasks', { taskId: 't' }, ''],
  ['notifications/tasks/status', { taskId: 't' }, ''],
  ['x/unknown', {}, ''],
  ['notifications/x', {}, ''],
  ['Tools/Call', { name: 'query' }, ''],
  ['tools/call ', { name: 'query' }, ''],
  ['constructor', {}, ''],
];

const EMPTY = setOf([]);
const ANYTHING = setOf([{ name: 'anything', methods: ['*'], effect: 'allow' }]);
const NOTHING = setOf([
  { name: 'anything', methods: ['*'], effect: 'allow' },
  { name: 'nothing', methods: ['*'], effect: 'deny' },
]);
const FIRST_ASK = setOf([{ name: 'ask', methods: ['*'], effect: 'approve', approval: { approvers: ['leads'] } }]);

for (const from of ['client', 'upstream'] as const) {
  describe(`from ${from}`, () => {
    for (const [method, params, sort] of METHODS) {
      const kind = method.startsWith('notifications/') ? 'notification' : 'request';
      const input = () => inputOf(method, params, { from, kind });
      test(`${method} ${JSON.stringify(params)}`, () => {
        check(EMPTY, input(), sort === 'b' ? 'allow' : 'deny', sort === 'b' ? ['base-protocol'] : []);
        check(ANYTHING, input(), 'allow', ['anything']);
        check(NOTHING, input(), 'deny', ['nothing']);
        check(FIRST_ASK, input(), sort === 'b' ? 'allow' : 'approve', ['ask']);
      });
    }
    test('the answer to a request', () => {
      for (const set of [EMPTY, ANYTHING, NOTHING, FIRST_ASK]) {
        check(set, inputOf(undefined, undefined, { from, kind: 'response' }), 'allow', ['awaited-response']);
      }
    });
  });
}

/** Two rules of every effect, mode and condition at once. */
const CONDITIONS = { none: undefined, true: 'args.n == 1', false: 'args.n == 2', error: 'args.missing == 1' } as const;
const SPECS = (['allow', 'deny', 'approve'] as const).flatMap((effect) =>
  (['enforce', 'shadow'] as const).flatMap((mode) =>
    (['none', 'true', 'false', 'error'] as const).map((condition) => ({ effect, mode, condition })),
  ),
);
type Spec = (typeof SPECS)[number] & { readonly name: string; readonly mask: string };

/** The semantics, said again: errors deny, deny beats approve beats allow, nothing is deny, shadow decides nothing. */
function expected(specs: readonly Spec[]): { effect: Effect; rules: string[]; masks: string[]; shadow?: Effect } {
  const say = (mode: string) => {
    const here = specs.filter((spec) => spec.mode === mode && spec.condition !== 'false');
    const denies = here.filter((spec) => spec.effect === 'deny' || spec.condition === 'error');
    const passes = (effect: Effect) => here.filter((spec) => spec.effect === effect);
    if (denies.length > 0) return { effect: 'deny' as const, by: denies, masks: [] };
    const effect: Effect = passes('approve').length > 0 ? 'approve' : passes('allow').length > 0 ? 'allow' : 'deny';
    return { effect, by: effect === 'deny' ? [] : passes(effect), masks: effect === 'deny' ? [] : here };
  };
  const real = say('enforce');
  const shadow = say('shadow');
  return {
    effect: real.effect,
    rules: real.by.map(({ name }) => name).sort(),
    masks: [...new Set(real.masks.map(({ mask }) => mask))].sort(),
    ...(shadow.by.length === 0 ? {} : { shadow: shadow.effect }),
  };
}

function ruleOf({ name, effect, mode, condition, mask }: Spec): object {
  return {
    name,
    effect,
    mode,
    tools: ['query'],
    ...(CONDITIONS[condition] === undefined ? {} : { condition: CONDITIONS[condition] }),
    ...(effect === 'deny' ? {} : { masks: [mask] }),
    ...(effect === 'approve' ? { approval: { approvers: ['leads'] } } : {}),
  };
}

test('two rules: every effect, mode and condition with every other, in both orders', () => {
  for (const one of SPECS) {
    for (const other of SPECS) {
      const specs: Spec[] = [
        { ...one, name: 'one', mask: 'email' },
        { ...other, name: 'other', mask: 'card' },
      ];
      const wanted = expected(specs);
      const decision = decided(setOf(specs.map(ruleOf)), inputOf('tools/call', { name: 'query', arguments: { n: 1 } }));
      decisions += 1;
      const got = {
        effect: decision.effect,
        rules: [...decision.rules].sort(),
        masks: decision.masks.map(({ name }) => name).sort(),
        ...(decision.shadow === undefined ? {} : { shadow: decision.shadow.effect }),
      };
      assert.deepEqual(got, wanted, JSON.stringify(specs));
    }
  }
});

const AGENT: PolicyInput['principal'] = {
  kind: 'agent',
  issuer: 'https://ci.example.com',
  subject: 'repo:acme/orders',
  groups: [],
  owner: 'platform',
  onBehalfOf: 'u-ana',
};
const PRINCIPALS: readonly (readonly [object, boolean, boolean])[] = [
  [{ kinds: ['human'] }, true, false],
  [{ kinds: ['agent'] }, false, true],
  [{ kinds: ['human', 'agent'] }, true, true],
  [{ groups: ['analysts'] }, true, false],
  [{ groups: ['other', 'staff'] }, true, false],
  [{ groups: ['Analysts'] }, false, false],
  [{ groups: ['analyst'] }, false, false],
  [{ groups: ['*'] }, false, false],
  [{ subjects: ['u-ana'] }, true, false],
  [{ subjects: ['u-ana', 'repo:acme/orders'] }, true, true],
  [{ subjects: ['u-*'] }, false, false],
  [{ emails: ['ana@example.com'] }, true, false],
  [{ emails: ['Ana@example.com'] }, false, false],
  [{ emails: ['bob@example.com'] }, false, false],
  [{ issuers: ['https://idp.example.com'] }, true, false],
  [{ issuers: ['https://idp.example.com/'] }, false, false],
  [{ clients: ['claude'] }, true, false],
  [{ clients: ['undefined'] }, false, false],
  [{ owners: ['platform'] }, false, true],
  [{ owners: ['analysts'] }, false, false],
  [{ kinds: ['human'], groups: ['analysts'], issuers: ['https://idp.example.com'] }, true, false],
  [{ kinds: ['agent'], groups: ['analysts'] }, false, false],
  [{ kinds: ['agent'], owners: ['platform'] }, false, true],
];
for (const [principals, ana, agent] of PRINCIPALS) {
  test(`principals ${JSON.stringify(principals)}`, () => {
    const allow = setOf([{ name: 'r', principals, tools: ['*'], effect: 'allow' }]);
    const deny = setOf([
      { name: 'all', tools: ['*'], effect: 'allow' },
      { name: 'r', principals, tools: ['*'], effect: 'deny' },
    ]);
    for (const [principal, matches] of [
      [ANA, ana],
      [AGENT, agent],
    ] as const) {
      const input = inputOf('tools/call', { name: 'query' }, { principal });
      check(allow, input, matches ? 'allow' : 'deny');
      check(deny, input, matches ? 'deny' : 'allow');
    }
  });
}

/** Rules about names: an allow, a deny and an approve of these, and a message. */
const NAMED = setOf([
  { name: 'read', tools: ['query', 'list_*'], effect: 'allow' },
  { name: 'never', tools: ['list_secrets', '*drop*'], effect: 'deny' },
  { name: 'ask', tools: ['refund*'], effect: 'approve', approval: { approvers: ['leads'] } },
  { name: 'prompts', prompts: ['summary'], effect: 'allow' },
  { name: 'resources', resources: ['orders://*'], effect: 'allow' },
  { name: 'secret-resources', resources: ['orders://secret/*'], effect: 'deny' },
  { name: 'tasks', methods: ['tasks/*'], effect: 'allow' },
  { name: 'listen', methods: ['subscriptions/listen'], effect: 'allow' },
]);
const prompt = (ref: object) => ({ ref, argument: { name: 'a', value: 'b' } });
const listen = (resourceSubscriptions: unknown) => ({ notifications: { resourceSubscriptions } });
const NAMES: readonly (readonly [string, unknown, Effect, readonly string[]])[] = [
  ['tools/call', { name: 'query' }, 'allow', ['read']],
  ['tools/call', { name: 'list_orders' }, 'allow', ['read']],
  ['tools/call', { name: 'list_' }, 'allow', ['read']],
  ['tools/call', { name: 'list_secrets' }, 'deny', ['never']],
  ['tools/call', { name: 'list_dropped' }, 'deny', ['never']],
  ['tools/call', { name: 'drop' }, 'deny', ['never']],
  ['tools/call', { name: 'refund_order' }, 'approve', ['ask']],
  ['tools/call', { name: 'refund_drop' }, 'deny', ['never']],
  ['tools/call', { name: 'other' }, 'deny', []],
  ['tools/call', { name: 'Query' }, 'deny', []],
  ['tools/call', { name: 'QUERY' }, 'deny', []],
  ['tools/call', { name: ' query' }, 'deny', []],
  ['tools/call', { name: 'query ' }, 'deny', []],
  ['tools/call', { name: 'query\u0000' }, 'deny', []],
  ['tools/call', { name: 'query\n' }, 'deny', []],
  ['tools/call', { name: 'quеry' }, 'deny', []],
  ['tools/call', { name: 'que\u0301ry' }, 'deny', []],
  ['tools/call', { name: 'ｑuery' }, 'deny', []],
  ['tools/call', { name: 'query\u200b' }, 'deny', []],
  ['tools/call', { name: 'xlist_orders' }, 'deny', []],
  ['tools/call', { name: '' }, 'deny', []],
  ['tools/call', { name: '*' }, 'deny', []],
  ['tools/call', { name: 'list_*' }, 'allow', ['read']],
  // Without a name, or with one that is no text: what is denied or wants approval could be meant.
  ['tools/call', {}, 'deny', ['never']],
  ['tools/call', undefined, 'deny', ['never']],
  ['tools/call', { name: ['query'] }, 'deny', ['never']],
  ['tools/call', { name: { toString: 'query' } }, 'deny', ['never']],
  ['tools/call', { name: 1 }, 'deny', ['never']],
  ['tools/call', { name: null }, 'deny', ['never']],
  ['tools/call', { toolName: 'query' }, 'deny', ['never']],
  ['tools/call', { arguments: { name: 'query' } }, 'deny', ['never']],
  ['tools/call', { _meta: { name: 'query' } }, 'deny', ['never']],
  ['tools/call', JSON.parse('{"__proto__":{"name":"query"}}'), 'deny', ['never']],
  ['tools/call', { name: 'query', uri: 'orders://secret/1' }, 'allow', ['read']],
  ['prompts/get', { name: 'summary' }, 'allow', ['prompts']],
  ['prompts/get', { name: 'query' }, 'deny', []],
  ['prompts/get', {}, 'deny', []],
  ['resources/read', { uri: 'orders://1' }, 'allow', ['resources']],
  ['resources/read', { uri: 'Orders://1' }, 'deny', ['secret-resources']],
  ['resources/read', { uri: 'file:///etc/passwd' }, 'deny', []],
  ['resources/read', { uri: 'orders://secret/1' }, 'deny', ['secret-resources']],
  ['resources/read', { name: 'orders://1' }, 'deny', ['secret-resources']],
  ['resources/subscribe', { uri: 'orders://1' }, 'allow', ['resources']],
  ['resources/unsubscribe', { uri: 'orders://1' }, 'allow', ['resources']],
  ['completion/complete', prompt({ type: 'ref/prompt', name: 'summary' }), 'allow', ['prompts']],
  ['completion/complete', prompt({ type: 'ref/prompt', name: 'other' }), 'deny', []],
  ['completion/complete', prompt({ type: 'ref/resource', uri: 'orders://{id}' }), 'allow', ['resources']],
  ['completion/complete', prompt({ type: 'ref/resource', uri: 'orders://secret/{id}' }), 'deny', ['secret-resources']],
  // Of two names a server may take either.
  ['completion/complete', prompt({ type: 'ref/prompt', name: 'summary', uri: 'orders://secret/1' }), 'deny', []],
  [
    'completion/complete',
    prompt({ type: 'ref/resource', name: 'summary', uri: 'x://1' }),
    'deny',
    ['secret-resources'],
  ],
  ['completion/complete', prompt({ type: 'ref/resource', name: 'orders://1' }), 'deny', ['secret-resources']],
  ['completion/complete', prompt({ type: 'ref/other', name: 'summary' }), 'deny', ['secret-resources']],
  ['completion/complete', prompt({ name: 'summary' }), 'deny', ['secret-resources']],
  ['completion/complete', {}, 'deny', ['secret-resources']],
  ['tasks/get', { taskId: 't' }, 'allow', ['tasks']],
  ['tasks/list', {}, 'allow', ['tasks']],
  ['tasks', {}, 'deny', []],
  ['subscriptions/listen', { notifications: { toolsListChanged: true } }, 'allow', ['listen']],
  ['subscriptions/listen', listen(['orders://1']), 'allow', ['listen', 'resources']],
  ['subscriptions/listen', listen(['orders://1', 'orders://secret/1']), 'deny', ['secret-resources']],
  ['subscriptions/listen', listen(['file:///x']), 'deny', []],
  ['subscriptions/listen', listen('orders://1'), 'deny', []],
  ['subscriptions/listen', listen([['orders://1']]), 'deny', []],
  ['subscriptions/listen', listen({ 0: 'orders://1' }), 'deny', []],
  ['tools/list', {}, 'allow', ['read', 'ask']],
  ['prompts/list', {}, 'allow', ['prompts']],
  ['resources/list', {}, 'allow', ['resources']],
  ['resources/templates/list', {}, 'allow', ['resources']],
  ['ping', undefined, 'allow', ['base-protocol']],
  ['sampling/createMessage', {}, 'deny', []],
];
for (const [method, params, effect, rules] of NAMES) {
  for (const from of ['client', 'upstream'] as const) {
    test(`names: ${method} ${JSON.stringify(params)} from ${from}`, () => {
      check(NAMED, inputOf(method, params, { from }), effect, rules);
    });
  }
}

/** Connections, access and conditions about who. */
const PLACES: readonly (readonly [object, Partial<PolicyInput>, Effect])[] = [
  [{ connections: ['orders'] }, {}, 'allow'],
  [{ connections: ['orders'] }, { connection: 'orders2' }, 'deny'],
  [{ connections: ['orders-*'] }, { connection: 'orders-eu' }, 'allow'],
  [{ connections: ['orders-*'] }, {}, 'deny'],
  [{ connections: ['Orders'] }, {}, 'deny'],
  [{ condition: 'access == "breakGlass"' }, {}, 'deny'],
  [{ condition: 'access == "breakGlass"' }, { access: 'breakGlass' }, 'allow'],
  [{ condition: 'client.startsWith("10.")' }, { clientAddress: '10.0.0.1' }, 'allow'],
  [{ condition: 'client.startsWith("10.")' }, { clientAddress: '110.0.0.1' }, 'deny'],
  [{ condition: 'client.startsWith("10.")' }, {}, 'deny'],
  [{ condition: 'now.getHours() < 8' }, {}, 'deny'],
  [{ condition: 'now.getHours() < 8' }, { now: Date.UTC(2026, 0, 1, 7) }, 'allow'],
  [{ condition: 'principal.email.endsWith("@example.com")' }, {}, 'allow'],
  [{ condition: 'principal.email.endsWith("@example.com")' }, { principal: AGENT }, 'deny'],
  [{ condition: 'principal.onBehalfOf == "u-ana"' }, { principal: AGENT }, 'allow'],
];
for (const [rule, more, effect] of PLACES) {
  test(`${JSON.stringify(rule)} ${JSON.stringify(more)}`, () => {
    check(
      setOf([{ name: 'r', tools: ['*'], effect: 'allow', ...rule }]),
      inputOf('tools/call', { name: 'q' }, more),
      effect,
    );
  });
}
