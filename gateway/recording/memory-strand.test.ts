import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, beforeEach, test } from 'node:test';
import type { Store } from '../store/store.ts';
import { createFaultyFileSystem, type FaultyFileSystem } from './faults.ts';
import type { Frame, FrameBody } from './frame.ts';
import { MEMORY_LOST } from './memory-strand.ts';
import {
  attempt,
  createTestStore,
  endFrame,
  event,
  killAll,
  openTestRecorder,
  readBack,
  requestFrame,
  START,
  type TestRecorder,
} from './test-recorder.ts';

const MEMORY = { ...START, durability: 'memory' } as const;

const root = await mkdtemp(join(tmpdir(), 'verbatim-memory-'));
after(() => rm(root, { recursive: true, force: true }));
afterEach(killAll);

let folder = '';
let store: Store;
let fs: FaultyFileSystem;
let recorder: TestRecorder;
/** What was written to journal files, whether it persisted or not. */
let written: string[];
beforeEach(async () => {
  folder = await mkdtemp(join(root, 'd-'));
  store = await createTestStore();
  const faulty = createFaultyFileSystem();
  written = [];
  fs = {
    ...faulty,
    writev(fd, buffers, position) {
      written.push(Buffer.concat(buffers).toString());
      return faulty.writev(fd, buffers, position);
    },
  };
  recorder = await openTestRecorder({ folder, store, fileSystem: fs });
});

function failJournal(): void {
  fs.fail('fdatasync', { code: 'ENOSPC', persists: false }, Number.POSITIVE_INFINITY);
}

/** What was queued so far is in the journal, or refused. */
async function journalTried(): Promise<void> {
  await new Promise<void>((done) => recorder.journal.append(Buffer.alloc(0), () => done()));
}

/** The session's frames in the store, checked for contiguity. */
async function framesOf(session: string): Promise<readonly Frame[]> {
  const { verification, sessions } = await readBack(store);
  assert.deepEqual(verification.problems, []);
  const frames = sessions.get(session) ?? [];
  assert.deepEqual(
    frames.map(({ seq }) => seq),
    frames.map((_, index) => index),
  );
  return frames;
}

function marks(frames: readonly Frame[]): string[] {
  return frames.map((frame) => {
    if (frame.type === 'event') return frame.event.name;
    return 'exchange' in frame ? `${frame.type} ${frame.exchange}` : frame.type;
  });
}

test('a frame is accepted at once, in order, while the journal is busy; it is recorded all the same', async () => {
  const strand = await recorder.begin('a', MEMORY);
  await journalTried();
  const { reached, release } = fs.hold();
  const settled: string[] = [];
  let inTurn = true;
  const note = (name: string) => (error?: Error) => {
    assert.equal(inTurn, false);
    settled.push(error === undefined ? name : `!${name}`);
  };
  strand.append(requestFrame('x'), note('request'));
  strand.barrier(note('barrier'));
  strand.append(endFrame('x'), note('end'));
  inTurn = false;
  await reached;
  assert.deepEqual(settled, ['request', 'barrier', 'end']);
  assert.equal(strand.state.foldedThrough, 0);
  release();
  await recorder.end(strand, 'idle');
  await recorder.stop();
  assert.deepEqual(marks(await framesOf('a')), ['session.start', 'request x', 'end x', 'strand.end']);
});

test('frames that the journal refused are lost, and a gap says so before the next one', async () => {
  const strand = await recorder.begin('a', MEMORY);
  await strand.commit(requestFrame('x'));
  await journalTried();
  failJournal();
  for (const body of [endFrame('x'), requestFrame('y')]) {
    assert.ok(await attempt(strand, body));
    await journalTried();
  }
  assert.ok(recorder.journal.failed());
  fs.heal();
  assert.ok(await attempt(strand, endFrame('y')));
  await recorder.end(strand, 'idle');
  await recorder.stop();
  const frames = await framesOf('a');
  assert.deepEqual(marks(frames), ['session.start', 'request x', 'gap', 'end y', 'end x', 'strand.end']);
  const gap = frames[2];
  assert.ok(gap?.type === 'gap');
  assert.equal(gap.gap.reason, MEMORY_LOST);
  // From the first lost frame on, though a gap that told of it was lost as well.
  const lost = /"at":"([^"]+)","type":"end","exchange":"x"/.exec(written.join(''))?.[1];
  assert.equal(gap.gap.from, lost);
  assert.ok(gap.gap.from < gap.gap.to && gap.gap.to <= gap.at);
});

test('a session that begins while the journal fails: its start is written first, then the gap', async () => {
  failJournal();
  const strand = await recorder.begin('a', MEMORY);
  assert.ok(await attempt(strand, requestFrame('x')));
  await journalTried();
  // Ending is no call: it is tried again until it is recorded.
  await assert.rejects(recorder.end(strand, 'idle'));
  fs.heal();
  assert.ok(await attempt(strand, event('back')));
  await recorder.end(strand, 'idle');
  await recorder.stop();
  assert.deepEqual(marks(await framesOf('a')), ['session.start', 'gap', 'back', 'strand.end']);
});

test('after a crash, too, nothing stands before the start', async () => {
  failJournal();
  const strand = await recorder.begin('a', MEMORY);
  await journalTried();
  fs.heal();
  await attempt(strand, event('back'));
  await journalTried();
  await recorder.kill();
  recorder = await openTestRecorder({ folder, store });
  assert.equal(recorder.strand('a')?.state.durability, 'memory');
  await recorder.stop();
  assert.deepEqual(marks(await framesOf('a')), ['session.start', 'back', 'gap']);
});

test('a stop tells of what was lost', async () => {
  const strand = await recorder.begin('a', MEMORY);
  await journalTried();
  failJournal();
  await attempt(strand, requestFrame('x'));
  await journalTried();
  fs.heal();
  await recorder.stop();
  recorder = await openTestRecorder({ folder, store });
  assert.deepEqual(recorder.gaps, []);
  await recorder.stop();
  assert.deepEqual(marks(await framesOf('a')), ['session.start', 'gap']);
});

test('a journal that hangs holds no more than the budget; what is beyond it is lost, with a gap', async () => {
  await recorder.kill();
  recorder = await openTestRecorder({ folder, store, fileSystem: fs, memoryLimit: 100_000 });
  const strand = await recorder.begin('a', MEMORY);
  await journalTried();
  const { reached, release } = fs.hold();
  const piece = (index: number): FrameBody => ({
    type: 'data',
    exchange: 'x',
    from: 'upstream',
    text: String(index).repeat(30_000),
  });
  for (let index = 0; index < 9; index++) assert.ok(await attempt(strand, piece(index)));
  await reached;
  release();
  await journalTried();
  assert.ok(await attempt(strand, piece(9)));
  await recorder.stop();
  const frames = await framesOf('a');
  assert.deepEqual(marks(frames), ['session.start', 'data x', 'data x', 'data x', 'gap', 'data x']);
  const texts = frames.flatMap((frame) => (frame.type === 'data' && 'text' in frame ? [frame.text[0]] : []));
  assert.deepEqual(texts, ['0', '1', '2', '9']);
});
