import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createEventIds } from './event-ids.ts';

const at = (session: string, upstream?: string, connection = 'orders') => ({ connection, session, upstream });

test('with the own upstream session: what it was given, and what this replica has not seen; never what is another’s', () => {
  const ids = createEventIds();
  for (const id of ['7', 'stream_7']) ids.note(at('ana', 'up-a'), id);
  for (const [stream, id, may] of [
    [at('ana', 'up-a'), '7', 'yes'],
    [at('ana', 'up-a'), '8', 'yes'],
    [at('ana', 'up-a2'), '7', 'yes'],
    [at('ben', 'up-b'), '7', 'alone'],
    [at('ben', 'up-b'), 'stream_7', 'no'],
    [at('ben', 'up-b'), '8', 'yes'],
    [at('carl', 'up-c', 'wiki'), '7', 'yes'],
  ] as const) {
    assert.equal(ids.mayResume(stream, id), may, `${JSON.stringify(stream)} ${id}`);
  }
});

test('without one: only what this replica gave without one', () => {
  const ids = createEventIds();
  ids.note(at('ana'), '7');
  ids.note(at('ana', 'up-a'), '8');
  assert.equal(ids.mayResume(at('ana'), '7'), 'yes');
  assert.notEqual(ids.mayResume(at('ana'), '8'), 'yes', 'its Mcp-Session-Id is missing');
  assert.notEqual(ids.mayResume(at('ana'), '9'), 'yes');
  assert.notEqual(ids.mayResume(at('ben'), '7'), 'yes');
  assert.notEqual(createEventIds().mayResume(at('ana'), '7'), 'yes', 'another replica does not know');
});

test('counters repeat: an id that both were given is both’s', () => {
  const ids = createEventIds();
  ids.note(at('ana', 'up-a'), '1');
  ids.note(at('ben', 'up-b'), '1');
  assert.equal(ids.mayResume(at('ben', 'up-b'), '1'), 'yes');
  ids.forget('orders', 'ana');
  assert.notEqual(ids.mayResume(at('ana', 'up-a'), '1'), 'yes');
  ids.forget('orders', 'ben');
  assert.equal(ids.mayResume(at('ana', 'up-a'), '1'), 'yes');
});

test('of a session that was given very many, the newest are kept', () => {
  const ids = createEventIds();
  for (let id = 0; id < 20_000; id++) ids.note(at('ana'), String(id));
  assert.equal(ids.mayResume(at('ana'), '19999'), 'yes');
  assert.notEqual(ids.mayResume(at('ana'), '0'), 'yes');
});
