/** Behind a gateway: who may use which child, and stateless requests that share one. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { call } from '../../test/raw-client.ts';
import { type SigningGateway, startSigningGateway } from '../../test/signing-gateway.ts';
import { callOf, INITIALIZE, startTestHost, type TestHost } from './scripted-host.ts';

let gateway: SigningGateway;
before(async () => {
  gateway = await startSigningGateway();
});
after(() => gateway.close());

const start = (behaviour: string, limits = {}) =>
  startTestHost(behaviour, limits, { gateway: { url: gateway.url, connection: 'orders' }, host: '127.0.0.1' });
const as = async (session: string): Promise<Record<string, string>> => ({
  'x-verbatim-identity': await gateway.sign({ session }),
});

const VERSION = '2026-07-28';
const META = {
  'io.modelcontextprotocol/protocolVersion': VERSION,
  'io.modelcontextprotocol/clientCapabilities': {},
};

function stateless(id: number | string, method = 'tools/call', input: Record<string, string> = {}, token?: unknown) {
  const _meta = token === undefined ? META : { ...META, progressToken: token };
  const params = method === 'tools/call' ? { name: 'any', arguments: input, _meta } : { _meta };
  const mirror = { 'mcp-method': method, ...(method === 'tools/call' ? { 'mcp-name': 'any' } : {}) };
  return {
    body: JSON.stringify({ jsonrpc: '2.0', id, method, params }),
    headers: { 'mcp-protocol-version': VERSION, ...mirror },
  };
}

async function ask(host: TestHost, session: string, ...of: Parameters<typeof stateless>) {
  const { body, headers } = stateless(...of);
  return host.send(body, { ...headers, ...(await as(session)) });
}

const started = (host: TestHost): number => host.logged.filter(({ event }) => event === 'stdio_child_started').length;

test('nothing passes without a header, and nothing starts', async () => {
  await using host = await start('echo');
  const { body, headers } = stateless(1);
  const used = await as('session-1');
  assert.equal((await host.send(INITIALIZE, used)).status, 200);
  const replies = [
    await host.send(INITIALIZE),
    await host.send(INITIALIZE, used),
    await host.send(body, headers),
    await host.send(INITIALIZE, { 'x-verbatim-identity': await gateway.sign({ aud: 'tickets' }) }),
  ];
  assert.deepEqual(
    replies.map(({ status, messages }) => [status, messages[0]?.error?.data?.code]),
    [
      [401, 'identity_refused'],
      [401, 'identity_refused'],
      [401, 'identity_refused'],
      [401, 'identity_refused'],
    ],
  );
  for (const method of ['GET', 'DELETE']) assert.equal((await fetch(host.url, { method })).status, 401);
  assert.equal(started(host), 1);
});

test('an Mcp-Session-Id works only in the session that opened it', async () => {
  await using host = await start('echo');
  const opened = await host.send(INITIALIZE, await as('session-1'));
  const id = { 'mcp-session-id': opened.headers.get('mcp-session-id') ?? '' };
  assert.equal((await host.send(callOf(1), { ...id, ...(await as('session-2')) })).status, 404);
  for (const method of ['GET', 'DELETE']) {
    const headers = { ...id, accept: 'text/event-stream', ...(await as('session-2')) };
    assert.equal((await fetch(host.url, { method, headers })).status, 404);
  }
  assert.equal((await host.send(callOf(1), { ...id, ...(await as('session-1')) })).status, 200);
});

test('stateless requests have one child a session, and no GET, DELETE, initialize or response', async () => {
  await using host = await start('echo');
  for (const session of ['a', 'b', 'a', 'b', 'a']) assert.equal((await ask(host, session, 0)).status, 200);
  assert.equal(started(host), 2);
  for (const method of ['GET', 'DELETE']) {
    const reply = await fetch(host.url, { method, headers: { 'mcp-protocol-version': VERSION, ...(await as('a')) } });
    assert.deepEqual([reply.status, reply.headers.get('allow')], [405, 'POST']);
  }
  assert.equal((await ask(host, 'a', 1, 'initialize')).status, 400);
  const response = { jsonrpc: '2.0', id: 1, result: {} };
  assert.equal((await host.send(response, { 'mcp-protocol-version': VERSION, ...(await as('a')) })).status, 400);
});

test('equal ids and tokens of two clients stay apart, and come back as they were written', async () => {
  await using host = await start('say');
  const progress =
    '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":TOKEN,"n":9007199254740993}}';
  const subscription = '"_meta":{"io.modelcontextprotocol/subscriptionId":ID}';
  const { body, headers } = stateless('0', 'tools/call', { progress }, 'p');
  const first = call(host.url, { token: '', headers: { ...headers, ...(await as('a')) }, body });
  await (await first.answer).until((bytes) => bytes.includes('"progressToken":"p"'));
  const end = `{"result":{"big":9007199254740993,${subscription}},"id": ID}`;
  const second = await ask(host, 'a', '0', 'tools/call', { progress, end }, 'p');
  const written = [progress.replace('TOKEN', '"p"'), end.replaceAll('ID', '"0"')];
  // "subscriptionId" holds the letters Id, not ID.
  assert.equal(second.text, written.map((line) => `event: message\ndata: ${line}\n\n`).join(''));
  assert.equal((await first.answer).bytes().toString(), `event: message\ndata: ${written[0]}\n\n`);
  first.abort();
});

test('a stateless client that goes cancels, under the number that the child knows', async () => {
  await using host = await start('told');
  const told = async () =>
    ((await ask(host, 'a', 9, 'tools/list')).messages[0]?.result?.told ?? []) as {
      id?: number;
      params: { requestId?: number; _meta: unknown };
    }[];
  const { body, headers } = stateless(5);
  const gone = call(host.url, { token: '', headers: { ...headers, ...(await as('a')) }, body });
  while ((await told()).length < 1);
  gone.abort();
  let heard = await told();
  while (heard.length < 2) heard = await told();
  assert.notEqual(heard[0]?.id, 5);
  assert.equal(heard[1]?.params.requestId, heard[0]?.id);
  assert.deepEqual(heard[1]?.params._meta, META);
});

test('a request of the server is answered for the client, which can not', async () => {
  await using host = await start('asks');
  const { messages } = await ask(host, 'a', 1);
  assert.equal(messages.length, 1);
  assert.match(String(messages[0]?.result?.line), /^\{"jsonrpc":"2.0","id":9007199254740993,"error":\{"code":-32601,/);
});

test('a cancellation that a client posts names the number that the child knows, or reaches no child', async () => {
  await using host = await start('told');
  const cancel = async (requestId: number) => {
    const body = { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId, _meta: META } };
    assert.equal((await host.send(body, { 'mcp-protocol-version': VERSION, ...(await as('a')) })).status, 202);
  };
  const told = async () =>
    ((await ask(host, 'a', 9, 'tools/list')).messages[0]?.result?.told ?? []) as {
      id?: number;
      params: { requestId?: number };
    }[];
  const waiting = ask(host, 'a', 5);
  while ((await told()).length < 1);
  await cancel(4);
  await cancel(5);
  assert.deepEqual((await waiting).messages, []);
  const [request, cancelled, ...more] = await told();
  assert.equal(cancelled?.params.requestId, request?.id);
  assert.deepEqual(more, []);
});

test('a subscription hears what is of it, in its own words, until the server ends it', async () => {
  await using host = await start('subscription');
  const body = JSON.stringify({ jsonrpc: '2.0', id: 'sub', method: 'subscriptions/listen', params: { _meta: META } });
  const headers = { 'mcp-protocol-version': VERSION, 'mcp-method': 'subscriptions/listen' };
  const reply = await host.send(body, { ...headers, ...(await as('a')) });
  const of = '"_meta":{"io.modelcontextprotocol/subscriptionId":"sub"}';
  assert.deepEqual(reply.text.match(/^data: .*$/gm), [
    `data: {"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{${of}}}`,
    'data: {"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"sub"}}',
  ]);
});

test('a refusal in the request itself has the status of the specification; a probe in vain leaves no child', async () => {
  await using host = await start('say');
  const failing = (code: number) => `{"jsonrpc":"2.0","id":ID,"error":{"code":${code},"message":""}}`;
  const statuses: number[] = [];
  for (const code of [-32601, -32020, -32022, -32602]) {
    statuses.push((await ask(host, 'a', 1, 'tools/call', { end: failing(code) })).status);
  }
  assert.deepEqual(statuses, [404, 400, 400, 200]);
});
