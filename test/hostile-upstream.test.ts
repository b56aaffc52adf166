/**
 * An upstream that means harm, case by case. Each ends in a recorded failure in words, or what is harmful in it does not
 * come through; the connection beside it goes on. CANARY marks what nobody may see.
 */
import assert from 'node:assert/strict';
import { subscribe } from 'node:diagnostics_channel';
import { readdir } from 'node:fs/promises';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import type { ErrorCode } from '../gateway/errors.ts';
import { secret } from './canaries.ts';
import { type GatewayUnderTest, startGatewayInFrontOf } from './gateway-under-test.ts';
import { toolCall } from './raw-client.ts';
import {
  answerOf,
  ask,
  jsonAnswer,
  openRaw,
  type RawAnswer,
  type RawUpstream,
  requestOf,
  startRawUpstream,
} from './raw-socket.ts';
import { framesOf } from './recorded.ts';

const RESULT = '{"jsonrpc":"2.0","id":1,"result":{}}';
const JSON_TYPE = { 'content-type': 'application/json' };
const SSE_TYPE = { 'content-type': 'text/event-stream' };
const CHUNKED = 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n';
const LAST = '0\r\n\r\n';
const SSE = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n';
const SSE_CHUNKED = CHUNKED.replace('application/json', 'text/event-stream');
const EVENT = `data: ${RESULT}\n\n`;
const NOTICE = 'data: {"jsonrpc":"2.0","method":"notifications/message","params":{}}\n\n';
/** The beginning of a longer body. */
const BEGUN = 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"jsonrpc"';
const METADATA = 'http://169.254.169.254/computeMetadata/v1/';
const chunk = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`;
const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);

/** Headers that would act on a client, its browser, its caches or its proxies. */
const POISON: readonly (readonly [string, string])[] = [
  ['Set-Cookie', 'session=CANARY; Domain=example.com'],
  ['Access-Control-Allow-Origin', '*'],
  ['Access-Control-Allow-Credentials', 'true'],
  ['Clear-Site-Data', '"*"'],
  ['Location', `${METADATA}CANARY`],
  ['Content-Location', `${METADATA}CANARY`],
  ['Link', '</CANARY>; rel=preload'],
  ['Refresh', `0; url=${METADATA}CANARY`],
  ['Content-Security-Policy', 'default-src *'],
  ['Strict-Transport-Security', 'max-age=1'],
  ['Service-Worker-Allowed', '/'],
  ['Alt-Svc', 'h3="evil.example:443"'],
  ['Report-To', '{"endpoints":[{"url":"https://evil.example/CANARY"}]}'],
  ['NEL', '{"report_to":"CANARY"}'],
  ['WWW-Authenticate', 'Bearer realm="CANARY"'],
  ['Proxy-Authenticate', 'Basic realm="CANARY"'],
  ['Authorization', 'Bearer CANARY'],
  ['Server', 'CANARY'],
  ['Via', '1.1 CANARY'],
  ['Warning', '199 - CANARY'],
  ['X-Forwarded-Host', 'CANARY'],
  ['Connection', 'keep-alive, Content-Type'],
  ['Keep-Alive', 'timeout=5, CANARY'],
  ['Proxy-Connection', 'keep-alive'],
];

/** Somebody else's task, so that the list must be written anew, and a depth at which no writer can. */
function deepTasks(): string {
  return `{"jsonrpc":"2.0","id":1,"result":{"tasks":[{"taskId":"CANARY"}],"x":${nested(30_000)}}}`;
}

/** What it writes to a socket once a request is there. */
type Answer = string | ((socket: Socket) => void);

const withHead = (...lines: string[]): string =>
  `HTTP/1.1 200 OK\r\n${[...lines, 'content-type: application/json'].join('\r\n')}\r\ncontent-length: ${RESULT.length}\r\n\r\n${RESULT}`;

const withStatus = (line: string, headers: Record<string, string> = {}): string =>
  answerOf(line, { ...JSON_TYPE, ...headers }, '{"CANARY":"BODY"}');

const encoded = (coding: string, bytes: Buffer): string =>
  answerOf('200 OK', { ...JSON_TYPE, 'content-encoding': coding }, bytes.toString('latin1'));

/** Writes for as long as somebody reads. */
const flood = (first: string, more: string) => (socket: Socket) => {
  const go = (): void => {
    if (!socket.destroyed) socket.write(more, () => setImmediate(go));
  };
  socket.write(first, go);
};

/** Writes the rest byte by byte, and then no more. */
const drip = (first: string, text: string) => (socket: Socket) => {
  let at = 0;
  socket.write(first);
  const go = (): void => {
    if (!socket.destroyed && at < text.length) socket.write(text.charAt(at++), () => setTimeout(go, 20));
  };
  go();
};

/** Nothing of the answer has gone out, or events alone: the call is answered in words. */
const IN_WORDS: Record<string, Partial<Record<ErrorCode, Record<string, Answer>>>> = {
  'response splitting': {
    upstream_broken: {
      'a line feed in a header': withHead('x: a\nset-cookie: CANARY'),
      'a carriage return in a header': withHead('x: a\rset-cookie: CANARY'),
      'a NUL in a header': withHead('x: a\0CANARY'),
      'another control character in a header': withHead('x: a\x01CANARY'),
      'a folded header': withHead('x: a', ' CANARY'),
      'a folded header of those that pass': withHead('content-language: en', '\tCANARY'),
      'white space before a colon': withHead('x : CANARY'),
      'a header without a colon': withHead('CANARY'),
      'a header without a name': withHead(': CANARY'),
      'a line feed in the reason phrase': withHead().replace('OK', 'O\nset-cookie: CANARY'),
      'two content types': withHead('content-type: text/html'),
    },
  },
  'an answer without end': {
    upstream_broken: {
      'a block of headers': flood('HTTP/1.1 200 OK\r\n', 'x: CANARY\r\n'.repeat(1000)),
      'one header': flood('HTTP/1.1 200 OK\r\nx: ', 'CANARY'.repeat(2000)),
    },
    response_too_large: {
      'an event of one line': flood(`${SSE}data: `, 'CANARY'.repeat(2000)),
      'an event of many lines': flood(SSE, 'data: CANARY\n'.repeat(1000)),
      'a comment': flood(`${SSE}: `, 'CANARY'.repeat(2000)),
    },
    upstream_timeout: {
      'a reason phrase': flood('HTTP/1.1 200 ', 'CANARY'.repeat(2000)),
      'hints (103)': flood('HTTP/1.1 103 Hints\r\n', 'link: CANARY\r\n\r\nHTTP/1.1 103 Hints\r\n'),
      'a chunk extension': flood(`${CHUNKED}1;`, 'CANARY'.repeat(2000)),
    },
  },
  'a slow answer': {
    upstream_timeout: {
      'nothing at all': () => {},
      'a head, byte by byte': drip('HTTP', withHead('x: CANARY').slice(4)),
      'a head without its body': 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 5\r\n\r\n',
    },
  },
  'an encoding that nobody asked for': {
    upstream_encoded: {
      'a gzip bomb': encoded('gzip', gzipSync('0'.repeat(10_000_000))),
      br: encoded('br', brotliCompressSync(RESULT)),
      deflate: encoded('deflate', deflateSync(RESULT)),
      'behind identity': withHead('content-encoding: identity, GZIP'),
      'in a second header': withHead('content-encoding: identity', 'content-encoding: gzip'),
      'of the transfer': CHUNKED.replace('chunked', 'gzip, chunked') + chunk('CANARY') + LAST,
    },
  },
  'a wrong length': {
    upstream_broken: {
      'two that differ': withHead('content-length: 5'),
      'two that are alike': withHead(`content-length: ${RESULT.length}`),
      'one beside chunks': withHead('transfer-encoding: chunked'),
      'below zero': withHead().replace(/length: \d+/, 'length: -1'),
      'a list': withHead().replace(/length: \d+/, 'length: 36, 36'),
      'a chunk that is no number': `${CHUNKED}CANARY\r\n`,
      'a chunk beyond all numbers': `${CHUNKED}fffffffffffffffff\r\nCANARY`,
    },
  },
  'a redirect to the metadata server': {
    upstream_redirect: Object.fromEntries(
      ['300 Choices', '301 Moved', '302 Found', '303 See', '304 Same', '307 Again', '308 Always'].map((line) => [
        line,
        withStatus(line, { location: `${METADATA}CANARY` }),
      ]),
    ),
  },
  'a login of its own': {
    upstream_refused_credential: Object.fromEntries(
      ['401 Unauthorized', '403 Forbidden', '407 Proxy'].map((line) => [
        line,
        withStatus(line, {
          'www-authenticate': 'Bearer resource_metadata="https://evil.example/CANARY"',
          'proxy-authenticate': 'Basic realm="CANARY"',
        }),
      ]),
    ),
  },
  'a session id that can not be sealed': {
    upstream_broken: {
      'a huge one': withHead(`mcp-session-id: ${'CANARY'.repeat(3000)}`),
      'with a blank': withHead('mcp-session-id: a CANARY'),
      'two of them': withHead('mcp-session-id: CANARY-1', 'mcp-session-id: CANARY-2'),
    },
  },
  'what is no answer of HTTP/1.1': {
    upstream_broken: {
      words: (socket) => socket.end('CANARY\r\n\r\n'),
      'HTTP/0.9': (socket) => socket.end('<html>CANARY</html>'),
      TLS: (socket) => socket.end('\x16\x03\x01\x02\x00\x01\x00CANARY'),
      'HTTP/2': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nCANARY',
      'a status of two digits': withHead().replace('200', '20'),
      'another protocol from here on (101)':
        'HTTP/1.1 101 Go\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\nCANARY',
      'go on, which was not asked (100)': `HTTP/1.1 100 Continue\r\n\r\n${withHead()}`,
    },
  },
  'an early end': {
    upstream_broken: {
      'before the head': (socket) => socket.end(),
      'before the head, reset': (socket) => socket.resetAndDestroy(),
      'in the status': (socket) => socket.end('HTTP/1.1 2'),
      'in the head': (socket) => socket.end('HTTP/1.1 200 OK\r\nset-cookie: CANARY\r\ncontent-ty'),
      'behind the head': (socket) => socket.end(CHUNKED),
      'in an event': (socket) => socket.end(`${SSE_CHUNKED}ff\r\ndata: CANARY`),
      'reset between events': (socket) =>
        socket.write(SSE_CHUNKED + chunk(NOTICE), () => setImmediate(() => socket.resetAndDestroy())),
    },
  },
  'an address of its own': {
    upstream_endpoint_refused: {
      'where no address is awaited': `${SSE}event: endpoint\ndata: /message?CANARY\n\n`,
    },
  },
  'a list that is too deep to be taken apart': {
    upstream_broken: { tasks: answerOf('200 OK', JSON_TYPE, deepTasks()) },
  },
};

/** A part of the answer has gone out: the connection to the client is cut, which no client takes for an end. */
const CUT: Partial<Record<ErrorCode, Record<string, Answer>>> = {
  upstream_broken: {
    'a length beyond the body': (socket) => socket.write(BEGUN, () => setTimeout(() => socket.end(), 50)),
    'a reset in the body': (socket) => socket.write(BEGUN, () => setTimeout(() => socket.resetAndDestroy(), 50)),
    'a chunk that goes beyond its size': (socket) =>
      socket.write(`${CHUNKED}5\r\n"1234`, () => setTimeout(() => socket.write('CANARY\r\n0\r\n\r\n'), 50)),
    'a stream with ids that breaks off': (socket) =>
      socket.write(SSE_CHUNKED + chunk(`id: 1\n${NOTICE}`), () => setTimeout(() => socket.resetAndDestroy(), 50)),
  },
  upstream_timeout: {
    'a body that stops': BEGUN,
    'a body, byte by byte, that stops': drip(BEGUN, ',"id":1,"result":'),
  },
};

