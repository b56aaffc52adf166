import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, beforeEach, test } from 'node:test';
import type { Store } from '../store/store.ts';
import { createFaultyFileSystem } from './faults.ts';
import { journalName } from './journal-file.ts';
import { recover } from './recover.ts';
import {
  createTestStore,
  event,
  JOURNAL_KEY,
  killAll,
  LEDGER,
  openTestRecorder,
  readBack,
  requestFrame,
  START,
} from './test-recorder.ts';
import { createWriteAhead } from './write-ahead.ts';

const root = await mkdtemp(join(tmpdir(), 'verbatim-recover-'));
after(() => rm(root, { recursive: true, force: true }));
afterEach(killAll);

let folder = '';
let journalFolder = '';
let store: Store;
beforeEach(async () => {
  folder = await mkdtemp(join(root, 'd-'));
  journalFolder = join(folder, 'journal');
  store = await createTestStore();
});

/** A recorder that was killed: what it wrote is on the disk, unsealed, over several journal files. */
async function killedRecorder(fileLimit = 1): Promise<void> {
  const recorder = await openTestRecorder({ folder, store, fileLimit, unsealed: true });
  const strand = await recorder.begin('s', START);
  await strand.commit(requestFrame('x'));
  await strand.commit(event('a'));
  await recorder.kill();
}

function recoverHere(overrides: { key?: Buffer; ledger?: string } = {}) {
  const writeAhead = createWriteAhead(folder);
  return recover({ folder: journalFolder, ledger: LEDGER, key: JOURNAL_KEY, writeAhead, ...overrides });
}

async function contents(): Promise<Map<string, Buffer>> {
  const names = (await readdir(journalFolder)).sort();
  return new Map(
    await Promise.all(names.map(async (name) => [name, await readFile(join(journalFolder, name))] as const)),
  );
}

test('what is whole is folded, and nothing on the disk is changed', async () => {
  await killedRecorder();
  const before = await contents();
  const { strands, pause, oldest } = await recoverHere();
  assert.deepEqual(
    strands.map(({ session, foldedThrough, open }) => ({ session, foldedThrough, open })),
    [{ session: 's', foldedThrough: 2, open: ['x'] }],
  );
  assert.deepEqual(pause, { kind: 'crash', last: strands[0]?.last });
  assert.equal(oldest, strands[0]?.summary.started);
  assert.deepEqual(await contents(), before);
});

test('a torn tail counts for nothing and stays where it is', async () => {
  await killedRecorder(1e6);
  const path = join(journalFolder, journalName(1));
  const whole = await readFile(path);
  await writeFile(path, Buffer.concat([whole, whole.subarray(-90, -20)]));
  const { found, strands } = await recoverHere();
  assert.equal(found.get(1), whole.length);
  assert.equal(strands[0]?.foldedThrough, 2);
  assert.equal((await readFile(path)).length, whole.length + 70);
});

test('a file that a crash left empty or with half a header is passed over', async () => {
  await killedRecorder();
  for (const half of [0, 50]) {
    await writeFile(
      join(journalFolder, journalName(4)),
      (await readFile(join(journalFolder, journalName(3)))).subarray(0, half),
    );
    const { found, strands } = await recoverHere();
    assert.equal(found.get(4), 0);
    assert.equal(strands[0]?.foldedThrough, 2);
  }
  const recorder = await openTestRecorder({ folder, store });
  await recorder.stop();
  const { verification, sessions } = await readBack(store);
  assert.deepEqual(verification.problems, []);
  assert.deepEqual(
    sessions.get('s')?.map(({ type }) => type),
    ['session.start', 'request', 'event', 'end', 'gap'],
  );
});

const damage: [string, () => Promise<void>][] = [
  ['a byte of an acknowledged commit is flipped', async () => flip(journalName(2), -40)],
  ['a file that its successor names is shorter', async () => cut(journalName(2), -1)],
  ['a file in the middle is gone', async () => rm(join(journalFolder, journalName(2)))],
  ['the first file is gone', async () => rm(join(journalFolder, journalName(1)))],
  ['the last header is broken and has commits behind it', async () => flip(journalName(3), 10)],
];

for (const [what, harm] of damage) {
  test(`${what}: the start fails, and nothing on the disk is changed`, async () => {
    await killedRecorder();
    await harm();
    const before = await contents();
    await assert.rejects(recoverHere(), { name: 'DamagedDiskError' });
    await assert.rejects(openTestRecorder({ folder, store }), { name: 'DamagedDiskError' });
    assert.deepEqual(await contents(), before);
  });
}

