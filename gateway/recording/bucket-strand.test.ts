import assert from 'node:assert/strict';
import { cpSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, beforeEach, test } from 'node:test';
import { setImmediate as otherTurn } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import type { Signer } from '../ledger/signer.ts';
import { createFilesystemStore } from '../store/filesystem.ts';
import type { Store } from '../store/store.ts';
import { createDying, createFaultyFileSystem } from './faults.ts';
import type { Frame, FrameBody } from './frame.ts';
import { openRecordings } from './read.ts';
import type { Strand } from './strand.ts';
import {
  attempt,
  commentFrame,
  createTestStore,
  endFrame,
  event,
  killAll,
  openTestRecorder,
  readBack,
  requestFrame,
  SIGNER,
  START,
  type TestRecorder,
} from './test-recorder.ts';

const BUCKET = { ...START, durability: 'bucket' } as const;

const root = await mkdtemp(join(tmpdir(), 'verbatim-bucket-'));
after(() => rm(root, { recursive: true, force: true }));
afterEach(killAll);

let folder = '';
let inner: Store;
beforeEach(async () => {
  folder = await mkdtemp(join(root, 'd-'));
  inner = await createTestStore();
});

/** A store that can be held back or taken away, and that knows at each moment which objects it has taken. */
function createTestBucket() {
  const taken = new Map<string, Buffer>();
  let gate: PromiseWithResolvers<void> | undefined;
  let down: 'up' | 'fails' | 'fails but persists' = 'up';
  let attempts = 0;
  const store: Store = {
    ...inner,
    async create(name, bytes) {
      attempts++;
      await gate?.promise;
      if (down === 'fails') throw new Error('down');
      const outcome = await inner.create(name, bytes);
      if (outcome === 'created') taken.set(name, Buffer.from(bytes));
      if (down === 'fails but persists') throw new Error('down');
      return outcome;
    },
  };
  return {
    store,
    taken,
    attempts: () => attempts,
    hold() {
      gate = Promise.withResolvers();
    },
    release() {
      gate?.resolve();
      gate = undefined;
    },
    set(state: typeof down) {
      down = state;
    },
    /** Whether a stored segment that stored entries name holds the session's frame of this number. */
    holds(session: string, seq: number): boolean {
      const named = [...taken]
        .flatMap(([name, bytes]) => (name.includes('/entries/') ? [bytes.toString()] : []))
        .join();
      return [...taken].some(([name, bytes]) => {
        if (!name.startsWith('recordings/') || !name.includes(`/${session}.`) || !named.includes(name)) return false;
        return gunzipSync(bytes).includes(`"seq":${seq},`);
      });
    },
  };
}

function data(exchange: string, text: string): FrameBody {
  return { type: 'data', exchange, from: 'upstream', text };
}

function response(exchange: string): FrameBody {
  return { type: 'response', exchange, from: 'upstream', status: 200, headers: [] };
}

/** Everything queued so far is in the journal. */
async function journalled(recorder: TestRecorder): Promise<void> {
  await new Promise<void>((done) => recorder.journal.append(Buffer.alloc(0), () => done()));
}

/** Queues frames; their names as they settle, with `!` before what failed. */
function watch(strand: Strand) {
  const settled: string[] = [];
  const over: Promise<void>[] = [];
  return {
    settled,
    append(name: string, body: FrameBody): void {
      over.push(
        new Promise((done) =>
          strand.append(body, (error) => {
            settled.push(error === undefined ? name : `!${name}`);
            done();
          }),
        ),
      );
    },
    all: () => Promise.all(over),
  };
}

