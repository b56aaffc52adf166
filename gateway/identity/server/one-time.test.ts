import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { createMemoryStore } from '../../store/memory.ts';
import { createKeyring } from '../keyring.ts';
import { createOneTime, sha256 } from './one-time.ts';

function start() {
  const state = createMemoryStore();
  const keyring = createKeyring([randomBytes(32)]);
  let now = 1_000_000;
  const open = (folder = 'tickets') =>
    createOneTime<string>({ folder, purpose: 'ticket', state, keyring, now: () => now });
  return { state, open, pass: (milliseconds: number) => (now += milliseconds) };
}

test('a value is there for who knows its secret, once, on any replica', async () => {
  const { open } = start();
  const [one, another] = [open(), open()];
  await one.put('secret', 'value', 1000);
  assert.equal(await another.look('secret'), 'value');
  assert.equal(await another.take('other'), undefined);
  assert.deepEqual((await Promise.all([one.take('secret'), another.take('secret')])).sort(), ['value', undefined]);
  assert.equal(await one.look('secret'), undefined);
  assert.equal(await one.take('secret'), undefined);
});

test('after its time it is not there', async () => {
  const { open, pass } = start();
  await open().put('secret', 'value', 1000);
  pass(999);
  assert.equal(await open().look('secret'), 'value');
  pass(1);
  assert.equal(await open().look('secret'), undefined);
  assert.equal(await open().take('secret'), undefined);
});

test('what is stored holds neither the secret nor the value, and is worth nothing under another name', async () => {
  const { state, open } = start();
  await open().put('secret', 'value', 1000);
  const bytes = await state.get(`tickets/${sha256('secret')}.json`);
  const text = Buffer.from(bytes ?? []).toString();
  assert.ok(text.length > 0 && !text.includes('secret') && !text.includes('value'));
  // Whoever can write to the store, and not read the key, moves it to a secret of their own.
  await state.create(`tickets/${sha256('mine')}.json`, bytes ?? Buffer.alloc(0));
  assert.equal(await open().take('mine'), undefined);
  await state.create(`logins/${sha256('secret')}.json`, bytes ?? Buffer.alloc(0));
  assert.equal(await open('logins').take('secret'), undefined);
});

test('a secret that is drawn twice is refused', async () => {
  const { open } = start();
  await open().put('secret', 'value', 1000);
  await assert.rejects(open().put('secret', 'another', 1000));
  assert.equal(await open().take('secret'), 'value');
});