test('after an orderly stop, a journal that ends before its end is missed', async () => {
  const recorder = await openTestRecorder({ folder, store, unsealed: true });
  const strand = await recorder.begin('s', START);
  await strand.commit(event('a'));
  await recorder.stop();
  assert.equal((await recoverHere()).strands[0]?.foldedThrough, 1);
  await cut(journalName(1), -1);
  await assert.rejects(recoverHere(), { name: 'DamagedDiskError', message: /file 1 was written up to byte/ });
});

test('frames that the state knows of and the journal has not are missed', async () => {
  const recorder = await openTestRecorder({ folder, store });
  const strand = await recorder.begin('s', START);
  await strand.commit(event('a'));
  await recorder.seal();
  await strand.commit(event('b'));
  await recorder.kill();
  const path = join(folder, 'state.json');
  const state = JSON.parse((await readFile(path)).toString());
  state.strands[0].foldedThrough = strand.state.foldedThrough;
  await writeFile(path, JSON.stringify(state));
  assert.equal((await recoverHere()).strands[0]?.foldedThrough, 2);
  await cut(journalName(1), -1);
  await assert.rejects(recoverHere(), { name: 'DamagedDiskError', message: /ends at frame 1, expected 2/ });
});

test('a disk on which a later version went on is not touched', async () => {
  const recorder = await openTestRecorder({ folder, store });
  await recorder.begin('s', START);
  await recorder.seal();
  await recorder.kill();
  const path = join(folder, 'state.json');
  const later = JSON.stringify({ ...JSON.parse((await readFile(path)).toString()), v: 2 });
  await writeFile(path, later);
  await assert.rejects(recoverHere(), /state\.json has format 2, and this version of Verbatim knows 1/);
  assert.equal((await readFile(path)).toString(), later);
});

test('a file that was acknowledged and holds no frame of a known strand is missed, too', async () => {
  const recorder = await openTestRecorder({ folder, store, fileLimit: 1e6, unsealed: true });
  await recorder.begin('s', START);
  await recorder.kill();
  // A start that lived just long enough to write: its file comes after the first.
  await (await openTestRecorder({ folder, store, unsealed: true })).kill();
  await rm(join(journalFolder, journalName(1)));
  await assert.rejects(recoverHere(), { name: 'DamagedDiskError', message: /file 1 is missing/ });
});

test('a journal of another key, and a state of another ledger, are not adopted and not removed', async () => {
  await killedRecorder();
  const before = await contents();
  await assert.rejects(recoverHere({ key: Buffer.alloc(32, 9) }), { name: 'DamagedDiskError' });
  await assert.rejects(recoverHere({ ledger: 'another' }), /belongs to ledger/);
  assert.deepEqual(await contents(), before);
});

test('files that are sealed as a whole need not be whole', async () => {
  await killedRecorder();
  const first = await readFile(join(journalFolder, journalName(1)));
  const sealing = await openTestRecorder({ folder, store, fileLimit: 1 });
  await sealing.stop();
  await writeFile(join(journalFolder, journalName(1)), first.fill(0, 0, 50));
  const recorder = await openTestRecorder({ folder, store });
  assert.deepEqual(recorder.gaps, []);
  await recorder.stop();
  assert.deepEqual((await readBack(store)).verification.problems, []);
});

test('what a killed process left in the page cache alone is on the disk before it is built on', async () => {
  await killedRecorder(1e6);
  const fs = createFaultyFileSystem();
  const recorder = await openTestRecorder({ folder, store, fileSystem: fs });
  const strand = recorder.strand('s');
  assert.ok(strand);
  await strand.commit(event('b'));
  await recorder.kill();
  await fs.cutPower();
  const { strands } = await recoverHere();
  assert.equal(strands[0]?.foldedThrough, strand.state.foldedThrough);
});

test('an empty folder is a new disk', async () => {
  await mkdir(journalFolder);
  const { strands, pause, state } = await recoverHere();
  assert.deepEqual([strands, pause, state.nextEntries], [[], undefined, 0]);
});

async function flip(name: string, at: number): Promise<void> {
  const bytes = await readFile(join(journalFolder, name));
  const index = at < 0 ? bytes.length + at : at;
  bytes[index] = (bytes[index] ?? 0) ^ 1;
  await writeFile(join(journalFolder, name), bytes);
}

async function cut(name: string, by: number): Promise<void> {
  const bytes = await readFile(join(journalFolder, name));
  await writeFile(join(journalFolder, name), bytes.subarray(0, by));
}
