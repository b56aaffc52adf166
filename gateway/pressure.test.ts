import assert from 'node:assert/strict';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { Config } from './config.ts';
import type { GatewayError } from './errors.ts';
import { createLog } from './log.ts';
import { type CallHolder, openPressure, type Pressure } from './pressure.ts';

const root = await mkdtemp(join(tmpdir(), 'verbatim-pressure-'));
after(() => rm(root, { recursive: true, force: true }));

const MiB = 1024 ** 2;
const ANA: CallHolder = { principal: 'ana', connection: 'orders', upstream: 'http://a' };
const BOB: CallHolder = { principal: 'bob', connection: 'wiki', upstream: 'http://b' };

async function createWorld() {
  const path = await mkdtemp(join(root, 'd-'));
  const world = { used: 0, free: 9000 * MiB, total: 20_000 * MiB, failed: false };
  const config = {
    journal: { limit: 100 * MiB },
    connections: { orders: { upstream: { url: 'http://a' } }, wiki: { upstream: { url: 'http://b' } } },
  } as unknown as Config;
  const refused: string[] = [];
  const logged: string[] = [];
  const announced: string[] = [];
  let commit = (): void => {};
  let looked = Promise.withResolvers<void>();
  const pressure = await openPressure({
    path,
    config: () => config,
    log: createLog({ write: (line) => void logged.push((JSON.parse(line) as { event: string }).event) }),
    refused: (by) => void refused.push(by),
    async space() {
      looked.resolve();
      return { free: world.free, total: world.total };
    },
    every: 5,
  });
  pressure.watch(
    { bytes: () => world.used, failed: () => world.failed, onCommit: (listener) => (commit = () => listener(0, 1)) },
    async ({ mark }) => void announced.push(String(mark)),
  );
  return {
    world,
    path,
    pressure,
    refused,
    logged,
    announced,
    /** So many MiB are in the journal after a commit. */
    fill(mebibytes: number): void {
      world.used = mebibytes * MiB;
      commit();
    },
    /** Two looks began, so that the first has ended. */
    async look(): Promise<void> {
      for (let count = 0; count < 2; count++) {
        looked = Promise.withResolvers();
        await looked.promise;
      }
    },
  };
}

const codes = (...errors: (GatewayError | undefined)[]) => errors.map((error) => error && [error.code, error.fate]);
const FULL = ['recording_full', 'not_forwarded'];

test('marks are met with a commit, and left below them; sessions end first, then calls, then answers', async () => {
  const { pressure, fill, logged, refused } = await createWorld();
  fill(69);
  assert.deepEqual([pressure.mark, pressure.refusesSession('disk')], ['none', undefined]);
  fill(85);
  assert.deepEqual(codes(pressure.refusesSession('disk')), [FULL]);
  assert.equal(pressure.isFull(), false);
  fill(95);
  assert.equal(pressure.isFull(), true);
  assert.equal(pressure.refusesAnswer(ANA, 'disk', 10 * MiB), undefined);
  fill(100);
  assert.deepEqual(codes(pressure.refusesAnswer(ANA, 'disk', 10 * MiB)), [['recording_full', 'outcome_withheld']]);
  assert.equal(pressure.refusesAnswer(ANA, 'disk', 64 * 1024), undefined, 'a small one always passes');
  fill(91);
  assert.equal(pressure.isFull(), true);
  fill(60);
  assert.deepEqual([pressure.mark, pressure.isFull()], ['none', false]);
  assert.deepEqual(logged, ['journal_filling', 'journal_full', 'journal_full', 'journal_relieved', 'journal_relieved']);
  assert.deepEqual(refused, ['sessions', 'answers']);
  await pressure.stop();
});

test('what promises nothing is never refused: its frames are lost instead, and a gap says so', async () => {
  const { pressure, fill } = await createWorld();
  fill(100);
  assert.deepEqual(
    [
      pressure.refusesSession('memory'),
      pressure.refusesCall(ANA, 'memory'),
      pressure.refusesAnswer(ANA, 'memory', 1e9),
    ],
    [undefined, undefined, undefined],
  );
  assert.equal(pressure.forRecorder.isFullFor(ANA), true);
  await pressure.stop();
});

