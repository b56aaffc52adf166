import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createInOrder } from './in-order.ts';

test('steps run at once while none waits, and in order behind one that does', async () => {
  const said: string[] = [];
  const states: boolean[] = [];
  const steps = createInOrder((waiting) => states.push(waiting));
  const first = Promise.withResolvers<void>();
  const third = Promise.withResolvers<void>();
  steps.add(() => void said.push('at once'));
  assert.deepEqual(said, ['at once']);
  steps.add(() => first.promise.then(() => void said.push('one')));
  steps.add(() => void said.push('two'));
  steps.add(() => third.promise.then(() => void said.push('three')));
  steps.add(() => {
    said.push('four');
    steps.add(() => void said.push('five'));
  });
  assert.deepEqual([said, steps.waiting], [['at once'], true]);
  first.resolve();
  await first.promise;
  await new Promise(setImmediate);
  assert.deepEqual(said, ['at once', 'one', 'two']);
  third.resolve();
  await new Promise(setImmediate);
  assert.deepEqual(said, ['at once', 'one', 'two', 'three', 'four', 'five']);
  assert.deepEqual([states, steps.waiting], [[true, false, true, false], false]);
});