test('frames of exchanges settle when their segment is stored; what is the session’s own when it is journalled', async () => {
  const bucket = createTestBucket();
  const recorder = await openTestRecorder({ folder, store: bucket.store });
  const strand = await recorder.begin('a', BUCKET);
  await recorder.seal();
  bucket.hold();
  const { settled, append, all } = watch(strand);
  append('comment before', commentFrame('x'));
  append('request', requestFrame('x'));
  append('response', response('x'));
  append('comment behind', commentFrame('x'));
  append('data', data('x', 'answer'));
  strand.barrier((error) => settled.push(error === undefined ? 'barrier' : '!barrier'));
  append('end', endFrame('x'));
  append('event', event('e'));
  await journalled(recorder);
  assert.deepEqual(settled, ['comment before', 'event']);
  assert.equal(strand.state.foldedThrough, 7, 'all of it is in the journal');
  bucket.release();
  await all();
  const rest = ['request', 'response', 'comment behind', 'data', 'barrier', 'end'];
  assert.deepEqual(settled, ['comment before', 'event', ...rest]);
  assert.ok(bucket.holds('a', 6));
  // Nobody asked for it: the next frame is sealed at once, too, and comments alone are not.
  assert.ok(await attempt(strand, commentFrame('x')));
  const before = bucket.attempts();
  assert.ok(await attempt(strand, data('x', 'more')));
  assert.ok(bucket.attempts() > before);
  await recorder.stop();
  assert.equal((await readBack(inner)).sessions.get('a')?.length, 10);
});

test('what comes while a round is stored forms the next segment', async () => {
  const bucket = createTestBucket();
  const recorder = await openTestRecorder({ folder, store: bucket.store });
  const strand = await recorder.begin('a', BUCKET);
  await recorder.seal();
  bucket.hold();
  const { append, all } = watch(strand);
  const before = bucket.attempts();
  append('0', requestFrame('x'));
  while (bucket.attempts() === before) await otherTurn();
  for (let index = 1; index < 20; index++) {
    append(String(index), data('x', String(index)));
    await journalled(recorder);
  }
  bucket.release();
  await all();
  assert.equal([...bucket.taken.keys()].filter((name) => name.startsWith('recordings/')).length, 3);
});

test('the disk is lost at the moment of each acknowledgement: the store alone holds every acknowledged byte', async () => {
  const place = join(folder, 'store');
  const disk = join(folder, 'disk');
  const recorder = await openTestRecorder({ folder: disk, store: createFilesystemStore({ root: place }) });
  const acknowledged: string[][] = [];
  let known: string[] = [];
  const acknowledge = (strand: Strand, text: string, body: FrameBody): Promise<void> =>
    new Promise((done, fail) =>
      strand.append(body, (error) => {
        if (error !== undefined) return fail(error);
        // Nothing else runs between the acknowledgement and this copy.
        cpSync(place, `${place}.${acknowledged.length}`, { recursive: true });
        known = [...known, text];
        acknowledged.push(known);
        done();
      }),
    );
  const strands = await Promise.all([recorder.begin('a', BUCKET), recorder.begin('b', BUCKET)]);
  await Promise.all(
    strands.map(async (strand) => {
      for (let call = 0; call < 2; call++) {
        const exchange = `${strand.session}-${call}`;
        await acknowledge(strand, `"exchange":"${exchange}"`, requestFrame(exchange));
        await Promise.all(
          ['first', 'second'].map((piece) =>
            acknowledge(strand, `${exchange} ${piece}`, data(exchange, `${exchange} ${piece}`)),
          ),
        );
        await acknowledge(strand, `"end","exchange":"${exchange}"`, endFrame(exchange));
      }
    }),
  );
  await recorder.kill();
  await rm(disk, { recursive: true });
  assert.equal(acknowledged.length, 16);
  for (const [index, texts] of acknowledged.entries()) {
    const recordings = openRecordings(createFilesystemStore({ root: `${place}.${index}` }), { uncovered: true });
    let lines = '';
    for (const session of ['a', 'b']) {
      for await (const item of recordings.frames(session)) {
        assert.equal(item.kind, 'frame');
        if (item.kind === 'frame') lines += item.line;
      }
    }
    for (const text of texts) assert.ok(lines.includes(text), `${index}: ${text}`);
    const { problems } = await recordings.verifyAll({ verifierKeys: [SIGNER.verifierKey], now: Date.now() });
    assert.deepEqual(
      problems.filter(({ code }) => code !== 'digest_missing'),
      [],
    );
  }
});

/** A call's frames one after the other, until one is refused. Resolves the sequence numbers that were acknowledged. */
async function playCall(recorder: TestRecorder): Promise<number[]> {
  const acknowledged: number[] = [];
  const strand = await recorder.begin('a', BUCKET).catch(() => undefined);
  for (const body of [requestFrame('x'), commentFrame('x'), data('x', 'answer'), endFrame('x')]) {
    if (strand === undefined) break;
    const seq = acknowledged.length + 1;
    if (!(await attempt(strand, body))) break;
    acknowledged.push(seq);
  }
  return acknowledged;
}

