import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMemoryStore } from '../store/memory.ts';
import type { ApprovalState } from './approval.ts';
import { createHold } from './approval-hold.ts';
import { createWaiting, ownerOf } from './waiting.ts';

const ID = '01980000-0000-7000-8000-00000000000';

test('what waits is found until its time, the newest first, and nothing else is', async () => {
  const clock = { now: 1000 };
  const state = createMemoryStore();
  const waiting = createWaiting({ state, now: () => clock.now, prefix: 'waiting/' });
  const owner = ownerOf(['session', 'a']);
  assert.deepEqual(await waiting.list(), []);
  for (const [number, expires] of [
    [1, 5000],
    [2, 4000],
    [3, 1000],
  ] as const) {
    await waiting.add({ id: `${ID}${number}`, owner }, expires);
  }
  await state.create('waiting/999999999999999.x.y', Buffer.from('{}'));
  const ids = async (): Promise<string[]> => (await waiting.list()).map(({ id }) => id.slice(-1));
  assert.deepEqual(await ids(), ['2', '1']);
  clock.now = 3999;
  assert.deepEqual(await ids(), ['2', '1']);
  clock.now = 4000;
  assert.deepEqual(await ids(), ['1']);
});

test('a call that is held looks every second, and when its request expires', async () => {
  const clock = { now: 0 };
  const pauses: number[] = [];
  const hold = createHold({
    now: () => clock.now,
    async stateOf(id): Promise<ApprovalState> {
      if (clock.now >= 2500) return { state: 'void', id, why: 'expired' };
      return { state: 'pending', id, code: '', expires: 2500 };
    },
    async pause(milliseconds) {
      pauses.push(milliseconds);
      clock.now += milliseconds;
    },
  });
  assert.equal((await hold.settled('x', new AbortController().signal)).state, 'void');
  assert.deepEqual(pauses, [1000, 1000, 500]);
});

test('a call that is held is woken by a decision here, and by its client’s leaving, and not before', async () => {
  let state: ApprovalState = { state: 'pending', id: 'x', code: '', expires: 1e9 };
  const pausing = Promise.withResolvers<void>();
  const hold = createHold({
    now: () => 0,
    stateOf: async () => state,
    pause: (_, signal) =>
      new Promise((done) => {
        signal.addEventListener('abort', () => done());
        pausing.resolve();
      }),
  });
  const held = hold.settled('x', new AbortController().signal);
  await pausing.promise;
  state = { state: 'denied', id: 'x', by: 'lead' };
  hold.wake('another');
  hold.wake('x');
  assert.deepEqual(await held, state);
  state = { state: 'pending', id: 'x', code: '', expires: 1e9 };
  const leaving = new AbortController();
  const left = hold.settled('x', leaving.signal);
  leaving.abort();
  assert.deepEqual(await left, state);
});
