import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, beforeEach, test } from 'node:test';
import type { Clock } from '../clock.ts';
import type { Store } from '../store/store.ts';
import { createFaultyFileSystem, type FaultyFileSystem } from './faults.ts';
import type { Frame } from './frame.ts';
import { openSystemStrand } from './system.ts';
import { createTestStore, killAll, openTestRecorder, readBack, START, type TestRecorder } from './test-recorder.ts';

const root = await mkdtemp(join(tmpdir(), 'verbatim-system-'));
after(() => rm(root, { recursive: true, force: true }));
afterEach(killAll);

let folder = '';
let store: Store;
let fs: FaultyFileSystem;
let recorder: TestRecorder;
let now = 0;
const clock: Clock = { micros: () => now * 1000, millis: () => now, offset: () => 0 };

beforeEach(async () => {
  folder = await mkdtemp(join(root, 'd-'));
  store = await createTestStore();
  fs = createFaultyFileSystem();
  recorder = await openTestRecorder({ folder, store, fileSystem: fs });
  now = Date.parse('2026-11-22T23:58:30Z');
});

const open = () =>
  openSystemStrand(
    recorder,
    clock,
    () => START,
    () => {},
  );

/** The strands in order, each as the names of its events and how it ended. */
async function strands(): Promise<string[][]> {
  await recorder.stop();
  const { verification, sessions } = await readBack(store);
  assert.deepEqual(verification.problems, []);
  const all = [...sessions].sort(([a], [b]) => (a < b ? -1 : 1));
  return all.map(([, frames]) => frames.flatMap(told));
}

function told(frame: Frame): string[] {
  if (frame.type === 'event') return [`${frame.event.name}${'count' in frame.event ? ` ${frame.event.count}` : ''}`];
  return frame.type === 'strand.end' ? [`end: ${frame.reason}`] : [];
}

const refusal = { address: '192.0.2.1', reason: 'unauthenticated' };

test('a refusal is recorded at once, the rest of its minute as a count', async () => {
  const system = await open();
  for (let index = 0; index < 5; index++) system.refused(refusal);
  await system.turn();
  now += 60_000;
  await system.turn();
  system.refused(refusal);
  await system.close('stopped');
  assert.deepEqual(await strands(), [['refused 1', 'refused 4', 'refused 1', 'end: stopped']]);
});

test('a flood of addresses is counted together', async () => {
  const system = await open();
  for (let index = 0; index < 3000; index++) system.refused({ ...refusal, address: `192.0.2.${index}` });
  await system.close('stopped');
  const [events = []] = await strands();
  assert.equal(events.length, 1000 + 2 + 1);
  assert.equal(events.at(-2), 'refused 1999');
});

test('refusals that could not be recorded are counted until they can be', async () => {
  const system = await open();
  fs.fail('writev', { code: 'ENOSPC', persists: false }, 1000);
  for (let index = 0; index < 3; index++) system.refused(refusal);
  await assert.rejects(system.event('lost'));
  now += 60_000;
  await assert.rejects(system.turn());
  await assert.rejects(system.turn());
  fs.heal();
  await system.turn();
  await system.close('stopped');
  assert.deepEqual(await strands(), [['refused 3', 'end: stopped']]);
});

test('a new strand each UTC day, also where the disk fails at midnight', async () => {
  const system = await open();
  await system.event('old day');
  now += 120_000;
  fs.fail('writev', { code: 'EIO', persists: false }, 1000);
  await assert.rejects(system.turn());
  fs.heal();
  // The new strand begins, and the end of the old one fails.
  fs.fail('fdatasync', { code: 'EIO', persists: false }, 1000, 2);
  await assert.rejects(system.turn());
  fs.heal();
  await system.event('new day');
  await system.turn();
  await system.turn();
  await system.close('stopped');
  assert.deepEqual(await strands(), [
    ['old day', 'end: day'],
    ['new day', 'end: stopped'],
  ]);
});

test('a system strand ends with its process: in order, or at the next start', async () => {
  const first = await open();
  await first.event('before');
  await recorder.kill();
  recorder = await openTestRecorder({ folder, store });
  const second = await open();
  await second.close('stopped');
  assert.deepEqual(await strands(), [['before', 'end: restart'], ['end: stopped']]);
});
