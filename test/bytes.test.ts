/** Byte for byte: what the upstream sent, what the client got and what the recording holds are the same. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import { after, before, test } from 'node:test';
import { createExchangeGrouping, type Exchange, releasedBytes, requestBytes } from '../gateway/recording/exchange.ts';
import { openRecordings } from '../gateway/recording/read.ts';
import { openStore } from '../gateway/store/open.ts';
import { type GatewayUnderTest, startGatewayInFrontOf } from './gateway-under-test.ts';
import { call } from './raw-client.ts';

interface Case {
  readonly type: string;
  /** Sent as separate chunks. */
  readonly chunks: readonly Buffer[];
  readonly length?: boolean;
}

const KiB64 = 64 * 1024;
const text = (size: number): Buffer =>
  Buffer.from(`{"jsonrpc":"2.0","id":1,"result":{"t":"${'é'.repeat(size)}`).subarray(0, size);
const split = (bytes: Buffer, ...at: number[]): Buffer[] => {
  const points = [0, ...at, bytes.length];
  return points.slice(1).map((point, index) => bytes.subarray(points[index], point));
};
const emoji = Buffer.from('{"jsonrpc":"2.0","id":1,"result":{"t":"añ€😀z"}}');
const sse = (newline: string): Buffer =>
  Buffer.from(
    [
      ': hello',
      '',
      'id: 1',
      'data:',
      'retry: 500',
      '',
      ': keep-alive',
      'event: message',
      'data: {"jsonrpc":"2.0","method":"notifications/message",',
      'data: "params":{"level":"info","data":"two lines €"}}',
      '',
      'id: 2',
      'data: {"jsonrpc":"2.0","id":1,"result":{"isError":true}}',
      '',
      '',
    ].join(newline),
  );

const CASES: Record<string, Case> = {
  empty: { type: 'application/json', chunks: [] },
  'one byte': { type: 'application/json', chunks: [Buffer.from('1')] },
  '64 KiB - 1': { type: 'application/json', chunks: [text(KiB64 - 1)], length: true },
  '64 KiB': { type: 'application/json', chunks: [text(KiB64)] },
  '64 KiB + 1': { type: 'application/json', chunks: [text(KiB64 + 1)], length: true },
  '10 MiB': { type: 'application/json', chunks: [text(10 * 1024 * 1024)] },
  'binary 10 MiB': { type: 'application/octet-stream', chunks: [randomBytes(10 * 1024 * 1024)], length: true },
  'binary that looks like text': { type: 'text/plain', chunks: [Buffer.from([0x61, 0xff, 0xfe, 0x62, 0xe2, 0x82])] },
  'split characters': { type: 'application/json', chunks: split(emoji, 40, 41, 43, 44, 45, 46, 47, 48) },
  'SSE with LF': { type: 'text/event-stream', chunks: [sse('\n')] },
  'SSE with CRLF': { type: 'text/event-stream; charset=utf-8', chunks: [sse('\r\n')] },
  'SSE with CR': { type: 'text/event-stream', chunks: [sse('\r')] },
  'SSE byte by byte': { type: 'text/event-stream', chunks: [...sse('\r\n')].map((byte) => Buffer.from([byte])) },
  'SSE with a 1 MiB event': {
    type: 'text/event-stream',
    chunks: split(
      Buffer.from(`data: {"jsonrpc":"2.0","id":1,"result":{"t":"${'€'.repeat(350_000)}"}}\n\n`),
      300_001,
      700_002,
    ),
  },
  'SSE that breaks off inside an event': {
    type: 'text/event-stream',
    chunks: [Buffer.from('data: {"a":1}\n\ndata: {"b"')],
  },
};

let upstream: Server;
let gateway: GatewayUnderTest;
const seenByUpstream = new Map<string, Buffer>();

before(async () => {
  upstream = createServer((request, response) => {
    const name = decodeURIComponent(String(request.headers['mcp-test-case'] ?? ''));
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      seenByUpstream.set(name, Buffer.concat(chunks));
      void send(response, CASES[name] ?? { type: 'application/json', chunks: [] });
    });
  });
  await new Promise<void>((done) => upstream.listen(0, '127.0.0.1', done));
  const address = upstream.address();
  assert.ok(typeof address === 'object' && address !== null);
  gateway = await startGatewayInFrontOf(`http://127.0.0.1:${address.port}/mcp`);
});

