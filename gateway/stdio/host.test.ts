/** The wire of the host: what a client may send, to whom it goes, and what comes back. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { call } from '../../test/raw-client.ts';
import { callOf, INITIALIZE, messagesIn, startTestHost, type TestHost } from './scripted-host.ts';

const ask = (host: TestHost, method: string, headers: Record<string, string> = {}, path = '/mcp') =>
  fetch(new URL(path, host.url), { method, headers });
const listenTo = (host: TestHost, headers: Record<string, string>) =>
  call(host.url, { method: 'GET', token: '', headers: { ...headers, accept: 'text/event-stream' } }).answer;

test('a session lives from initialize to DELETE', async () => {
  await using host = await startTestHost('echo');
  const { headers, reply } = await host.open();
  assert.equal(reply.status, 200);
  assert.equal(reply.headers.get('content-type'), 'text/event-stream');
  assert.match(headers['mcp-session-id'] ?? '', /^[0-9a-f]{32}$/);
  const told = await host.send({ jsonrpc: '2.0', method: 'notifications/initialized' }, headers);
  assert.deepEqual([told.status, told.text], [202, '']);
  assert.equal((await host.send(callOf(1), headers)).messages[0]?.id, 1);
  assert.equal((await ask(host, 'DELETE', headers)).status, 204);
  const after = await host.send(callOf(2), headers);
  assert.deepEqual([after.status, after.messages[0]?.error?.data?.code], [404, 'session_unknown']);
  assert.deepEqual([(await ask(host, 'DELETE', headers)).status, (await ask(host, 'GET', headers)).status], [404, 404]);
});

test('bytes pass as they are, in both directions', async () => {
  await using host = await startTestHost('say');
  const { headers } = await host.open();
  const line = '{ "result":{"z":1,"a":9007199254740993,"é":"\\u0000"} ,"id":ID,"jsonrpc":"2.0" }';
  const { text } = await host.send(callOf(5, { line }), headers);
  assert.equal(text, `event: message\ndata: ${line.replace('ID', '5')}\n\n`);
  const plain = await host.send(callOf('x', { line }), { ...headers, accept: 'application/json' });
  assert.equal(plain.headers.get('content-type'), 'application/json');
  assert.equal(plain.text, line.replace('ID', '"x"'));

  await using echo = await startTestHost('echo');
  const session = await echo.open();
  const body = '{"params":{"name":"t", "z":1.50,"é":"\\u00e9"},\r\n"method":"tools/call","id":3,\n"jsonrpc":"2.0"}';
  const echoed = await echo.send(body, session.headers);
  assert.equal(echoed.messages[0]?.result?.line, body.replace('\r\n', '  ').replace('\n', ' '));
});

test('a line with a CR stays one event', async () => {
  await using host = await startTestHost('say');
  const { headers } = await host.open();
  const { text } = await host.send(callOf(1, { line: '{"jsonrpc":"2.0",\r"id":ID,\r\r"result":{}}' }), headers);
  assert.equal(text, 'event: message\ndata: {"jsonrpc":"2.0",\ndata: "id":1,\ndata: \ndata: "result":{}}\n\n');
});

test('what is no answer of anybody here is dropped; junk on stdout is logged once without its content', async () => {
  await using host = await startTestHost('say');
  const { headers } = await host.open();
  const reply = await host.send(
    callOf(1, {
      a: '{"jsonrpc":"2.0","id":99,"result":{}}',
      b: '{"jsonrpc":"2.0","id":"1","result":{}}',
      c: 'SECRET printed',
      d: '[{"jsonrpc":"2.0","id":1,"result":{}}]',
      e: '{"jsonrpc":"2.0","id":ID,"result":{"mine":true}}',
      f: '{"jsonrpc":"2.0","id":ID,"result":{"mine":false}}',
    }),
    headers,
  );
  assert.deepEqual(
    reply.messages.map(({ result }) => result),
    [{ mine: true }],
  );
  assert.equal(host.logged.filter(({ event }) => event === 'stdio_line_dropped').length, 1);
  assert.ok(!JSON.stringify(host.logged).includes('SECRET'));
});

test('requests are read strictly', async (t) => {
  await using host = await startTestHost('echo');
  const { headers } = await host.open();
  const refused: [string, unknown, Record<string, string>, number][] = [
    ['doubled keys', '{"jsonrpc":"2.0","id":1,"id":2,"method":"a"}', headers, 400],
    ['a batch', [callOf(1)], { ...headers, 'mcp-protocol-version': '2025-03-26' }, 400],
    ['a batch where there are none', [callOf(1)], { ...headers, 'mcp-protocol-version': '2025-11-25' }, 400],
    ['another media type', callOf(1), { ...headers, 'content-type': 'text/plain' }, 415],
    ['a header unlike the body', callOf(1), { ...headers, 'mcp-method': 'tools/list' }, 400],
    ['nothing acceptable', callOf(1), { ...headers, accept: 'text/html' }, 406],
    ['initialize within a session', INITIALIZE, headers, 400],
    ['no session', callOf(1), {}, 400],
    ['a session that is none', callOf(1), { 'mcp-session-id': '0'.repeat(32) }, 404],
    ['a page', callOf(1), { ...headers, origin: 'https://evil.example' }, 403],
  ];
  for (const [name, body, sent, status] of refused) {
    await t.test(name, async () => assert.equal((await host.send(body, sent)).status, status));
  }
  await t.test('a progress token of more than 1 KiB, before anything starts', async () => {
    const started = () => host.logged.filter(({ event }) => event === 'stdio_child_started').length;
    const before = started();
    const _meta = { progressToken: 't'.repeat(1023) };
    const opening = { ...INITIALIZE, params: { ...INITIALIZE.params, _meta } };
    for (const reply of [await host.send(opening), await host.send(callOf(1, {}, _meta.progressToken), headers)]) {
      assert.deepEqual([reply.status, reply.messages[0]?.error?.data?.code], [400, 'message_refused']);
      assert.match(reply.text, /progress token is longer than 1 KiB/);
    }
    assert.equal(started(), before);
    assert.equal((await host.send(callOf(1, {}, 't'.repeat(1022)), headers)).status, 200);
  });
  await t.test('another host name', async () => {
    const { answer } = call(host.url, { token: '', headers: { ...headers, host: 'evil.example' }, body: '{}' });
    assert.equal((await answer).status, 403);
  });
  await t.test('too large', async () => {
    const { answer } = call(host.url, { token: '', headers, body: Buffer.alloc(16 * 1024 ** 2 + 1, ' ') });
    assert.equal((await answer).status, 413);
  });
  await t.test('other methods and places', async () => {
    const put = await ask(host, 'PUT', headers);
    assert.deepEqual([put.status, put.headers.get('allow')], [405, 'GET, POST, DELETE']);
    assert.equal((await ask(host, 'GET', headers, '/other')).status, 404);
    assert.equal(await (await ask(host, 'GET', {}, '/healthz')).text(), 'ok\n');
  });
  await t.test('a second request of one id', async () => {
    await using saying = await startTestHost('say');
    const session = await saying.open();
    const first = call(saying.url, { token: '', headers: session.headers, body: JSON.stringify(callOf(1, NOTE)) });
    await (await first.answer).until((body) => body.includes('note'));
    const second = await saying.send(callOf(1), session.headers);
    assert.deepEqual([second.status, second.messages[0]?.error?.data?.code], [400, 'id_in_use']);
    first.abort();
  });
  assert.equal((await host.send(callOf(1), headers)).status, 200);
});

const NOTE = { line: '{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"note"}}' };
const PROGRESS = '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":TOKEN,"progress":1}}';

test('messages go to the request that they name, then to the only one, then to the stream of the session', async () => {
  await using host = await startTestHost('say');
  const { headers } = await host.open();
  const stream = await listenTo(host, headers);
  const open = (id: number, input: Record<string, string>, token: string) =>
    call(host.url, { token: '', headers, body: JSON.stringify(callOf(id, input, token)) }).answer;
  const one = await open(1, { progress: PROGRESS }, 'a');
  await one.until((body) => body.includes('"a"'));
  // The only one that is open gets what names nobody.
  await host.send({ jsonrpc: '2.0', method: 'notifications/initialized' }, headers);
  const two = await open(2, { own: PROGRESS, others: PROGRESS.replace('TOKEN', '"a"') }, 'b');
  await two.until((body) => body.includes('"b"'));
  await one.until((body) => messagesIn(body.toString()).length === 2);
  // With two of them open it may be of either: it goes to the stream that is for such messages.
  const three = open(3, { ...NOTE, end: '{"jsonrpc":"2.0","id":ID,"result":{}}' }, 'c');
  await stream.until((body) => body.includes('note'));
  assert.equal(messagesIn((await (await three).whole()).toString()).length, 1);
  assert.equal(messagesIn(two.bytes().toString()).length, 1);
  const again = await ask(host, 'GET', { ...headers, accept: 'text/event-stream' });
  assert.equal(again.status, 409);
  for (const answer of [one, two, stream]) answer.close();
});

test('what a server says before anybody listens waits for the first stream', async () => {
  await using host = await startTestHost('say');
  const { headers } = await host.open();
  const first = call(host.url, {
    ...{ token: '', headers: { ...headers, accept: 'application/json' } },
    body: JSON.stringify(callOf(1, { ...NOTE, end: '{"jsonrpc":"2.0","id":ID,"result":{}}' })),
  });
  assert.equal(messagesIn((await (await first.answer).whole()).toString()).length, 0);
  const stream = await listenTo(host, headers);
  await stream.until((body) => body.includes('note'));
  stream.close();
});

test('a client that goes does not cancel, one that says so ends its own stream', async () => {
  await using host = await startTestHost('told');
  const { headers } = await host.open();
  const gone = call(host.url, { token: '', headers, body: JSON.stringify(callOf(1)) });
  const cancelled = host.send(callOf(2), headers);
  const cancel = { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 2 } };
  const list = { jsonrpc: '2.0', id: 3, method: 'tools/list' };
  const told = async () => ((await host.send(list, headers)).messages[0]?.result?.told ?? []) as { id?: number }[];
  while ((await told()).length < 2);
  gone.abort();
  assert.equal((await host.send(cancel, headers)).status, 202);
  assert.deepEqual((await cancelled).messages, []);
  const heard = await told();
  assert.deepEqual(heard.map(({ id }) => id).toSorted(), [1, 2, undefined]);
  assert.deepEqual(heard.at(-1), cancel);
});

test('an idle stream is kept open, and its head does not wait for the first message', async () => {
  await using host = await startTestHost('told', {}, { keepAlive: 20 });
  const { headers } = await host.open();
  const waiting = await call(host.url, { token: '', headers, body: JSON.stringify(callOf(1)) }).answer;
  assert.match(headers['mcp-session-id'] ?? '', /^[0-9a-f]{32}$/);
  await waiting.until((body) => body.toString().startsWith(': keep-alive\n\n: keep-alive\n\n'));
  waiting.close();
});

test('a stateless request needs a gateway, in words with which a client goes on', async () => {
  await using host = await startTestHost('echo');
  const meta = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28' };
  const discover = { jsonrpc: '2.0', id: 0, method: 'server/discover', params: { _meta: meta } };
  const headers = { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'server/discover' };
  const { status, messages } = await host.send(discover, headers);
  assert.deepEqual(
    [status, messages[0]?.error?.code, messages[0]?.error?.data?.code],
    [400, -32600, 'stateless_refused'],
  );
  assert.equal(host.logged.filter(({ event }) => event === 'stdio_child_started').length, 0);
  assert.equal((await ask(host, 'GET', { 'mcp-protocol-version': '2026-07-28' })).headers.get('allow'), 'POST');
});

test('without a gateway it listens on this machine alone', async () => {
  for (const host of ['0.0.0.0', '::', '192.0.2.1', 'example.com']) {
    await assert.rejects(startTestHost('echo', {}, { host }), /reachable from other machines/);
  }
  const local = await startTestHost('echo', {}, { host: '127.0.0.2' });
  await local.close();
});