const asIs = (type: Record<string, string>, body: string) => [answerOf('200 OK', type, body), body] as const;

/** What passes, and the body that a client gets: byte for byte, for it to read, and without what surrounded it. */
const PASSES: Record<string, readonly [sent: string, released: string]> = {
  'comments by the thousand': asIs(SSE_TYPE, ': keep-alive\n\n'.repeat(5000) + EVENT),
  'deep JSON': asIs(JSON_TYPE, `{"jsonrpc":"2.0","id":1,"result":${nested(100_000)}}`),
  'deep JSON in an event': asIs(SSE_TYPE, `data: {"jsonrpc":"2.0","id":1,"result":${nested(7000)}}\n\n`),
  'deep JSON that speaks of a task': asIs(JSON_TYPE, `{"id":1,"result":{"x":${nested(50_000)},"y":{"taskId":"a"}}}`),
  'invalid UTF-8': asIs(JSON_TYPE, '{"jsonrpc":"2.0","id":1,"result":"\xff\xc0\xaf\xed\xa0\x80"}'),
  'doubled keys': asIs(JSON_TYPE, '{"jsonrpc":"2.0","id":1,"id":2,"result":{},"result":{"a":1}}'),
  'an answer that is a request too': asIs(JSON_TYPE, '{"jsonrpc":"2.0","id":1,"method":"x","result":{},"error":{}}'),
  'answers to ids that nobody asked': asIs(SSE_TYPE, `data: {"jsonrpc":"2.0","id":99,"result":{}}\n\n${EVENT}`),
  'what is no JSON': asIs(JSON_TYPE, '\xef\xbb\xbf{"a":NaN}\0'),
  'a reason phrase': [answerOf('500 CANARY', JSON_TYPE, RESULT), RESULT],
  'hints before the answer (103)': [`HTTP/1.1 103 Hints\r\nset-cookie: CANARY\r\n\r\n${withHead()}`, RESULT],
  trailers: [`${CHUNKED}${chunk(RESULT)}0\r\nset-cookie: CANARY\r\nmcp-session-id: CANARY\r\n\r\n`, RESULT],
  'chunk extensions': [`${CHUNKED}${RESULT.length.toString(16)};a="CANARY"\r\n${RESULT}\r\n0;CANARY\r\n\r\n`, RESULT],
  'poisoned headers': [withHead(...POISON.map(([name, value]) => `${name}: ${value}`)), RESULT],
  'a header in a header’s value': [withHead('content-language: en\r\nset-cookie: CANARY'), RESULT],
  'a length short of the body': [`${withHead()}{"CANARY":1}`, RESULT],
  'a second answer behind the first': [withHead() + withHead('x: CANARY').replace('{}', '"CANARY"'), RESULT],
};

