import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMemoryStore } from '../store/memory.ts';
import { createCallLimits } from './call-limits.ts';

const LIMIT = { rule: 'exports', count: 3, per: 60_000 };

function start() {
  let now = 1_000_000 * 60_000;
  const state = createMemoryStore();
  const replica = () => createCallLimits({ state, now: () => now });
  return {
    replica,
    pass: (milliseconds: number) => {
      now += milliseconds;
    },
  };
}

test('so many calls pass in a window, and no more', async () => {
  const { replica, pass } = start();
  const limits = replica();
  for (let call = 0; call < 3; call++) assert.equal((await limits.take('s1', [LIMIT])).full, undefined);
  assert.equal((await limits.take('s1', [LIMIT])).full, LIMIT);
  assert.equal((await limits.take('s2', [LIMIT])).full, undefined, 'another session has its own');
  assert.equal((await limits.take('s1', [{ ...LIMIT, rule: 'other' }])).full, undefined, 'another rule too');
  pass(60_000);
  assert.equal((await limits.take('s1', [LIMIT])).full, undefined, 'the next window');
});

test('replicas count together, also those that start anew, and calls that come at once', async () => {
  const { replica } = start();
  const all = [replica(), replica()];
  const taken = await Promise.all(Array.from({ length: 20 }, (_, call) => all[call % 2]?.take('s1', [LIMIT])));
  assert.equal(taken.filter((one) => one?.full === undefined).length, 3);
  assert.equal((await replica().take('s1', [LIMIT])).full, LIMIT);
});

test('of several limits each counts', async () => {
  const { replica } = start();
  const narrow = { rule: 'narrow', count: 1, per: 60_000 };
  const limits = replica();
  assert.equal((await limits.take('s1', [LIMIT, narrow])).full, undefined);
  assert.equal((await limits.take('s1', [LIMIT, narrow])).full, narrow);
});