after(async () => {
  await gateway.close();
  upstream.close();
});

/** Each chunk is a write of its own and a turn of its own, so that they arrive apart. */
async function send(response: import('node:http').ServerResponse, { type, chunks, length }: Case): Promise<void> {
  const total = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  response.writeHead(200, { 'content-type': type, ...(length ? { 'content-length': total } : {}) });
  for (const chunk of chunks) {
    await new Promise<void>((done) => response.write(chunk, () => setImmediate(done)));
  }
  response.end();
}

test('answers: released = recorded = sent', async () => {
  const released = new Map<string, Buffer>();
  for (const name of Object.keys(CASES)) {
    const answer = await call(gateway.url, {
      token: gateway.token,
      headers: { 'mcp-test-case': encodeURIComponent(name) },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name } }),
    }).answer;
    released.set(name, await answer.whole());
  }
  const recorded = await exchangesByName();
  for (const [name, { chunks }] of Object.entries(CASES)) {
    const sent = Buffer.concat(chunks);
    const exchange = recorded.get(name);
    assert.ok(exchange !== undefined, name);
    assert.ok(released.get(name)?.equals(sent), `${name}: released`);
    assert.ok(releasedBytes(exchange).equals(sent), `${name}: recorded`);
    assert.equal(exchange.end?.outcome.result, 'complete', name);
    assert.deepEqual(exchange.end?.bytes?.released, sent.length, name);
    assert.equal(exchange.end?.bytes?.upstream, sent.length, name);
    for (const frame of exchange.data) {
      const size = 'text' in frame ? Buffer.byteLength(frame.text) : Buffer.from(frame.base64, 'base64').length;
      assert.ok(size <= 256 * 1024, `${name}: a piece of ${size} bytes`);
    }
  }
  const pieces = (name: string): number => recorded.get(name)?.data.filter((frame) => 'base64' in frame).length ?? -1;
  assert.equal(pieces('split characters'), 0, 'no character is split between frames');
  assert.equal(pieces('SSE with a 1 MiB event'), 0);
  const event = recorded.get('SSE with a 1 MiB event')?.data.map((frame) => frame.more ?? false);
  assert.deepEqual(event, [true, true, true, true, false], 'an event is several pieces, all but the last with more');
  const lines = recorded.get('SSE with CRLF')?.data ?? [];
  assert.deepEqual(
    lines.flatMap((frame) => frame.messages ?? []),
    [
      { kind: 'notification', method: 'notifications/message' },
      { kind: 'response', id: 1, isError: true },
    ],
  );
});

test('requests: received = recorded = forwarded', async () => {
  const bodies: Record<string, string> = {
    small:
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"small","arguments":{ "a" : 1.0e2 , "b":"\\u00e9é" }}}\n ',
    large: JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: 'tools/call',
      params: { name: 'large', arguments: { t: '€'.repeat(3_000_000) } },
    }),
  };
  for (const [name, body] of Object.entries(bodies)) {
    const answer = await call(gateway.url, { token: gateway.token, headers: { 'mcp-test-case': name }, body }).answer;
    await answer.whole();
    assert.equal(seenByUpstream.get(name)?.equals(Buffer.from(body)), true, `${name}: forwarded`);
  }
  const recorded = await exchangesByName();
  for (const [name, body] of Object.entries(bodies)) {
    const exchange = recorded.get(name);
    assert.ok(exchange !== undefined);
    assert.ok(requestBytes(exchange).equals(Buffer.from(body)), `${name}: recorded`);
  }
});

async function exchangesByName(): Promise<Map<string, Exchange>> {
  await gateway.gateway.seal();
  const recordings = openRecordings(openStore(gateway.storeUrl));
  const found = new Map<string, Exchange>();
  for await (const session of recordings.sessions()) {
    const grouping = createExchangeGrouping();
    for await (const item of recordings.frames(session.session)) {
      assert.equal(item.kind, 'frame');
      if (item.kind !== 'frame') continue;
      const exchange = grouping.add(item.frame);
      if (exchange !== undefined) found.set(exchange.request?.messages[0]?.name ?? '', exchange);
    }
  }
  return found;
}
