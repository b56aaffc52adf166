import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JSONRPCMessage } from '@modelcontextprotocol/server';
import { createEventStore } from './event-store.ts';

const message = (method: string): JSONRPCMessage => ({ jsonrpc: '2.0', method });

test('what follows an event on its own stream is replayed, without priming events', async () => {
  const store = createEventStore();
  // The SDK stores an empty message to prime a stream.
  const first = await store.storeEvent('a', {} as JSONRPCMessage);
  await store.storeEvent('a', message('one'));
  await store.storeEvent('b', message('other'));
  await store.storeEvent('a', {} as JSONRPCMessage);
  const last = await store.storeEvent('a', message('two'));
  const sent: unknown[] = [];
  const send = async (id: string, { method }: JSONRPCMessage & { method?: string }) => void sent.push([id, method]);
  assert.equal(await store.replayEventsAfter(first, { send }), 'a');
  assert.deepEqual(sent, [
    ['2', 'one'],
    [last, 'two'],
  ]);
  assert.equal(await store.getStreamIdForEventId?.(first), 'a');
});

test('an event that is gone or never was can not be resumed from', async () => {
  const store = createEventStore();
  const first = await store.storeEvent('a', message('x'));
  for (let n = 0; n < 1_000; n++) await store.storeEvent('a', message('x'));
  assert.equal(await store.getStreamIdForEventId?.(first), undefined);
  await assert.rejects(store.replayEventsAfter('never', { send: async () => {} }));
});
