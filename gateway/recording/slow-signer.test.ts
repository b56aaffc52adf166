/** A signer that takes its time holds up nothing that is stored, and what it signs by then is a part of that. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, beforeEach, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { Signer } from '../ledger/signer.ts';
import type { Store } from '../store/store.ts';
import { createDying } from './faults.ts';
import {
  attempt,
  createTestStore,
  event,
  killAll,
  openTestRecorder,
  readBack,
  requestFrame,
  SIGNER,
  START,
} from './test-recorder.ts';
import { createUnsealed } from './unsealed.ts';

const root = await mkdtemp(join(tmpdir(), 'verbatim-slow-'));
after(() => rm(root, { recursive: true, force: true }));
let slow = createSlowSigner();
afterEach(async () => {
  slow.answer();
  await killAll();
});

const S = '01980000-0000-7000-8000-000000000001';
let folder = '';
let store: Store;
beforeEach(newDisk);

async function newDisk(): Promise<void> {
  folder = await mkdtemp(join(root, 'd-'));
  store = await createTestStore();
}

function createSlowSigner() {
  let gate: PromiseWithResolvers<void> | undefined;
  let asked = 0;
  let reached = Promise.withResolvers<void>();
  const signer: Signer = {
    ...SIGNER,
    async sign(text) {
      asked++;
      reached.resolve();
      await gate?.promise;
      return SIGNER.sign(text);
    },
  };
  return {
    signer,
    asked: () => asked,
    /** Resolves when the next signature is asked for; it waits. */
    hold() {
      reached = Promise.withResolvers();
      gate = Promise.withResolvers();
      return reached.promise;
    },
    answer() {
      gate?.resolve();
      gate = undefined;
    },
    refuse() {
      gate?.reject(new Error('down'));
      gate = undefined;
    },
  };
}

test('frames that wait for the store wait for no signature, and cost none; what it covered leaves the journal', async () => {
  slow = createSlowSigner();
  const recorder = await openTestRecorder({ folder, store, signer: slow.signer, fileLimit: 512 });
  const strand = await recorder.begin(S, { ...START, durability: 'bucket' });
  await recorder.seal();
  assert.equal(slow.asked(), 1);
  for (const exchange of ['a', 'b', 'c']) assert.ok(await attempt(strand, requestFrame(exchange)));
  assert.equal(slow.asked(), 1);
  const reached = slow.hold();
  const sealed = recorder.seal();
  await reached;
  for (const exchange of ['d', 'e']) assert.ok(await attempt(strand, requestFrame(exchange)));
  assert.deepEqual([slow.asked(), recorder.checkpoints.length], [2, 1]);
  const bytes = recorder.journal.bytes();
  slow.answer();
  void slow.hold();
  await sealed;
  assert.equal(recorder.checkpoints.length, 2);
  assert.ok(recorder.journal.bytes() < bytes);
  assert.ok(recorder.journal.oldestUnsealed() !== undefined);
  slow.answer();
  await recorder.seal();
  assert.equal(recorder.checkpoints.length, 3);
  assert.equal(recorder.journal.oldestUnsealed(), undefined);
  assert.deepEqual((await readBack(store)).verification.problems, []);
});

test('a signature that is refused in the end leaves what was stored meanwhile for a later checkpoint', async () => {
  slow = createSlowSigner();
  const recorder = await openTestRecorder({ folder, store, signer: slow.signer });
  const strand = await recorder.begin(S, { ...START, durability: 'bucket' });
  const reached = slow.hold();
  const sealed = recorder.seal();
  await reached;
  assert.ok(await attempt(strand, requestFrame('a')));
  slow.refuse();
  await sealed;
  assert.deepEqual([recorder.failures.length, recorder.checkpoints.length], [1, 0]);
  assert.ok(await attempt(strand, requestFrame('b')));
  assert.equal(slow.asked(), 1);
  await recorder.seal();
  assert.equal(recorder.checkpoints.length, 1);
  assert.equal(recorder.journal.oldestUnsealed(), undefined);
  await recorder.stop();
  assert.deepEqual((await readBack(store)).verification.problems, []);
});

