import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ALLOW_ALL } from './allow-all.ts';
import { type CheckedConnection, checkAgainst, lint } from './check.ts';
import { setOf } from './fixture.ts';

const approval = { approvers: ['leads'] };
const told = (rules: readonly object[], connections: Record<string, CheckedConnection>) =>
  checkAgainst(setOf(rules), connections).map(({ level, key, problem }) => `${level} ${key}: ${problem}`);

const ALLOW = { name: 'a', connections: ['orders'], tools: ['x'], effect: 'allow' };

test('nothing to say of what fits', () => {
  assert.deepEqual(told([ALLOW], { orders: {} }), []);
  const sql = { ...ALLOW, condition: 'sql.readOnly(args.q)' };
  assert.deepEqual(told([sql], { orders: { dialect: 'mysql' } }), []);
});

test('rules and connections that miss each other', () => {
  assert.deepEqual(told([ALLOW], { ordres: {} }), [
    'warning a: matches no connection of the configuration',
    'warning : No rule allows anything on the connection ordres',
  ]);
  const deny = { ...ALLOW, effect: 'deny' };
  assert.equal(told([deny], { orders: {} }).length, 1);
  assert.equal(told([{ ...ALLOW, mode: 'shadow' }], { orders: {} }).length, 1);
  const pinned = setOf([ALLOW], { gone: [] });
  assert.equal(checkAgainst(pinned, { orders: {} }).length, 1);
});

test('pins that are missing where something needs them', () => {
  const reads = { ...ALLOW, condition: '!tool.destructive' };
  assert.deepEqual(told([reads], { orders: { changedTools: 'refuse' } }), [
    'warning a: looks at tools of the connection orders, and none of it is pinned',
    'warning : No tool runs on the connection orders: changedTools is refuse there, and none is pinned',
  ]);
  assert.deepEqual(checkAgainst(setOf([reads], { orders: [] }), { orders: { changedTools: 'refuse' } }), []);
  assert.deepEqual(told([ALLOW], { orders: { changedTools: 'flag' } }), []);
});

test('SQL without a dialect is an error, for each connection that a rule reaches', () => {
  const sql = { ...ALLOW, connections: ['*'], condition: 'args.n == 1 || sql.readOnly(args.q)' };
  assert.deepEqual(told([sql], { one: {}, two: { dialect: 'mysql' }, three: {} }), [
    'error a: reads SQL on the connection one, which has no dialect',
    'error a: reads SQL on the connection three, which has no dialect',
  ]);
});

test('groups that no connection of a rule lets in', () => {
  const rule = { ...ALLOW, principals: { groups: ['leads'] } };
  assert.equal(told([rule], { orders: { groups: ['analysts'] } }).length, 1);
  assert.equal(told([rule], { orders: { groups: ['analysts', 'leads'] } }).length, 0);
});

const PERSONAL = ['email', 'phone', 'ssn', 'iban', 'card', 'ip'];
const DATA: readonly (readonly [object, 'pci' | 'personal', number])[] = [
  [ALLOW, 'pci', 1],
  [{ ...ALLOW, masks: ['card'] }, 'pci', 1],
  [{ ...ALLOW, maskRequests: ['card'] }, 'pci', 1],
  [{ ...ALLOW, masks: ['card'], maskRequests: ['card'] }, 'pci', 0],
  [{ ...ALLOW, masks: 'all', maskRequests: 'all' }, 'personal', 0],
  [{ ...ALLOW, masks: ['card'], maskRequests: ['card'] }, 'personal', 1],
  [{ ...ALLOW, masks: PERSONAL, maskRequests: PERSONAL }, 'personal', 0],
  [{ ...ALLOW, masks: PERSONAL, maskRequests: PERSONAL.slice(1) }, 'personal', 1],
  [{ ...ALLOW, effect: 'approve', approval }, 'pci', 1],
  [{ ...ALLOW, effect: 'deny' }, 'pci', 0],
  [{ ...ALLOW, mode: 'shadow' }, 'pci', 0],
  [{ ...ALLOW, tools: undefined, methods: ['*'] }, 'pci', 1],
  [{ ...ALLOW, tools: undefined, methods: ['resources/read'] }, 'pci', 1],
  [{ ...ALLOW, tools: undefined, methods: ['tasks/*'] }, 'pci', 0],
  [{ ...ALLOW, tools: undefined, resources: ['x'] }, 'pci', 1],
  [{ ...ALLOW, connections: ['*'] }, 'pci', 1],
];
for (const [rule, data, errors] of DATA) {
  test(`data: ${data} of ${JSON.stringify(rule)}`, () => {
    const found = checkAgainst(setOf([rule]), { orders: { data } }).filter(({ level }) => level === 'error');
    assert.equal(found.length, errors);
    for (const { problem, key } of found) assert.match(`${key} ${problem}`, /^a .*connection orders/);
  });
}

