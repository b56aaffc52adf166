/**
 * Versions that were released: what each left behind stays readable and provable, its disk is adopted, and it shares stores and
 * rolling updates with the present one. Where none is kept yet, the present version stands in for it.
 */
import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createExchangeGrouping, type Exchange, releasedBytes, requestBytes } from '../gateway/recording/exchange.ts';
import type { Frame } from '../gateway/recording/frame.ts';
import { openRecordings } from '../gateway/recording/read.ts';
import { openStore } from '../gateway/store/open.ts';
import { startGatewayInFrontOf } from './gateway-under-test.ts';
import { call, toolCall } from './raw-client.ts';
import { jsonAnswer, startRawUpstream } from './raw-socket.ts';
import { runRolling } from './soak/rolling/rolling-soak.ts';
import { PRESENT, previousProgram } from './soak/rolling/versions.ts';
import { copyKept, type Expected, keptVersions, readExpected } from './stores/kept.ts';
import { writeStores } from './stores/write-stores.ts';

const root = await mkdtemp(join(tmpdir(), 'verbatim-stores-'));
after(() => rm(root, { recursive: true, force: true }));

const kept = await keptVersions();
if (kept.length === 0) kept.push({ version: 'present', folder: join(root, 'present') });

before(async () => {
  for (const { version, folder } of kept) {
    if (version === 'present') await writeStores({ root: join(root, 'made'), out: folder });
  }
});

interface Read {
  readonly frames: readonly Frame[];
  readonly ended: readonly Exchange[];
}

const sha256 = (bytes: Buffer): string => hash('sha256', bytes);
const marksOf = (exchanges: readonly Exchange[]) =>
  exchanges
    .map((one) => ({
      request: sha256(requestBytes(one)),
      released: sha256(releasedBytes(one)),
      at: one.request?.at ?? '',
    }))
    .sort((a, b) => (a.at < b.at ? -1 : 1))
    .map(({ request, released }) => ({ request, released }));

async function read(folder: string): Promise<Read> {
  const recordings = openRecordings(openStore(`file://${folder}/store`));
  const grouping = createExchangeGrouping();
  const frames: Frame[] = [];
  const ended: Exchange[] = [];
  for await (const { session } of recordings.sessions()) {
    for await (const item of recordings.frames(session)) {
      assert.ok(item.kind === 'frame', JSON.stringify(item));
      frames.push(item.frame);
      const exchange = grouping.add(item.frame);
      if (exchange !== undefined) ended.push(exchange);
    }
  }
  return { frames, ended };
}

async function assertProved(folder: string, { verifierKey, ledger }: Expected): Promise<void> {
  const audit = openStore(`file://${folder}/store-audit`);
  for (const verifierKeys of [[verifierKey], []]) {
    const recordings = openRecordings(openStore(`file://${folder}/store`), { audit });
    const proof = await recordings.verifyAll({ verifierKeys, now: Date.now() });
    assert.deepEqual([proof.problems, proof.ledgers.map((one) => one.ledger)], [[], [ledger]]);
  }
}

for (const { version, folder } of kept) {
  test(`what ${version} stored is read and proved`, async () => {
    const expected = await readExpected(folder);
    const { frames, ended } = await read(folder);
    assert.deepEqual(marksOf(ended), expected.exchanges.slice(0, expected.sealed));
    const masks = frames.flatMap((frame) => (frame.type === 'data' ? (frame.masks ?? []) : []));
    assert.deepEqual([...new Set(masks.map(({ detector }) => detector))], ['email']);
    const approvals = frames.flatMap((frame) => (frame.type === 'approval' ? [frame.approval.state] : []));
    assert.ok(approvals.includes('pending') && approvals.includes('approved'), approvals.join());
    await assertProved(folder, expected);
  });

  test(`the disk of ${version} is adopted: its journal is sealed, what was open is unknown, and it goes on`, async () => {
    await using stack = new AsyncDisposableStack();
    const expected = await readExpected(folder);
    const copy = join(root, `adopted-${version}`);
    await copyKept(folder, copy);
    const upstream = stack.adopt(await startRawUpstream((_, socket) => socket.write(jsonAnswer(1))), (one) =>
      one.close(),
    );
    const gateway = await startGatewayInFrontOf(upstream.url, { folder: copy });
    try {
      assert.equal(gateway.gateway.ledger, expected.ledger);
      const answer = await call(gateway.url, { token: gateway.token, body: toolCall(1) }).answer;
      await answer.whole();
      assert.equal(answer.status, 200);
      await gateway.gateway.seal();
    } finally {
      await gateway.close();
    }
    const { frames, ended } = await read(copy);
    const [open, ...others] = ended.filter((one) => sha256(requestBytes(one)) === expected.open);
    assert.deepEqual([open?.end?.outcome.result, others], ['unknown', []]);
    assert.ok(frames.some(({ type }) => type === 'gap'));
    const whole = ended.filter((one) => one !== open);
    assert.deepEqual(marksOf(whole).slice(0, -1), expected.exchanges);
    await assertProved(copy, expected);
  });
}

test('the version before and the present one share stores, a balancer and an update there and back, and lose nothing', {
  timeout: 120_000,
}, async () => {
  const folder = await mkdtemp(join(root, 'rolling-'));
  const previous = await previousProgram(folder);
  const report = await runRolling({
    folder,
    replicas: 2,
    first: [previous, PRESENT],
    steps: [
      { slot: 0, program: PRESENT, how: 'order' },
      { slot: 1, program: previous, how: 'order' },
    ],
    minutes: 1,
    // No stream that would hold an update up for its drain time, and no call that is cut by it on a busy machine.
    load: { calls: 2, streams: 0, conversations: 0, logins: 1 },
    drainDelayMs: 300,
    drainMs: 30_000,
    seed: 1,
    say: () => {},
  });
  assert.deepEqual([report.failures, report.problems], [[], []]);
  assert.deepEqual(Object.values(report.moves), [1, 1]);
  assert.ok(report.ok && report.counts.acknowledged > 0 && report.counts.logins > 0 && report.merged > 0);
});
