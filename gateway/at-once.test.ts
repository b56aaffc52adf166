import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { atOnce } from './at-once.ts';

test('so many at once and no more, and one that fails stops no other', async () => {
  let running = 0;
  let most = 0;
  const done: number[] = [];
  const failures = await atOnce(
    Array.from({ length: 20 }, (_, index) => index),
    4,
    async (index) => {
      most = Math.max(most, ++running);
      await setImmediate();
      running--;
      if (index % 10 === 3) throw new Error(String(index));
      done.push(index);
    },
  );
  assert.equal(most, 4);
  assert.equal(done.length, 18);
  assert.deepEqual(failures.map(String), ['Error: 3', 'Error: 13']);
});

test('nothing to do is done', async () => {
  assert.deepEqual(await atOnce([], 4, () => Promise.reject(new Error('nothing'))), []);
});
