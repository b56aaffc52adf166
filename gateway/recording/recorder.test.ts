import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, beforeEach, test } from 'node:test';
import type { Signer } from '../ledger/signer.ts';
import type { Store } from '../store/store.ts';
import { createDying, createFaultyFileSystem } from './faults.ts';
import type { Frame, FrameBody } from './frame.ts';
import type { RecorderPressure } from './recorder.ts';
import type { StrandSummary } from './summary.ts';
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
import { createUnsealed, principalName, type Unsealed } from './unsealed.ts';

const root = await mkdtemp(join(tmpdir(), 'verbatim-recorder-'));
after(() => rm(root, { recursive: true, force: true }));
afterEach(killAll);

let folder = '';
let store: Store;
beforeEach(async () => {
  folder = await mkdtemp(join(root, 'd-'));
  store = await createTestStore();
});

function marks(frames: readonly Frame[] | undefined): string[] {
  return (frames ?? []).flatMap((frame) => {
    if (frame.type === 'event') return [frame.event.name];
    return 'exchange' in frame ? [`${frame.type} ${frame.exchange}`] : [frame.type];
  });
}

function assertContiguous(frames: readonly Frame[] | undefined): void {
  assert.deepEqual(
    frames?.map(({ seq }) => seq),
    frames?.map((_, index) => index),
  );
}

async function summaryOf(session: string): Promise<StrandSummary> {
  for await (const name of store.list('sessions/')) {
    if (name.includes(session)) return JSON.parse(Buffer.from((await store.get(name)) ?? '').toString());
  }
  throw new Error(`${session} has no summary.`);
}

/** Switches a part of the outside world off and on. */
function createSwitch() {
  let on = true;
  return {
    off() {
      on = false;
    },
    on() {
      on = true;
    },
    pass<T>(run: () => Promise<T>): Promise<T> {
      return on ? run() : Promise.reject(new Error('down'));
    },
  };
}

/** Two sessions, one that ends and one that goes on, comments, a heartbeat, and what was acknowledged of it. */
async function play(recorder: TestRecorder, acknowledged: Map<string, string[]>): Promise<void> {
  const note = async (session: string, body: FrameBody): Promise<void> => {
    const strand = recorder.strand(session);
    if (strand === undefined || !(await attempt(strand, body))) return;
    acknowledged.set(session, [...(acknowledged.get(session) ?? []), ...marks([body as Frame])]);
  };
  const begin = async (session: string): Promise<void> => {
    await recorder.begin(session, START).then(
      () => acknowledged.set(session, ['session.start']),
      () => {},
    );
  };
  await begin('a');
  await Promise.all([note('a', requestFrame('a1')), begin('b')]);
  await note('b', requestFrame('b1'));
  await note('a', commentFrame('a1'));
  await recorder.seal();
  await note('a', endFrame('a1'));
  await Promise.all([recorder.heartbeat(), note('b', requestFrame('b2')), note('b', endFrame('b1'))]);
  await note('a', { type: 'strand.end', reason: 'idle' });
  await recorder.seal();
}

async function assertWhole(acknowledged: ReadonlyMap<string, readonly string[]>): Promise<void> {
  const { verification, sessions } = await readBack(store);
  // A process that died before anything was stored left no ledger, which is no proof and no loss.
  const problems = verification.problems.filter(
    ({ object }) => object !== store.url || verification.ledgers.length > 0,
  );
  assert.deepEqual(problems, []);
  assert.equal(verification.pending, 0);
  for (const frames of sessions.values()) assertContiguous(frames);
  for (const [session, expected] of acknowledged) {
    const found = marks(sessions.get(session));
    assert.deepEqual(
      found.filter((mark) => expected.includes(mark)),
      expected,
      session,
    );
    assert.equal(new Set(found.filter((mark) => mark !== 'gap')).size, found.filter((mark) => mark !== 'gap').length);
    // Whatever began has an end, once.
    for (const request of found.filter((mark) => mark.startsWith('request '))) {
      assert.ok(found.includes(request.replace('request', 'end')), `${session}: ${request}`);
    }
  }
}

async function stepsOf(): Promise<readonly string[]> {
  const dying = createDying();
  const recorder = await openTestRecorder({ folder, store, dying, fileLimit: 4096 });
  await play(recorder, new Map());
  await recorder.stop();
  await assertWhole(new Map());
  return dying.steps;
}

