/**
 * What is not as the specification has it is refused in its words, recorded, and goes nowhere. What a client does on
 * purpose is in hostile-client.test.ts.
 */
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { requestBytes } from '../gateway/recording/exchange.ts';
import { type GatewayUnderTest, startGatewayInFrontOf } from './gateway-under-test.ts';
import { toolCall } from './raw-client.ts';
import { ask, jsonAnswer, openRaw, type RawUpstream, requestOf, startRawUpstream } from './raw-socket.ts';
import { exchangesOnce, framesOf, systemRefusals } from './recorded.ts';

const CALL = toolCall(1);

interface Case {
  readonly name: string;
  readonly bytes: (token: string) => string;
  readonly status: number;
  /** The JSON-RPC error; none where the HTTP parser refused. */
  readonly rpc?: number;
  readonly code: string;
}

type Request = Parameters<typeof requestOf>[0];
const post = (more: Request) => (token: string) => requestOf({ token, body: CALL, ...more });
const posts = (body: string, more: Request = {}) => post({ body, ...more });

/** Known before anybody's session is: an event of the system strand. */
const WITHOUT_SESSION: readonly Case[] = [
  ...[
    ['a doubled Content-Type', { headers: ['Content-Type: application/json'] }],
    ['a doubled Mcp-Method', { headers: ['Mcp-Method: tools/call', 'mcp-method: tools/call'] }],
    ['a doubled Authorization', { headers: ['Authorization: Bearer other'] }],
    ['a doubled Mcp-Session-Id', { headers: ['Mcp-Session-Id: a', 'Mcp-Session-Id: b'] }],
    ['another expectation', { headers: ['Expect: the-best'] }],
    ['no Host', { host: '' }],
    ['a header beyond a thousand', { headers: [...Array<string>(1100).fill('a:b'), 'Connection: Mcp-Method'] }],
  ].map(([name, more]) => ({
    name: name as string,
    bytes: post(more as Request),
    status: 400,
    rpc: -32600,
    code: 'bad_http',
  })),
  {
    name: 'no Host line at all',
    bytes: () => 'POST /fixture/mcp HTTP/1.1\r\nContent-Length: 0\r\n\r\n',
    status: 400,
    rpc: -32600,
    code: 'bad_http',
  },
  {
    name: 'Upgrade',
    bytes: post({ headers: ['Connection: Upgrade', 'Upgrade: websocket'] }),
    status: 400,
    rpc: -32600,
    code: 'upgrade_refused',
  },
  { name: 'a wrong Host', bytes: post({ host: 'evil.example' }), status: 421, rpc: -32600, code: 'host_refused' },
  {
    name: 'a bad Origin',
    bytes: post({ headers: ['Origin: https://evil.example'] }),
    status: 403,
    rpc: -32600,
    code: 'origin_refused',
  },
  { name: 'Origin null', bytes: post({ headers: ['Origin: null'] }), status: 403, rpc: -32600, code: 'origin_refused' },
  {
    name: 'a preflight of a bad Origin',
    bytes: () => requestOf({ method: 'OPTIONS', type: null, headers: ['Origin: https://evil.example'] }),
    status: 403,
    rpc: -32600,
    code: 'origin_refused',
  },
  { name: 'another path', bytes: post({ target: '/fixture/admin' }), status: 404, rpc: -32600, code: 'not_found' },
  {
    name: 'no token',
    bytes: () => requestOf({ body: CALL }),
    status: 401,
    rpc: -32001,
    code: 'unauthenticated',
  },
  {
    name: 'too much header',
    bytes: post({ headers: [`X-Long: ${'x'.repeat(40_000)}`] }),
    status: 431,
    code: 'bad_http',
  },
];

const batch = (...messages: string[]): string => `[${messages.join(',')}]`;

