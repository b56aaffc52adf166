import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, test } from 'node:test';
import { createClock } from '../clock.ts';
import { createFaultyFileSystem, type Fault, type FaultyFileSystem } from './faults.ts';
import type { Frame } from './frame.ts';
import { createJournal, type Journal } from './journal.ts';
import { recover } from './recover.ts';
import { createStrand, newStrandState, type Strand } from './strand.ts';
import { attempt, event, JOURNAL_KEY, LEDGER, START } from './test-recorder.ts';
import { createWriteAhead } from './write-ahead.ts';

const root = await mkdtemp(join(tmpdir(), 'verbatim-journal-'));
after(() => rm(root, { recursive: true, force: true }));

let folder = '';
let fs: FaultyFileSystem;
beforeEach(async () => {
  folder = await mkdtemp(join(root, 'd-'));
  fs = createFaultyFileSystem();
});

interface Limits {
  fileLimit?: number;
  recordLimit?: number;
  makeRoom?: () => Promise<boolean>;
}

async function openJournal(limits: Limits = {}): Promise<Journal> {
  const sealed = { file: 0, offset: 0 };
  return createJournal({
    folder,
    key: JOURNAL_KEY,
    found: new Map(),
    sealed,
    now: Date.now,
    fileSystem: fs,
    ...limits,
  });
}

/** A strand over a new journal, its `session.start` durable. */
async function openStrand(limits: Limits = {}): Promise<{ journal: Journal; strand: Strand }> {
  const journal = await openJournal(limits);
  const at = '2026-11-22T18:00:00.000000Z';
  const state = newStrandState({ session: 's', ledger: LEDGER, day: '2026-11-22', start: START, at });
  const strand = createStrand(state, {
    journal,
    clock: createClock(),
    ledger: LEDGER,
    onAppend: () => {},
    wait: { limit: 0, waiting: new Set(), seal() {} },
    memory: { left: 0 },
  });
  await strand.commit({ type: 'session.start', start: START });
  return { journal, strand };
}

async function readAll(journal: Journal): Promise<Buffer[]> {
  const all: Buffer[] = [];
  let at = { file: 0, offset: 0 };
  for (;;) {
    const { lines, to } = await journal.read(at, 100);
    if (to.file === at.file && to.offset === at.offset) return all;
    all.push(...lines);
    at = to;
  }
}

/** What a new start would find: names of events by `seq`, as the recovered journal reads them. */
async function recovered(): Promise<{ seqs: number[]; names: string[] }> {
  const found = await recover({
    folder,
    ledger: LEDGER,
    key: JOURNAL_KEY,
    writeAhead: createWriteAhead(folder),
    fileSystem: fs,
  });
  const sealed = { file: 0, offset: 0 };
  const journal = await createJournal({ folder, key: JOURNAL_KEY, found: found.found, sealed, now: Date.now });
  const frames = (await readAll(journal)).map((line) => JSON.parse(line.toString()) as Frame);
  await journal.close();
  return {
    seqs: frames.map(({ seq }) => seq),
    names: frames.flatMap((frame) => (frame.type === 'event' ? [frame.event.name] : [])),
  };
}

const isEio = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'EIO';

const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

test('what one turn appends is one commit, settled in the order of the appends and not before its fdatasync', async () => {
  const journal = await openJournal();
  const { reached, release } = fs.hold();
  const settled: string[] = [];
  for (const name of ['a', 'b', 'c']) journal.append(Buffer.from(`${name}\n`), () => void settled.push(name));
  const late = Promise.withResolvers<void>();
  await reached;
  journal.append(Buffer.from('d\n'), () => {
    settled.push('d');
    late.resolve();
  });
  assert.deepEqual(settled, []);
  assert.deepEqual(journal.end(), { file: 0, offset: 0 });
  release();
  await late.promise;
  assert.deepEqual(settled, ['a', 'b', 'c', 'd']);
  // The header, then two commits: the fourth line waited for the first.
  assert.equal(fs.calls.fdatasync, 3);
  assert.deepEqual((await readAll(journal)).join(''), 'a\nb\nc\nd\n');
  await journal.close();
});