test('who is over their share is refused alone, by whichever kind it is', async () => {
  const cases: [string, Partial<CallHolder>][] = [
    ['principal', { principal: 'ana' }],
    ['connection', { connection: 'orders' }],
    ['upstream', { upstream: 'http://a' }],
  ];
  for (const [kind, holder] of cases) {
    const { pressure, fill, refused } = await createWorld();
    pressure.forRecorder.unsealed.open(BOB);
    const noisy = pressure.forRecorder.unsealed.open(holder);
    noisy.add(60 * MiB);
    fill(60);
    assert.equal(pressure.refusesCall(ANA, 'disk'), undefined, 'nobody is limited before the first mark');
    noisy.add(21 * MiB);
    fill(81);
    assert.deepEqual(codes(pressure.refusesCall(ANA, 'disk')), [['recording_quota', 'not_forwarded']]);
    assert.deepEqual(codes(pressure.refusesAnswer(ANA, 'disk', MiB)), [['recording_quota', 'outcome_withheld']]);
    assert.equal(pressure.refusesCall(BOB, 'disk'), undefined);
    assert.deepEqual([refused, pressure.isFull()], [[kind, 'answers'], false]);
    noisy.take(81 * MiB);
    fill(5);
    assert.equal(pressure.refusesCall(ANA, 'disk'), undefined);
    await pressure.stop();
  }
});

test('others fill the disk: it is looked at without a commit, and recorded with the marks before and after', async () => {
  const { world, pressure, look, announced } = await createWorld();
  world.free = 100 * MiB;
  await look();
  assert.equal(pressure.isFull(), true);
  world.failed = true;
  world.free = 9000 * MiB;
  await look();
  await look();
  assert.deepEqual([pressure.isFull(), announced], [false, ['answers']], 'what can not be recorded waits');
  world.failed = false;
  await look();
  await look();
  assert.deepEqual(announced, ['answers', 'none']);
  await pressure.stop();
});

test('a mark that came and went between two looks is recorded', async () => {
  const { pressure, fill, look, announced } = await createWorld();
  fill(96);
  fill(5);
  await look();
  await look();
  assert.deepEqual(announced, ['calls', 'none']);
  await pressure.stop();
});

test('bytes are reserved on the disk, given back when it is full, and taken again when there is room', async () => {
  const { world, pressure, path, look, logged } = await createWorld();
  const wholeAgain = async (): Promise<void> => {
    for (let count = 0; count < 100 && pressure.missing() > 0; count++) await look();
  };
  await wholeAgain();
  const { blocks } = await stat(join(path, 'reserve.journal'));
  assert.ok(blocks * 512 >= pressure.sizes.reserve);
  const given = pressure.forRecorder.reserve.give('journal');
  assert.equal(pressure.mark, 'answers', 'who met the end of the disk tells the others at once');
  world.free = 0;
  assert.equal(await given, true);
  assert.equal(await pressure.forRecorder.reserve.give('journal'), false);
  await look();
  assert.equal(pressure.missing(), pressure.sizes.reserve);
  world.free = 9000 * MiB;
  await wholeAgain();
  assert.equal(pressure.missing(), 0);
  assert.ok(logged.includes('journal_reserve_used'));
  await pressure.stop();
});

test('sizes follow from what there is: small steps on a small disk', async () => {
  const sizesOf = async (limit: number): Promise<Pressure['sizes']> => {
    const path = await mkdtemp(join(root, 's-'));
    const config = { journal: { limit }, connections: {} } as unknown as Config;
    const log = createLog({ write: () => {} });
    return (await openPressure({ path, config: () => config, log, refused() {} })).sizes;
  };
  assert.deepEqual(await sizesOf(16 * MiB), { fileLimit: MiB, recordLimit: MiB / 4, reserve: MiB });
  const large = await sizesOf(8 * 1024 * MiB);
  assert.deepEqual(large, { fileLimit: 64 * MiB, recordLimit: 4 * MiB, reserve: 16 * MiB });
});