/** A server of 2024-11-05 names its address for messages once, and only its own. */
const ENDPOINTS: Record<string, string> = {
  'a second one': 'event: endpoint\ndata: /message?a=1\n\nevent: endpoint\ndata: /message?a=CANARY\n\n',
  'the metadata server': `event: endpoint\ndata: ${METADATA}CANARY\n\n`,
  'another origin’s path of the same name': 'event: endpoint\ndata: http://evil.example/message?CANARY\n\n',
  'another origin without a scheme': 'event: endpoint\ndata: //evil.example/message?CANARY\n\n',
  'another path of its own': 'event: endpoint\ndata: /admin?CANARY\n\n',
};

const CREDENTIAL = secret('upstream-key-0123456789-abcdef', 'the credential that an upstream reflects');
const told = JSON.stringify({ jsonrpc: '2.0', id: 1, error: { code: -32000, message: `Bad key ${CREDENTIAL}` } });

/** The credential that the gateway sent comes back. */
const REFLECTED: Record<string, Answer> = {
  'in a header that passes': withHead(`content-language: ${CREDENTIAL}`),
  'in a header of MCP': withHead(`mcp-debug: Bearer ${CREDENTIAL}`),
  'in an error': answerOf('200 OK', JSON_TYPE, told),
  'in an error page': answerOf(
    '500 No',
    { 'content-type': 'text/html' },
    `<pre>Authorization: Bearer ${CREDENTIAL}</pre>`,
  ),
  'in an event': `${SSE}data: ${told}\n\n`,
  'in a comment': `${SSE}: ${CREDENTIAL}\n\n${EVENT}`,
  'in Base64': answerOf('200 OK', JSON_TYPE, RESULT.replace('{}', `"${Buffer.from(CREDENTIAL).toString('base64')}"`)),
  'in two chunks': (socket) =>
    socket.write(CHUNKED + chunk(told.slice(0, -20)), () =>
      setTimeout(() => socket.write(chunk(told.slice(-20)) + LAST), 50),
    ),
};

