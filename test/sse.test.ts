/** HTTP+SSE of 2024-11-05: the one event that names an address is checked and rewritten; the address is the session's. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { CreateMessageRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { releasedBytes } from '../gateway/recording/exchange.ts';
import { type GatewayUnderTest, startGatewayInFrontOf } from './gateway-under-test.ts';
import { call, toolCall } from './raw-client.ts';
import { startRawUpstream } from './raw-socket.ts';
import { exchangesOf, exchangesOnce, framesOf } from './recorded.ts';
import { type SseServer, startSseServer } from './sse-server.ts';

const sse = { sse: { path: '/sse', messages: '/message' }, paths: undefined };

let server: SseServer;
let gateway: GatewayUnderTest;

before(async () => {
  server = await startSseServer();
  gateway = await startGatewayInFrontOf(server.url, { connection: sse });
});
after(async () => {
  await gateway.close();
  await server.close();
});

async function connect(token: string): Promise<Client> {
  const client = new Client({ name: 'verbatim-test', version: '1.0.0' }, { capabilities: { sampling: {} } });
  client.setRequestHandler(CreateMessageRequestSchema, () => ({
    role: 'assistant',
    model: 'test',
    content: { type: 'text', text: 'Paris' },
  }));
  const headers = { authorization: `Bearer ${token}` };
  await client.connect(new SSEClientTransport(new URL(gateway.url), { requestInit: { headers } }));
  return client;
}

/** The stream of a session, and the address that it named. */
async function openStream(url: string, token: string) {
  const stream = await call(url, { method: 'GET', token, headers: { accept: 'text/event-stream' } }).answer;
  await stream.until((body) => body.includes('\n\n') || body.includes('\r\n\r\n'));
  const address = /^data: (.*)$/m.exec(stream.bytes().toString())?.[1]?.trim() ?? '';
  return { stream, address, messages: new URL(address, url).href };
}

test('SDK 1 lists, calls, and answers what the server asks', { timeout: 20_000 }, async () => {
  const client = await connect(await gateway.tokenFor({ sub: 'sdk' }));
  assert.deepEqual(
    (await client.listTools()).tools.map(({ name }) => name),
    ['echo', 'ask'],
  );
  const echoed = await client.callTool({ name: 'echo', arguments: { text: 'grüezi 👋' } });
  assert.deepEqual(echoed.content, [{ type: 'text', text: 'grüezi 👋' }]);
  const asked = await client.callTool({ name: 'ask', arguments: {} });
  assert.match(JSON.stringify(asked.content), /Paris/);
  await client.close();
});

test('the client gets a sealed address under the gateway; the server’s own id is in no byte and no recording', async () => {
  const token = await gateway.tokenFor({ sub: 'sealed' });
  const { stream, address, messages } = await openStream(gateway.url, token);
  assert.match(address, /^\/fixture\/message\?sessionId=v1\.[A-Za-z0-9_-]+$/);
  const [id = ''] = server.ids().slice(-1);
  assert.ok(id.length > 30 && !stream.bytes().includes(id));
  const initialize =
    '{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2024-11-05","capabilities":{},"clientInfo":{"name":"raw","version":"1"}}}';
  const posted = await call(messages, { token, body: initialize }).answer;
  assert.equal(posted.status, 202);
  await stream.until((body) => body.includes('"serverInfo"'));
  const released = stream.bytes();
  stream.close();
  await exchangesOnce(gateway, 2);
  const mine = (await framesOf(gateway)).filter((frame) => JSON.stringify(frame).includes('"sealed"'));
  const [start] = mine;
  const exchanges = (await exchangesOf(gateway)).filter(({ session }) => session === start?.session);
  const recorded = exchanges.find(({ request }) => request?.method === 'GET');
  assert.ok(
    recorded !== undefined && releasedBytes(recorded).equals(released),
    'the recording holds what was released',
  );
  assert.ok(!JSON.stringify(exchanges).includes(id));
  assert.ok(!gateway.logged.join('').includes(id));
});

test("another principal's address is unknown, recorded as an attempt, and nothing is forwarded", async () => {
  const { stream, messages } = await openStream(gateway.url, await gateway.tokenFor({ sub: 'owner' }));
  const refused = await call(messages, { token: await gateway.tokenFor({ sub: 'mallory' }), body: toolCall(1) }).answer;
  assert.equal(refused.status, 404);
  assert.match((await refused.whole()).toString(), /"mcp_session_unknown"/);
  assert.ok(gateway.logged.some((line) => line.includes('"foreign_session_id"') && line.includes('mallory')));
  stream.close();
});

test('no address, a plain one, one more parameter, an Mcp-Session-Id in its place: refused', async () => {
  const token = await gateway.tokenFor({ sub: 'forger' });
  const { stream, messages } = await openStream(gateway.url, token);
  const base = messages.slice(0, messages.indexOf('?'));
  const [id = ''] = server.ids().slice(-1);
  for (const [url, status] of [
    [base, 404],
    [`${base}?sessionId=${id}`, 404],
    [`${messages}&x=1`, 400],
    [`${messages}&sessionId=${id}`, 400],
  ] as const) {
    assert.equal((await call(url, { token, body: toolCall(1) }).answer).status, status, url);
  }
  stream.close();
});

test('methods: a stream is opened by GET, a message is a POST, and a client that tries the new transport falls back', async () => {
  const token = gateway.token;
  const posted = await call(gateway.url, { token, body: toolCall(1) }).answer;
  assert.deepEqual([posted.status, posted.headers.allow], [405, 'GET, OPTIONS']);
  const { stream, messages } = await openStream(gateway.url, token);
  const got = await call(messages, { token, method: 'GET' }).answer;
  assert.deepEqual([got.status, got.headers.allow], [405, 'POST, OPTIONS']);
  stream.close();
});

