import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, beforeEach, test } from 'node:test';
import type { Signer } from '../ledger/signer.ts';
import type { Store } from '../store/store.ts';
import { acceptLoss, finishAccepting } from './accept-loss.ts';
import { journalName } from './journal-file.ts';
import { examineDisk, type Found } from './recover.ts';
import {
  createTestStore,
  event,
  JOURNAL_KEY,
  killAll,
  LEDGER,
  openTestRecorder,
  readBack,
  SIGNER,
  START,
} from './test-recorder.ts';
import { createWriteAhead, type LedgerState, type Round } from './write-ahead.ts';

const root = await mkdtemp(join(tmpdir(), 'verbatim-retire-'));
after(() => rm(root, { recursive: true, force: true }));
afterEach(killAll);

let folder: string;
let store: Store;
let made = 0;

beforeEach(async () => {
  folder = join(root, `${made++}`);
  await mkdir(folder);
  store = await createTestStore();
});

const NO_SIGNER: Signer = { ...SIGNER, sign: () => Promise.reject(new Error('down')) };

async function forget(...fields: readonly string[]): Promise<void> {
  const path = join(folder, 'state.json');
  const state = JSON.parse((await readFile(path)).toString());
  for (const field of fields) delete state[field];
  await writeFile(path, JSON.stringify(state));
}

test('a ledger is closed once: what was not signed is by the next attempt, and what comes after it is a problem', async () => {
  let recorder = await openTestRecorder({ folder, store, signer: NO_SIGNER });
  await recorder.begin('s', START);
  await recorder.retire('replaced');
  assert.deepEqual([recorder.isClosed(), recorder.isSealed()], [false, false]);
  await recorder.stop();
  await assert.rejects(openTestRecorder({ folder, store }), { name: 'LedgerClosedError' });

  recorder = await openTestRecorder({ folder, store, evenClosed: true });
  await recorder.retire('replaced');
  assert.deepEqual([recorder.isClosed(), recorder.isSealed()], [true, true]);
  await recorder.heartbeat();
  await recorder.stop();
  const { verification } = await readBack(store);
  assert.deepEqual(verification.problems, []);
  assert.equal(typeof verification.ledgers[0]?.closed, 'string');
  assert.equal(verification.ledgers[0]?.heartbeats, 0);

  await forget('closed');
  recorder = await openTestRecorder({ folder, store });
  await recorder.heartbeat();
  await recorder.stop();
  const { problems } = (await readBack(store)).verification;
  assert.deepEqual(
    problems.map(({ code }) => code),
    ['ledger_closed'],
  );
});

async function examine(): Promise<Found & { damage: NonNullable<Found['damage']> }> {
  const writeAhead = createWriteAhead(folder);
  const found = await examineDisk({ folder: join(folder, 'journal'), ledger: LEDGER, key: JOURNAL_KEY, writeAhead });
  assert.ok(found.damage !== undefined);
  return { ...found, damage: found.damage };
}

/** Three journal files of two commits each; the one in the middle has a broken commit. A round is under way, or not. */
async function damaged(isUnderWay: boolean): Promise<void> {
  const options = isUnderWay ? {} : { unsealed: true as const };
  const down = { ...store, create: () => Promise.reject(new Error('down')) };
  const recorder = await openTestRecorder({ folder, store: down, fileLimit: 900, ...options });
  const strand = await recorder.begin('s', START);
  await recorder.seal();
  for (const name of ['a', 'b', 'c', 'd', 'e']) await strand.commit(event(name.repeat(400)));
  await recorder.kill();
  const path = join(folder, 'journal', journalName(2));
  const bytes = await readFile(path);
  bytes[bytes.length - 40] = (bytes[bytes.length - 40] ?? 0) ^ 1;
  await writeFile(path, bytes);
}