test('lint: what can let nothing pass', () => {
  const covered = (deny: object, allow: object) =>
    lint(
      setOf([
        { name: 'd', effect: 'deny', ...deny },
        { name: 'x', effect: 'allow', connections: ['orders'], ...allow },
      ]),
    ).some(({ key, problem }) => key === 'x' && /rule d denies/.test(problem));
  assert.ok(covered({ tools: ['*'] }, { tools: ['query'] }));
  assert.ok(covered({ tools: ['q*'] }, { tools: ['query', 'qu*y'] }));
  assert.ok(covered({ methods: ['*'] }, { tools: ['query'] }));
  assert.ok(covered({ methods: ['tools/*'] }, { tools: ['*'], principals: { groups: ['a'] } }));
  assert.ok(
    covered({ tools: ['*'], principals: { groups: ['a', 'b'] } }, { tools: ['x'], principals: { groups: ['a'] } }),
  );
  assert.ok(!covered({ tools: ['q*'] }, { tools: ['query', 'list'] }));
  assert.ok(!covered({ tools: ['query'] }, { tools: ['*'] }));
  assert.ok(!covered({ tools: ['*'] }, { methods: ['tools/call', 'ping'] }));
  assert.ok(!covered({ tools: ['*'] }, { tools: ['x'], prompts: ['x'] }));
  assert.ok(!covered({ tools: ['*'], condition: 'true' }, { tools: ['query'] }));
  assert.ok(!covered({ tools: ['*'], mode: 'shadow' }, { tools: ['query'] }));
  assert.ok(!covered({ tools: ['*'], connections: ['other'] }, { tools: ['query'] }));
  assert.ok(
    !covered({ tools: ['*'], principals: { groups: ['a'] } }, { tools: ['x'], principals: { groups: ['a', 'b'] } }),
  );
  assert.ok(!covered({ tools: ['*'], principals: { kinds: ['agent'] } }, { tools: ['x'] }));
});

test('lint: nobody, and everything', () => {
  const keys = (rule: object) => lint(setOf([{ name: 'a', effect: 'allow', ...rule }])).map(({ problem }) => problem);
  assert.equal(keys({ tools: ['x'], principals: { kinds: ['human'], owners: ['a'] } }).length, 1);
  assert.equal(keys({ tools: ['x'], principals: { owners: ['a'] } }).length, 0);
  assert.equal(keys({ methods: ['*'] }).length, 1);
  assert.equal(keys({ tools: ['*'] }).length, 1);
  assert.equal(keys({ tools: ['*'], connections: ['orders'] }).length, 0);
  assert.equal(keys({ tools: ['*'], condition: 'connection == "x"' }).length, 0);
  assert.equal(keys({ tools: ['*'], principals: { kinds: ['human'] } }).length, 0);
  assert.equal(keys({ methods: ['tasks/*'] }).length, 0);
  assert.equal(lint(ALLOW_ALL).length, 1);
});
