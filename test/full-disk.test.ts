/** The journal's disk fills, by itself or by others: who is refused, what goes on, and that nothing acknowledged is lost. */
import assert from 'node:assert/strict';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { openRecordings } from '../gateway/recording/read.ts';
import { openStore } from '../gateway/store/open.ts';
import { type GatewayUnderTest, startGatewayInFrontOf } from './gateway-under-test.ts';
import { call, toolCall } from './raw-client.ts';
import { framesOf } from './recorded.ts';
import { mountSmallDisk } from './small-disk.ts';

const disk = mountSmallDisk(64);
const seen: number[] = [];
let hold: Promise<void> = Promise.resolve();
const upstream = createServer(async (request, response) => {
  let body = '';
  for await (const chunk of request) body += String(chunk);
  const { id, params } = JSON.parse(body) as { id: number; params: { arguments: { bytes?: number } } };
  seen.push(id);
  await hold;
  const result = 'x'.repeat(params.arguments.bytes ?? 1);
  response.setHeader('content-type', 'application/json').end(JSON.stringify({ jsonrpc: '2.0', id, result }));
});
let upstreamUrl = '';
before(async () => {
  await new Promise<void>((done) => upstream.listen(0, '127.0.0.1', done));
  upstreamUrl = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}/mcp`;
});
after(async () => {
  upstream.close();
  if (typeof disk !== 'string') await disk.unmount();
});

/** The result's length, or the error's data. */
async function outcome(gateway: GatewayUnderTest, id: number, bytes = 1, token = gateway.token): Promise<unknown> {
  const body = await (await call(gateway.url, { token, body: toolCall(id, 'big', { bytes }) }).answer).whole();
  const answer = JSON.parse(body.toString()) as { result?: string; error?: { data: unknown } };
  return answer.error?.data ?? answer.result?.length;
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (let attempt = 0; attempt < 1000; attempt++) {
    if (await holds()) return;
    await new Promise((done) => setTimeout(done, 10));
  }
  throw new Error(`It did not come to this: ${what}.`);
}

const ready = async ({ gateway }: GatewayUnderTest): Promise<string> => (await fetch(`${gateway.url}/readyz`)).text();

async function recordedIds(gateway: GatewayUnderTest): Promise<{ requests: unknown[]; complete: number }> {
  const frames = await framesOf(gateway);
  return {
    requests: frames.flatMap((frame) => (frame.type === 'request' ? [frame.messages[0]?.id] : [])),
    complete: frames.filter((frame) => frame.type === 'end' && frame.outcome.result === 'complete').length,
  };
}

async function assertProven(gateway: GatewayUnderTest): Promise<void> {
  const proof = await openRecordings(openStore(gateway.storeUrl)).verifyAll({
    verifierKeys: [gateway.gateway.verifierKey],
    now: Date.now(),
  });
  assert.deepEqual([proof.problems, proof.pending], [[], 0]);
}

test('others fill the disk: what has begun ends and is sealed, calls are refused, and it goes on when there is room', {
  skip: typeof disk === 'string' && disk,
}, async () => {
  assert.ok(typeof disk !== 'string');
  const folder = await mkdtemp(join(tmpdir(), 'verbatim-full-'));
  const config = { data: disk.path, journal: { limit: '16MiB' } };
  const gateway = await startGatewayInFrontOf(upstreamUrl, { folder, config });
  const metrics = async (): Promise<string> => (await fetch(`${gateway.gateway.metricsUrl}/metrics`)).text();
  try {
    assert.equal(await outcome(gateway, 1), 1);
    await until('bytes are reserved', async () => /^verbatim_journal_reserve_missing_bytes 0$/m.test(await metrics()));
    const held = Promise.withResolvers<void>();
    hold = held.promise;
    const begun = outcome(gateway, 2, 50_000);
    await until('the upstream has it', async () => seen.includes(2));
    await disk.fill();
    held.resolve();
    assert.equal(await begun, 50_000);
    assert.ok(gateway.logged.some((line) => line.includes('"event":"journal_reserve_used"')));
    assert.deepEqual(await outcome(gateway, 3), { code: 'recording_full', fate: 'not_forwarded' });
    assert.equal(await ready(gateway), 'recording_full, journal: answers\n');
    assert.match(await metrics(), /^verbatim_refusing 1$/m);
    assert.deepEqual(await recordedIds(gateway), { requests: [1, 2], complete: 2 });
    await disk.clear();
    await until('calls are accepted', async () => (await ready(gateway)) === 'ok\n');
    assert.equal(await outcome(gateway, 4), 1);
    assert.deepEqual(await recordedIds(gateway), { requests: [1, 2, 4], complete: 3 });
    assert.equal(seen.includes(3), false);
    const marks = async (): Promise<unknown[]> =>
      (await framesOf(gateway, 'system')).flatMap((frame) =>
        frame.type === 'event' && frame.event.name === 'journal.mark' ? [frame.event.mark] : [],
      );
    await until('both crossings are recorded', async () => (await marks()).at(-1) === 'none');
    assert.ok((await marks()).includes('answers'));
    await assertProven(gateway);
  } finally {
    await gateway.close();
    await rm(folder, { recursive: true });
  }
});

test('one principal fills the journal while the store is down: they are refused alone, and all is delivered afterwards', async () => {
  const gateway = await startGatewayInFrontOf(upstreamUrl, { config: { journal: { limit: '16MiB' } } });
  try {
    hold = Promise.resolve();
    const others = { sub: 'bob', email: 'bob@example.com' };
    const bob = await gateway.tokenFor(others);
    assert.deepEqual([await outcome(gateway, 100), await outcome(gateway, 101, 1, bob)], [1, 1]);
    await gateway.gateway.seal();
    const store = `${gateway.folder}/store`;
    await rename(store, `${store}.away`);
    await writeFile(store, '');
    const MiB = 1024 ** 2;
    const acknowledged: number[] = [100, 101];
    const held = Promise.withResolvers<void>();
    hold = held.promise;
    const begun = [70, 71, 72].map((id) => outcome(gateway, id, MiB));
    await until('the upstream has them', async () => [70, 71, 72].every((id) => seen.includes(id)));
    hold = Promise.resolve();
    let refused: unknown;
    for (let id = 1; id < 20 && refused === undefined; id++) {
      const got = await outcome(gateway, id, MiB);
      if (got === MiB) acknowledged.push(id);
      else refused = got;
    }
    assert.deepEqual(refused, { code: 'recording_quota', fate: 'not_forwarded' });
    assert.ok(acknowledged.length > 10);
    assert.equal(await ready(gateway), 'ok, journal: warn\n');
    // The others go on, up to their share at least, and who is new begins.
    for (const id of [201, 202, 203]) assert.equal(await outcome(gateway, id, 200_000, bob), 200_000);
    acknowledged.push(201, 202, 203);
    assert.deepEqual(await outcome(gateway, 50), { code: 'recording_quota', fate: 'not_forwarded' });
    const eve = await gateway.tokenFor({ sub: 'eve', email: 'eve@example.com' });
    assert.equal(await outcome(gateway, 400, 1, eve), 1);
    acknowledged.push(400);
    // Calls that went out before end, too, before they take the share of the others.
    held.resolve();
    const ends = await Promise.all(begun);
    assert.ok(
      ends.some((end) => JSON.stringify(end) === '{"code":"recording_quota","fate":"outcome_withheld"}'),
      `${ends}`,
    );
    const withheld = ends.filter((end) => end !== MiB).length;
    acknowledged.push(70, 71, 72);
    await rm(store);
    await rename(`${store}.away`, store);
    await gateway.gateway.seal();
    await until('calls are accepted', async () => (await ready(gateway)) === 'ok\n');
    assert.deepEqual([await outcome(gateway, 51), await outcome(gateway, 401, 1, eve)], [1, 1]);
    const { requests, complete } = await recordedIds(gateway);
    assert.deepEqual([...requests].map(Number).sort(), [...acknowledged, 51, 401].sort());
    assert.equal(complete, requests.length - withheld);
    await assertProven(gateway);
  } finally {
    await gateway.close();
  }
});
