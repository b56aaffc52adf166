/**
 * The two promises, on real sockets, with fdatasync held back by hand:
 *   1. no request byte reaches the upstream before the request's commit has returned;
 *   2. no response byte reaches the client before its frame's commit has, per SSE event.
 */
import assert from 'node:assert/strict';
import { createServer, type Server, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { createGate } from './gate.ts';
import { type GatewayUnderTest, startGatewayInFrontOf } from './gateway-under-test.ts';
import { call, toolCall } from './raw-client.ts';

const gate = createGate();
let upstream: Server;
let received = 0;
const sockets: Socket[] = [];
let arrivals: (() => void)[] = [];
let gateway: GatewayUnderTest;

before(async () => {
  upstream = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      received += chunk.length;
      for (const arrival of arrivals) arrival();
      arrivals = [];
    });
  });
  await new Promise<void>((done) => upstream.listen(0, '127.0.0.1', done));
  const address = upstream.address();
  assert.ok(typeof address === 'object' && address !== null);
  gateway = await startGatewayInFrontOf(`http://127.0.0.1:${address.port}/mcp`, { fileSystem: gate.fileSystem });
  // The session is opened by a first call, so that what is held back below is the commit of a call alone.
  const first = call(gateway.url, { token: gateway.token, body: toolCall(0) });
  await arrival();
  answerJson('{"jsonrpc":"2.0","id":0,"result":{}}');
  await (await first.answer).whole();
});

after(async () => {
  gate.open();
  for (const socket of sockets) socket.destroy();
  await gateway.close();
  upstream.close();
});

function arrival(): Promise<void> {
  return new Promise((done) => arrivals.push(done));
}

function socket(): Socket {
  const last = sockets.at(-1);
  assert.ok(last !== undefined);
  return last;
}

function answerJson(body: string): void {
  socket().write(
    `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}

/** The gateway's event loop has gone round: what it could have written by now, it has. */
async function otherCallPasses(): Promise<void> {
  for (let round = 0; round < 3; round++) await (await fetch(`${gateway.gateway.url}/healthz`)).text();
}

test('no request byte reaches the upstream before the commit of the request returns', async () => {
  const [seen, connections] = [received, sockets.length];
  gate.hold();
  const going = call(gateway.url, { token: gateway.token, body: toolCall(1) });
  await gate.waiting();
  await otherCallPasses();
  assert.equal(received, seen);
  assert.equal(sockets.length, connections);
  const arrived = arrival();
  gate.open();
  await arrived;
  assert.ok(received > seen);
  answerJson('{"jsonrpc":"2.0","id":1,"result":{}}');
  await (await going.answer).whole();
});

test('no response byte reaches the client before the commit of the response returns', async () => {
  const body = '{"jsonrpc":"2.0","id":2,"result":{"content":[]}}';
  const arrived = arrival();
  const going = call(gateway.url, { token: gateway.token, body: toolCall(2) });
  await arrived;
  gate.hold();
  answerJson(body);
  await gate.waiting();
  await otherCallPasses();
  assert.equal(going.answered(), false);
  gate.open();
  const answer = await going.answer;
  assert.equal((await answer.whole()).toString(), body);
  assert.equal(answer.headers['content-length'], String(body.length));
});

test('each SSE event waits for its own commit, and only for that', async () => {
  const arrived = arrival();
  const going = call(gateway.url, { token: gateway.token, body: toolCall(3) });
  await arrived;
  gate.hold();
  const send = (text: string): void => {
    const bytes = Buffer.from(text);
    socket().write(`${bytes.length.toString(16)}\r\n${text}\r\n`);
  };
  socket().write('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n');
  await gate.waiting();
  await otherCallPasses();
  assert.equal(going.answered(), false);
  gate.releaseOne();
  const answer = await going.answer;
  let whole = '';
  for (let event = 1; event <= 4; event++) {
    const last = event === 4;
    const data = last
      ? '{"jsonrpc":"2.0","id":3,"result":{}}'
      : `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":${event}}}`;
    const text = `id: ${event}\r\ndata: ${data}\r\n\r\n`;
    // In two pieces: half an event is neither recorded nor released.
    send(text.slice(0, 9));
    await otherCallPasses();
    send(text.slice(9));
    await gate.waiting();
    await otherCallPasses();
    assert.equal(answer.bytes().toString(), whole);
    whole += text;
    gate.releaseOne();
    await answer.until((body) => body.length >= whole.length);
    assert.equal(answer.bytes().toString(), whole);
  }
  let ended = false;
  void answer.whole().then(() => {
    ended = true;
  });
  socket().write('0\r\n\r\n');
  await gate.waiting();
  await otherCallPasses();
  assert.equal(ended, false, 'the end is durable before the last chunk ends');
  gate.open();
  assert.equal((await answer.whole()).toString(), whole);
});

test('a commit that fails before forwarding: not_forwarded, and nothing reached the upstream', async () => {
  const seen = received;
  gate.fail(new Error('no space left'));
  const answer = await call(gateway.url, { token: gateway.token, body: toolCall(4) }).answer;
  const error = JSON.parse((await answer.whole()).toString()) as { error: { data: unknown } };
  assert.deepEqual(error.error.data, { code: 'recording_unavailable', fate: 'not_forwarded' });
  assert.equal(received, seen);
  const ready = await fetch(`${gateway.gateway.url}/readyz`);
  assert.deepEqual([ready.status, await ready.text()], [503, 'recording_unavailable\n']);
  gate.open();
  await untilReady();
});

test('a commit that fails after forwarding: outcome_withheld, and nothing of the answer came out', async () => {
  const arrived = arrival();
  const going = call(gateway.url, { token: gateway.token, body: toolCall(5) });
  await arrived;
  gate.fail(new Error('no space left'));
  answerJson('{"jsonrpc":"2.0","id":5,"result":{"content":[{"type":"text","text":"withheld-canary"}]}}');
  const text = (await (await going.answer).whole()).toString();
  assert.deepEqual((JSON.parse(text) as { error: { data: unknown } }).error.data, {
    code: 'recording_unavailable',
    fate: 'outcome_withheld',
  });
  assert.equal(text.includes('withheld-canary'), false);
  gate.open();
  await untilReady();
});

/** The gateway tries its disk again by itself; when that has worked it takes calls. */
async function untilReady(): Promise<void> {
  for (;;) {
    const ready = await fetch(`${gateway.gateway.url}/readyz`);
    await ready.text();
    if (ready.status === 200) return;
  }
}