let upstream: RawUpstream;
let beside: RawUpstream;
let gateway: GatewayUnderTest;
let other = '';
/** What the hostile upstream answers next. */
let answer: Answer = '';
/** Where the process connected to, as undici tells. */
const connected = new Set<string>();

before(async () => {
  subscribe('undici:client:beforeConnect', (message) => {
    connected.add((message as { connectParams: { hostname: string } }).connectParams.hostname);
  });
  upstream = await startRawUpstream((request, socket) => {
    if (request.startsWith('DELETE')) socket.end(answerOf('200 OK', {}, ''));
    else if (typeof answer === 'string') socket.write(Buffer.from(answer, 'latin1'));
    else answer(socket);
  });
  beside = await startRawUpstream((_, socket) => socket.write(jsonAnswer(1, { beside: true })));
  process.env.VERBATIM_TEST_REFLECTED = CREDENTIAL;
  gateway = await startGatewayInFrontOf(upstream.url, {
    connection: {
      limits: { firstByte: '200ms', idleStream: '300ms', eventBytes: '64KiB' },
      sse: { path: '/sse', messages: '/message' },
    },
    connections: {
      keyed: { credential: { bearer: 'env:VERBATIM_TEST_REFLECTED' }, limits: { firstByte: '2s' } },
      other: { upstream: { url: new URL(beside.url).origin, allowAddresses: ['loopback'] } },
    },
  });
  other = await gateway.tokenFor({ sub: 'other' }, 'other');
});
after(async () => {
  delete process.env.VERBATIM_TEST_REFLECTED;
  await Promise.all([upstream.close(), beside.close()]);
  await gateway.close();
});