test('a process that dies at any step, done or not, loses and doubles nothing; so does the start after it', async () => {
  const steps = await stepsOf();
  // Entries come after what they name.
  const stored = steps.filter((step) => step.startsWith('store ') || step === 'writeRound');
  for (const [index, step] of stored.entries()) {
    if (step.includes('/entries/')) assert.match(stored[index + 1] ?? '', /\/checkpoint\//);
  }
  for (const step of ['writeRound', 'writeCheckpoint', 'writeState', 'clearRound', 'sign'])
    assert.ok(steps.includes(step));
  for (let at = 0; at < steps.length; at++) {
    for (const done of [false, true]) {
      folder = await mkdtemp(join(root, 'd-'));
      store = await createTestStore();
      const acknowledged = new Map<string, string[]>();
      const dying = createDying(at, done);
      const first = await openTestRecorder({ folder, store, dying, fileLimit: 4096 }).catch(() => undefined);
      if (first !== undefined) {
        await play(first, acknowledged);
        await first.stop().catch(() => {});
        await first.kill();
      }
      // The next one dies on its way, too, at a step that moves along with the first.
      const again = createDying(at % 23, !done);
      const second = await openTestRecorder({ folder, store, dying: again }).catch(() => undefined);
      await second?.seal();
      await second?.kill();
      const third = await openTestRecorder({ folder, store });
      const was = third.strand('b');
      if (was !== undefined && (await attempt(was, event('late')))) acknowledged.get('b')?.push('late');
      for (const strand of [...third.strands()]) {
        if (strand.state.endedAt === undefined) await third.end(strand, 'test');
      }
      await third.stop();
      try {
        await assertWhole(acknowledged);
      } catch (error) {
        throw new Error(`died at step ${at} (${steps[at]}, ${done ? 'done' : 'not done'})`, { cause: error });
      }
    }
  }
});

test('the signer is down: segments and entries go on, one later checkpoint covers them, journal files wait for it', async () => {
  const signing = createSwitch();
  const signer: Signer = { ...SIGNER, sign: (text) => signing.pass(() => SIGNER.sign(text)) };
  let recorder = await openTestRecorder({ folder, store, signer, fileLimit: 1 });
  const strand = await recorder.begin('a', START);
  await recorder.seal();
  signing.off();
  const before = recorder.checkpoints.length;
  for (const name of ['one', 'two', 'three']) {
    await strand.commit(event(name));
    await recorder.seal();
  }
  // The same after a crash in the middle of it.
  await recorder.kill();
  recorder = await openTestRecorder({ folder, store, signer, fileLimit: 1 });
  await recorder.seal();
  // Comments alone make no object, and let no journal file go either.
  await recorder.strand('a')?.commit(commentFrame('x'));
  await recorder.seal();
  assert.equal(recorder.checkpoints.length, 0);
  assert.ok(recorder.failures.length > 0);
  assert.ok(recorder.journal.oldestUnsealed() !== undefined);
  assert.ok((await readdir(join(folder, 'journal'))).length >= 3);
  assert.ok((await names('ledger/')).filter((name) => name.includes('/entries/')).length >= before + 3);
  await recorder.kill();
  recorder = await openTestRecorder({ folder, store, signer });
  await recorder.seal();
  assert.equal(recorder.checkpoints.length, 0);
  signing.on();
  await recorder.seal();
  assert.equal(recorder.checkpoints.length, 1);
  await recorder.stop();
  await assertWhole(new Map([['a', ['one', 'two', 'three']]]));
});

test('the store fails between entries and checkpoint: the next round does not overtake it, nor does a crash', async () => {
  const storing = createSwitch();
  const flaky: Store = {
    ...store,
    create: (name, bytes) =>
      name.includes('/checkpoint/') ? storing.pass(() => store.create(name, bytes)) : store.create(name, bytes),
  };
  const recorder = await openTestRecorder({ folder, store: flaky });
  const strand = await recorder.begin('a', START);
  await recorder.seal();
  storing.off();
  for (const name of ['one', 'two', 'three']) {
    await strand.commit(event(name));
    await recorder.seal();
  }
  await recorder.kill();
  const next = await openTestRecorder({ folder, store });
  await next.stop();
  await assertWhole(new Map([['a', ['one', 'two', 'three']]]));
});

test('a checkpoint that waited for the store leaves nothing uncovered when it is back', async () => {
  const storing = createSwitch();
  const flaky: Store = {
    ...store,
    create: (name, bytes) =>
      name.includes('/checkpoint/') ? storing.pass(() => store.create(name, bytes)) : store.create(name, bytes),
  };
  const recorder = await openTestRecorder({ folder, store: flaky });
  const strand = await recorder.begin('a', START);
  storing.off();
  await strand.commit(event('one'));
  await recorder.seal();
  await strand.commit(event('two'));
  storing.on();
  await recorder.seal();
  const { verification, sessions } = await readBack(store);
  assert.deepEqual(verification.problems, []);
  assert.equal(verification.pending, 0);
  assert.deepEqual(marks(sessions.get('a')), ['session.start', 'one', 'two']);
  assert.equal(recorder.journal.oldestUnsealed(), undefined);
  await recorder.stop();
});

for (const persists of [true, false]) {
  test(`a checkpoint whose write failed (${persists ? '' : 'not '}done) is durable before it is stored`, async () => {
    const steps: string[] = [];
    let faults = 1;
    const watched: Store = {
      ...store,
      async create(name, bytes) {
        if (name.includes('/checkpoint/')) steps.push('store');
        return store.create(name, bytes);
      },
    };
    const recorder = await openTestRecorder({
      folder,
      store: watched,
      writeAhead: (real) => ({
        async writeCheckpoint(checkpoint) {
          const fails = faults-- > 0;
          if (persists || !fails) await real.writeCheckpoint(checkpoint);
          if (fails) throw Object.assign(new Error('EIO'), { code: 'EIO' });
          steps.push('durable');
        },
        async confirm() {
          await real.confirm();
          steps.push('durable');
        },
      }),
    });
    await recorder.begin('a', START);
    await recorder.seal();
    await recorder.seal();
    assert.equal(recorder.failures.length, 1);
    assert.deepEqual(steps, ['durable', 'store']);
    await recorder.stop();
    await assertWhole(new Map([['a', ['session.start']]]));
  });
}

const noSpace = (): Promise<never> => Promise.reject(Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' }));

test('a round that finds no room is made smaller until it does, and nothing is lost', async () => {
  const sizes: number[] = [];
  const recorder = await openTestRecorder({
    folder,
    store,
    writeAhead: (real) => ({
      writeRound(round) {
        const size = round.objects.reduce((sum, { bytes }) => sum + bytes.length, 0);
        sizes.push(size);
        return size > 100_000 ? noSpace() : real.writeRound(round);
      },
    }),
  });
  const strand = await recorder.begin('a', START);
  await recorder.seal();
  const names = Array.from({ length: 40 }, (_, index) => `e${index}`);
  for (const name of names) {
    await strand.commit({ type: 'event', event: { name, text: randomBytes(15_000).toString('base64') } });
  }
  await recorder.seal();
  assert.deepEqual(recorder.failures, []);
  assert.ok(
    sizes.some((size) => size > 500_000),
    'it began with all',
  );
  assert.equal(recorder.journal.oldestUnsealed(), undefined);
  await recorder.stop();
  await assertWhole(new Map([['a', names]]));
});

test('one record that is more than the least round is tried a few times and told, not for ever', async () => {
  let attempts = 0;
  const recorder = await openTestRecorder({
    folder,
    store,
    writeAhead: (real) => ({
      writeRound(round) {
        attempts++;
        return attempts > 1 && attempts < 50 ? noSpace() : real.writeRound(round);
      },
    }),
  });
  const strand = await recorder.begin('a', START);
  await recorder.seal();
  await strand.commit({ type: 'event', event: { name: 'big', text: 'x'.repeat(400_000) } });
  await recorder.seal();
  assert.ok(attempts < 10, `${attempts}`);
  assert.equal(recorder.failures.length, 1);
  attempts = 50;
  await recorder.stop();
  await assertWhole(new Map([['a', ['big']]]));
});

test('a journal file that can not be removed is told, and keeps nothing from being sealed', async () => {
  const fileSystem = createFaultyFileSystem();
  const recorder = await openTestRecorder({ folder, store, fileSystem, fileLimit: 1 });
  const strand = await recorder.begin('a', START);
  await recorder.seal();
  fileSystem.fail('unlink', { code: 'EIO', persists: false }, 100);
  for (const name of ['one', 'two']) await strand.commit(event(name));
  await recorder.seal();
  assert.ok(recorder.failures.length > 0);
  const { sessions } = await readBack(store);
  assert.deepEqual(marks(sessions.get('a')), ['session.start', 'one', 'two']);
  fileSystem.heal();
  await recorder.seal();
  assert.deepEqual(await readdir(join(folder, 'journal')), []);
  await recorder.stop();
});

test('no journal file goes before the checkpoint over it is stored', async () => {
  let waiting = 0;
  const watched: Store = {
    ...store,
    async create(name, bytes) {
      if (name.includes('/checkpoint/')) waiting = (await readdir(join(folder, 'journal'))).length;
      return store.create(name, bytes);
    },
  };
  const recorder = await openTestRecorder({ folder, store: watched, fileLimit: 1 });
  const strand = await recorder.begin('a', START);
  await recorder.seal();
  for (const name of ['one', 'two', 'three']) await strand.commit(event(name));
  await recorder.seal();
  assert.equal(waiting, 3);
  assert.deepEqual(await readdir(join(folder, 'journal')), []);
  await recorder.stop();
});

const principal = { kind: 'human', issuer: 'https://idp.example.com', subject: 'ana', groups: [] } as const;

function pressureOf(unsealed: Unsealed): RecorderPressure {
  return {
    unsealed,
    reserve: { give: async () => false },
    upstreamOf: (connection) => `http://${connection}`,
    isFullFor: () => false,
  };
}

/** Of Ana, her connection and its upstream. */
function held(unsealed: Unsealed): number[] {
  return [
    unsealed.held('principal', principalName(principal)),
    unsealed.held('connection', 'orders'),
    unsealed.held('upstream', 'http://orders'),
  ];
}

test('the signer is down: what is stored is counted on, as it stays in the journal, and goes with its checkpoint', async () => {
  const unsealed = createUnsealed();
  let down = true;
  const signer: Signer = {
    ...SIGNER,
    sign: (text) => (down ? Promise.reject(new Error('down')) : SIGNER.sign(text)),
  };
  const recorder = await openTestRecorder({ folder, store, signer, pressure: pressureOf(unsealed) });
  const strand = await recorder.begin('a', { ...START, principal });
  await strand.commit({ type: 'event', event: { name: 'one', text: 'x'.repeat(10_000) } });
  const before = held(unsealed);
  await recorder.seal();
  await recorder.seal();
  assert.ok(recorder.failures.length > 0 && recorder.failures.every(({ name }) => name === 'SignerDownError'));
  assert.deepEqual([recorder.checkpoints.length, held(unsealed)], [0, before]);
  // A round that ends its strand leaves the one before it counted.
  await recorder.end(strand, 'idle');
  await recorder.seal();
  assert.equal(recorder.strand('a'), undefined);
  assert.ok(held(unsealed).every((bytes, index) => bytes > (before[index] ?? 0)));
  down = false;
  await recorder.seal();
  assert.deepEqual([recorder.checkpoints.length, held(unsealed)], [1, [0, 0, 0]]);
  assert.equal(unsealed.count('principal'), 0);
  await recorder.stop();
});

test('the signer is down: a restart goes on with the age of what is stored, and a checkpoint ends it', async () => {
  let down = true;
  const signer: Signer = {
    ...SIGNER,
    sign: (text) => (down ? Promise.reject(new Error('down')) : SIGNER.sign(text)),
  };
  let recorder = await openTestRecorder({ folder, store, signer });
  await recorder.begin('a', START);
  await recorder.seal();
  const oldest = recorder.journal.oldestUnsealed();
  assert.ok(oldest !== undefined);
  // Each start finds the newest round unfinished, and those before it in the state.
  for (const name of ['one', 'two']) {
    await recorder.strand('a')?.commit(event(name));
    await recorder.seal();
    await recorder.kill();
    recorder = await openTestRecorder({ folder, store, signer });
    assert.equal(recorder.journal.oldestUnsealed(), oldest);
  }
  down = false;
  await recorder.seal();
  assert.equal(recorder.journal.oldestUnsealed(), undefined);
  await recorder.kill();
  recorder = await openTestRecorder({ folder, store, signer });
  assert.ok((recorder.journal.oldestUnsealed() ?? 0) > oldest);
  await recorder.seal();
  assert.equal('uncovered' in JSON.parse(await readFile(join(folder, 'state.json'), 'utf8')), false);
});

test('bytes are counted to whoever they are of until they are sealed, through a crash too', async () => {
  let unsealed = createUnsealed();
  let recorder = await openTestRecorder({ folder, store, pressure: pressureOf(unsealed), unsealed: true });
  const strand = await recorder.begin('a', { ...START, principal });
  await strand.commit({ type: 'event', event: { name: 'one', text: 'x'.repeat(10_000) } });
  const before = held(unsealed);
  assert.ok(
    before.every((bytes) => bytes > 10_000 && bytes < 12_000),
    String(before),
  );
  await recorder.kill();
  unsealed = createUnsealed();
  recorder = await openTestRecorder({ folder, store, pressure: pressureOf(unsealed) });
  // What the start itself wrote (a gap) is of the same strand.
  assert.ok(
    held(unsealed).every((bytes, index) => bytes >= (before[index] ?? 0)),
    String(held(unsealed)),
  );
  await recorder.seal();
  assert.deepEqual(held(unsealed), [0, 0, 0]);
  const open = recorder.strand('a');
  assert.ok(open);
  await recorder.end(open, 'idle');
  await recorder.seal();
  assert.equal(unsealed.count('principal'), 0);
  await recorder.stop();
});

test('the store is down: frames wait on the disk, not in memory, and all of them arrive', async () => {
  const storing = createSwitch();
  const flaky: Store = { ...store, create: (name, bytes) => storing.pass(() => store.create(name, bytes)) };
  let recorder = await openTestRecorder({ folder, store: flaky });
  const strand = await recorder.begin('a', START);
  await recorder.seal();
  storing.off();
  const text = 'x'.repeat(250_000);
  globalThis.gc?.();
  const heap = process.memoryUsage();
  for (let index = 0; index < 160; index++) {
    await strand.commit({ type: 'event', event: { name: `e${index}`, text } });
    if (index % 40 === 0) await recorder.seal();
  }
  assert.ok(recorder.journal.bytes() > 40e6);
  const grown = process.memoryUsage();
  assert.ok(grown.heapUsed - heap.heapUsed < 25e6, `heap grew by ${grown.heapUsed - heap.heapUsed}`);
  // An orderly stop with the store down is still an orderly stop.
  await recorder.stop();
  recorder = await openTestRecorder({ folder, store: flaky });
  assert.deepEqual(recorder.gaps, []);
  storing.on();
  await recorder.seal();
  await recorder.stop();
  await assertWhole(new Map([['a', Array.from({ length: 160 }, (_, index) => `e${index}`)]]));
  const { sessions } = await readBack(store);
  assert.equal(marks(sessions.get('a')).includes('gap'), false);
});

test('a stop asks a store that is slow to fail once, and whatever was queued behind it leaves the disk alone', async () => {
  const asked: ((error: Error) => void)[] = [];
  const { promise: begun, resolve } = Promise.withResolvers<void>();
  let down = false;
  let creates = 0;
  const slow: Store = {
    ...store,
    create(name, bytes) {
      creates++;
      if (!down) return store.create(name, bytes);
      resolve();
      return new Promise((_, reject) => asked.push(reject));
    },
  };
  let written = 0;
  const recorder = await openTestRecorder({
    folder,
    store: slow,
    writeAhead: (real) => ({
      writeState(state) {
        written++;
        return real.writeState(state);
      },
    }),
  });
  const strand = await recorder.begin('a', START);
  await recorder.seal();
  await strand.commit({ type: 'event', event: { name: 'e' } });
  const beforeStop = creates;
  down = true;
  const stopping = recorder.stop();
  await begun;
  // A timer, a heartbeat: it waits for the attempt under way.
  const queued = recorder.seal();
  for (const fail of asked) fail(new Error('down'));
  down = false;
  await stopping;
  const before = written;
  assert.equal(creates, beforeStop + 1);
  await queued;
  for (let turns = 0; turns < 20; turns++) await new Promise(setImmediate);
  assert.deepEqual([creates, written], [beforeStop + 1, before]);
  const next = await openTestRecorder({ folder, store });
  assert.deepEqual(next.gaps, []);
  await next.stop();
  await assertWhole(new Map([['a', ['e']]]));
});

test('a crash leaves an unknown end and a gap from the newest frame on; an orderly stop leaves neither', async () => {
  let recorder = await openTestRecorder({ folder, store });
  const strand = await recorder.begin('a', START);
  await strand.commit(requestFrame('x'));
  await strand.commit(endFrame('x'));
  await recorder.seal();
  const { last } = strand.state;
  assert.ok(last > strand.state.summary.started);
  await recorder.kill();
  recorder = await openTestRecorder({ folder, store });
  assert.equal(recorder.gaps[0]?.from, last);
  await recorder.strand('a')?.commit(requestFrame('y'));
  await recorder.seal();
  await recorder.kill();
  recorder = await openTestRecorder({ folder, store });
  await recorder.stop();
  recorder = await openTestRecorder({ folder, store });
  assert.deepEqual(recorder.gaps, []);
  const open = recorder.strand('a');
  assert.ok(open);
  await recorder.end(open, 'idle');
  await recorder.stop();
  const { verification, sessions } = await readBack(store);
  assert.deepEqual(verification.problems, []);
  const frames = sessions.get('a') ?? [];
  assert.deepEqual(marks(frames), [
    'session.start',
    'request x',
    'end x',
    'gap',
    'request y',
    'end y',
    'gap',
    'strand.end',
  ]);
  const [gap] = frames.filter((frame) => frame.type === 'gap');
  assert.equal(gap?.gap.from, last);
  const end = frames.find((frame) => frame.type === 'end' && frame.exchange === 'y');
  assert.deepEqual(end?.type === 'end' ? end.outcome : undefined, {
    result: 'unknown',
    fate: 'outcome_withheld',
    messages: [],
  });
  assert.equal(verification.ledgers[0]?.gaps, 2);
  const summary = await summaryOf('a');
  assert.equal(summary.frames, frames.length);
  assert.deepEqual([summary.exchanges, summary.gaps, summary.reason], [2, 2, 'idle']);
});

test('a disk that nobody had for a while after an orderly stop says from when to when, in what is open', async () => {
  let recorder = await openTestRecorder({ folder, store });
  await recorder.begin('a', START);
  await recorder.stop();
  const path = join(folder, 'state.json');
  const state = JSON.parse((await readFile(path)).toString());
  for (const [ago, gaps] of [
    [59_000, 0],
    [61_000, 1],
    [-3_600_000, 0],
  ] as const) {
    const stopped = Date.now() - ago;
    await writeFile(path, JSON.stringify({ ...state, stopped }));
    recorder = await openTestRecorder({ folder, store, unsealed: true });
    assert.deepEqual(
      recorder.gaps.map(({ kind, session, from }) => ({ kind, session, from: Date.parse(from) })),
      Array(gaps).fill({ kind: 'detached', session: 'a', from: stopped }),
    );
    await recorder.kill();
  }
});

test('a crash after an orderly stop and a start is seen as one', async () => {
  let recorder = await openTestRecorder({ folder, store });
  await recorder.begin('a', START);
  await recorder.stop();
  recorder = await openTestRecorder({ folder, store });
  await recorder.strand('a')?.commit(event('one'));
  await recorder.seal();
  await recorder.kill();
  recorder = await openTestRecorder({ folder, store });
  assert.ok(recorder.gaps.length > 0);
  await recorder.stop();
  assert.deepEqual(marks((await readBack(store)).sessions.get('a')), ['session.start', 'one', 'gap']);
});

test('a session whose start is not durable when the state is written does not outlive a crash', async () => {
  const fs = createFaultyFileSystem();
  let recorder = await openTestRecorder({ folder, store, fileSystem: fs });
  const strand = await recorder.begin('a', START);
  await recorder.seal();
  await strand.commit(event('one'));
  const { reached, release } = fs.hold();
  const beginning = recorder.begin('b', START).catch(() => {});
  await reached;
  await recorder.seal();
  const dead = recorder.kill();
  fs.fail('fdatasync', { code: 'EIO', persists: false });
  release();
  await Promise.all([beginning, dead]);
  recorder = await openTestRecorder({ folder, store });
  assert.equal(recorder.strand('b'), undefined);
  await recorder.begin('b', START);
  await recorder.stop();
  const { verification, sessions } = await readBack(store);
  assert.deepEqual(verification.problems, []);
  assert.deepEqual(marks(sessions.get('b')), ['session.start']);
});

test('an exchange whose end was refused gets one before its strand ends', async () => {
  const fs = createFaultyFileSystem();
  const recorder = await openTestRecorder({ folder, store, fileSystem: fs });
  const strand = await recorder.begin('a', START);
  await strand.commit(requestFrame('x'));
  fs.fail('fdatasync', { code: 'EIO', persists: true }, 2);
  assert.equal(await attempt(strand, endFrame('x')), false);
  fs.heal();
  await recorder.end(strand, 'expired');
  await recorder.stop();
  await assertWhole(new Map([['a', ['session.start', 'request x', 'end x', 'strand.end']]]));
});

test('comments wait for a real frame, through a crash too, and make no object of their own', async () => {
  let recorder = await openTestRecorder({ folder, store });
  const strand = await recorder.begin('a', START);
  await recorder.seal();
  const before = (await names('')).length;
  for (let index = 0; index < 5; index++) {
    await strand.commit(commentFrame('x'));
    await recorder.seal();
  }
  assert.equal((await names('')).length, before);
  await recorder.kill();
  recorder = await openTestRecorder({ folder, store });
  await recorder.strand('a')?.commit(event('real'));
  await recorder.seal();
  const { verification, sessions } = await readBack(store);
  assert.deepEqual(verification.problems, []);
  assert.deepEqual(marks(sessions.get('a')), ['session.start', ...Array(5).fill('data x'), 'gap', 'real']);
  await recorder.strand('a')?.commit(commentFrame('x'));
  await recorder.stop();
  assert.equal((await readBack(store)).sessions.get('a')?.length, 9);
});

test('comments of many bytes are not carried: the state stays small, and they are sealed as they are', async () => {
  let recorder = await openTestRecorder({ folder, store });
  const strand = await recorder.begin('a', START);
  await recorder.seal();
  const stateSize = async (): Promise<number> => (await readFile(join(folder, 'state.json'))).length;
  const small = await stateSize();
  const comment: FrameBody = {
    type: 'data',
    comment: true,
    exchange: 'x',
    from: 'upstream',
    text: `: ${'c'.repeat(6000)}\n\n`,
  };
  for (const carried of [1, 2, 0]) {
    await strand.commit(comment);
    await recorder.seal();
    assert.equal(strand.state.carried?.lines.length ?? 0, carried);
    assert.equal((await stateSize()) - small > 4096, carried > 0);
  }
  await strand.commit({ ...comment, text: `: ${'c'.repeat(1024 ** 2)}\n\n` });
  await recorder.seal();
  assert.equal(strand.state.carried, undefined);
  assert.ok((await stateSize()) < small + 4096);
  await recorder.kill();
  recorder = await openTestRecorder({ folder, store });
  await recorder.stop();
  const { verification, sessions } = await readBack(store);
  assert.deepEqual(verification.problems, []);
  assert.deepEqual(marks(sessions.get('a')), ['session.start', ...Array(4).fill('data x'), 'gap']);
});

test('heartbeats are chained by the checkpoint before them, and one that could not be written is written later', async () => {
  const storing = createSwitch();
  const flaky: Store = { ...store, create: (name, bytes) => storing.pass(() => store.create(name, bytes)) };
  const recorder = await openTestRecorder({ folder, store: flaky });
  await recorder.begin('a', START);
  await recorder.seal();
  await recorder.heartbeat();
  storing.off();
  await recorder.strand('a')?.commit(event('waiting'));
  await recorder.seal();
  await recorder.heartbeat();
  storing.on();
  await recorder.seal();
  await recorder.heartbeat();
  await recorder.stop();
  const { verification } = await readBack(store);
  assert.deepEqual(verification.problems, []);
  assert.equal(verification.ledgers[0]?.heartbeats, 3);
});

test('a session has one strand on a disk', async () => {
  const recorder = await openTestRecorder({ folder, store });
  await recorder.begin('a', START);
  await assert.rejects(recorder.begin('a', START), /has a strand/);
  await recorder.stop();
});

async function names(prefix: string): Promise<string[]> {
  const all: string[] = [];
  for await (const name of store.list(prefix)) all.push(name);
  return all;
}
