import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMemoryStore } from '../store/memory.ts';
import { createActivity } from './activity.ts';

const MINUTE = 60_000;

test('a use is seen by other replicas, to ten minutes, and not by its own', async () => {
  const state = createMemoryStore();
  let time = 1_000 * 10 * MINUTE;
  const now = () => time;
  const [a, b] = ['a', 'b'].map((replica) => createActivity({ state, now, replica }));
  if (a === undefined || b === undefined) throw new Error('two');
  assert.equal(await b.elsewhere('s'), 0);
  a.note('s');
  assert.equal(await a.elsewhere('s'), 0);
  assert.equal(await b.elsewhere('s'), time);
  const used = time;
  time += 65 * MINUTE;
  assert.equal(await b.elsewhere('s'), used + 10 * MINUTE);
  a.note('s');
  a.note('s');
  assert.equal(await b.elsewhere('s'), time);
  assert.equal(await b.elsewhere('another'), 0);
});

test('where the state can not be written, it is tried at the next use', async () => {
  const memory = createMemoryStore();
  let broken = true;
  const state = {
    ...memory,
    create: async (...given: Parameters<typeof memory.create>) => {
      if (broken) throw new Error('down');
      return memory.create(...given);
    },
  };
  const activity = createActivity({ state, now: () => 1e12, replica: 'a' });
  activity.note('s');
  await new Promise((done) => setImmediate(done));
  broken = false;
  activity.note('s');
  const other = createActivity({ state, now: () => 1e12, replica: 'b' });
  assert.ok((await other.elsewhere('s')) > 0);
});