test('who seals beside a signature that covers less waits for the next one', async () => {
  slow = createSlowSigner();
  let stored = (): void => {};
  const told: Store = {
    ...store,
    async create(name, bytes) {
      const result = await store.create(name, bytes);
      if (name.includes('/entries/')) stored();
      return result;
    },
  };
  const recorder = await openTestRecorder({ folder, store: told, signer: slow.signer });
  const strand = await recorder.begin(S, START);
  await recorder.seal();
  assert.equal(recorder.checkpoints.length, 1);
  const reached = slow.hold();
  await strand.commit(event('one'));
  const first = recorder.seal();
  await reached;
  // The first signature comes once the next round is stored, and is taken with it; the second one takes its time.
  let next: Promise<void> | undefined;
  stored = () => {
    slow.answer();
    next ??= slow.hold();
  };
  await strand.commit(event('two'));
  const second = recorder.seal();
  await first;
  assert.equal(recorder.checkpoints.length, 2);
  await next;
  slow.answer();
  await second;
  assert.equal(recorder.checkpoints.length, 3);
  assert.equal(recorder.journal.oldestUnsealed(), undefined);
});

test('a checkpoint gives back what its note covers, and not what was stored beside its signature', async () => {
  slow = createSlowSigner();
  const unsealed = createUnsealed();
  const recorder = await openTestRecorder({
    folder,
    store,
    signer: slow.signer,
    pressure: {
      unsealed,
      reserve: { give: async () => false },
      upstreamOf: () => undefined,
      isFullFor: () => false,
    },
  });
  const strand = await recorder.begin(S, { ...START, durability: 'bucket' });
  await recorder.seal();
  const held = (): number => unsealed.held('connection', START.connection);
  assert.equal(held(), 0);
  const reached = slow.hold();
  await strand.commit(event('one'));
  const sealed = recorder.seal();
  await reached;
  const covered = held();
  await strand.commit(event('two'));
  const beside = held() - covered;
  assert.ok(covered > 0 && beside > 0);
  slow.answer();
  const next = slow.hold();
  await sealed;
  assert.deepEqual([recorder.checkpoints.length, held()], [2, beside]);
  await next;
  slow.answer();
  await recorder.seal();
  assert.deepEqual([recorder.checkpoints.length, held()], [3, 0]);
});

test('it dies at each step, done or not, while rounds go on beside a signature: the next start has all of it', async () => {
  async function life(at?: number, done?: boolean): Promise<readonly string[]> {
    await newDisk();
    slow = createSlowSigner();
    const dying = createDying(at, done);
    const recorder = await openTestRecorder({ folder, store, dying, signer: slow.signer }).catch(() => undefined);
    await recorder?.begin(S, START).catch(() => {});
    const acknowledged: string[] = [];
    /** Seals, until the round is stored or it has failed. */
    async function round(name: string): Promise<void> {
      if (recorder === undefined) return;
      const strand = recorder.strand(S);
      const committed = strand?.commit(event(name));
      if ((await committed?.then(() => true).catch(() => false)) === true) acknowledged.push(name);
      const entries = dying.steps.filter((step) => step.includes('/entries/')).length;
      const over = recorder.seal();
      sealing.push(over);
      for (let turns = 0; turns < 10_000; turns++) {
        if (dying.dead || dying.steps.filter((step) => step.includes('/entries/')).length > entries) break;
        await turn();
      }
    }
    const sealing: Promise<void>[] = [];
    void slow.hold();
    for (const name of ['one', 'two']) await round(name);
    slow.answer();
    await Promise.all(sealing);
    await recorder?.kill();
    const next = await openTestRecorder({ folder, store });
    if (next.strand(S) === undefined) await next.begin(S, START);
    // Names the checkpoint before it.
    await next.heartbeat();
    await next.stop();
    const { verification, sessions } = await readBack(store);
    assert.deepEqual(verification.problems, [], `died at ${at} ${done}`);
    const told = (sessions.get(S) ?? []).flatMap((frame) => (frame.type === 'event' ? [frame.event.name] : []));
    for (const name of acknowledged)
      assert.equal(told.filter((one) => one === name).length, 1, `${name} ${at} ${done}`);
    return dying.steps;
  }
  const steps = await life();
  // Two rounds beside one signature, which is of the first.
  assert.deepEqual(
    steps.flatMap((step) => /sign|entries|checkpoint/.exec(step) ?? []),
    ['entries', 'sign', 'entries', 'checkpoint', 'sign', 'checkpoint'],
  );
  // What dies before the first signature is asked for is tried elsewhere.
  for (let at = steps.indexOf('sign'); at < steps.length; at++) {
    for (const done of [false, true]) await life(at, done);
  }
});
