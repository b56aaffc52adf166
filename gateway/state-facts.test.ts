import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createEnds } from './sessions/ends.ts';
import { createHandles } from './sessions/handles.ts';
import { stateFacts } from './state-facts.ts';
import { createMemoryStore } from './store/memory.ts';

const bytes = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

test('what a later version adds is kept, what it means otherwise is refused', () => {
  assert.deepEqual(stateFacts(bytes({ v: 1, added: 2 }), 'x'), { v: 1, added: 2 });
  assert.deepEqual(stateFacts(bytes({ at: 1 }), 'x'), { at: 1 });
  for (const value of [{ v: 2 }, { v: '1' }, { v: null }, null, 7, 'text']) {
    assert.throws(() => stateFacts(bytes(value), 'x'), JSON.stringify(value));
  }
});

test('an end or a handle of a later format is no answer: callers fail closed', async () => {
  const state = createMemoryStore();
  const later = bytes({ v: 2, session: 's' });
  await state.create('ended/s.json', later);
  await assert.rejects(createEnds({ state, now: Date.now }).reasonOf('s'));
  const [session, handle] = [{ id: 's', connection: 'orders' }, { kind: 'task', value: 't' } as const];
  await createHandles({ state, now: () => 0 }).give(session, handle);
  const written: string[] = [];
  for await (const name of state.list('handles/')) written.push(name);
  const other = createMemoryStore();
  for (const name of written) await other.create(name, later);
  await assert.rejects(createHandles({ state: other, now: () => 0 }).ownerOf(session, handle));
});
