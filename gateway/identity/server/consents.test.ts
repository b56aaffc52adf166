import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMemoryStore } from '../../store/memory.ts';
import { type Consent, createConsents } from './consents.ts';

const DAY = 86_400_000;
const consent: Consent = { client: { id: 'alpha', name: 'Alpha' }, redirectHost: '127.0.0.1', connection: 'orders' };

function start() {
  const state = createMemoryStore();
  let now = 1_800_000_000_000;
  const open = () => createConsents({ state, now: () => now });
  return { state, open, consents: open(), pass: (milliseconds: number) => (now += milliseconds) };
}

test('a consent holds for its person, client, way back and connection, on any replica', async () => {
  const { consents, open } = start();
  await consents.remember('ana', consent);
  assert.ok(await open().isRemembered('ana', consent));
  // What the client calls itself may change.
  assert.ok(await consents.isRemembered('ana', { ...consent, client: { id: 'alpha' } }));
  const others: Consent[] = [
    { ...consent, client: { id: 'beta', name: 'Alpha' } },
    { ...consent, redirectHost: 'evil.example' },
    { ...consent, connection: 'other' },
  ];
  for (const other of others) assert.ok(!(await consents.isRemembered('ana', other)), JSON.stringify(other));
  assert.ok(!(await consents.isRemembered('eve', consent)));
});

test('it holds for 30 days, and once more when it is given again', async () => {
  const { consents, pass } = start();
  await consents.remember('ana', consent);
  await consents.remember('ana', consent);
  assert.equal((await consents.of('ana')).length, 1);
  pass(30 * DAY - 1);
  assert.ok(await consents.isRemembered('ana', consent));
  pass(1);
  assert.ok(!(await consents.isRemembered('ana', consent)));
  assert.deepEqual(await consents.of('ana'), []);
  await consents.remember('ana', consent);
  assert.ok(await consents.isRemembered('ana', consent));
});

test('forgotten it does not hold, and only its person forgets it', async () => {
  const { consents } = start();
  await consents.remember('ana', consent);
  const [{ id } = assert.fail()] = await consents.of('ana');
  await consents.forget('eve', id);
  await consents.forget('ana', '../secret');
  assert.ok(await consents.isRemembered('ana', consent));
  await consents.forget('ana', id);
  await consents.forget('ana', id);
  assert.ok(!(await consents.isRemembered('ana', consent)));
  assert.deepEqual(await consents.of('ana'), []);
  await consents.remember('ana', consent);
  assert.ok(await consents.isRemembered('ana', consent), 'and is given again');
});