test('a process that dies at any step, done or not, and takes its disk along: what was acknowledged is in the store', async () => {
  const counting = createDying();
  const whole = await openTestRecorder({ folder, store: inner, dying: counting });
  assert.equal((await playCall(whole)).length, 4);
  await whole.stop();
  let most = 0;
  for (let at = 0; at < counting.steps.length; at++) {
    for (const done of [false, true]) {
      const disk = await mkdtemp(join(root, 'd-'));
      inner = await createTestStore();
      const { store, holds } = createTestBucket();
      const dying = createDying(at, done);
      const recorder = await openTestRecorder({ folder: disk, store, dying, storeWithin: 10 }).catch(() => undefined);
      const acknowledged = recorder === undefined ? [] : await playCall(recorder);
      // A comment waits for nothing but what is before it.
      for (const seq of acknowledged) {
        assert.ok(seq === 2 || holds('a', seq), `frame ${seq}, died at ${counting.steps[at]}, ${done}`);
      }
      most = Math.max(most, acknowledged.length);
      await recorder?.kill();
    }
  }
  // How far the last ones get depends on how busy the machine is: a store has 10 ms here.
  assert.ok(most >= 2);
});

test('a store that is down: what waits fails in time, nothing passes, sessions end; back again, all is delivered', async () => {
  const bucket = createTestBucket();
  const recorder = await openTestRecorder({ folder, store: bucket.store, storeWithin: 300 });
  const strand = await recorder.begin('a', BUCKET);
  await recorder.seal();
  const other = await recorder.begin('b', BUCKET);
  for (const one of [strand, other]) assert.ok(await attempt(one, requestFrame('x')));
  bucket.set('fails');
  const { settled, append, all } = watch(strand);
  append('response', response('x'));
  append('data', data('x', 'withheld'));
  append('comment', commentFrame('x'));
  append('request', requestFrame('y'));
  await all();
  assert.deepEqual(settled, ['!response', '!data', '!comment', '!request']);
  // New frames are given the same time.
  assert.equal(await attempt(strand, requestFrame('z')), false);
  // Sessions begin and end all the same, what is open in them included.
  await recorder.begin('c', BUCKET);
  await recorder.end(other, 'idle');
  bucket.set('up');
  await recorder.seal();
  assert.ok(await attempt(strand, requestFrame('w')));
  assert.ok(await attempt(strand, endFrame('w')));
  await recorder.end(strand, 'idle');
  await recorder.stop();
  const { verification, sessions } = await readBack(inner);
  assert.deepEqual(verification.problems, []);
  const frames = sessions.get('a') ?? [];
  assert.deepEqual(
    frames.map(({ seq }) => seq),
    frames.map((_, index) => index),
  );
  const told = frames.flatMap((frame) => (frame.type === 'event' ? [frame.event] : []));
  assert.deepEqual(told, [
    { name: 'recording.withheld', first: 2, last: 5 },
    { name: 'recording.withheld', first: 8, last: 8 },
  ]);
  const ends = frames.flatMap((frame) =>
    frame.type === 'end' ? [[frame.exchange, frame.outcome.result, frame.outcome.fate]] : [],
  );
  assert.deepEqual(ends, [
    ['y', 'recording_unavailable', 'not_forwarded'],
    ['z', 'recording_unavailable', 'not_forwarded'],
    ['w', 'complete', undefined],
    ['x', 'unknown', 'outcome_withheld'],
  ]);
});