test('a barrier settles after everything before it and writes nothing', async () => {
  const { journal, strand } = await openStrand();
  const order: string[] = [];
  const done = Promise.withResolvers<void>();
  strand.append(event('before'), () => void order.push('before'));
  strand.barrier(() => void order.push('barrier'));
  strand.append(event('after'), () => {
    order.push('after');
    done.resolve();
  });
  await done.promise;
  assert.deepEqual(order, ['before', 'barrier', 'after']);
  const { writev } = fs.calls;
  await new Promise<void>((settle) => strand.barrier(() => settle()));
  assert.equal(fs.calls.writev, writev);
  await journal.close();
});

test('a commit gathers up to its limit; a larger line is a commit alone', async () => {
  const journal = await openJournal({ recordLimit: 10 });
  const lines = ['1234\n', '5678\n', 'x'.repeat(40).concat('\n'), 'y\n'];
  const commits: number[] = [];
  journal.onCommit((_, count) => void commits.push(count));
  await Promise.all(lines.map((text) => new Promise<void>((done) => journal.append(Buffer.from(text), () => done()))));
  assert.deepEqual(commits, [2, 1, 1]);
  assert.equal((await readAll(journal)).join(''), lines.join(''));
  await journal.close();
});

test('short writes are finished', async () => {
  fs.shortWrites(7);
  const { journal, strand } = await openStrand();
  await Promise.all(['a', 'b', 'c'].map((name) => strand.commit(event(name))));
  await journal.close();
  assert.deepEqual(await recovered(), { seqs: upTo(4), names: ['a', 'b', 'c'] });
});

const FAULTS: Fault[] = [
  { code: 'EIO', persists: true },
  { code: 'EIO', persists: false },
  { code: 'ENOSPC', persists: true },
  { code: 'ENOSPC', persists: false },
];

for (const operation of ['writev', 'fdatasync'] as const) {
  for (const fault of FAULTS) {
    const name = `${operation} fails with ${fault.code} and ${fault.persists ? 'persists' : 'does not persist'}`;

    test(`${name}: the commit is rewritten once, to another file, and is there once`, async () => {
      const { journal, strand } = await openStrand();
      await strand.commit(event('a'));
      fs.fail(operation, fault);
      const results = await Promise.all([attempt(strand, event('b')), attempt(strand, event('c'))]);
      assert.deepEqual(results, [true, true]);
      assert.equal(journal.failed(), false);
      await strand.commit(event('d'));
      assert.equal((await readdir(folder)).length, 2);
      assert.equal((await readAll(journal)).length, 5);
      await journal.close();
      const whole = { seqs: upTo(5), names: ['a', 'b', 'c', 'd'] };
      assert.deepEqual(await recovered(), whole);
      await fs.cutPower();
      assert.deepEqual(await recovered(), whole);
    });

    test(`${name} twice: refused as a whole, numbers given again, and refused lines never come back`, async () => {
      const { journal, strand } = await openStrand();
      await strand.commit(event('a'));
      // The second failure hits the new file's commit; with `writev` its header is written first.
      fs.fail(operation, fault);
      fs.fail(operation, fault, 1, 1);
      const { reached, release } = fs.hold();
      const first = [attempt(strand, event('refused-b')), attempt(strand, event('refused-c'))];
      await reached;
      const behind = attempt(strand, event('refused-behind'));
      release();
      assert.deepEqual(await Promise.all([...first, behind]), [false, false, false]);
      assert.equal(journal.failed(), true);
      await Promise.all([strand.commit(event('b')), strand.commit(event('c'))]);
      assert.equal(journal.failed(), false);
      assert.equal((await readAll(journal)).length, 4);
      await journal.close();
      const whole = { seqs: upTo(4), names: ['a', 'b', 'c'] };
      assert.deepEqual(await recovered(), whole);
      await fs.cutPower();
      assert.deepEqual(await recovered(), whole);
    });
  }
}

