/**
 * Ways in which an upstream, or the recording, fails: a stable code, its fate, words that keep clients working. What an
 * upstream does on purpose is in hostile-upstream.test.ts.
 */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { createSecureServer } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { createGate } from './gate.ts';
import { freePort, type GatewayUnderTest, startGatewayInFrontOf, type UnderTestOptions } from './gateway-under-test.ts';
import { toolCall } from './raw-client.ts';
import { answerOf, ask, jsonAnswer, openRaw, type RawAnswer, requestOf, startRawUpstream } from './raw-socket.ts';
import { exchangesOnce, framesOf } from './recorded.ts';
import { CERTIFICATE, PRIVATE_KEY } from './tls-certificate.ts';

const JSON_TYPE = { 'content-type': 'application/json' };
const SSE_HEAD = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n';
const RESULT = '{"jsonrpc":"2.0","id":1,"result":{}}';
const chunk = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`;

async function start(
  stack: AsyncDisposableStack,
  answer: (socket: Socket, request: string) => void,
  options: UnderTestOptions = {},
) {
  const upstream = stack.adopt(await startRawUpstream((request, socket) => answer(socket, request)), (one) =>
    one.close(),
  );
  const gateway = stack.adopt(await startGatewayInFrontOf(upstream.url, options), (one) => one.close());
  return { upstream, gateway };
}

const post = ({ token }: GatewayUnderTest): string => requestOf({ token, body: toolCall(1) });
const errorOf = ({ body }: RawAnswer) => JSON.parse(body).error;

test('an upstream that nobody listens at: nothing was forwarded', async () => {
  await using stack = new AsyncDisposableStack();
  const url = `http://127.0.0.1:${await freePort()}/mcp`;
  const gateway = stack.adopt(await startGatewayInFrontOf(url), (one) => one.close());
  const answered = await ask(gateway.port, post(gateway));
  assert.deepEqual([answered.status, errorOf(answered).code], [200, -32010]);
  assert.deepEqual(errorOf(answered).data, { code: 'upstream_unreachable', fate: 'not_forwarded' });
  const [exchange] = await exchangesOnce(gateway, 1);
  assert.deepEqual([exchange?.end?.outcome.result, exchange?.end?.bytes?.upstream], ['upstream_unreachable', 0]);
});

