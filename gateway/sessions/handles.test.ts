import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Handle } from '../mcp/handles.ts';
import { createMemoryStore } from '../store/memory.ts';
import type { Store } from '../store/store.ts';
import { createHandles } from './handles.ts';

const ana = { id: 'session-a', connection: 'orders' };
const ben = { id: 'session-b', connection: 'orders' };
const task: Handle = { kind: 'task', value: 't1' };

test('one of many sessions that are given an id at once has it, on every replica', async () => {
  const state = createMemoryStore();
  const replicas = [1, 2, 3].map(() => createHandles({ state, now: () => 0 }));
  const sessions = Array.from({ length: 30 }, (_, index) => ({ id: `s${index}`, connection: 'orders' }));
  const given = await Promise.all(sessions.map((session, index) => replicas[index % 3]?.give(session, task)));
  const [winner] = sessions.filter((_, index) => given[index]?.owner === 'ours');
  assert.equal(given.filter((one) => one?.owner === 'ours').length, 1);
  for (const handles of replicas) {
    for (const session of sessions) {
      assert.equal(await handles.ownerOf(session, task), session === winner ? 'ours' : 'foreign');
    }
  }
});

test('kind and connection are part of a handle; no value of one passes for two', async () => {
  const handles = createHandles({ state: createMemoryStore(), now: () => 0 });
  await handles.give(ana, task);
  assert.equal(await handles.ownerOf(ben, { kind: 'elicitation', value: 't1' }), 'nobody');
  assert.equal(await handles.ownerOf({ ...ben, connection: 'wiki' }, task), 'nobody');
  await handles.give({ id: 'x', connection: 'ab' }, { kind: 'task', value: 'c' });
  assert.equal(await handles.ownerOf({ id: 'x', connection: 'a' }, { kind: 'task', value: 'bc' }), 'nobody');
});

test('names and contents hold no handle', async () => {
  const state = createMemoryStore();
  await createHandles({ state, now: () => 0 }).give(ana, { kind: 'requestState', value: 'SECRET-STATE' });
  for await (const name of state.list('')) {
    assert.match(name, /^handles\/[0-9a-f]{64}\.json$/);
    assert.ok(!Buffer.from((await state.get(name)) ?? []).includes('SECRET'));
  }
});

test('what can not be read or written is an error, not an answer', async () => {
  const broken: Store = {
    ...createMemoryStore(),
    get: () => Promise.reject(new Error('no')),
    create: () => Promise.reject(new Error('no')),
  };
  const handles = createHandles({ state: broken, now: () => 0 });
  await assert.rejects(handles.give(ana, task));
  await assert.rejects(handles.ownerOf(ana, task));
});

test('what was noted with a handle first is what every replica reads, and another session nothing', async () => {
  const state = createMemoryStore();
  const [a, b] = [1, 2].map(() => createHandles({ state, now: () => 0 }));
  if (a === undefined || b === undefined) throw new Error('two');
  assert.deepEqual(await a.give(ana, task, { masks: ['email'] }), { owner: 'ours', note: { masks: ['email'] } });
  assert.deepEqual(await b.give(ana, task, { masks: [] }), { owner: 'ours', note: { masks: ['email'] } });
  assert.deepEqual(await b.noteOf(ana, task), { masks: ['email'] });
  assert.deepEqual(await b.give(ben, task, {}), { owner: 'foreign' });
  assert.equal(await b.noteOf(ben, task), undefined);
});