for (const operation of ['open', 'writev', 'fdatasync', 'syncFolder'] as const) {
  test(`the disk is full when the next file is opened (${operation}): refused, and it goes on when there is room`, async () => {
    const { journal, strand } = await openStrand({ fileLimit: 1 });
    await strand.commit(event('a'));
    fs.fail(operation, { code: 'ENOSPC', persists: true }, 3);
    const results = [];
    for (let index = 0; index < 3; index++) results.push(await attempt(strand, event('refused')));
    assert.deepEqual(results, [false, false, false]);
    fs.heal();
    await strand.commit(event('b'));
    await strand.commit(event('c'));
    assert.equal((await readAll(journal)).length, 4);
    await journal.close();
    await fs.cutPower();
    assert.deepEqual(await recovered(), { seqs: upTo(4), names: ['a', 'b', 'c'] });
  });
}

test('callbacks that append while they are refused get numbers of their own', async () => {
  const { journal, strand } = await openStrand();
  fs.fail('writev', { code: 'EIO', persists: false }, 3);
  const done = Promise.withResolvers<void>();
  strand.append(event('refused'), (error) => {
    assert.ok(error);
    fs.heal();
    strand.append(event('a'));
    strand.append(event('b'));
  });
  strand.append(event('refused'));
  strand.append({ type: 'strand.end', reason: 'refused' }, (error) => {
    assert.ok(error);
    strand.append(event('c'), () => done.resolve());
  });
  await done.promise;
  await journal.close();
  assert.deepEqual(await recovered(), { seqs: upTo(4), names: ['a', 'b', 'c'] });
});

test('a callback that throws takes nothing back of what is durable, and surfaces', async () => {
  const { journal, strand } = await openStrand();
  const surfaced = Promise.withResolvers<unknown>();
  const others = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.once('uncaughtException', surfaced.resolve);
  const boom = new Error('boom');
  strand.append(event('a'), () => {
    throw boom;
  });
  const second = attempt(strand, event('b'));
  assert.equal(await surfaced.promise, boom);
  for (const listener of others) process.on('uncaughtException', listener);
  assert.equal(await second, true);
  assert.equal(journal.failed(), false);
  await strand.commit(event('c'));
  await journal.close();
  assert.deepEqual(await recovered(), { seqs: upTo(4), names: ['a', 'b', 'c'] });
});

test('files rotate at their limit; a reader keeps up, and what is sealed goes', async () => {
  const { journal, strand } = await openStrand({ fileLimit: 1000 });
  const names: string[] = [];
  let at = { file: 0, offset: 0 };
  let reading = true;
  const reader = (async () => {
    while (reading || at.file < journal.end().file || at.offset < journal.end().offset) {
      const { lines, to } = await journal.read(at, 50);
      for (const line of lines) {
        const frame = JSON.parse(line.toString()) as Frame;
        if (frame.type === 'event') names.push(frame.event.name);
      }
      at = to;
      await journal.sealed(at);
      await new Promise((done) => setImmediate(done));
    }
  })();
  const expected = Array.from({ length: 60 }, (_, index) => `e${index}`);
  for (const name of expected) await strand.commit(event(name));
  reading = false;
  await reader;
  assert.deepEqual(names, expected);
  assert.ok((await readdir(folder)).length <= 1);
  assert.equal(journal.oldestUnsealed(), undefined);
  await journal.close();
});

