/** Calls that wait for one of the upstream's few sockets: what happens meanwhile counts for them too. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createFreeze } from '../gateway/sessions/freeze-record.ts';
import { openStore } from '../gateway/store/open.ts';
import { secret } from './canaries.ts';
import { type GatewayUnderTest, startGatewayInFrontOf } from './gateway-under-test.ts';
import { call, toolCall } from './raw-client.ts';
import { answerOf, ask, jsonAnswer, type RawUpstream, requestOf, startRawUpstream } from './raw-socket.ts';
import { exchangesOnce } from './recorded.ts';

let folder = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'verbatim-waiting-'));
});
after(() => rm(folder, { recursive: true, force: true }));

interface Waiting {
  readonly upstream: RawUpstream;
  readonly gateway: GatewayUnderTest;
  readonly keyFile: string;
  post(id: number, tool?: string): ReturnType<typeof ask>;
}

/** A gateway with one socket to an upstream that answers as the test says. */
async function start(
  stack: AsyncDisposableStack,
  answer: (request: string, socket: Socket) => void,
  connections = 1,
): Promise<Waiting> {
  const upstream = stack.adopt(await startRawUpstream(answer), (one) => one.close());
  const keyFile = join(folder, `key-${new URL(upstream.url).port}`);
  await writeFile(keyFile, secret('the-first-of-two-keys', 'key'));
  const { origin } = new URL(upstream.url);
  const connection = {
    upstream: { url: origin, allowAddresses: ['loopback'], connections },
    credential: { header: 'X-Api-Key', value: `file:${keyFile}` },
    limits: { firstByte: '2s' },
  };
  const gateway = stack.adopt(await startGatewayInFrontOf(upstream.url, { connection }), (one) => one.close());
  const post = (id: number, tool = 'echo') =>
    ask(gateway.port, requestOf({ token: gateway.token, body: toolCall(id, tool) }));
  return { upstream, gateway, keyFile, post };
}

const STREAM = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n: open\n\n';
const errorOf = (body: string): { code?: string; fate?: string } => JSON.parse(body).error?.data ?? {};

async function openStream({ gateway }: Waiting) {
  const stream = await call(gateway.url, { method: 'GET', token: gateway.token }).answer;
  await stream.until((body) => body.includes(': open'));
  return stream;
}

test('a freeze that comes while a call waits holds for it: it never goes out', async () => {
  await using stack = new AsyncDisposableStack();
  const waiting = await start(stack, (request, socket) =>
    socket.write(request.startsWith('GET') ? STREAM : jsonAnswer(1)),
  );
  const { gateway, upstream, post } = waiting;
  const stream = await openStream(waiting);
  const waits = post(1, 'delete_orders');
  const stores = { state: openStore(`${gateway.storeUrl}-state`), audit: openStore(`${gateway.storeUrl}-audit`) };
  await createFreeze({ ...stores, now: Date.now }, { scope: { tool: 'delete_*' }, reason: 'stop', actor: 'test' });
  while (!gateway.logged.some((line) => line.includes('"freeze_on"'))) {
    await new Promise((done) => setTimeout(done, 20));
  }
  stream.close();
  assert.deepEqual(errorOf((await waits).body), { code: 'frozen', fate: 'not_forwarded' });
  assert.ok(!upstream.received().includes('delete_orders'));
});

test('a call without a place for firstByte fails in words, also where it had one and was refused', async () => {
  await using stack = new AsyncDisposableStack();
  const refuse = Promise.withResolvers<void>();
  const waiting = await start(stack, (request, socket) => {
    if (request.startsWith('GET')) socket.write(STREAM);
    else void refuse.promise.then(() => socket.write(answerOf('401 Unauthorized', {}, '')));
  });
  const { gateway, upstream, keyFile, post } = waiting;
  const refused = post(1);
  await upstream.until(1);
  const opening = openStream(waiting);
  const never = post(2);
  await writeFile(keyFile, secret('the-second-of-two-keys', 'key'));
  refuse.resolve();
  const stream = await opening;
  assert.deepEqual(errorOf((await never).body), { code: 'upstream_timeout', fate: 'not_forwarded' });
  assert.deepEqual(errorOf((await refused).body), { code: 'upstream_timeout', fate: 'outcome_withheld' });
  stream.close();
  const exchanges = await exchangesOnce(gateway, 3);
  assert.equal(upstream.requests().length, 2);
  assert.equal(exchanges.filter(({ end }) => end?.outcome.result === 'upstream_timeout').length, 2);
});

test('a call that leaves gives its place to the next', async () => {
  await using stack = new AsyncDisposableStack();
  const waiting = await start(stack, (request, socket) => {
    if (request.startsWith('GET')) socket.write(STREAM);
    else socket.write(jsonAnswer(1));
  });
  const { gateway, post } = waiting;
  for (let round = 0; round < 5; round++) {
    const stream = await openStream(waiting);
    const left = call(gateway.url, { method: 'GET', token: gateway.token });
    const next = post(1);
    left.abort();
    stream.close();
    assert.equal(errorOf((await next).body).code, undefined);
  }
});

test('a configuration that changes meanwhile ends no call that began with the one before', async () => {
  await using stack = new AsyncDisposableStack();
  const refuse = Promise.withResolvers<void>();
  const { gateway, upstream, keyFile, post } = await start(
    stack,
    (request, socket) => {
      if (request.includes('the-second-of-two-keys')) socket.write(jsonAnswer(1));
      else void refuse.promise.then(() => socket.write(answerOf('401 Unauthorized', {}, '')));
    },
    4,
  );
  const underWay = post(1);
  await upstream.until(1);
  const text = await readFile(gateway.configFile, 'utf8');
  await writeFile(gateway.configFile, text.replace('firstByte: 2s', 'firstByte: 3s'));
  await gateway.gateway.reload();
  await writeFile(keyFile, secret('the-second-of-two-keys', 'key'));
  refuse.resolve();
  assert.equal(errorOf((await underWay).body).code, undefined);
  assert.equal(errorOf((await post(2)).body).code, undefined);
});
