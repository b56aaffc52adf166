import assert from 'node:assert/strict';
import { cp, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, test } from 'node:test';
import { checkpointName } from '../ledger/names.ts';
import { createMemoryStore } from '../store/memory.ts';
import type { Store } from '../store/store.ts';
import { StoreError } from '../store/store-error.ts';
import { createOwnNames } from './own-names.ts';
import { createTestStore, event, killAll, LEDGER, openTestRecorder, readBack, START } from './test-recorder.ts';

const root = await mkdtemp(join(tmpdir(), 'verbatim-own-names-'));
after(() => rm(root, { recursive: true, force: true }));
afterEach(killAll);

const ONE = { name: 'a', bytes: Buffer.from('one') };
const OTHER = { name: 'a', bytes: Buffer.from('other') };

/** Creates like its store, and answers reads as Google does where reading is not allowed. */
function unreadable(store: Store): Store {
  const denied = Object.assign(new StoreError('io', 'denied'), { code: 'permission_denied' });
  return { ...store, get: () => Promise.reject(denied) };
}

/** The first create is done, and fails. */
function forgetful(store: Store): Store {
  let failed = false;
  return {
    ...store,
    async create(name, bytes) {
      const outcome = await store.create(name, bytes);
      if (failed) return outcome;
      failed = true;
      throw new StoreError('io', 'The answer was lost.');
    },
  };
}

test('a name that exists is ours where its bytes are, whoever asks', async () => {
  const store = createMemoryStore();
  await createOwnNames(store, []).create(ONE);
  await createOwnNames(store, []).create(ONE);
  await assert.rejects(createOwnNames(store, []).create(OTHER), { name: 'LedgerTakenError', object: 'a' });
  await assert.rejects(createOwnNames(store, ['a']).create(OTHER), { name: 'LedgerTakenError' });
});

test('where nothing can be read, a name that exists is ours where it was tried before, here or by an earlier process', async () => {
  const store = unreadable(createMemoryStore());
  const names = createOwnNames(forgetful(store), []);
  await assert.rejects(names.create(ONE), { code: 'io' });
  await names.create(ONE);
  await createOwnNames(store, ['a']).create(ONE);
  await assert.rejects(createOwnNames(store, []).create(OTHER), { name: 'LedgerTakenError' });
});

test('a round that fails half-way is tried again whole, and its first half is ours', async () => {
  const store = unreadable(createMemoryStore());
  const names = createOwnNames(store, []);
  await names.create(ONE);
  // Another object of the round failed meanwhile.
  await names.create(ONE);
  names.done();
  await assert.rejects(names.create(OTHER), { name: 'LedgerTakenError' });
});

for (const [how, at] of [
  ['readable', (store: Store) => store],
  ['create-only', unreadable],
] as const) {
  test(`a disk that is copied while in use: the owner that comes second to a ${how} store stops, and loses nothing`, async () => {
    const store = await createTestStore();
    const [first, copy] = [join(root, how), join(root, `${how}-copy`)];
    const original = await openTestRecorder({ folder: first, store: at(store) });
    const strand = await original.begin('s', START);
    await original.seal();
    await cp(first, copy, { recursive: true });
    const clone = await openTestRecorder({ folder: copy, store: at(store) });
    await strand.commit(event('of the original'));
    await original.seal();
    await clone.strand('s')?.commit(event('of the copy'));
    const before = await readdir(join(copy, 'journal'));
    await clone.seal();
    assert.deepEqual(
      clone.failures.map(({ name }) => name),
      ['LedgerTakenError'],
    );
    assert.deepEqual([clone.isTaken(), original.isTaken()], [true, false]);
    await clone.seal();
    assert.equal(clone.failures.length, 1);
    await clone.stop();
    assert.deepEqual(await readdir(join(copy, 'journal')), before);
    await assert.rejects(openTestRecorder({ folder: copy, store }), { name: 'LedgerTakenError' });
    await strand.commit(event('afterwards'));
    await original.seal();
    const { verification, sessions } = await readBack(store);
    assert.deepEqual(verification.problems, []);
    assert.deepEqual(
      sessions.get('s')?.flatMap((frame) => (frame.type === 'event' ? [frame.event.name] : [])),
      ['of the original', 'afterwards'],
    );
    await original.stop();
  });
}

for (const [how, at] of [
  ['readable', (store: Store) => store],
  ['create-only', unreadable],
] as const) {
  test(`a checkpoint of another owner in a ${how} store is not taken for this disk's: the journal stays`, async () => {
    const store = await createTestStore();
    const folder = join(root, `foreign-${how}`);
    const foreign = Buffer.from('of another owner');
    const recorder = await openTestRecorder({ folder, store: at(store), fileLimit: 1 });
    await recorder.begin('s', START);
    await recorder.seal();
    const name = checkpointName(LEDGER, 1);
    await store.create(name, foreign);
    await recorder.strand('s')?.commit(event('a'));
    const before = await readdir(join(folder, 'journal'));
    assert.ok(before.length > 0);
    await recorder.seal();
    assert.deepEqual(
      recorder.failures.map((error) => [error.name, 'object' in error && error.object]),
      [['LedgerTakenError', name]],
    );
    assert.deepEqual([recorder.isTaken(), recorder.isSealed(), recorder.checkpoints.length], [true, false, 1]);
    assert.deepEqual(await readdir(join(folder, 'journal')), before);
    assert.deepEqual(Buffer.from((await store.get(name)) ?? ''), foreign);
    await recorder.stop();
    await assert.rejects(openTestRecorder({ folder, store }), { name: 'LedgerTakenError', object: name });
  });
}

test('a checkpoint of which the answer was lost is ours where nothing can be read, here and after a restart', async () => {
  for (const restart of [false, true]) {
    const store = await createTestStore();
    const folder = join(root, `lost-${restart}`);
    let lost = 0;
    const forgetting: Store = {
      ...unreadable(store),
      async create(name, bytes) {
        const outcome = await store.create(name, bytes);
        if (name !== checkpointName(LEDGER, 0) || lost++ > 0) return outcome;
        throw new StoreError('io', 'The answer was lost.');
      },
    };
    let recorder = await openTestRecorder({ folder, store: forgetting });
    await recorder.begin('s', START);
    await recorder.seal();
    if (restart) {
      await recorder.kill();
      // The state on the disk is behind: the round is tried again, and then the note.
      recorder = await openTestRecorder({ folder, store: forgetting });
    }
    await recorder.seal();
    assert.deepEqual([recorder.isTaken(), recorder.isSealed()], [false, true]);
    assert.ok(lost > 0);
    await recorder.stop();
    assert.deepEqual((await readBack(store)).verification.problems, []);
  }
});

test('an original whose copy stored first stops, too', async () => {
  const store = await createTestStore();
  const [first, copy] = [join(root, 'overtaken'), join(root, 'overtaking')];
  const original = await openTestRecorder({ folder: first, store });
  await original.begin('s', START);
  await original.seal();
  await cp(first, copy, { recursive: true });
  const clone = await openTestRecorder({ folder: copy, store });
  await clone.seal();
  await original.strand('s')?.commit(event('a'));
  await original.seal();
  assert.deepEqual([clone.isTaken(), original.isTaken()], [false, true]);
  await original.stop();
  await clone.stop();
  assert.deepEqual((await readBack(store)).verification.problems, []);
});