test('the journal refuses to say what was withheld: it is said before the next frame that it takes, once', async () => {
  const fs = createFaultyFileSystem();
  const bucket = createTestBucket();
  const recorder = await openTestRecorder({ folder, store: bucket.store, storeWithin: 100, fileSystem: fs });
  const strand = await recorder.begin('a', BUCKET);
  await recorder.seal();
  bucket.set('fails');
  const { settled, append, all } = watch(strand);
  append('request', requestFrame('x'));
  append('second', requestFrame('y'));
  await journalled(recorder);
  // A commit is tried twice, the one after a refusal once.
  fs.fail('fdatasync', { code: 'EIO', persists: false }, 3);
  append('refused', data('y', 'refused'));
  await all();
  await journalled(recorder).catch(() => {});
  assert.deepEqual(settled, ['!request', '!second', '!refused']);
  assert.equal(fs.failures(), 3);
  assert.equal(strand.state.foldedThrough, 2);
  bucket.set('up');
  // What ends by itself is not ended twice.
  await strand.note(endFrame('y'));
  await recorder.seal();
  await recorder.stop();
  const { verification, sessions } = await readBack(inner);
  assert.deepEqual(verification.problems, []);
  const frames = sessions.get('a') ?? [];
  assert.deepEqual(
    frames.map((frame) => [
      frame.seq,
      frame.type,
      ...(frame.type === 'event' ? [frame.event] : []),
      ...(frame.type === 'end' ? [frame.exchange, frame.outcome.result, frame.outcome.fate] : []),
    ]),
    [
      [0, 'session.start'],
      [1, 'request'],
      [2, 'request'],
      [3, 'event', { name: 'recording.withheld', first: 1, last: 2 }],
      [4, 'end', 'x', 'recording_unavailable', 'not_forwarded'],
      [5, 'end', 'y', 'complete', undefined],
    ],
  );
});

test('a store that fails and persists is asked again with the same bytes, by itself, and the frame settles', async () => {
  const bucket = createTestBucket();
  const recorder = await openTestRecorder({ folder, store: bucket.store, storeWithin: 3000 });
  const strand = await recorder.begin('a', BUCKET);
  await recorder.seal();
  bucket.set('fails but persists');
  const settled = attempt(strand, requestFrame('x'));
  // However often it has failed, it is asked again while somebody waits.
  while (recorder.failures.length < 4) await otherTurn();
  assert.ok([...bucket.taken.keys()].some((name) => name.includes('.00001.')));
  bucket.set('up');
  assert.ok(await settled);
  await recorder.stop();
  assert.deepEqual((await readBack(inner)).verification.problems, []);
});

test('a store that is down is not asked with every frame that waits', async () => {
  const bucket = createTestBucket();
  const recorder = await openTestRecorder({ folder, store: bucket.store, storeWithin: 200 });
  const strand = await recorder.begin('a', BUCKET);
  await recorder.seal();
  bucket.set('fails');
  const { append, all } = watch(strand);
  for (let index = 0; index < 50; index++) {
    append(String(index), data('x', String(index)));
    await journalled(recorder);
  }
  await all();
  assert.ok(recorder.failures.length < 5, `${recorder.failures.length} attempts`);
});

test('the signer is down: frames settle all the same, and it is not asked with every one of them', async () => {
  let signing = true;
  let asked = 0;
  const signer: Signer = {
    ...SIGNER,
    sign(text) {
      asked++;
      return signing ? SIGNER.sign(text) : Promise.reject(new Error('down'));
    },
  };
  const recorder = await openTestRecorder({ folder, store: inner, signer });
  const strand = await recorder.begin('a', BUCKET);
  await recorder.seal();
  signing = false;
  asked = 0;
  for (let index = 0; index < 20; index++) assert.ok(await attempt(strand, data('x', String(index))));
  assert.ok(asked < 5, `${asked} times`);
  signing = true;
  await recorder.stop();
  const { verification, sessions } = await readBack(inner);
  assert.deepEqual([verification.problems, verification.pending], [[], 0]);
  assert.equal(sessions.get('a')?.length, 21);
});

test('a strand that has ended and left the ledger’s state: its last frames settle as others do', async () => {
  const bucket = createTestBucket();
  const recorder = await openTestRecorder({ folder, store: bucket.store });
  const strand = await recorder.begin('a', BUCKET);
  await recorder.seal();
  bucket.hold();
  const { settled, append, all } = watch(strand);
  append('request', requestFrame('x'));
  append('end', endFrame('x'));
  await recorder.end(strand, 'idle');
  while (recorder.strand('a') !== undefined) await otherTurn();
  assert.deepEqual(settled, []);
  bucket.release();
  await all();
  assert.deepEqual(settled, ['request', 'end']);
  await recorder.stop();
});

