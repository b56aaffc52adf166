import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createEnds } from '../../sessions/ends.ts';
import { createMemoryStore } from '../../store/memory.ts';
import type { Store } from '../../store/store.ts';
import { grantRecord, stoppedClock } from './fixture.ts';
import { accountIdOf, createGrants } from './grants.ts';

function start(stores: { state?: Store; audit?: Store } = {}) {
  const { state = createMemoryStore(), audit = createMemoryStore() } = stores;
  const clock = stoppedClock(1_800_000_000_000);
  const open = () => createGrants({ state, audit, ends: createEnds({ state, now: clock.millis }), clock });
  return { state, audit, clock, open, grants: open() };
}

async function objectsIn(store: Store): Promise<[name: string, value: Record<string, unknown>][]> {
  const found: [string, Record<string, unknown>][] = [];
  for await (const name of store.list('')) {
    found.push([name, JSON.parse(Buffer.from((await store.get(name)) ?? []).toString())]);
  }
  return found;
}

test('a grant is there for every replica until it ends, and its record after that', async () => {
  const { grants, open, clock } = start();
  const record = grantRecord(clock);
  await grants.open(record);
  const replica = open();
  assert.deepEqual(await replica.find(record.session), { v: 1, ...record });
  assert.deepEqual(await grants.find(record.session), { v: 1, ...record });
  await replica.end(record.session, 'signed_out');
  for (const each of [grants, replica, open()]) {
    assert.equal(await each.find(record.session), undefined);
    assert.equal((await each.record(record.session))?.subject, 'ana');
  }
});

test('it ends by its time to the millisecond', async () => {
  const { grants, clock } = start();
  const record = grantRecord(clock);
  await grants.open(record);
  clock.pass(3_600_000 - 1);
  assert.equal((await grants.find(record.session))?.session, record.session);
  clock.pass(1);
  assert.equal(await grants.find(record.session), undefined);
});

test('what is no id of a grant is not looked for', async () => {
  const asked: string[] = [];
  const memory = createMemoryStore();
  const { grants } = start({
    state: {
      ...memory,
      get(name) {
        asked.push(name);
        return memory.get(name);
      },
    },
  });
  for (const id of ['', '../people/x', 'x/y', '01980000-0000-7000-8000-00000000000G', '__proto__']) {
    assert.equal(await grants.find(id), undefined);
  }
  assert.deepEqual(asked, []);
});

test('the audit object comes first, and the grant last', async () => {
  const clock = stoppedClock();
  const order: string[] = [];
  const watched = (name: string): Store => {
    const memory = createMemoryStore();
    return {
      ...memory,
      create(object, bytes) {
        order.push(`${name} ${object.split('/')[0]}`);
        return memory.create(object, bytes);
      },
    };
  };
  const { grants, audit } = start({ state: watched('state'), audit: watched('audit') });
  const record = grantRecord(clock);
  await grants.open(record);
  assert.deepEqual(order, ['audit audit', 'state people', 'state grants']);
  const [[, object] = assert.fail()] = await objectsIn(audit);
  const { v, kind, actor, session, details } = object;
  assert.deepEqual(
    { v, kind, actor, session, details },
    {
      v: 1,
      kind: 'session.authorized',
      actor: 'ana@example.com',
      session: record.session,
      details: { connection: 'orders', issuer: 'https://idp.example.com', subject: 'ana', client: 'alpha' },
    },
  );
});

test('where the audit object, or any part, can not be stored, nobody gets in', async () => {
  const failing = (part: string): Store => {
    const memory = createMemoryStore();
    return {
      ...memory,
      create: (name, bytes) => (name.startsWith(part) ? Promise.reject(new Error('no')) : memory.create(name, bytes)),
    };
  };
  for (const stores of [{ audit: failing('audit') }, { state: failing('people') }, { state: failing('grants') }]) {
    const { grants, open, clock } = start(stores);
    const record = grantRecord(clock);
    await assert.rejects(grants.open(record));
    assert.equal(await open().find(record.session), undefined);
  }
});

test('a person’s list has their own, alive, the newest first', async () => {
  const { grants, open, clock } = start();
  const opened: string[] = [];
  for (const changes of [{}, { connection: 'wiki' }, {}, {}]) {
    clock.pass(60_000);
    const record = grantRecord(clock, changes);
    opened.push(record.session);
    await grants.open(record);
  }
  const [first, second, third, fourth] = opened;
  await grants.open(grantRecord(clock, { subject: 'bob' }));
  await grants.open(grantRecord(clock, { issuer: 'https://other.example.com' }));
  await grants.end(String(third), 'signed_out');
  const list = await open().ofPerson('https://idp.example.com', 'ana', 43_200_000);
  assert.deepEqual(
    list.map(({ session, connection, client }) => [session, connection, client.name]),
    [
      [fourth, 'orders', 'Alpha'],
      [second, 'wiki', 'Alpha'],
      [first, 'orders', 'Alpha'],
    ],
  );
  clock.pass(3_600_000);
  assert.deepEqual(await grants.ofPerson('https://idp.example.com', 'ana', 43_200_000), []);
});

test('a list is read no further back than a session may last', async () => {
  const read: string[] = [];
  const memory = createMemoryStore();
  const { grants, clock } = start({
    state: {
      ...memory,
      get(name) {
        if (name.startsWith('people/')) read.push(name.slice(name.lastIndexOf('/') + 1));
        return memory.get(name);
      },
    },
  });
  const old = grantRecord(clock);
  await grants.open(old);
  clock.pass(7_200_000);
  const recent = grantRecord(clock);
  await grants.open(recent);
  clock.pass(3_599_999);
  const list = await grants.ofPerson('https://idp.example.com', 'ana', 3_600_000);
  assert.deepEqual(
    list.map(({ session }) => session),
    [recent.session],
  );
  assert.deepEqual(read, [`${recent.session}.json`]);
});

test('an account id says nothing, and no two people share one', () => {
  const of = (issuer: string, subject: string) => accountIdOf({ issuer, subject });
  assert.match(of('https://idp.example.com', 'ana'), /^[0-9a-f]{32}$/);
  assert.notEqual(of('https://idp.example.com', 'ana'), of('https://idp.example.co', 'mana'));
  assert.notEqual(of('a', 'bc'), of('ab', 'c'));
  assert.equal(of('a', 'b'), of('a', 'b'));
});