/** An upstream that speaks TLS, HTTP/2 where it is let. */
async function startTls(stack: AsyncDisposableStack): Promise<string> {
  const server = createSecureServer({ key: PRIVATE_KEY, cert: CERTIFICATE, allowHTTP1: true }, (_, response) => {
    response.setHeader('content-type', 'application/json');
    response.setHeader('mcp-session-id', 'upstream-session');
    response.setHeader('set-cookie', 'a=CANARY');
    response.end(RESULT);
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  stack.defer(() => new Promise((done) => server.close(() => done())));
  return `https://localhost:${(server.address() as AddressInfo).port}/mcp`;
}

test('TLS: an unknown certificate is refused before a byte is sent', async () => {
  await using stack = new AsyncDisposableStack();
  const gateway = stack.adopt(await startGatewayInFrontOf(await startTls(stack)), (one) => one.close());
  const answered = await ask(gateway.port, post(gateway));
  assert.deepEqual(errorOf(answered).data, { code: 'upstream_tls', fate: 'not_forwarded' });
});

test('TLS: an upstream that offers HTTP/2 is spoken to in HTTP/1.1, whose headers can be checked', async () => {
  await using stack = new AsyncDisposableStack();
  process.env.VERBATIM_TEST_CA = CERTIFICATE;
  stack.defer(() => void delete process.env.VERBATIM_TEST_CA);
  const url = await startTls(stack);
  const upstream = { url: new URL(url).origin, allowAddresses: ['loopback'], ca: 'env:VERBATIM_TEST_CA' };
  const gateway = stack.adopt(await startGatewayInFrontOf(url, { connection: { upstream } }), (one) => one.close());
  const answered = await ask(gateway.port, post(gateway));
  assert.deepEqual([answered.status, answered.body], [200, RESULT]);
  assert.match(answered.head, /content-type: application\/json/i);
  assert.match(answered.head, /mcp-session-id: v1\./i);
  assert.ok(!answered.head.includes('CANARY'));
});

test('a body that breaks off is cut off for the client too, and recorded as far as it came', async () => {
  await using stack = new AsyncDisposableStack();
  const { gateway } = await start(stack, (socket) => {
    socket.write(`HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"jsonrpc"`);
    setImmediate(() => socket.resetAndDestroy());
  });
  const raw = await openRaw(gateway.port);
  raw.send(post(gateway));
  assert.ok(!(await raw.closed()).endsWith('0\r\n\r\n'));
  const [exchange] = await exchangesOnce(gateway, 1);
  const { outcome, abortedBy } = exchange?.end ?? {};
  assert.deepEqual([outcome?.result, outcome?.fate, abortedBy], ['upstream_broken', 'outcome_withheld', 'upstream']);
});

test('a stream that breaks off in an event: whole events, then the error in an event of its own', async () => {
  await using stack = new AsyncDisposableStack();
  const first = 'data: {"jsonrpc":"2.0","method":"notifications/message","params":{}}\n\n';
  const torn = 'data: {"jsonrpc":"2.0","id":1,"resu';
  const { gateway } = await start(stack, (socket) => {
    socket.write(SSE_HEAD + chunk(first) + chunk(torn));
    setImmediate(() => socket.resetAndDestroy());
  });
  const answered = await ask(gateway.port, post(gateway));
  const body = answered.body.replaceAll(/(^|\r\n)[0-9a-f]+\r\n/g, '');
  assert.ok(body.startsWith(first) && !body.includes(torn));
  const event = /^event: message\ndata: (.*)\n\n/.exec(body.slice(first.length))?.[1] ?? '';
  const { id, error } = JSON.parse(event);
  assert.deepEqual([id, error.data], [1, { code: 'upstream_broken', fate: 'outcome_withheld' }]);
  const [exchange] = await exchangesOnce(gateway, 1);
  assert.deepEqual(
    exchange?.data.map((frame) => [frame.from, frame.released]),
    [
      ['upstream', undefined],
      ['upstream', false],
      ['gateway', undefined],
    ],
  );
});

test('a stream that can be resumed is cut off without an error, which would end its request', async () => {
  await using stack = new AsyncDisposableStack();
  const { gateway } = await start(stack, (socket) => {
    socket.write(SSE_HEAD + chunk('id: 1\ndata:\n\n'));
    setImmediate(() => socket.resetAndDestroy());
  });
  const raw = await openRaw(gateway.port);
  raw.send(post(gateway));
  const text = await raw.closed();
  assert.ok(!text.includes('error') && !text.endsWith('0\r\n\r\n'));
});

test('a stream that is silent for too long, and an event that is too large, end in words', async () => {
  await using stack = new AsyncDisposableStack();
  let body = '';
  const limits = { idleStream: '150ms', eventBytes: '1KiB' };
  const { gateway } = await start(stack, (socket) => socket.write(SSE_HEAD + body), { connection: { limits } });
  for (const [sent, code] of [
    [chunk(': hello\n\n'), 'upstream_timeout'],
    [chunk(`data: ${'x'.repeat(2000)}`), 'response_too_large'],
  ] as const) {
    body = sent;
    const answered = await ask(gateway.port, post(gateway));
    assert.equal(answered.status, 200);
    assert.match(answered.body, new RegExp(`"data":{"code":"${code}","fate":"outcome_withheld"}`));
    assert.ok(!answered.body.includes('xxx'));
  }
});

test('a call that finds no free connection to its upstream waits no longer than for the first byte', async () => {
  await using stack = new AsyncDisposableStack();
  const upstreamAt = (url: string) => ({ url: new URL(url).origin, allowAddresses: ['loopback'], connections: 1 });
  const upstream = stack.adopt(await startRawUpstream((_, socket) => socket.write(SSE_HEAD)), (one) => one.close());
  const gateway = stack.adopt(
    await startGatewayInFrontOf(upstream.url, {
      connection: { upstream: upstreamAt(upstream.url), limits: { firstByte: '200ms' } },
    }),
    (one) => one.close(),
  );
  const holding = await openRaw(gateway.port);
  holding.send(post(gateway));
  await upstream.until(1);
  const answered = await ask(gateway.port, post(gateway));
  assert.deepEqual(errorOf(answered).data, { code: 'upstream_timeout', fate: 'not_forwarded' });
  assert.equal(upstream.requests().length, 1);
});

test('an upstream that answers before it has read all, with hints first, is heard', async () => {
  await using stack = new AsyncDisposableStack();
  const { gateway } = await start(stack, (socket) =>
    socket.write(`HTTP/1.1 103 Early Hints\r\nset-cookie: a=CANARY\r\n\r\n${jsonAnswer(1)}`),
  );
  const answered = await ask(gateway.port, post(gateway));
  assert.deepEqual([answered.status, answered.body], [200, RESULT]);
  assert.ok(!JSON.stringify(await framesOf(gateway)).includes('CANARY'));
});

test('statuses of the upstream that mean something to a client pass, with and without a body', async () => {
  await using stack = new AsyncDisposableStack();
  let line = '';
  const { gateway } = await start(stack, (socket) => socket.write(line));
  for (const status of [200, 202, 400, 404, 405, 406, 409, 410, 429, 500, 503]) {
    line = answerOf(`${status} X`, { ...JSON_TYPE, 'retry-after': '7', allow: 'POST' }, '{}');
    const answered = await ask(gateway.port, post(gateway));
    assert.deepEqual([answered.status, answered.body], [status, '{}']);
    assert.match(answered.head, /retry-after: 7/i);
  }
  for (const status of [202, 405]) {
    line = `HTTP/1.1 ${status} X\r\ncontent-length: 0\r\n\r\n`;
    const answered = await ask(gateway.port, post(gateway));
    assert.deepEqual([answered.status, answered.body], [status, '']);
  }
  line = 'HTTP/1.1 204 X\r\n\r\n';
  const answered = await ask(gateway.port, post(gateway));
  assert.equal(answered.status, 204);
  assert.ok(!/content-length|transfer-encoding/i.test(answered.head));
});

test('a body whose end comes late is noted with its messages', async () => {
  await using stack = new AsyncDisposableStack();
  const { gateway } = await start(stack, (socket) => {
    socket.write(
      `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n${chunk(RESULT)}`,
    );
    finish = () => socket.write('0\r\n\r\n');
  });
  let finish = (): void => {};
  const raw = await openRaw(gateway.port);
  raw.send(post(gateway));
  await raw.until((text) => text.includes(RESULT));
  finish();
  await raw.until((text) => text.endsWith('0\r\n\r\n'));
  const [exchange] = await exchangesOnce(gateway, 1);
  assert.deepEqual(
    exchange?.data.flatMap(({ messages = [] }) => messages),
    [{ kind: 'response', id: 1 }],
  );
});

/** Everything below a folder; segments as the lines that they hold. */
async function everythingIn(folder: string): Promise<string> {
  const found: string[] = [];
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const bytes = await readFile(join(entry.parentPath, entry.name));
    found.push((entry.name.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('latin1'));
  }
  return found.join('\n');
}

test('no header of the never-list passes in either direction, and no secret is anywhere', async () => {
  await using stack = new AsyncDisposableStack();
  process.env.VERBATIM_TEST_KEY = 'CANARY-CREDENTIAL';
  stack.defer(() => void delete process.env.VERBATIM_TEST_KEY);
  const never = [
    'Set-Cookie',
    'WWW-Authenticate',
    'Alt-Svc',
    'Location',
    'Proxy-Authenticate',
    'Server',
    'Link',
    'Refresh',
  ];
  const down = Object.fromEntries(never.map((name) => [name, `CANARY-DOWN-${name}`]));
  const metricsPort = await freePort();
  const { upstream, gateway } = await start(
    stack,
    (socket, request) => {
      const body = request.includes('"id":2') ? 'CANARY-401' : RESULT;
      const status = request.includes('"id":2') ? '401 No' : '200 OK';
      socket.write(answerOf(status, { ...JSON_TYPE, ...down, 'Mcp-Session-Id': 'CANARY-SESSION' }, body));
    },
    {
      connection: { credential: { bearer: 'env:VERBATIM_TEST_KEY' } },
      config: { metrics: { host: '127.0.0.1', port: metricsPort } },
    },
  );
  const up = [
    'Cookie',
    'X-Serverless-Authorization',
    'X-Goog-IAP-JWT-Assertion',
    'X-Forwarded-For',
    'X-Forwarded-Host',
  ].concat(['Forwarded', 'Proxy-Authorization', 'X-Api-Key', 'Baggage', 'Via', 'Referer', 'X-Real-IP']);
  const headers = up.map((name) => `${name}: CANARY-UP-${name}`);
  const { token } = gateway;
  const answers = [
    await ask(gateway.port, requestOf({ token, body: toolCall(1), headers })),
    await ask(gateway.port, requestOf({ token, body: toolCall(2), headers })),
    await ask(gateway.port, requestOf({ token: `${token}x`, body: toolCall(3), headers })),
    await ask(gateway.port, requestOf({ token, body: '{', headers })),
  ];
  const sent = upstream.received();
  assert.ok(sent.includes('authorization: Bearer CANARY-CREDENTIAL\r\n'));
  assert.ok(!sent.includes('CANARY-UP') && !sent.includes(token));
  for (const name of up) assert.ok(!sent.toLowerCase().includes(`\n${name.toLowerCase()}:`), name);

  await gateway.gateway.seal();
  const places = {
    client: answers.map(({ head, body }) => head + body).join('\n'),
    logs: gateway.logged.join(''),
    metrics: await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text(),
    disk: await everythingIn(gateway.folder),
  };
  for (const [place, text] of Object.entries(places)) {
    for (const secret of ['CANARY-DOWN', 'CANARY-CREDENTIAL', 'CANARY-SESSION', 'CANARY-401', token]) {
      assert.ok(!text.includes(secret), `${secret} in ${place}`);
    }
  }
  for (const name of [
    'Cookie',
    'X-Serverless-Authorization',
    'X-Goog-IAP-JWT-Assertion',
    'Proxy-Authorization',
    'X-Api-Key',
  ]) {
    assert.ok(!places.disk.includes(`CANARY-UP-${name}`), name);
    assert.ok(places.disk.includes(`{"name":"${name}","fingerprint":"hmac-sha256:`), name);
  }
  assert.ok(places.disk.includes('"hmac-sha256:'), 'the disk was read');
});

test('a credential that cannot be read: nothing was forwarded, and no path is told', async () => {
  await using stack = new AsyncDisposableStack();
  const { upstream, gateway } = await start(stack, () => {}, {
    connection: { credential: { bearer: 'file:/nowhere/CANARY-PATH' } },
  });
  const answered = await ask(gateway.port, post(gateway));
  assert.deepEqual(errorOf(answered).data, { code: 'credential_unavailable', fate: 'not_forwarded' });
  assert.ok(!answered.body.includes('CANARY-PATH'));
  assert.equal(upstream.received(), '');
});

test('the journal fails before the request is recorded: not forwarded, said by its id, safe to retry', async () => {
  await using stack = new AsyncDisposableStack();
  const gate = createGate();
  const { upstream, gateway } = await start(stack, (socket) => socket.write(jsonAnswer(1)), {
    fileSystem: gate.fileSystem,
  });
  assert.equal((await ask(gateway.port, post(gateway))).status, 200);
  const before = upstream.requests().length;
  gate.hold();
  const raw = await openRaw(gateway.port);
  raw.send(post(gateway));
  await gate.waiting();
  gate.fail(new Error('disk full'));
  gate.releaseOne();
  await raw.until((text) => text.includes('"recording_unavailable","fate":"not_forwarded"'));
  assert.match(raw.received(), /^HTTP\/1\.1 200 .*"id":1,/s);
  assert.equal(upstream.requests().length, before);
  gate.open();
});

for (const [name, answer] of [
  ['an answer of one piece', jsonAnswer(1)],
  ['a stream', `${SSE_HEAD}${chunk(`data: ${RESULT}\n\n`)}0\r\n\r\n`],
] as const) {
  test(`the journal fails before ${name} is recorded: withheld, in words`, async () => {
    await using stack = new AsyncDisposableStack();
    const gate = createGate();
    const { upstream, gateway } = await start(
      stack,
      (socket) => {
        gate.fail(new Error('disk full'));
        socket.write(answer);
      },
      { fileSystem: gate.fileSystem },
    );
    const answered = await ask(gateway.port, post(gateway));
    assert.equal(answered.status, 200);
    assert.deepEqual(errorOf(answered).data, { code: 'recording_unavailable', fate: 'outcome_withheld' });
    assert.ok(!answered.body.includes('result'));
    const next = await ask(gateway.port, post(gateway));
    assert.deepEqual([next.status, errorOf(next).data.code], [200, 'recording_unavailable']);
    assert.equal(upstream.requests().length, 1);
    gate.open();
  });
}