/** What came of a case, to be held against its recording at the end: each case is a principal of its own. */
const outcomes = new Map<string, string>();

async function tokenOf(name: string, code: string, connection?: string): Promise<string> {
  outcomes.set(name, code);
  return gateway.tokenFor({ sub: name }, connection);
}

async function goesOn(): Promise<void> {
  const answered = await ask(gateway.port, requestOf({ token: other, target: '/other/mcp', body: toolCall(1) }));
  assert.equal(answered.body, '{"jsonrpc":"2.0","id":1,"result":{"beside":true}}', 'another connection goes on');
}

/** The whole body, without its chunks. */
function bodyOf({ head, body }: RawAnswer): string {
  if (!/transfer-encoding: chunked/i.test(head)) return body;
  let text = '';
  for (let at = 0; at < body.length; ) {
    const size = Number.parseInt(body.slice(at), 16);
    const from = body.indexOf('\r\n', at) + 2;
    text += body.slice(from, from + size);
    at = from + size + 2;
  }
  return text;
}

/** The message of a body, or of a stream's last event. */
function lastMessage(body: string): { id: unknown; error?: { data: unknown } } {
  return JSON.parse(/(?:^|\n)data: ([^\n]*)\n\n$/.exec(body)?.[1] ?? body);
}

for (const [group, codes] of Object.entries(IN_WORDS)) {
  for (const [code, cases] of Object.entries(codes)) {
    for (const [each, hostile] of Object.entries(cases)) {
      const name = `${group}: ${each}`;
      test(name, async () => {
        answer = hostile;
        const token = await tokenOf(name, code);
        const before = upstream.requests().length;
        const body = group.startsWith('a list') ? toolCall(1).replace('tools/call', 'tasks/list') : toolCall(1);
        const answered = await ask(gateway.port, requestOf({ token, body }));
        const { id, error } = lastMessage(bodyOf(answered));
        assert.deepEqual([answered.status, id, error?.data], [200, 1, { code, fate: 'outcome_withheld' }]);
        assert.doesNotMatch(answered.head + answered.body, /CANARY|www-authenticate|location|169\.254/i);
        assert.equal(upstream.requests().length, before + 1, 'tried once, never again');
        await goesOn();
      });
    }
  }
}

for (const [code, cases] of Object.entries(CUT)) {
  for (const [name, hostile] of Object.entries(cases)) {
    test(`an answer that was under way: ${name}`, async () => {
      answer = hostile;
      const raw = await openRaw(gateway.port);
      raw.send(requestOf({ token: await tokenOf(name, code), body: toolCall(1) }));
      const text = await raw.closed();
      assert.match(text, /^HTTP\/1\.1 200 /);
      assert.ok(!text.endsWith(LAST) && !text.includes('CANARY') && !text.includes('"error"'), text);
      await goesOn();
    });
  }
}

