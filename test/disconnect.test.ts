/** A client that goes away: legacy calls go on and are recorded, modern ones and streams of GET are cancelled. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { releasedBytes } from '../gateway/recording/exchange.ts';
import type { Frame } from '../gateway/recording/frame.ts';
import { startGatewayInFrontOf, type UnderTestOptions } from './gateway-under-test.ts';
import { toolCall } from './raw-client.ts';
import { ask, jsonAnswer, openRaw, requestOf, startRawUpstream } from './raw-socket.ts';
import { exchangesOf, exchangesOnce, framesOf } from './recorded.ts';

const MODERN = JSON.stringify({
  jsonrpc: '2.0',
  id: 1,
  method: 'tools/call',
  params: { name: 'echo', _meta: { 'io.modelcontextprotocol/protocolVersion': '2026-07-28' } },
});
const MODERN_HEADERS = ['MCP-Protocol-Version: 2026-07-28', 'Mcp-Method: tools/call', 'Mcp-Name: echo'];
const SSE = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n';
const EVENT = 'data: {"jsonrpc":"2.0","method":"notifications/message","params":{}}\n\n';
const RESULT = 'data: {"jsonrpc":"2.0","id":1,"result":{}}\n\n';

/** A gateway before an upstream whose answers the test gives itself. */
async function start(stack: AsyncDisposableStack, options: UnderTestOptions = {}) {
  const sockets: Socket[] = [];
  const upstream = stack.adopt(await startRawUpstream((_, socket) => void sockets.push(socket)), (one) => one.close());
  const gateway = stack.adopt(await startGatewayInFrontOf(upstream.url, options), (one) => one.close());
  const answering = async (count: number): Promise<Socket> => {
    await upstream.until(count);
    const socket = sockets[count - 1];
    assert.ok(socket);
    return socket;
  };
  return { upstream, gateway, answering };
}

/** Gone, and known to be gone: the gateway has closed its side too. */
async function leave(raw: { socket: Socket }): Promise<void> {
  raw.socket.resetAndDestroy();
  await once(raw.socket, 'close');
}

test('legacy: a call goes on without its client, and what nobody got is recorded as not released', async () => {
  await using stack = new AsyncDisposableStack();
  const { gateway, answering } = await start(stack);
  const raw = await openRaw(gateway.port);
  raw.send(requestOf({ token: gateway.token, body: toolCall(1) }));
  const socket = await answering(1);
  socket.write(SSE + EVENT);
  await raw.until((text) => text.includes('notifications/message'));
  await leave(raw);
  // The gateway learns of it in its own time: events go on until one finds nobody.
  const isWithheld = (frame: Frame): boolean => frame.type === 'data' && frame.released === false;
  while (!(await framesOf(gateway)).some(isWithheld)) socket.write(EVENT);
  socket.end(RESULT);
  const [exchange] = await exchangesOnce(gateway, 1);
  assert.ok(exchange);
  const released = exchange.data.map((frame) => frame.released !== false);
  assert.deepEqual([released[0], released.at(-1), exchange.data.length > 2], [true, false, true]);
  assert.ok(released.lastIndexOf(true) < released.indexOf(false));
  assert.deepEqual(exchange.data.at(-1)?.messages, [{ kind: 'response', id: 1 }]);
  assert.equal(exchange.end?.outcome.result, 'complete');
  assert.equal(exchange.end?.bytes?.upstream, (exchange.data.length - 1) * EVENT.length + RESULT.length);
  assert.equal(exchange.end?.bytes?.released, releasedBytes(exchange).length);
});

test('legacy: a client that leaves before the answer begins cancels nothing', async () => {
  await using stack = new AsyncDisposableStack();
  const { gateway, answering } = await start(stack);
  const raw = await openRaw(gateway.port);
  raw.send(requestOf({ token: gateway.token, body: toolCall(1) }));
  const socket = await answering(1);
  await leave(raw);
  socket.write(jsonAnswer(1));
  const [exchange] = await exchangesOnce(gateway, 1);
  assert.equal(exchange?.end?.outcome.result, 'complete');
  assert.deepEqual(exchange?.end?.outcome.messages, [{ id: 1 }]);
});

for (const [name, request] of [
  ['a modern call', { body: MODERN, headers: MODERN_HEADERS }],
  ['a stream of GET', { method: 'GET', type: null, framing: [] }],
] as const) {
  test(`${name} is aborted upstream when its client leaves before the answer`, async () => {
    await using stack = new AsyncDisposableStack();
    const { upstream, gateway, answering } = await start(stack);
    const raw = await openRaw(gateway.port);
    raw.send(requestOf({ token: gateway.token, ...request }));
    await answering(1);
    const disconnected = upstream.disconnected();
    await leave(raw);
    await disconnected;
    const [exchange] = await exchangesOnce(gateway, 1);
    assert.deepEqual(
      [exchange?.end?.outcome.result, exchange?.end?.outcome.http, exchange?.end?.abortedBy],
      ['cancelled', undefined, 'client'],
    );
  });

  test(`${name} is aborted upstream when its client leaves in the middle`, async () => {
    await using stack = new AsyncDisposableStack();
    const { upstream, gateway, answering } = await start(stack);
    const raw = await openRaw(gateway.port);
    raw.send(requestOf({ token: gateway.token, ...request }));
    (await answering(1)).write(SSE + EVENT);
    await raw.until((text) => text.includes('notifications/message'));
    const disconnected = upstream.disconnected();
    await leave(raw);
    await disconnected;
    const [exchange] = await exchangesOnce(gateway, 1);
    assert.deepEqual([exchange?.end?.outcome.result, exchange?.end?.outcome.http], ['cancelled', 200]);
  });
}

