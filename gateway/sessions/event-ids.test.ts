import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createEventIds } from './event-ids.ts';

const at = (session: string, upstream?: string, connection = 'orders') => ({ connection, session, upstream });

test('with the own upstream session: what it was given, and what this replica has not seen; never what is another’s', () => {
  const ids = createEventIds();
  ids.note(at('ana', 'up-a'), '7');
  for (const [stream, id, may] of [
    [at('ana', 'up-a'), '7', true],
    [at('ana', 'up-a'), '8', true],
    [at('ana', 'up-a2'), '7', true],
    [at('ben', 'up-b'), '7', false],
    [at('ben', 'up-b'), '8', true],
    [at('carl', 'up-c', 'wiki'), '7', true],
  ] as const) {
    assert.equal(ids.mayResume(stream, id), may, `${JSON.stringify(stream)} ${id}`);
  }
});

test('without one: only what this replica gave without one', () => {
  const ids = createEventIds();
  ids.note(at('ana'), '7');
  ids.note(at('ana', 'up-a'), '8');
  assert.ok(ids.mayResume(at('ana'), '7'));
  assert.ok(!ids.mayResume(at('ana'), '8'), 'its Mcp-Session-Id is missing');
  assert.ok(!ids.mayResume(at('ana'), '9'));
  assert.ok(!ids.mayResume(at('ben'), '7'));
  assert.ok(!createEventIds().mayResume(at('ana'), '7'), 'another replica does not know');
});

test('counters repeat: an id that both were given is both’s', () => {
  const ids = createEventIds();
  ids.note(at('ana', 'up-a'), '1');
  ids.note(at('ben', 'up-b'), '1');
  assert.ok(ids.mayResume(at('ben', 'up-b'), '1'));
  ids.forget('orders', 'ana');
  assert.ok(!ids.mayResume(at('ana', 'up-a'), '1'));
  ids.forget('orders', 'ben');
  assert.ok(ids.mayResume(at('ana', 'up-a'), '1'));
});

test('of a session that was given very many, the newest are kept', () => {
  const ids = createEventIds();
  for (let id = 0; id < 20_000; id++) ids.note(at('ana'), String(id));
  assert.ok(ids.mayResume(at('ana'), '19999'));
  assert.ok(!ids.mayResume(at('ana'), '0'));
});