/** Header names that a client may get. */
const FOR_CLIENTS = /^(content-(type|language|length)|transfer-encoding|cache-control|date|connection|keep-alive)$/;

for (const [name, [sent, released]] of Object.entries(PASSES)) {
  test(`disarmed: ${name}`, async () => {
    answer = sent;
    const answered = await ask(gateway.port, requestOf({ token: await tokenOf(name, 'complete'), body: toolCall(1) }));
    assert.ok(bodyOf(answered) === released);
    const lines = answered.head.split('\r\n').slice(1);
    assert.deepEqual(
      lines.filter((line) => !FOR_CLIENTS.test(line.slice(0, line.indexOf(':')).toLowerCase())),
      [],
    );
    assert.ok(!(answered.head + answered.body).includes('CANARY'));
    // The next call of somebody else gets its own answer.
    answer = jsonAnswer(2, 'mine');
    const next = await ask(gateway.port, requestOf({ token: gateway.token, body: toolCall(2) }));
    assert.equal(JSON.parse(next.body).result, 'mine');
    await goesOn();
  });
}

for (const [name, events] of Object.entries(ENDPOINTS)) {
  test(`an address for messages: ${name}`, async () => {
    answer = SSE + events;
    const raw = await openRaw(gateway.port);
    const issued = gateway.issuer.token(gateway.url.replace(/mcp$/, 'sse'), { sub: `endpoint: ${name}` });
    outcomes.set(`endpoint: ${name}`, 'upstream_endpoint_refused');
    raw.send(requestOf({ token: await issued, method: 'GET', target: '/fixture/sse', type: null, framing: [] }));
    const text = await raw.until((received) => received.includes('"upstream_endpoint_refused"')).catch(raw.closed);
    raw.socket.destroy();
    assert.doesNotMatch(text, /CANARY|evil|169\.254|\/admin/);
    assert.equal(upstream.requests().filter((request) => /CANARY|admin/.test(request)).length, 0);
    await goesOn();
  });
}

for (const [name, hostile] of Object.entries(REFLECTED)) {
  test(`its credential comes back: ${name}`, async () => {
    answer = hostile;
    const token = await tokenOf(`reflected ${name}`, 'upstream_leaked_credential', 'keyed');
    const raw = await openRaw(gateway.port);
    raw.send(requestOf({ token, target: '/keyed/mcp', body: toolCall(1), headers: ['Connection: close'] }));
    const text = await raw.closed();
    assert.ok(upstream.requests().at(-1)?.includes(`authorization: Bearer ${CREDENTIAL}`));
    assert.ok(text.includes('"upstream_leaked_credential"') || !text.endsWith(LAST));
    for (const part of [CREDENTIAL.slice(0, 12), Buffer.from(CREDENTIAL).toString('base64').slice(0, 12)]) {
      assert.ok(!text.includes(part));
    }
    await goesOn();
  });
}

test('where no message asks, the failure is an HTTP status', async () => {
  for (const [hostile, http, code] of [
    [withStatus('302 Found', { location: METADATA }), 502, 'upstream_redirect'],
    [withStatus('401 Unauthorized'), 502, 'upstream_refused_credential'],
    [withHead('x: a\0b'), 502, 'upstream_broken'],
    ['', 504, 'upstream_timeout'],
  ] as const) {
    answer = hostile;
    const token = await tokenOf(`GET ${code}`, code);
    const got = await ask(gateway.port, requestOf({ token, method: 'GET', type: null, framing: [] }));
    assert.deepEqual([got.status, JSON.parse(got.body).error.data], [http, { code, fate: 'outcome_withheld' }]);
  }
});

