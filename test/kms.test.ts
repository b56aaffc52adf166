/** Checkpoints that Cloud KMS signs, through the whole gateway: KMS away, versions rotated, disabled, and back to the disk's key. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { openRecordings } from '../gateway/recording/read.ts';
import { openStore } from '../gateway/store/open.ts';
import { type GatewayUnderTest, startGatewayInFrontOf } from './gateway-under-test.ts';
import { type GoogleDouble, startGoogle } from './google/google.ts';
import { startIssuer, type TestIssuer } from './issuer.ts';
import { call, toolCall } from './raw-client.ts';

const upstream = createServer((request, response) => {
  request.resume().on('end', () => {
    response.setHeader('content-type', 'application/json').end('{"jsonrpc":"2.0","id":1,"result":{"content":[]}}');
  });
});
let upstreamUrl = '';
let google: GoogleDouble;
let issuer: TestIssuer;
before(async () => {
  await new Promise<void>((done) => upstream.listen(0, '127.0.0.1', done));
  upstreamUrl = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}/mcp`;
  google = await startGoogle();
  issuer = await startIssuer();
});
after(async () => {
  await issuer.close();
  await google.close();
  upstream.closeAllConnections();
  upstream.close();
});

let folder = '';
const opened: GatewayUnderTest[] = [];
afterEach(async () => {
  google.kms.fault(undefined);
  for (const what of ['kmsSign', 'kmsPublicKey'] as const) google.trouble(what, undefined);
  for (const gateway of opened.splice(0)) await gateway.close();
  await rm(folder, { recursive: true, force: true });
});

/** The next gateway on the same disk, which this version signs for; `undefined` is the disk's own key. */
async function start(version: string | undefined): Promise<GatewayUnderTest> {
  await opened.pop()?.close();
  const signing = version === undefined ? {} : { signing: { kms: version } };
  const config = { ...signing, google: { kms: google.google.kms }, sealEvery: '1h', maxUnsealedAge: '2h' };
  const gateway = await startGatewayInFrontOf(upstreamUrl, { folder, issuer, config });
  opened.push(gateway);
  return gateway;
}

async function newDisk(): Promise<void> {
  folder = await mkdtemp(join(tmpdir(), 'verbatim-kms-'));
}

async function ask(gateway: GatewayUnderTest): Promise<void> {
  const answer = await call(gateway.url, { token: gateway.token, body: toolCall(1) }).answer;
  assert.equal(answer.status, 200);
  await answer.whole();
  await gateway.gateway.seal();
}

const logs = (gateway: GatewayUnderTest, event: string) =>
  gateway.logged.map((line) => JSON.parse(line)).filter((line) => line.event === event);

/** Seals until the log has that event: each round waits for disk, store and signer. */
async function until(gateway: GatewayUnderTest, event: string): Promise<Record<string, string>> {
  for (let round = 0; round < 500; round++) {
    const [line] = logs(gateway, event);
    if (line !== undefined) return line;
    await gateway.gateway.seal();
  }
  return assert.fail(`no ${event}: ${gateway.logged.join('\n')}`);
}

async function list(kind: string): Promise<string[]> {
  const names: string[] = [];
  for await (const name of openStore(`file://${folder}/store`).list('ledger/'))
    if (name.includes(kind)) names.push(name);
  return names;
}

async function proof(...verifierKeys: string[]) {
  const stores = [openStore(`file://${folder}/store`), openStore(`file://${folder}/store-audit`)] as const;
  const result = await openRecordings(stores[0], { audit: stores[1] }).verifyAll({ verifierKeys, now: Date.now() });
  assert.deepEqual(result.problems, []);
  return result;
}

