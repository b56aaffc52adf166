import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMemoryStore } from '../store/memory.ts';
import type { Store } from '../store/store.ts';
import { createAwaited } from './awaited.ts';

const now = () => 1e12;
const at = (state: Store, session = 's') => createAwaited({ state, session, now });

async function countOf(state: Store): Promise<number> {
  let count = 0;
  for await (const _ of state.list('awaited/')) count++;
  return count;
}

test('of responses that come to every replica at once, one passes', async () => {
  const state = createMemoryStore();
  const replicas = [at(state), at(state), at(state)];
  for (let id = 0; id < 20; id++) {
    await replicas[id % 3]?.add('m', id);
    const all = [...replicas, ...replicas, ...replicas];
    const passed = await Promise.all(all.map((one) => one.take('m', [id])));
    assert.equal(passed.filter(Boolean).length, 1, String(id));
    for (const one of replicas) assert.equal(await one.take('m', [id]), false);
  }
});

test('session, the server’s session and the type of an id are part of it, also elsewhere', async () => {
  const state = createMemoryStore();
  await at(state).add('m', 1);
  assert.equal(await at(state, 'other').take('m', [1]), false);
  assert.equal(await at(state).take(undefined, [1]), false);
  assert.equal(await at(state).take('m2', [1]), false);
  assert.equal(await at(state).take('m', ['1']), false);
  assert.equal(await at(state).take('m', [1]), true);
});

test('a batch takes all or none, elsewhere too', async () => {
  const state = createMemoryStore();
  const asking = at(state);
  await asking.add('m', 1);
  await asking.add('m', 2);
  assert.equal(await at(state).take('m', [1, 3]), false);
  assert.equal(await at(state).take('m', [1, 1]), false);
  assert.equal(await at(state).take('m', [1, 2]), true);
  assert.equal(await asking.take('m', [1]), false);
});

test('a batch of which a part can not be told takes none', async () => {
  const memory = createMemoryStore();
  let left = Number.POSITIVE_INFINITY;
  const state: Store = {
    ...memory,
    create: (name, bytes) => (left-- > 0 ? memory.create(name, bytes) : Promise.reject(new Error('down'))),
  };
  const here = at(state);
  for (const id of [1, 2]) await here.add('m', id);
  left = 1;
  await assert.rejects(here.take('m', [1, 2]), /down/);
  left = Number.POSITIVE_INFINITY;
  assert.equal(await here.take('m', [1, 2]), true);
  assert.equal(await at(memory).take('m', [2]), false);
});

test('a request that a resumed stream brings again is the same one; one that is asked anew is another', async () => {
  const state = createMemoryStore();
  const [a, b] = [at(state), at(state)];
  await a.add('m', 1, 'event-7');
  assert.equal(await b.take('m', [1]), true);
  for (const one of [a, b]) {
    await one.add('m', 1, 'event-7');
    assert.equal(await one.take('m', [1]), false);
  }
  // A server without sessions may count its events alike in each stream.
  await a.add(undefined, 1, 'event-7');
  assert.equal(await b.take(undefined, [1]), true);
  await a.add(undefined, 1, 'event-7');
  assert.equal(await b.take(undefined, [1]), true);
  await a.add('m', 1);
  assert.equal(await b.take('m', [1]), true);
});

test('where the state can not be written the response passes here, once, and nowhere else', async () => {
  const memory = createMemoryStore();
  let failing: 'before' | 'after' | undefined = 'before';
  const state: Store = {
    ...memory,
    async create(name, bytes) {
      const how = failing;
      if (how === 'after') await memory.create(name, bytes);
      if (how !== undefined) throw new Error('down');
      return memory.create(name, bytes);
    },
  };
  const here = at(state);
  await here.add('m', 1);
  await assert.rejects(here.take('m', [1]), /down/);
  failing = undefined;
  assert.equal(await at(memory).take('m', [1]), false, 'nobody else was told');
  assert.equal(await here.take('m', [1]), true);
  assert.equal(await here.take('m', [1]), false);
  failing = 'after';
  await here.add('m', 2);
  // Stored, though it failed: it is taken, and nothing went out. It can't pass twice.
  await assert.rejects(here.take('m', [2]), /down/);
  failing = undefined;
  assert.equal(await here.take('m', [2]), false);
  assert.equal(await at(memory).take('m', [2]), false);
});

test('a store that tried twice, and found what it had stored itself, has taken it', async () => {
  const memory = createMemoryStore();
  const again: Store = {
    ...memory,
    async create(name, bytes) {
      const first = await memory.create(name, bytes);
      return name.includes('.taken') && first === 'created' ? memory.create(name, bytes) : first;
    },
  };
  await at(memory).add('m', 1);
  assert.equal(await at(again).take('m', [1]), true);
  assert.equal(await at(memory).take('m', [1]), false);
});

test('a server that asks without end makes a thousand objects, and its last thousand requests are known here', async () => {
  const state = createMemoryStore();
  const here = at(state);
  for (let id = 0; id < 2500; id++) await here.add('m', id);
  assert.equal(await countOf(state), 1000);
  assert.deepEqual(await Promise.all([0, 1499, 1500, 2499].map((id) => here.take('m', [id]))), [
    true,
    false,
    true,
    true,
  ]);
});