for (const isUnderWay of [false, true]) {
  test(`a loss that was accepted is told once, however often it is cut off; ${isUnderWay ? 'a' : 'no'} round is under way`, async () => {
    await damaged(isUnderWay);
    const before = await readdir(join(folder, 'journal'));
    assert.ok(before.length >= 3);
    const found = await examine();
    const writeAhead = createWriteAhead(folder);
    const options = { path: folder, found, writeAhead, now: Date.now() * 1000 };
    const lost = await acceptLoss(options);
    // As if it had been cut off while setting aside: recovery passes over what still lies in the journal.
    const [last = ''] = (await readdir(lost)).sort().slice(-1);
    await rename(join(lost, last), join(folder, 'journal', last));
    let recorder = await openTestRecorder({ folder, store, unsealed: true });
    assert.equal(recorder.gaps.filter(({ kind }) => kind === 'loss').length, 1);
    await recorder.kill();
    const state = (await writeAhead.readRound())?.after ?? (await writeAhead.readState());
    assert.ok(state?.loss !== undefined);
    await finishAccepting(folder, state.loss);
    assert.deepEqual(
      await readdir(lost),
      before.filter((name) => name >= journalName(2)),
    );

    recorder = await openTestRecorder({ folder, store });
    assert.equal(recorder.gaps.filter(({ kind }) => kind === 'loss').length, 0);
    await recorder.strand('s')?.commit(event('afterwards'));
    await recorder.seal();
    await recorder.stop();
    assert.equal((await writeAhead.readState())?.loss, undefined);
    const { verification, sessions } = await readBack(store);
    assert.deepEqual(verification.problems, []);
    const names = sessions.get('s')?.flatMap((frame) => (frame.type === 'event' ? [frame.event.name[0]] : []));
    assert.equal(names?.at(-1), 'a');
    assert.ok(names?.length === 2 || names?.length === 3, String(names));
    // A crash before and one after the loss was accepted, the loss itself; of the ledger one for all sessions besides.
    assert.equal(verification.ledgers[0]?.gaps, 4);
    await (await openTestRecorder({ folder, store })).stop();
  });
}

/** Journal files by name. */
async function journalFiles(at = join(folder, 'journal')): Promise<Map<string, Buffer>> {
  const names = await readdir(at).catch(() => []);
  return new Map(await Promise.all(names.map(async (name) => [name, await readFile(join(at, name))] as const)));
}

for (const isUnderWay of [false, true]) {
  test(`nothing that is lost is removed before it is set aside, by no later start; ${isUnderWay ? 'a' : 'no'} round is under way`, async () => {
    await damaged(isUnderWay);
    const before = await journalFiles();
    const found = await examine();
    const real = createWriteAhead(folder);
    const died = () => Promise.reject(new Error('died'));
    const writeAhead = {
      ...real,
      writeState: (state: LedgerState) => real.writeState(state).then(died),
      writeRound: (round: Round) => real.writeRound(round).then(died),
    };
    await assert.rejects(acceptLoss({ path: folder, found, writeAhead, now: Date.now() * 1000 }), { message: 'died' });
    const lost = join(folder, 'lost');
    await rm(lost, { recursive: true, force: true });
    await writeFile(lost, '');
    await assert.rejects(openTestRecorder({ folder, store }), {
      message: /^What was accepted as lost can't be set aside/,
    });
    assert.deepEqual(await journalFiles(), before);

    await rm(lost);
    for (let start = 0; start < 3; start++) {
      const recorder = await openTestRecorder({ folder, store });
      await recorder.strand('s')?.commit(event('afterwards'));
      await recorder.seal();
      await recorder.stop();
    }
    assert.equal((await real.readState())?.loss, undefined);
    const [name = ''] = await readdir(lost);
    const kept = await journalFiles(join(lost, name));
    const damagedAndLater = [...before].filter(([file]) => file >= journalName(found.damage.at.file));
    assert.ok(damagedAndLater.length >= 2);
    assert.deepEqual(kept, new Map(damagedAndLater));
    assert.deepEqual((await readBack(store)).verification.problems, []);
  });
}

test('where the damaged file can not be copied, no loss is written', async () => {
  await damaged(false);
  const before = await journalFiles();
  const writeAhead = createWriteAhead(folder);
  const state = await writeAhead.readState();
  const found = await examine();
  await writeFile(join(folder, 'lost'), '');
  await assert.rejects(acceptLoss({ path: folder, found, writeAhead, now: Date.now() * 1000 }), {
    message: /Nothing of it was removed/,
  });
  assert.deepEqual(await writeAhead.readState(), state);
  assert.deepEqual(await journalFiles(), before);
});
