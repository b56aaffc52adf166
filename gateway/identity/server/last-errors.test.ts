import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMemoryStore } from '../../store/memory.ts';
import type { Store } from '../../store/store.ts';
import { createLastErrors } from './last-errors.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const NOW = Date.parse('2026-11-22T23:30:00Z');

function start(state: Store = createMemoryStore()) {
  let now = NOW;
  const open = () => createLastErrors({ state, now: () => now });
  return {
    state,
    open,
    errors: open(),
    pass(milliseconds: number) {
      now += milliseconds;
    },
  };
}

/** A note is never waited for. */
const settled = () => new Promise((done) => setImmediate(done));

test('the last one of a person on a connection, whichever replica noted it', async () => {
  const { errors, open, pass } = start();
  assert.equal(await errors.last('ana', 'orders'), undefined);
  errors.note('ana', 'orders', { words: 'the first' });
  pass(MINUTE);
  open().note('ana', 'orders', { words: 'the second', reference: 'exchange 7' });
  await settled();
  const expected = { at: NOW + MINUTE, words: 'the second', reference: 'exchange 7' };
  assert.deepEqual(await open().last('ana', 'orders'), expected);
  assert.equal(await errors.last('ana', 'other'), undefined);
  assert.equal(await errors.last('an', 'orders'), undefined);
  assert.equal(await errors.last('bob', 'orders'), undefined);
});

test('it is told for a day, over midnight too', async () => {
  const { errors, pass } = start();
  errors.note('ana', 'orders', { words: 'it failed' });
  await settled();
  pass(24 * HOUR);
  assert.equal((await errors.last('ana', 'orders'))?.words, 'it failed');
  pass(1);
  assert.equal(await errors.last('ana', 'orders'), undefined);
});

test('a client that fails in a loop fills no store: one a minute for each person and connection', async () => {
  const { errors, state, pass } = start();
  for (let call = 0; call < 1000; call++) errors.note('ana', 'orders', { words: `call ${call}` });
  errors.note('ana', 'other', { words: 'another connection' });
  errors.note('bob', 'orders', { words: 'another person' });
  pass(MINUTE - 1);
  errors.note('ana', 'orders', { words: 'too early' });
  pass(1);
  errors.note('ana', 'orders', { words: 'a minute later' });
  await settled();
  const names: string[] = [];
  for await (const name of state.list('last-errors/ana/orders/')) names.push(name);
  assert.equal(names.length, 2);
  assert.equal((await errors.last('ana', 'orders'))?.words, 'a minute later');
  assert.equal((await errors.last('bob', 'orders'))?.words, 'another person');
  assert.equal((await errors.last('ana', 'other'))?.words, 'another connection');
});

test('a store that fails takes nothing else along', async () => {
  const broken: Store = { ...createMemoryStore(), create: () => Promise.reject(new Error('no store')) };
  const { errors } = start(broken);
  errors.note('ana', 'orders', { words: 'it failed' });
  await settled();
  assert.equal(await errors.last('ana', 'orders'), undefined);
});