/** Refused in a session: recorded there, whole where the body was read. */
const IN_SESSION: readonly Case[] = [
  ...['PUT', 'HEAD', 'TRACE', 'PATCH'].map((method) => ({
    name: method,
    bytes: post({ method, body: '' }),
    status: 405,
    ...(method === 'HEAD' ? {} : { rpc: -32600 }),
    code: 'method_not_allowed',
  })),
  ...[
    ['an unlisted query parameter', { target: '/fixture/mcp?key=SECRET-QUERY' }],
    ['a body of GET', { method: 'GET' }],
    ['a body of DELETE', { method: 'DELETE' }],
  ].map(([name, more]) => ({
    name: name as string,
    bytes: post(more as Request),
    status: 400,
    rpc: -32600,
    code: 'bad_http',
  })),
  {
    name: 'trailers',
    bytes: post({ framing: ['Transfer-Encoding: chunked'], body: `1\r\n{\r\n0\r\nMcp-Method: x\r\n\r\n` }),
    status: 400,
    rpc: -32600,
    code: 'bad_http',
  },
  ...[
    ['text/plain', { type: 'text/plain' }],
    ['no Content-Type', { type: null }],
    ['another charset', { type: 'application/json; charset=utf-16' }],
    ['two parameters', { type: 'application/json; charset=utf-8; charset=utf-7' }],
    ['a content encoding', { headers: ['Content-Encoding: gzip'] }],
  ].map(([name, more]) => ({
    name: name as string,
    bytes: post(more as Request),
    status: 415,
    rpc: -32600,
    code: 'unsupported_media_type',
  })),
  { name: 'too long', bytes: posts(' '.repeat(4097)), status: 413, rpc: -32600, code: 'body_too_large' },
  {
    name: 'announced too long',
    bytes: post({ framing: ['Content-Length: 999999'], body: '' }),
    status: 413,
    rpc: -32600,
    code: 'body_too_large',
  },
  {
    name: 'chunked and too long, without an end',
    bytes: post({ framing: ['Transfer-Encoding: chunked'], body: `1388\r\n${' '.repeat(5000)}\r\n` }),
    status: 413,
    rpc: -32600,
    code: 'body_too_large',
  },
  ...[
    ['no jsonrpc', '{"id":1,"method":"ping"}', []],
    ['params that are a list', '{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}', []],
  ].map(([name, body, headers]) => ({
    name: name as string,
    bytes: posts(body as string, { headers: headers as string[] }),
    status: 400,
    rpc: -32600,
    code: 'invalid_request',
  })),
];

let upstream: RawUpstream;
let gateway: GatewayUnderTest;
let connections = 0;

before(async () => {
  upstream = await startRawUpstream((_, socket) => socket.write(jsonAnswer(1)));
  gateway = await startGatewayInFrontOf(upstream.url, {
    config: { allowedOrigins: ['https://inspector.example.com'] },
    connection: { limits: { requestBytes: '4KiB' }, query: ['page'] },
  });
});
after(async () => {
  await gateway.close();
  await upstream.close();
});
beforeEach(() => {
  connections = upstream.requests().length;
});

for (const { name, bytes, status, rpc, code } of WITHOUT_SESSION) {
  test(`refused before a session: ${name}`, async () => {
    const answer = await ask(gateway.port, bytes(gateway.token));
    assert.equal(answer.status, status);
    if (rpc !== undefined) {
      const { id, error } = JSON.parse(answer.body);
      assert.deepEqual([id, error.code, error.data], [null, rpc, { code, fate: 'not_forwarded' }]);
    }
    assert.equal(upstream.requests().length, connections);
  });
}

test('each of these refusals is an event of the system strand, one for an address, reason and minute', async () => {
  const recorded = new Set(await systemRefusals(gateway));
  for (const code of new Set(WITHOUT_SESSION.map(({ code }) => code))) assert.ok(recorded.has(code), code);
  for (const frame of await framesOf(gateway, 'system')) {
    if (frame.type === 'event' && frame.event.name === 'refused') assert.equal(frame.event.address, '127.0.0.1');
  }
});

for (const { name, bytes, status, rpc, code } of IN_SESSION) {
  test(`refused in a session: ${name}`, async () => {
    // A session of its own: its recording has this exchange alone.
    const token = await gateway.tokenFor({ sub: `strict ${name}` });
    const sent = bytes(token);
    const answer = await ask(gateway.port, sent);
    assert.equal(answer.status, status);
    if (rpc !== undefined) {
      const { error } = JSON.parse(answer.body);
      assert.deepEqual([error.code, error.data], [rpc, { code, fate: 'not_forwarded' }]);
    }
    assert.equal(upstream.requests().length, connections);
    const frames = await framesOf(gateway);
    const start = frames.find(
      (frame) => frame.type === 'session.start' && frame.start.principal?.subject === `strict ${name}`,
    );
    const own = frames.filter(({ session }) => session === start?.session);
    assert.deepEqual(
      own.map(({ type }) => type).filter((type) => type !== 'data'),
      ['session.start', 'request', 'response', 'end'],
    );
    for (const frame of own) {
      if (frame.type === 'request') assert.equal(frame.refused, code);
      if (frame.type === 'response') assert.deepEqual([frame.from, frame.status], ['gateway', status]);
      if (frame.type === 'end') assert.deepEqual([frame.outcome.result, frame.outcome.fate], [code, 'not_forwarded']);
    }
    assert.ok(!JSON.stringify(own).includes('SECRET-QUERY'));
    assert.ok(!JSON.stringify(own).includes(token));
  });
}