test('a refusal is an HTTP error: a client of this transport reads no other', async () => {
  const token = await gateway.tokenFor({ sub: 'refused' });
  const { stream, messages } = await openStream(gateway.url, token);
  const refused = await call(messages, {
    token,
    body: '{"jsonrpc":"2.0","id":7,"method":"tasks/get","params":{"taskId":"nobody-has-it"}}',
  }).answer;
  assert.equal(refused.status, 400);
  const { id, error } = JSON.parse((await refused.whole()).toString());
  assert.deepEqual([id, error.data.code], [7, 'handle_unknown']);
  stream.close();
});

test('without a token the challenge names the stream, for the address of messages too', async () => {
  for (const path of ['sse', 'message?sessionId=x']) {
    const response = await fetch(gateway.url.replace(/sse$/, path), { method: path === 'sse' ? 'GET' : 'POST' });
    assert.equal(response.status, 401);
    const metadata = /resource_metadata="([^"]+)"/.exec(response.headers.get('www-authenticate') ?? '')?.[1] ?? '';
    const { resource } = (await (await fetch(metadata)).json()) as { resource: string };
    assert.equal(resource, gateway.url);
  }
});

/** What an upstream names, and what comes of it. */
const named: readonly (readonly [string, string | undefined])[] = [
  ['/message?sessionId=1', '/message?sessionId=1'],
  ['message?sessionId=2', '/message?sessionId=2'],
  ['ORIGIN/message?sessionId=3', '/message?sessionId=3'],
  ['/message', '/message'],
  ['http://evil.example/message?sessionId=1', undefined],
  ['//evil.example/message', undefined],
  ['http://user:pass@HOST/message', undefined],
  ['/other?sessionId=1', undefined],
  ['/message/../admin', undefined],
  ['/message#fragment', undefined],
  ['javascript:alert(1)', undefined],
  ['http://169.254.169.254/message', undefined],
  ['/message?a=b c', undefined],
  ['MARK/message', undefined],
  ['', undefined],
];

for (const [data, expected] of named) {
  test(`an endpoint event with ${JSON.stringify(data)} is ${expected === undefined ? 'refused' : 'rewritten'}`, async () => {
    await using stack = new AsyncDisposableStack();
    const upstream = stack.adopt(
      await startRawUpstream((request, socket) => {
        const host = /host: (.*)\r/i.exec(request)?.[1] ?? '';
        const address = data.replace('ORIGIN', `http://${host}`).replace('HOST', host);
        const head = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n';
        if (data.startsWith('MARK')) socket.write(`${head}\u{feff}data: http://evil.example/\nevent: endpoint\n\n`);
        else if (request.startsWith('GET'))
          socket.write(`${head}id: 1\nevent: endpoint\ndata: ${address}\nretry: 5\n\n`);
        else socket.end('HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n');
      }, '/sse'),
      (one) => one.close(),
    );
    const behind = stack.adopt(await startGatewayInFrontOf(upstream.url, { connection: sse }), (one) => one.close());
    const opened = call(behind.url, { method: 'GET', token: behind.token });
    if (expected === undefined) {
      const refused = await opened.answer;
      const words = (await refused.whole()).toString();
      assert.deepEqual([refused.status, JSON.parse(words).error.data.code], [502, 'upstream_endpoint_refused']);
      assert.ok(!/evil|169|admin|pass/.test(words), words);
      const [exchange] = await exchangesOnce(behind, 1);
      const { http, result, fate } = exchange?.end?.outcome ?? {};
      assert.deepEqual([http, result, fate], [502, 'upstream_endpoint_refused', 'outcome_withheld']);
      assert.deepEqual([exchange?.response?.from, exchange?.response?.status], ['gateway', 502]);
      assert.equal(exchange && releasedBytes(exchange).toString(), words);
      return;
    }
    const stream = await opened.answer;
    await stream.until((body) => body.includes('\n\n'));
    assert.match(
      stream.bytes().toString(),
      /^id: 1\nevent: endpoint\ndata: \/fixture\/message\?sessionId=v1\.\S+\nretry: 5\n\n$/,
    );
    const address = /data: (.*)/.exec(stream.bytes().toString())?.[1] ?? '';
    await call(new URL(address, behind.url).href, { token: behind.token, body: toolCall(1) }).answer;
    assert.ok(upstream.requests().at(-1)?.startsWith(`POST ${expected} HTTP/1.1\r\n`));
    stream.close();
  });
}

test('a host of its own has the address without prefix', async () => {
  await using stack = new AsyncDisposableStack();
  const other = stack.adopt(await startSseServer(), (one) => one.close());
  const behind = stack.adopt(
    await startGatewayInFrontOf(other.url, { connection: { ...sse, host: 'fixture.localhost' } }),
    (one) => one.close(),
  );
  const url = `http://127.0.0.1:${behind.port}/sse`;
  const token = await behind.issuer.token(`http://fixture.localhost:${behind.port}/sse`, {});
  const stream = await call(url, { method: 'GET', token, headers: { host: `fixture.localhost:${behind.port}` } })
    .answer;
  await stream.until((body) => body.includes('\n\n'));
  assert.match(stream.bytes().toString(), /^event: endpoint\ndata: \/message\?sessionId=v1\.\S+\n\n$/);
  stream.close();
});