test('a session id that looks like a sealed one is sealed all the same', async () => {
  const forged = `v1.${Buffer.alloc(80, 7).toString('base64url')}`;
  answer = withHead(`mcp-session-id: ${forged}`);
  const token = await tokenOf('forged', 'mcp_session_unknown');
  const first = await ask(gateway.port, requestOf({ token, body: toolCall(1) }));
  const sealed = /mcp-session-id: ([^\r]*)/i.exec(first.head)?.[1] ?? '';
  assert.ok(sealed.startsWith('v1.') && sealed !== forged);
  await ask(gateway.port, requestOf({ token, body: toolCall(1), headers: [`Mcp-Session-Id: ${sealed}`] }));
  assert.ok(upstream.requests().at(-1)?.includes(`mcp-session-id: ${forged}\r\n`));
  const headers = [`Mcp-Session-Id: ${forged}`];
  assert.equal((await ask(gateway.port, requestOf({ token, body: toolCall(1), headers }))).status, 404);
});

test('requests to its client by the thousand: a thousand are durable, of the others the last thousand are awaited', async () => {
  const asked = Array.from({ length: 2500 }, (_, id) => `data: {"jsonrpc":"2.0","id":${id},"method":"ping"}\n\n`);
  answer = answerOf('200 OK', SSE_TYPE, asked.join('') + EVENT);
  const token = await tokenOf('flood', 'complete');
  assert.equal((await ask(gateway.port, requestOf({ token, body: toolCall(1) }))).status, 200);
  answer = answerOf('202 Accepted', {}, '');
  const respond = (id: number) =>
    ask(gateway.port, requestOf({ token, body: `{"jsonrpc":"2.0","id":${id},"result":{}}` }));
  assert.deepEqual([(await respond(1000)).status, (await respond(1499)).status], [400, 400]);
  assert.deepEqual([(await respond(1500)).status, (await respond(2499)).status], [202, 202]);
  const folders = await readdir(join(gateway.folder, 'store-state', 'awaited'));
  assert.equal(folders.length, 1000);
  assert.deepEqual(
    [(await respond(0)).status, (await respond(999)).status, (await respond(0)).status],
    [202, 202, 400],
  );
  await goesOn();
});

test('an answer to a request of which nobody has read the rest is heard', async () => {
  await using stack = new AsyncDisposableStack();
  const sockets: Socket[] = [];
  const deaf = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {}).once('data', () => socket.pause().write(withHead()));
  });
  await new Promise<void>((done) => deaf.listen(0, '127.0.0.1', done));
  stack.defer(() => {
    for (const socket of sockets) socket.destroy();
    deaf.close();
  });
  const url = `http://127.0.0.1:${(deaf.address() as AddressInfo).port}/mcp`;
  const limits = { firstByte: '200ms' };
  const behind = stack.adopt(await startGatewayInFrontOf(url, { connection: { limits } }), (one) => one.close());
  const body = toolCall(1, 'echo', { text: 'x'.repeat(8_000_000) });
  assert.equal((await ask(behind.port, requestOf({ token: behind.token, body }))).body, RESULT);
  // The socket is full of a body that nobody reads: who comes next on it waits no longer than for a first byte.
  assert.match(
    (await ask(behind.port, requestOf({ token: behind.token, body: toolCall(1) }))).body,
    /upstream_timeout/,
  );
});

test('each of these is recorded as what it was, and nothing hostile is in a recording or a log', async () => {
  const frames = await framesOf(gateway);
  const results = new Map<string, string[]>();
  const subjects = new Map<string, string>();
  for (const frame of frames) {
    if (frame.type === 'session.start') subjects.set(frame.session, frame.start.principal?.subject ?? '');
    if (frame.type !== 'end') continue;
    const subject = subjects.get(frame.session) ?? '';
    results.set(subject, [...(results.get(subject) ?? []), frame.outcome.result]);
    const { result, fate } = frame.outcome;
    if (result.startsWith('upstream_')) assert.equal(fate, 'outcome_withheld', subject);
  }
  for (const [name, result] of outcomes)
    assert.ok(results.get(name)?.includes(result), `${name}: ${results.get(name)}`);
  // What a stream broke off in is recorded as what nobody got.
  const released = frames.filter((frame) => frame.type !== 'data' || frame.released !== false);
  const seen = released.filter((frame) => JSON.stringify(frame).includes('CANARY'));
  assert.deepEqual(seen, []);
  assert.ok(!gateway.logged.join('').includes('CANARY'));
  assert.deepEqual([...connected], ['127.0.0.1'], 'nobody was sent elsewhere');
});