test('the file that is written to goes too, once it is sealed to its end and worth it', async () => {
  const { journal, strand } = await openStrand({ fileLimit: 10_000 });
  await strand.commit(event('a'));
  const small = journal.end();
  await journal.sealed(small);
  assert.equal((await readdir(folder)).length, 1, 'a small one goes on');
  await strand.commit(event('b'.repeat(3000)));
  await journal.sealed(small);
  assert.equal((await readdir(folder)).length, 1, 'it is not sealed to its end');
  await journal.sealed(journal.end());
  assert.deepEqual([await readdir(folder), journal.bytes()], [[], 0]);
  await strand.commit(event('c'));
  assert.deepEqual(await readdir(folder), ['0000000002.journal']);
  await journal.close();
});

for (const persists of [true, false]) {
  test(`a sealed file whose removal fails (${persists ? '' : 'not '}done) keeps no other, is told, and goes at the next call`, async () => {
    const { journal, strand } = await openStrand({ fileLimit: 1 });
    for (const name of ['a', 'b', 'c']) await strand.commit(event(name));
    assert.equal((await readdir(folder)).length, 4);
    fs.fail('unlink', { code: 'EIO', persists });
    await assert.rejects(journal.sealed(journal.end()), (error: Error) => isEio(error.cause));
    assert.equal((await readdir(folder)).length, persists ? 0 : 1);
    await journal.sealed(journal.end());
    assert.deepEqual([await readdir(folder), journal.bytes()], [[], 0]);
    await journal.close();
  });
}

test('a full disk: room is made once, for the commit that found none, and never for another failure', async () => {
  let asked = 0;
  const { journal, strand } = await openStrand({
    async makeRoom() {
      asked++;
      fs.heal();
      return true;
    },
  });
  fs.fail('fdatasync', { code: 'EIO', persists: false }, 1);
  assert.equal(await attempt(strand, event('a')), true);
  assert.equal(asked, 0);
  fs.fail('writev', { code: 'ENOSPC', persists: false }, 9);
  assert.equal(await attempt(strand, event('b')), true);
  assert.equal(asked, 1);
  fs.fail('open', { code: 'ENOSPC', persists: false }, 9);
  fs.fail('fdatasync', { code: 'EIO', persists: false }, 1);
  assert.equal(await attempt(strand, event('c')), true);
  assert.equal(asked, 2);
  await journal.close();
  await fs.cutPower();
  assert.deepEqual(await recovered(), { seqs: upTo(4), names: ['a', 'b', 'c'] });
});

for (const operation of ['writev', 'fdatasync'] as const) {
  test(`while the disk stays full no files pile up (${operation})`, async () => {
    const { journal, strand } = await openStrand({ makeRoom: async () => false });
    await strand.commit(event('a'));
    // Each header is still written: it is the record that finds no room.
    for (let index = 0; index < 12; index++) fs.fail(operation, { code: 'ENOSPC', persists: true }, 1, index % 2);
    let refused = 0;
    while (refused < 5 && !(await attempt(strand, event('refused')))) refused++;
    assert.equal(refused, 5);
    assert.ok((await readdir(folder)).length <= 2, String(await readdir(folder)));
    fs.heal();
    await strand.commit(event('b'));
    await journal.close();
    await fs.cutPower();
    assert.deepEqual(await recovered(), { seqs: upTo(3), names: ['a', 'b'] });
  });
}

for (const persists of [true, false]) {
  test(`what is durable after a refusal is so when the power goes right after (${persists ? '' : 'not '}persisted)`, async () => {
    const { journal, strand } = await openStrand();
    await strand.commit(event('a'));
    fs.fail('fdatasync', { code: 'EIO', persists });
    fs.fail('fdatasync', { code: 'EIO', persists }, 1, 1);
    assert.equal(await attempt(strand, event('refused')), false);
    await strand.commit(event('b'));
    await journal.close();
    await fs.cutPower();
    assert.deepEqual(await recovered(), { seqs: upTo(3), names: ['a', 'b'] });
  });
}

test('a closed journal refuses', async () => {
  const { journal, strand } = await openStrand();
  await journal.close();
  assert.equal(await attempt(strand, event('late')), false);
});