test('a pipelined modern call that waits for its turn is cancelled with its connection', async () => {
  await using stack = new AsyncDisposableStack();
  const { upstream, gateway, answering } = await start(stack);
  const raw = await openRaw(gateway.port);
  const call = requestOf({ token: gateway.token, body: MODERN, headers: MODERN_HEADERS });
  raw.send(call + call);
  await answering(2);
  const both = Promise.all([1, 2].map(() => upstream.disconnected()));
  await leave(raw);
  await both;
  const exchanges = await exchangesOnce(gateway, 2);
  assert.deepEqual(
    exchanges.map(({ end }) => end?.outcome.result),
    ['cancelled', 'cancelled'],
  );
});

test('a client that leaves before its body is whole has sent nothing, and that is recorded', async () => {
  await using stack = new AsyncDisposableStack();
  const { upstream, gateway } = await start(stack);
  const raw = await openRaw(gateway.port);
  raw.send(requestOf({ token: gateway.token, framing: ['Content-Length: 100', 'Expect: 100-continue'], body: '{' }));
  await raw.until((text) => text.includes('100 Continue'));
  await leave(raw);
  const [exchange] = await exchangesOnce(gateway, 1);
  assert.deepEqual([exchange?.request?.refused, exchange?.end?.outcome.result], ['bad_http', 'bad_http']);
  assert.equal(upstream.received(), '');
});

test('a body that never ends does not keep the gateway from stopping', { timeout: 10_000 }, async () => {
  await using stack = new AsyncDisposableStack();
  const { upstream, gateway } = await start(stack, { config: { drain: '50ms' } });
  const raw = await openRaw(gateway.port);
  raw.send(requestOf({ token: gateway.token, framing: ['Content-Length: 100', 'Expect: 100-continue'], body: '{' }));
  await raw.until((text) => text.includes('100 Continue'));
  await gateway.gateway.close();
  assert.match(await raw.closed(), /503 Service Unavailable.*shutting_down/s);
  assert.equal(upstream.received(), '');
});

test('a client that takes nothing is cut off after the idle time; the legacy call goes on', async () => {
  await using stack = new AsyncDisposableStack();
  const { gateway, answering } = await start(stack, { connection: { limits: { idleStream: '1500ms' } } });
  const raw = await openRaw(gateway.port);
  raw.socket.pause();
  raw.send(requestOf({ token: gateway.token, body: toolCall(1) }));
  const socket = await answering(1);
  // More than sockets and the gateway hold, and little enough to be recorded within the idle time.
  const size = 8 * 1024 * 1024;
  socket.write(`HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ncontent-length: ${size}\r\n\r\n`);
  let peak = 0;
  const watching = setInterval(() => {
    peak = Math.max(peak, socket.writableLength);
  }, 5);
  socket.write(Buffer.alloc(size, 'a'));
  const [exchange] = await exchangesOnce(gateway, 1);
  clearInterval(watching);
  assert.ok(peak > 0, 'the upstream was asked to wait');
  assert.equal(exchange?.end?.outcome.result, 'complete');
  assert.equal(exchange?.end?.bytes?.upstream, size);
  assert.ok((exchange?.end?.bytes?.released ?? size) < size);
  assert.ok(exchange?.data.some(({ released }) => released === false));
});

test('a legacy answer without an end is not recorded without an end once its client has left', {
  timeout: 20_000,
}, async () => {
  await using stack = new AsyncDisposableStack();
  const { gateway, upstream, answering } = await start(stack, { connection: { limits: { eventBytes: '64KiB' } } });
  const raw = await openRaw(gateway.port);
  raw.send(requestOf({ token: gateway.token, body: toolCall(1) }));
  const socket = await answering(1);
  socket.write(SSE + EVENT);
  await raw.until((text) => text.includes('notifications/message'));
  await leave(raw);
  const gone = upstream.disconnected();
  const flood = (): void => {
    while (!socket.destroyed && socket.write(EVENT.repeat(20)));
  };
  socket.on('drain', flood).on('error', () => {});
  flood();
  await gone;
  const [exchange] = await exchangesOnce(gateway, 1);
  assert.deepEqual([exchange?.end?.outcome.result, exchange?.end?.abortedBy], ['response_too_large', 'gateway']);
});

test('many calls on one connection leave no listeners behind', async () => {
  await using stack = new AsyncDisposableStack();
  const upstream = stack.adopt(await startRawUpstream((_, to) => to.write(jsonAnswer(1))), (one) => one.close());
  const gateway = stack.adopt(await startGatewayInFrontOf(upstream.url), (one) => one.close());
  const warnings: string[] = [];
  const warn = (warning: Error): void => void warnings.push(warning.name);
  process.on('warning', warn);
  const raw = await openRaw(gateway.port);
  for (let count = 1; count <= 30; count++) {
    raw.send(requestOf({ token: gateway.token, body: toolCall(1) }));
    await raw.until((text) => text.split('"result":{}').length > count);
  }
  process.off('warning', warn);
  assert.deepEqual(warnings, []);
  assert.equal((await exchangesOf(gateway)).length, 30);
  assert.equal((await ask(gateway.port, requestOf({ token: gateway.token, body: toolCall(1) }))).status, 200);
});
