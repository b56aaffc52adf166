import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMemoryStore } from '../store/memory.ts';
import type { Store } from '../store/store.ts';
import { createEnds } from './ends.ts';

const MINUTE = 60_000;
const NOW = Date.parse('2026-11-22T18:04:30Z');

test('what one writes for everybody, another learns once; an end by time stays its own', async () => {
  const state = createMemoryStore();
  const [one, other] = [0, 1].map(() => createEnds({ state, now: () => NOW }));
  assert.ok(one && other);
  assert.deepEqual(await other.poll(), []);
  await one.write({ session: 'a', reason: 'revoked' }, true);
  await one.write({ session: 'b', reason: 'idle' }, false);
  assert.deepEqual(await other.poll(), [{ session: 'a', reason: 'revoked' }]);
  assert.deepEqual(await other.poll(), []);
  assert.deepEqual([await other.reasonOf('a'), await other.reasonOf('b')], ['revoked', 'idle']);
  assert.equal(await other.reasonOf('c'), undefined);
});

test('clocks a minute apart, and a look after a long outage, miss nothing', async () => {
  const state = createMemoryStore();
  let now = NOW;
  const reader = createEnds({ state, now: () => now });
  await reader.poll();
  for (const [session, skew] of [
    ['ahead', 55_000],
    ['behind', -55_000],
  ] as const) {
    await createEnds({ state, now: () => NOW + skew }).write({ session, reason: 'revoked' }, true);
  }
  assert.deepEqual((await reader.poll()).map(({ session }) => session).sort(), ['ahead', 'behind']);
  await createEnds({ state, now: () => NOW + 20 * MINUTE }).write({ session: 'meanwhile', reason: 'revoked' }, true);
  now = NOW + 50 * MINUTE;
  assert.deepEqual(
    (await reader.poll()).map(({ session }) => session),
    ['meanwhile'],
  );
});

test('unread for 10 s it is not known; a failed look is made up for', async () => {
  const state = createMemoryStore();
  let now = NOW;
  let broken = true;
  const store: Store = {
    ...state,
    async *list(prefix, options) {
      if (broken) throw new Error('no');
      yield* state.list(prefix, options);
    },
  };
  const reader = createEnds({ state: store, now: () => now });
  assert.ok(!reader.known());
  await assert.rejects(reader.poll());
  broken = false;
  await reader.poll();
  assert.ok(reader.known());
  broken = true;
  await createEnds({ state, now: () => now }).write({ session: 'a', reason: 'revoked' }, true);
  await assert.rejects(reader.poll());
  now += 10_001;
  assert.ok(!reader.known());
  broken = false;
  assert.equal((await reader.poll()).length, 1);
});