test('more than one round: each frame settles with its own', async () => {
  const bucket = createTestBucket();
  const recorder = await openTestRecorder({ folder, store: bucket.store });
  const strand = await recorder.begin('a', BUCKET);
  await recorder.seal();
  const entries = () => [...bucket.taken.keys()].filter((name) => name.includes('/entries/')).length;
  const before = entries();
  const text = 'x'.repeat(256 * 1024);
  const rounds = new Set<number>();
  bucket.hold();
  const asked = bucket.attempts();
  const first = attempt(strand, requestFrame('x'));
  while (bucket.attempts() === asked) await otherTurn();
  const settled: Promise<void>[] = [];
  for (let index = 0; index < 140; index++) {
    const one = Promise.withResolvers<void>();
    settled.push(one.promise);
    strand.append(data('x', text), (error) => {
      assert.equal(error, undefined);
      rounds.add(entries() - before);
      one.resolve();
    });
    // Several records of the journal, as calls would make them: a round takes whole ones.
    if (index % 10 === 9) await journalled(recorder);
  }
  bucket.release();
  await Promise.all([first, ...settled]);
  assert.deepEqual([...rounds], [2, 3]);
  await recorder.stop();
  assert.equal((await readBack(inner)).sessions.get('a')?.length, 142);
});

test('a refused commit fails in its order, and its number is given again', async () => {
  const fs = createFaultyFileSystem();
  const bucket = createTestBucket();
  const recorder = await openTestRecorder({ folder, store: bucket.store, fileSystem: fs });
  const strand = await recorder.begin('a', BUCKET);
  await recorder.seal();
  bucket.hold();
  const { settled, append, all } = watch(strand);
  append('request', requestFrame('x'));
  await journalled(recorder);
  fs.fail('fdatasync', { code: 'EIO', persists: false }, 2);
  append('data', data('x', 'refused'));
  await journalled(recorder).catch(() => {});
  fs.heal();
  append('end', endFrame('x'));
  await journalled(recorder);
  assert.deepEqual(settled, []);
  bucket.release();
  await all();
  assert.deepEqual(settled, ['request', '!data', 'end']);
  await recorder.stop();
  const frames: readonly Frame[] = (await readBack(inner)).sessions.get('a') ?? [];
  assert.deepEqual(
    frames.map(({ seq, type }) => `${seq} ${type}`),
    ['0 session.start', '1 request', '2 end'],
  );
});

test('a stop leaves nothing waiting, and a restart on the same disk waits for the store as before', async () => {
  const bucket = createTestBucket();
  let recorder = await openTestRecorder({ folder, store: bucket.store });
  const strand = await recorder.begin('a', BUCKET);
  await recorder.seal();
  bucket.set('fails');
  const { settled, append, all } = watch(strand);
  append('request', requestFrame('x'));
  await journalled(recorder);
  await recorder.stop();
  await all();
  assert.deepEqual(settled, ['!request']);
  // The store is still down: the start does not wait for it.
  recorder = await openTestRecorder({ folder, store: bucket.store, storeWithin: 30 });
  const again = recorder.strand('a');
  assert.ok(again);
  assert.equal(await attempt(again, requestFrame('y')), false);
  await recorder.kill();
  recorder = await openTestRecorder({ folder, store: bucket.store });
  bucket.set('up');
  await recorder.stop();
  const { verification, sessions } = await readBack(inner);
  assert.deepEqual(verification.problems, []);
  const ends = (sessions.get('a') ?? []).flatMap((frame) => (frame.type === 'end' ? [frame.exchange] : []));
  assert.deepEqual(ends, ['x', 'y']);
});

test('a state of an older version: its strands are of the disk', async () => {
  let recorder = await openTestRecorder({ folder, store: inner });
  await recorder.begin('a', START);
  await recorder.stop();
  const state = join(folder, 'state.json');
  const written = await readFile(state, 'utf8');
  assert.ok(written.includes('"durability":"disk",'));
  await writeFile(state, written.replace('"durability":"disk",', ''));
  const bucket = createTestBucket();
  bucket.set('fails');
  recorder = await openTestRecorder({ folder, store: bucket.store });
  const strand = recorder.strand('a');
  assert.ok(strand);
  assert.ok(await attempt(strand, requestFrame('x')));
  await recorder.kill();
});