test('a new disk does not start without its version; while KMS is away calls go on and one checkpoint covers them', async () => {
  await newDisk();
  const version = google.kms.add('first');
  google.trouble('kmsPublicKey', 503);
  await assert.rejects(
    start(version),
    new RegExp(`\\(unavailable\\): ${version}: HTTP 503 UNAVAILABLE.*once for each disk`),
  );
  google.trouble('kmsPublicKey', undefined);
  let gateway = await start(version);
  await ask(gateway);
  const before = (await list('/checkpoint/')).length;
  assert.ok(before > 0);
  for (const trouble of [503, 429] as const) {
    google.trouble('kmsSign', trouble);
    await ask(gateway);
  }
  google.kms.fault('signature');
  google.trouble('kmsSign', undefined);
  await ask(gateway);
  assert.equal((await list('/checkpoint/')).length, before);
  assert.ok((await list('/entries/')).length > before);
  const failures = logs(gateway, 'signing_failed');
  // Each by one request at least; on a slow machine the time between attempts is over more often.
  const codes = failures.map(({ key, code }) => (key === version ? code : key));
  assert.equal(codes.join(' ').replace(/( unavailable)+ answer_wrong( answer_wrong)*$/, ''), 'unavailable');
  const metrics = await (await fetch(`${gateway.gateway.metricsUrl}/metrics`)).text();
  const counted = logs(gateway, 'signing_failed').length;
  const told = Number(/^verbatim_signing_failures_total (\d+)$/m.exec(metrics)?.[1]);
  assert.ok(told >= failures.length && told <= counted);

  // A start while KMS is away goes on too: the public key is on the disk.
  google.trouble('kmsSign', 503);
  google.trouble('kmsPublicKey', 503);
  gateway = await start(version);
  await ask(gateway);
  assert.equal((await list('/checkpoint/')).length, before);
  google.kms.fault(undefined);
  google.trouble('kmsSign', undefined);
  google.trouble('kmsPublicKey', undefined);
  await gateway.gateway.seal();
  assert.equal((await list('/checkpoint/')).length, before + 1);
  const key = gateway.gateway.verifierKey;
  await opened.pop()?.close();
  const { frames, pending } = await proof(key);
  assert.ok(frames > 0 && pending === 0);
});

test('from the disk to KMS, to another version and back: the first key proves all of it, so does each later one', async () => {
  await newDisk();
  const one = google.kms.add('rotated');
  const two = google.kms.add('rotated');
  const keys: string[] = [];
  for (const version of [undefined, one, two, undefined]) {
    const gateway = await start(version);
    if (keys.length > 0) {
      const changed = await until(gateway, 'key_changed');
      assert.equal(changed.verifierKey, gateway.gateway.verifierKey);
      assert.equal(changed.key, version ?? join(folder, 'disk', 'keys', 'ledger.pem'));
    }
    await ask(gateway);
    keys.push(gateway.gateway.verifierKey);
  }
  await opened.pop()?.close();
  assert.equal(keys[3], keys[0]);
  for (const given of [keys.slice(0, 1), keys.slice(1, 2), keys.slice(2, 3), []]) {
    const [ledger] = (await proof(...given)).ledgers;
    assert.deepEqual(
      ledger?.keys.map(({ verifierKey }) => verifierKey),
      keys,
    );
  }
  const announced: string[] = [];
  const audit = openStore(`file://${folder}/store-audit`);
  for await (const name of audit.list('audit/')) {
    const { kind, details } = JSON.parse(Buffer.from((await audit.get(name)) ?? '').toString());
    if (kind === 'ledger.key_announced') announced.push(`${details.previous} ${details.verifierKey}`);
  }
  assert.deepEqual(
    announced,
    [1, 2, 3].map((at) => `${keys[at - 1]} ${keys[at]}`),
  );
});

test('a version that does not sign is not announced; one that was disabled too early is needed once more', async () => {
  await newDisk();
  const one = google.kms.add('disabled');
  const two = google.kms.add('disabled');
  let gateway = await start(one);
  const first = gateway.gateway.verifierKey;
  await ask(gateway);
  google.trouble('kmsSign', 503);
  gateway = await start(two);
  assert.equal((await until(gateway, 'signing_failed')).key, two);
  await ask(gateway);
  assert.deepEqual(logs(gateway, 'key_announced'), []);
  google.trouble('kmsSign', undefined);
  gateway = await start(two);
  await until(gateway, 'key_changed');
  const three = google.kms.add('disabled');
  google.kms.setState(two, 'DISABLED');
  gateway = await start(three);
  assert.equal((await until(gateway, 'signing_failed')).key, two);
  assert.deepEqual(logs(gateway, 'key_changed'), []);
  google.kms.setState(two, 'ENABLED');
  await until(gateway, 'key_changed');
  google.kms.setState(two, 'DESTROYED');
  google.kms.setState(one, 'DESTROYED');
  await ask(gateway);
  await opened.pop()?.close();
  assert.equal((await proof(first)).ledgers[0]?.keys.length, 3);
});
