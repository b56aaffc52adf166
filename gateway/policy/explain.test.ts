import assert from 'node:assert/strict';
import { test } from 'node:test';
import { explain } from './explain.ts';
import { inputOf, setOf } from './fixture.ts';

const approval = { approvers: ['leads'] };
const SET = setOf([
  { name: 'elsewhere', connections: ['other'], tools: ['*'], effect: 'allow' },
  { name: 'others', principals: { kinds: ['human'], groups: ['nobody'] }, tools: ['*'], effect: 'allow' },
  { name: 'prompts', prompts: ['*'], effect: 'allow' },
  { name: 'named', tools: ['drop'], effect: 'deny' },
  { name: 'clause', tools: ['*'], condition: 'args.n == 1 && args.m == 2 && args.zz == 3', effect: 'allow' },
  { name: 'whole', tools: ['*'], condition: 'args.n == 2 || args.m == 2', effect: 'allow' },
  { name: 'sql', tools: ['query'], condition: 'sql.readOnly(args.sql)', effect: 'allow' },
  { name: 'ask', tools: ['query'], effect: 'approve', approval, mode: 'shadow' },
  { name: 'broken', tools: ['broken'], condition: 'args.n == 1 && args.gone == 1', effect: 'allow' },
]);

function outcomes(name: string, args: object): Record<string, unknown> {
  const made = explain(SET, inputOf('tools/call', { name, arguments: args }), new Map());
  assert.ok('rules' in made);
  return Object.fromEntries(
    made.rules.map(({ rule, file: _, line: __, effect: ___, mode: ____, ...outcome }) => [rule, outcome]),
  );
}

test('each rule: matched, or what of it failed first', () => {
  const made = outcomes('other', { n: 1, m: 3 });
  assert.deepEqual(made, {
    elsewhere: { outcome: 'connection' },
    others: { outcome: 'principals', key: 'groups' },
    prompts: { outcome: 'method' },
    named: { outcome: 'name' },
    clause: { outcome: 'condition', clause: 'args.m == 2' },
    whole: { outcome: 'condition', clause: 'args.n == 2 || args.m == 2' },
    sql: { outcome: 'name' },
    ask: { outcome: 'name' },
    broken: { outcome: 'name' },
  });
  assert.deepEqual(outcomes('broken', { n: 1, m: 2, zz: 3 }), {
    ...made,
    clause: { outcome: 'matched' },
    whole: { outcome: 'matched' },
    broken: { outcome: 'error', error: 'no_such_key, character 21', clause: 'args.gone == 1' },
  });
});

test('the decision is that of decide, and statements are asked for first', () => {
  const asked = explain(
    SET,
    inputOf('tools/call', { name: 'query', arguments: { sql: 'x', n: 2 } }),
    new Map(),
    'mysql',
  );
  assert.deepEqual(asked, { needs: [{ kind: 'sql', dialect: 'mysql', text: 'x' }] });
  const made = explain(SET, inputOf('tools/call', { name: 'drop', arguments: { n: 2 } }), new Map());
  assert.ok('decision' in made);
  assert.deepEqual([made.decision.effect, made.decision.rules], ['deny', ['named']]);
});

test('a list', () => {
  const made = explain(SET, inputOf('tools/list'), new Map());
  assert.ok('rules' in made && made.decision.effect === 'allow');
  const matched = made.rules.filter(({ outcome }) => outcome === 'matched').map(({ rule }) => rule);
  assert.deepEqual(matched, ['clause', 'whole', 'sql', 'ask', 'broken']);
});