test('a request that was refused for its content is recorded with its bytes', async () => {
  const token = await gateway.tokenFor({ sub: 'bytes' });
  const body = '{"jsonrpc":"2.0","id":1,"id":"\xff"}';
  await ask(gateway.port, requestOf({ token, body }));
  const exchanges = await exchangesOnce(gateway, 1);
  assert.ok(exchanges.some((exchange) => requestBytes(exchange).equals(Buffer.from(body, 'latin1'))));
});

test('a batch of 2025-03-26 passes, decided and recorded element by element', async () => {
  const body = batch(toolCall(1, 'a'), '{"jsonrpc":"2.0","method":"notifications/initialized"}', toolCall('1', 'b'));
  for (const headers of [[], ['MCP-Protocol-Version: 2025-03-26']]) {
    const before = upstream.requests().length;
    const answer = await ask(gateway.port, requestOf({ token: gateway.token, body, headers }));
    assert.equal(answer.status, 200);
    assert.ok(upstream.requests()[before]?.endsWith(body));
  }
  const batches = (await exchangesOnce(gateway, 1)).filter(({ request }) => request?.messages.length === 3);
  assert.equal(batches.length, 2);
  for (const { request } of batches) {
    const facts = request?.messages.map(({ kind, id, name, decision }) => [kind, id, name, decision.effect]);
    assert.deepEqual(facts, [
      ['request', 1, 'a', 'allow'],
      ['notification', undefined, undefined, 'allow'],
      ['request', '1', 'b', 'allow'],
    ]);
  }
});

test('a refused batch is answered for nobody, and its good element goes nowhere', async () => {
  const answer = await ask(gateway.port, requestOf({ token: gateway.token, body: batch(toolCall(7), '{}') }));
  assert.equal(JSON.parse(answer.body).id, null);
  assert.ok(!upstream.received().includes('"id":7'));
});

test('listed query parameters pass, their values are not recorded', async () => {
  const token = await gateway.tokenFor({ sub: 'query' });
  const answer = await ask(gateway.port, requestOf({ token, body: CALL, target: '/fixture/mcp?page=PAGE-VALUE' }));
  assert.equal(answer.status, 200);
  assert.ok(upstream.requests().at(-1)?.startsWith('POST /mcp?page=PAGE-VALUE HTTP/1.1\r\n'));
  const text = JSON.stringify(await framesOf(gateway));
  assert.ok(text.includes('/fixture/mcp?page=…') && !text.includes('PAGE-VALUE'));
  const twice = requestOf({ token, body: CALL, target: '/fixture/mcp?page=1&page=2' });
  assert.equal((await ask(gateway.port, twice)).status, 400);
});

test('a preflight of a listed Origin is answered without a token, and nothing of it is forwarded', async () => {
  const headers = ['Origin: https://inspector.example.com', 'Access-Control-Request-Headers: mcp-param-x, x-evil'];
  const answer = await ask(gateway.port, requestOf({ method: 'OPTIONS', type: null, headers }));
  assert.equal(answer.status, 204);
  assert.match(answer.head, /access-control-allow-origin: https:\/\/inspector\.example\.com/i);
  const [, allowed = ''] = /access-control-allow-headers: ([^\r]*)/i.exec(answer.head) ?? [];
  for (const name of ['authorization', 'last-event-id', 'mcp-protocol-version', 'mcp-session-id', 'mcp-param-x']) {
    assert.ok(allowed.split(', ').includes(name), name);
  }
  assert.ok(!allowed.includes('x-evil'));
  assert.equal(upstream.requests().length, connections);
});

test('a listed Origin may read the headers that it needs', async () => {
  const headers = ['Origin: https://inspector.example.com'];
  const answer = await ask(gateway.port, requestOf({ token: gateway.token, body: CALL, headers }));
  assert.match(answer.head, /access-control-expose-headers: Mcp-Session-Id, [^\r]*WWW-Authenticate/i);
  assert.ok(!upstream.requests().at(-1)?.toLowerCase().includes('origin:'));
});

test('what follows a request and is none does not get into the middle of its answer', async () => {
  const held = Promise.withResolvers<() => void>();
  await using stack = new AsyncDisposableStack();
  const slow = stack.adopt(
    await startRawUpstream((_, socket) => {
      socket.write(
        'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: {"jsonrpc":"2.0","id":1,"result":{}}\n\n',
      );
      held.resolve(() => socket.end());
    }),
    (started) => started.close(),
  );
  const behind = stack.adopt(await startGatewayInFrontOf(slow.url), (started) => started.close());
  const raw = await openRaw(behind.port);
  raw.send(requestOf({ token: behind.token, body: CALL }));
  await raw.until((text) => text.includes('result'));
  raw.send('NONSENSE\r\n\r\n');
  const text = await raw.closed();
  assert.equal(text.split('HTTP/1.1').length, 2);
  (await held.promise)();
  assert.ok((await systemRefusals(behind)).includes('bad_http'));
});
