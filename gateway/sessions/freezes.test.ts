import assert from 'node:assert/strict';
import { mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { uuidv7 } from 'uuidv7';
import type { Principal } from '../identity/principal.ts';
import { createFilesystemStore } from '../store/filesystem.ts';
import { createMemoryStore } from '../store/memory.ts';
import type { Store } from '../store/store.ts';
import { type Freeze, freezeName, liftedName, writeFreeze } from './freeze.ts';
import { createFreeze, findFreezes, liftFreeze, listFreezes } from './freeze-record.ts';
import { createFreezes } from './freezes.ts';

const START = Date.parse('2026-11-22T18:00:00Z');
const ANA: Principal = {
  kind: 'human',
  issuer: 'https://idp.example',
  subject: 'ana',
  groups: [],
  expires: 0,
  sessionKey: '',
};
const onOrders = { connection: 'orders', principal: ANA, messages: [] };
const onTickets = { connection: 'tickets', principal: ANA, messages: [] };
const ASKED = { scope: { connection: 'orders' }, reason: 'leaked credential', actor: 'os:root' };

/** A real store whose calls are counted, and refused while `down` says so. */
function watched(inner: Store) {
  const counts = { create: 0, get: 0, list: 0 };
  const gate = { down: (_call: string, _name: string): boolean => false };
  const pass = (call: keyof typeof counts, name: string): void => {
    counts[call]++;
    if (gate.down(call, name)) throw new Error('The store is down.');
  };
  const store: Store = {
    url: inner.url,
    async create(name, bytes) {
      pass('create', name);
      return inner.create(name, bytes);
    },
    async get(name) {
      pass('get', name);
      return inner.get(name);
    },
    async *list(prefix, options) {
      pass('list', prefix);
      yield* inner.list(prefix, options);
    },
  };
  return { store, counts, gate };
}

function world(inner: Store = createMemoryStore()) {
  const clock = { now: START };
  const now = (): number => clock.now;
  const state = watched(inner);
  const audit = watched(createMemoryStore());
  const stores = { state: state.store, audit: audit.store, now };
  return { clock, now, state, audit, stores, replica: () => createFreezes({ state: state.store, now }) };
}

async function folder(stack: AsyncDisposableStack): Promise<string> {
  return stack.adopt(await mkdtemp(join(tmpdir(), 'verbatim-freeze-')), (path) => rm(path, { recursive: true }));
}

const ids = (freezes: readonly Freeze[]): string[] => freezes.map(({ id }) => id);

for (const kind of ['memory', 'filesystem'] as const) {
  test(`${kind}: replicas of one store freeze and thaw with their next reading`, async () => {
    await using stack = new AsyncDisposableStack();
    const at = join(await folder(stack), 'state');
    const { stores, replica } = world(kind === 'memory' ? createMemoryStore() : createFilesystemStore({ root: at }));
    const both = [replica(), replica()];
    for (const one of both) {
      assert.equal(one.known(), false, 'nothing was read yet');
      assert.deepEqual(await one.poll(), { on: [], off: [] });
      assert.equal(one.known(), true, 'a store that nobody has written to is an empty one');
    }
    const freeze = await createFreeze(stores, ASKED);
    for (const one of both) {
      assert.equal(one.match(onOrders), undefined);
      assert.deepEqual(await one.poll(), { on: [freeze], off: [] });
      assert.deepEqual([one.match(onOrders), one.match(onTickets), one.count()], [freeze, undefined, 1]);
      assert.deepEqual(await one.poll(), { on: [], off: [] });
    }
    assert.deepEqual(await listFreezes(stores), [freeze]);
    await liftFreeze(stores, { id: freeze.id, actor: 'os:root', reason: 'changed' });
    for (const one of both) {
      assert.deepEqual(await one.poll(), { on: [], off: [{ freeze, how: 'lifted' }] });
      assert.deepEqual([one.match(onOrders), one.count()], [undefined, 0]);
      assert.deepEqual(await one.poll(), { on: [], off: [] });
    }
    assert.deepEqual(await listFreezes(stores), []);
    assert.deepEqual(await replica().poll(), { on: [], off: [] }, 'a new replica hears nothing of it');
  });
}

test('it expires to the millisecond, and the next reading reports it once', async () => {
  const { clock, stores, replica, state } = world();
  const freeze = await createFreeze(stores, { ...ASKED, expires: START + 60_000 });
  const one = replica();
  await one.poll();
  clock.now = START + 59_999;
  assert.equal(one.match(onOrders)?.id, freeze.id);
  clock.now = START + 60_000;
  assert.equal(one.match(onOrders), undefined);
  assert.deepEqual(await one.poll(), { on: [], off: [{ freeze, how: 'expired' }] });
  assert.deepEqual(await one.poll(), { on: [], off: [] });
  assert.equal(state.counts.get, 1);
  assert.deepEqual(await replica().poll(), { on: [], off: [] });
});

test('of several the one that lasts longest refuses', async () => {
  const { stores, replica } = world();
  await createFreeze(stores, { ...ASKED, expires: START + 1000 });
  const forever = await createFreeze(stores, { ...ASKED, scope: { all: true } });
  const last = await createFreeze(stores, { ...ASKED, expires: START + 2000 });
  const one = replica();
  await one.poll();
  assert.equal(one.match(onOrders)?.id, forever.id);
  await liftFreeze(stores, { id: forever.id, actor: 'os:root', reason: 'over' });
  await one.poll();
  assert.equal(one.match(onOrders)?.id, last.id);
});

test('the audit object is there before the state object, for both', async () => {
  const { stores, audit, state } = world();
  audit.gate.down = () => true;
  await assert.rejects(createFreeze(stores, ASKED));
  assert.equal(state.counts.create, 0, 'not recorded, not frozen');
  audit.gate.down = () => false;
  state.gate.down = (call) => call === 'create';
  await assert.rejects(createFreeze(stores, ASKED), /may not be in force/);
  state.gate.down = () => false;
  const freeze = await createFreeze(stores, { ...ASKED, expires: START + 60_000 });
  audit.gate.down = () => true;
  await assert.rejects(liftFreeze(stores, { id: freeze.id, actor: 'carol', reason: 'changed' }));
  assert.deepEqual(await listFreezes(stores), [freeze], 'not recorded, not lifted');
  audit.gate.down = () => false;
  await liftFreeze(stores, { id: freeze.id, actor: 'carol', reason: 'changed' });

  const objects: Record<string, unknown>[] = [];
  for await (const name of audit.store.list('audit/dt=2026-11-22/')) {
    objects.push(JSON.parse(Buffer.from((await audit.store.get(name)) ?? []).toString()));
  }
  const at = '2026-11-22T18:00:00.000000Z';
  const expires = '2026-11-22T18:01:00.000Z';
  const created = { v: 1, at, kind: 'freeze.created', actor: 'os:root', reason: 'leaked credential' };
  assert.deepEqual(objects.slice(1), [
    { ...created, details: { id: freeze.id, scope: { connection: 'orders' }, expires } },
    { v: 1, at, kind: 'freeze.lifted', actor: 'carol', reason: 'changed', details: { id: freeze.id } },
  ]);
});

test('a name that is taken is no record', async () => {
  const { stores, state } = world();
  const taken: Store = {
    ...stores.audit,
    async create(name, bytes) {
      await stores.audit.create(name, Buffer.from('of somebody else'));
      return stores.audit.create(name, bytes);
    },
  };
  await assert.rejects(createFreeze({ ...stores, audit: taken }, ASKED));
  assert.equal(state.counts.create, 0);
});

test('lifting twice is recorded twice and lifts once', async () => {
  const { stores, audit } = world();
  const { id } = await createFreeze(stores, ASKED);
  assert.deepEqual(await findFreezes(stores, id.slice(0, 8)), [id]);
  for (const actor of ['carol', 'dave']) await liftFreeze(stores, { id, actor, reason: 'changed' });
  assert.equal(audit.counts.create, 3);
  const tombstone = await stores.state.get(liftedName(id));
  assert.deepEqual(JSON.parse(Buffer.from(tombstone ?? []).toString()), {
    at: START,
    actor: 'carol',
    reason: 'changed',
  });
  assert.deepEqual(await findFreezes(stores, id), []);
});

for (const call of ['list', 'get'] as const) {
  test(`a store that refuses to ${call} is not known after 10 s; what was read stays in force`, async () => {
    const { clock, stores, replica, state } = world();
    const freeze = await createFreeze(stores, ASKED);
    const one = replica();
    await one.poll();
    const second = await createFreeze(stores, { ...ASKED, scope: { connection: 'tickets' } });
    state.gate.down = (what) => what === call;
    // What can't be listed rejects; what is listed and can't be fetched is a failure beside the rest.
    const refused = async () => {
      if (call === 'list') return assert.rejects(one.poll(), /down/);
      const { on, off, failure } = await one.poll();
      assert.deepEqual([on, off], [[], []]);
      assert.ok(failure instanceof Error);
    };
    clock.now = START + 10_000;
    await refused();
    assert.equal(one.known(), true);
    clock.now = START + 10_001;
    await refused();
    assert.deepEqual([one.known(), one.match(onOrders)?.id], [false, freeze.id]);
    state.gate.down = () => false;
    assert.deepEqual(ids((await one.poll()).on), [second.id]);
    assert.equal(one.known(), true);
  });
}

test('one object that can not be fetched keeps no other from taking effect and being told once; lifting it helps', async () => {
  const { clock, stores, replica, state } = world();
  const stuck = await createFreeze(stores, ASKED);
  const gone = await createFreeze(stores, { ...ASKED, expires: START + 1000 });
  const one = replica();
  const told = async () => {
    const { on, off, failure } = await one.poll();
    return [ids(on), off.map(({ freeze, how }) => `${freeze.id} ${how}`), failure instanceof Error];
  };
  state.gate.down = (call, name) => call === 'get' && name === freezeName(stuck.id);
  assert.deepEqual(await told(), [[gone.id], [], true]);
  assert.equal(one.match(onOrders)?.id, gone.id);
  assert.equal(one.known(), false, 'what the unread one covers is not known');
  assert.deepEqual(await told(), [[], [], true]);
  clock.now = START + 1000;
  assert.deepEqual(await told(), [[], [`${gone.id} expired`], true]);
  assert.equal(one.known(), false);
  await liftFreeze(stores, { id: stuck.id, actor: 'os:root', reason: 'unreadable' });
  assert.deepEqual(await told(), [[], [], false]);
  assert.equal(one.known(), true);
});

test('a clock that is set back knows nothing until the next reading', async () => {
  const { clock, replica } = world();
  const one = replica();
  await one.poll();
  clock.now = START - 10_001;
  assert.equal(one.known(), false);
  await one.poll();
  assert.equal(one.known(), true);
});

test('a malformed object freezes everything, and can be lifted', async () => {
  const { stores, replica } = world();
  const id = uuidv7();
  await stores.state.create(freezeName(id), Buffer.from('{"scope":'));
  await stores.state.create('freezes/by-hand.json', Buffer.from('freeze orders please'));
  await stores.state.create('freezes/README', Buffer.from('neither freeze nor tombstone'));
  const one = replica();
  const { on } = await one.poll();
  assert.deepEqual(new Set(ids(on)), new Set([id, 'by-hand']));
  assert.deepEqual([one.match(onTickets)?.scope, one.known()], [{ all: true }, true]);
  for (const each of ids(on)) await liftFreeze(stores, { id: each, actor: 'os:root', reason: 'malformed' });
  assert.equal((await one.poll()).off.length, 2);
  assert.equal(one.match(onTickets), undefined);
});

test('a freeze whose object is gone stays in force: only time and a tombstone end it', async () => {
  await using stack = new AsyncDisposableStack();
  const root = join(await folder(stack), 'state');
  const { clock, stores, replica } = world(createFilesystemStore({ root }));
  const { id } = await createFreeze(stores, ASKED);
  const one = replica();
  await one.poll();
  await rename(join(root, 'freezes'), join(root, 'elsewhere'));
  assert.deepEqual(await one.poll(), { on: [], off: [] });
  assert.equal(one.match(onOrders)?.id, id);
  await rename(root, `${root}-elsewhere`);
  await assert.rejects(one.poll(), { code: 'no_store' }, 'a store that was there is not a new one');
  clock.now += 10_001;
  assert.equal(one.known(), false);
});

test('10,000 freezes that are over are fetched once at most, and lifted ones never', async () => {
  const inner = createMemoryStore();
  const { clock, stores, replica, state } = world(inner);
  for (let count = 0; count < 10_000; count++) {
    const id = uuidv7();
    const expires = START - 1;
    const old: Freeze = { ...ASKED, id, at: START - 2, ...(count % 2 === 0 ? { expires } : {}) };
    await inner.create(freezeName(id), writeFreeze(old));
    if (count % 2 === 1) await inner.create(liftedName(id), Buffer.from('{}'));
  }
  const one = replica();
  await one.poll();
  assert.deepEqual([state.counts.get, one.count(), one.match(onOrders)], [5000, 0, undefined]);
  for (let count = 0; count < 3; count++) await one.poll();
  assert.equal(state.counts.get, 5000);
  clock.now += 1;
  const freeze = await createFreeze(stores, ASKED);
  assert.deepEqual(ids((await one.poll()).on), [freeze.id]);
  assert.equal(state.counts.get, 5001);
});

test('readings wait for one another', async () => {
  const { stores, replica } = world();
  const freeze = await createFreeze(stores, ASKED);
  const one = replica();
  const [first, second] = await Promise.all([one.poll(), one.poll()]);
  assert.deepEqual([ids(first.on), ids(second.on)], [[freeze.id], []]);
});
