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
  assert.equal((await b.elsewhere('s')).used, 0);
  a.note('s');
  assert.equal((await a.elsewhere('s')).used, 0);
  assert.equal((await b.elsewhere('s')).used, time);
  const used = time;
  time += 65 * MINUTE;
  assert.equal((await b.elsewhere('s')).used, used + 10 * MINUTE);
  a.note('s');
  a.note('s');
  assert.equal((await b.elsewhere('s')).used, time);
  assert.equal((await b.elsewhere('another')).used, 0);
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
  assert.ok((await other.elsewhere('s')).used > 0);
});

test('the latest expiry that any replica has seen is known on all', async () => {
  const state = createMemoryStore();
  const [a, b] = ['a', 'b'].map((replica) => createActivity({ state, now: () => 1e12, replica }));
  if (a === undefined || b === undefined) throw new Error('two');
  assert.equal((await b.elsewhere('s')).expires, 0);
  a.renewed('s', 2e12);
  b.renewed('s', 3e12);
  a.renewed('s', 2e12);
  await new Promise((done) => setImmediate(done));
  for (const one of [a, b]) assert.deepEqual(await one.elsewhere('s'), { used: 0, expires: 3e12 });
});

test('the first use is durable, or rejects', async () => {
  const state = { ...createMemoryStore(), create: () => Promise.reject(new Error('down')) };
  await assert.rejects(createActivity({ state, now: () => 1e12, replica: 'a' }).begin('s'), /down/);
});
