/**
 * A client that means harm, case by case: refused and recorded, and the upstream sees nothing of it. What follows a
 * request that two parsers could read in two ways is never taken for a request of its own.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { secret } from './canaries.ts';
import { type GatewayUnderTest, startGatewayInFrontOf } from './gateway-under-test.ts';
import { toolCall } from './raw-client.ts';
import { answerOf, ask, jsonAnswer, openRaw, type RawUpstream, requestOf, startRawUpstream } from './raw-socket.ts';
import { exchangesOf, framesOf, systemRefusals } from './recorded.ts';

const CALL = toolCall(1);
const MODERN_META = { _meta: { 'io.modelcontextprotocol/protocolVersion': '2026-07-28' } };
const MODERN = JSON.stringify({
  jsonrpc: '2.0',
  id: 1,
  method: 'tools/call',
  params: { name: 'echo', ...MODERN_META },
});

/** The request of a token, behind which another one is hidden. */
type Smuggling = (token: string, hidden: string) => string;

const posting =
  (lines: readonly string[], body: (hidden: string) => string): Smuggling =>
  (token, hidden) =>
    requestOf({ token, framing: lines, body: body(hidden) });
/** A body that says that it is over, and then goes on. */
const ended = (hidden: string): string => `0\r\n\r\n${hidden}`;
const framed = (...lines: string[]): Smuggling => posting(lines, ended);
/** A chunked body that begins like this. */
const chunked = (first: string): Smuggling =>
  posting(['Transfer-Encoding: chunked'], (hidden) => first + ended(hidden));
const targeted =
  (target: string): Smuggling =>
  (token, hidden) =>
    requestOf({ token, target, body: CALL }) + hidden;
const CHUNKS = 'Transfer-Encoding: chunked';

const SMUGGLING: Record<string, Record<string, Smuggling>> = {
  'Content-Length and Transfer-Encoding': {
    'CL.TE': framed('Content-Length: 500', CHUNKS),
    'TE.CL': posting(
      [CHUNKS, 'Content-Length: 4'],
      (hidden) => `${hidden.length.toString(16)}\r\n${hidden}\r\n0\r\n\r\n`,
    ),
    'CL.TE with a length of nothing': framed('Content-Length: 0', CHUNKS),
    'TE.TE, the second unknown': framed(CHUNKS, 'Transfer-Encoding: identity'),
    'TE.TE, the first unknown': framed('Transfer-Encoding: x', CHUNKS),
    'chunked twice in one': framed('Transfer-Encoding: chunked, chunked'),
    'chunked twice in two': framed(CHUNKS, CHUNKS),
    'chunked in front of another': framed('Transfer-Encoding: chunked, gzip'),
    'chunked behind another': framed('Transfer-Encoding: gzip, chunked'),
    'almost chunked': framed('Transfer-Encoding: xchunked'),
    'chunked in quotes': framed('Transfer-Encoding: "chunked"'),
    'chunked behind a vertical tab': framed('Transfer-Encoding: \x0bchunked'),
    'no coding at all': framed('Transfer-Encoding:'),
    'in HTTP/1.0': (token, hidden) => framed(CHUNKS)(token, hidden).replace('HTTP/1.1', 'HTTP/1.0'),
  },
  'two lengths': {
    'that differ': framed('Content-Length: 5', 'Content-Length: 6'),
    'that are alike': framed('Content-Length: 5', 'Content-Length: 5'),
    'in a list': framed('Content-Length: 5, 5'),
    signed: framed('Content-Length: +5'),
    'below zero': framed('Content-Length: -5'),
    'in hexadecimal': framed('Content-Length: 0x5'),
    'with a blank in it': framed('Content-Length: 1 0'),
    'beyond all numbers': framed('Content-Length: 99999999999999999999'),
    'no number at all': framed('Content-Length:'),
  },
  'ends of lines': {
    'a folded header': framed('X: a', ' Content-Length: 5'),
    'a folded first header': (token, hidden) =>
      framed()(token, hidden).replace('\r\nHost', '\r\n Content-Length: 5\r\nHost'),
    'bare line feeds': (token, hidden) => requestOf({ token, body: CALL }).replaceAll('\r\n', '\n') + hidden,
    'one bare line feed': framed(`X: a\n${CHUNKS}`),
    'a bare carriage return': framed(`X: a\r${CHUNKS}`),
    'line feed before carriage return': framed(`X: a\n\r${CHUNKS}`),
    'a NUL': framed(`X: a\0${CHUNKS}`),
    'a blank before a colon': framed('Content-Length : 5'),
    'a tab before a colon': framed('Transfer-Encoding\t: chunked'),
    'a header without a name': framed(': 5'),
    'a header without a colon': framed('Content-Length'),
    'a control character in a name': framed('Content\x0b-Length: 5'),
    'a blank in the target': targeted('/fixture/mcp /x'),
    'two blanks behind the method': (token, hidden) => framed(CHUNKS)(token, hidden).replace('POST ', 'POST  \t'),
    'another version': (token, hidden) => framed(CHUNKS)(token, hidden).replace('HTTP/1.1', 'HTTP/1.2'),
    'no version': (_, hidden) => `GET /fixture/mcp\r\n\r\n${hidden}`,
  },
  chunks: {
    'a size with a sign': chunked('+1\r\n{\r\n'),
    'a size below zero': chunked('-1\r\n{\r\n'),
    'a size in C’s way': chunked('0x1\r\n{\r\n'),
    'a size behind a blank': chunked(' 1\r\n{\r\n'),
    'a size beyond all numbers': chunked('10000000000000001\r\n{\r\n'),
    'no size': chunked('\r\n{\r\n'),
    'data beyond its size': chunked('1\r\n{}}}\r\n'),
    'a bare line feed behind a size': chunked('1\n{\r\n'),
    'a bare carriage return behind a size': chunked('1\r{\r\n'),
    'a bare line feed in an extension': chunked('1;a\n{\r\n'),
    'a bare line feed behind the data': chunked('1\r\n{\n'),
    'a bare line feed at the end': posting([CHUNKS], (hidden) => `1\r\n{\r\n0\n\n${hidden}`),
  },
  targets: {
    'absolute form': targeted('http://127.0.0.1/fixture/mcp'),
    'absolute form of another host': targeted('http://169.254.169.254/fixture/mcp'),
    'authority form': targeted('127.0.0.1:80'),
    'asterisk form': targeted('*'),
    'an encoded slash': targeted('/fixture%2fmcp'),
    'an encoded dot': targeted('/fixture/%2e%2e/fixture/mcp'),
    'an encoded percent sign': targeted('/fixture/%252e%252e/mcp'),
    'an encoded question mark': targeted('/fixture/mcp%3fkey=1'),
    'an encoded line end': targeted('/fixture/mcp%0d%0aX:a'),
    'a dot segment': targeted('/fixture/../fixture/mcp'),
    'an empty segment': targeted('/fixture//mcp'),
    'another host’s path': targeted('//evil.example/fixture/mcp'),
    'a backslash': targeted('/fixture\\mcp'),
    'a fragment': targeted('/fixture/mcp#x'),
    'bytes beyond ASCII': targeted('/fixture/mcp\xff'),
  },
  'what stays with this connection': {
    ...Object.fromEntries(
      'Mcp-Method Mcp-Name Mcp-Session-Id MCP-Protocol-Version Authorization Host Content-Length Content-Type Origin X'
        .split(' ')
        .map((name) => [
          `Connection: ${name}`,
          (token: string, hidden: string) =>
            requestOf({ token, body: CALL, headers: [`Connection: keep-alive, ${name}`] }) + hidden,
        ]),
    ),
    'a Trailer': framed('Trailer: Content-Length', CHUNKS),
    'TE of gzip': framed('TE: gzip', CHUNKS),
    'another protocol, in half the words': framed('Upgrade: h2c', CHUNKS),
    'another protocol': framed('Connection: Upgrade', 'Upgrade: websocket'),
    'HTTP/2 in clear': framed(
      'Connection: Upgrade, HTTP2-Settings',
      'Upgrade: h2c',
      'HTTP2-Settings: AAMAAABkAAQAAP__',
    ),
    'a tunnel': (_, hidden) => `CONNECT 127.0.0.1:80 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n${hidden}`,
  },
};

let upstream: RawUpstream;
let gateway: GatewayUnderTest;
let respond: (message: { id: number; method?: string }) => string = ({ id }) => jsonAnswer(id);

before(async () => {
  upstream = await startRawUpstream((request, socket) =>
    socket.write(respond(JSON.parse(request.slice(request.indexOf('\r\n\r\n') + 4) || '{}'))),
  );
  process.env.VERBATIM_TEST_OWN_KEY = 'the-key-of-the-gateway';
  gateway = await startGatewayInFrontOf(upstream.url, {
    connection: { limits: { requestBytes: '64KiB' } },
    connections: {
      keyed: { credential: { header: 'X-Api-Key', value: 'env:VERBATIM_TEST_OWN_KEY' }, identityHeader: 'X-Who' },
    },
  });
});
after(async () => {
  delete process.env.VERBATIM_TEST_OWN_KEY;
  await gateway.close();
  await upstream.close();
});

for (const [group, cases] of Object.entries(SMUGGLING)) {
  for (const [name, smuggling] of Object.entries(cases)) {
    test(`${group}: ${name}`, async () => {
      const hidden = requestOf({ token: gateway.token, body: toolCall(666, `hidden ${group} ${name}`) });
      const before = upstream.requests().length;
      const raw = await openRaw(gateway.port);
      raw.send(smuggling(gateway.token, hidden));
      const text = await raw.closed();
      assert.match(text, /^HTTP\/1\.1 400 /);
      assert.equal(text.split('HTTP/1.1 ').length, 2, 'one answer');
      const next = await ask(gateway.port, requestOf({ token: gateway.token, body: CALL }));
      assert.equal(next.status, 200);
      assert.equal(upstream.requests().length, before + 1);
      assert.ok(!upstream.received().includes(`hidden ${group} ${name}`));
    });
  }
}

test('each of these refusals is an event of the system strand', async () => {
  assert.deepEqual([...new Set(await systemRefusals(gateway))].sort(), ['bad_http', 'upgrade_refused']);
});

interface InSession {
  readonly body: string;
  readonly headers?: readonly string[];
  readonly type?: string;
}

const message = (more: string): string => `{"jsonrpc":"2.0","id":1,${more}}`;
const batch = (...messages: string[]): string => `[${messages.join(',')}]`;
const modern = (...headers: string[]): InSession => ({ body: MODERN, headers });
const VERSION = 'MCP-Protocol-Version: 2026-07-28';
const base64 = (name: string): string => `=?base64?${Buffer.from(name).toString('base64')}?=`;

/** Refused once it is known whose it is: recorded there. HTTP status and code. */
const REFUSED: Record<string, readonly [status: number, code: string, cases: Record<string, InSession>]> = {
  'a header unlike the body': [
    400,
    'header_mismatch',
    {
      'another method': modern(VERSION, 'Mcp-Method: ping', 'Mcp-Name: echo'),
      'another method, in other letters': modern(VERSION, 'Mcp-Method: TOOLS/CALL', 'Mcp-Name: echo'),
      'another name': modern(VERSION, 'Mcp-Method: tools/call', 'Mcp-Name: safe'),
      'another name, encoded': modern(VERSION, 'Mcp-Method: tools/call', `Mcp-Name: ${base64('safe')}`),
      'a name that is encoded in two ways': modern(VERSION, 'Mcp-Method: tools/call', 'Mcp-Name: =?base64?ZWNobx==?='),
      'another version': modern('MCP-Protocol-Version: 2026-08-01', 'Mcp-Method: tools/call', 'Mcp-Name: echo'),
      'no method': modern(VERSION, 'Mcp-Name: echo'),
      'no name': modern(VERSION, 'Mcp-Method: tools/call'),
      'no version': modern('Mcp-Method: tools/call', 'Mcp-Name: echo'),
      'another method in the older era': { body: CALL, headers: ['Mcp-Method: ping'] },
    },
  ],
  'a version that can be none': [
    400,
    'unsupported_version',
    { 'a list': { body: CALL, headers: ['MCP-Protocol-Version: 2025-06-18, 2025-03-26'] } },
  ],
  'JSON that two parsers read in two ways': [
    400,
    'parse_error',
    {
      'a doubled key': { body: message('"method":"ping","method":"tools/call"') },
      'a doubled key, one escaped': { body: message('"method":"ping","m\\u0065thod":"tools/call"') },
      'a doubled key, deep': { body: message('"method":"tools/call","params":{"name":"a","arguments":{"x":1,"x":2}}') },
      'invalid UTF-8': { body: message('"method":"a\xffb"') },
      'UTF-8 that is too long': { body: message('"method":"a\xc0\xafb"') },
      'a byte order mark': { body: `\xef\xbb\xbf${CALL}` },
      'UTF-16': { body: Buffer.from(CALL, 'utf16le').toString('latin1') },
      'a lone surrogate': { body: message('"method":"ping","params":{"x":"\\ud800"}') },
      'a NUL': { body: message('"method":"pi\0ng"') },
      'a NUL behind the end': { body: `${CALL}\0` },
      'a huge integer': { body: message('"method":"ping","params":{"x":9007199254740993}') },
      'a number beyond a double': { body: message('"method":"ping","params":{"x":1e999}') },
      'deep nesting': { body: message(`"method":"ping","params":{"x":${'['.repeat(200)}${']'.repeat(200)}}`) },
      'very deep nesting': { body: '['.repeat(60_000) },
      'two values': { body: `${CALL}${CALL}` },
      'a comment': { body: `/* */${CALL}` },
      'a comma too many': { body: message('"method":"ping",') },
      'single quotes': { body: CALL.replaceAll('"', "'") },
      nothing: { body: '' },
    },
  ],
  'messages that are none': [
    400,
    'invalid_request',
    {
      'a request that is a response': { body: message('"method":"ping","result":{}') },
      'a NUL in the method': { body: message('"method":"pi\\u0000ng"') },
      'a method without end': { body: message(`"method":"${'x'.repeat(300)}"`) },
      'an id without end': { body: `{"jsonrpc":"2.0","id":"${'x'.repeat(2000)}","method":"ping"}` },
      'an id that is no integer': { body: '{"jsonrpc":"2.0","id":1.5,"method":"ping"}' },
      'an id that is null': { body: '{"jsonrpc":"2.0","id":null,"method":"ping"}' },
      'a prototype': { body: '{"__proto__":{"jsonrpc":"2.0"},"id":1,"method":"ping"}' },
    },
  ],
  'a batch that is abused': [
    400,
    'invalid_request',
    {
      empty: { body: '[]' },
      'too long': { body: batch(...Array.from({ length: 101 }, (_, id) => toolCall(id))) },
      'in a batch': { body: batch(batch(CALL)) },
      'with one id twice': { body: batch(CALL, CALL) },
      'with a bad element': { body: batch(CALL, '{"jsonrpc":"2.0","id":2}') },
      'with initialize': { body: batch('{"jsonrpc":"2.0","id":1,"method":"initialize"}') },
      'of a version without batches': { body: batch(CALL), headers: ['MCP-Protocol-Version: 2025-06-18'] },
      'of 2026-07-28': { body: batch(MODERN), headers: [VERSION, 'Mcp-Method: tools/call', 'Mcp-Name: echo'] },
      'with an element of 2026-07-28': { body: batch(CALL, MODERN.replace('"id":1', '"id":2')) },
    },
  ],
  'too much': [413, 'body_too_large', { 'a body': { body: ' '.repeat(65_537) } }],
  'a body in disguise': [
    415,
    'unsupported_media_type',
    {
      compressed: { body: CALL, headers: ['Content-Encoding: gzip'] },
      'in another charset': { body: CALL, type: 'application/json; charset=utf-7' },
      'a form': { body: CALL, type: 'application/x-www-form-urlencoded' },
    },
  ],
};

/** JSON-RPC codes that are not -32600. */
const RPC: Record<string, number> = { header_mismatch: -32020, unsupported_version: -32022, parse_error: -32700 };

/** What was refused, by principal: each case is one of its own. */
const refusals = new Map<string, string>();

for (const [group, [status, code, cases]] of Object.entries(REFUSED)) {
  for (const [each, request] of Object.entries(cases)) {
    test(`${group}: ${each}`, async () => {
      const name = `${group}: ${each}`;
      refusals.set(name, code);
      const before = upstream.requests().length;
      const token = await gateway.tokenFor({ sub: name });
      const answered = await ask(gateway.port, requestOf({ token, ...request }));
      const { error } = JSON.parse(answered.body);
      const expected = [status, RPC[code] ?? -32600, { code, fate: 'not_forwarded' }];
      assert.deepEqual([answered.status, error.code, error.data], expected);
      assert.equal(upstream.requests().length, before);
    });
  }
}

/** Headers by which somebody would say who he is, or act with what is not his. */
const NEVER: readonly string[] = [
  'X-Who: forged-identity',
  'X-Verbatim-Identity: forged-identity',
  'X-Api-Key: forged-identity',
  'Cookie: forged-identity',
  'Proxy-Authorization: forged-identity',
  'Forwarded: for=forged-identity',
  ...'For Host Proto User Email Groups Client-Cert'.split(' ').map((name) => `X-Forwarded-${name}: forged-identity`),
  'X-Real-IP: forged-identity',
  'X-Original-URL: /forged-identity',
  'X-HTTP-Method-Override: DELETE-forged-identity',
  'X-Serverless-Authorization: forged-identity',
  'X-Goog-IAP-JWT-Assertion: forged-identity',
  'X-Goog-Authenticated-User-Email: forged-identity',
  'Baggage: user=forged-identity',
  'Via: forged-identity',
  'Referer: https://forged-identity',
  'Origin-Agent-Cluster: forged-identity',
];

test('headers that say who calls, or with what, never reach an upstream; those of the gateway do', async () => {
  respond = ({ id }) => jsonAnswer(id);
  const token = await gateway.tokenFor({}, 'keyed');
  const before = upstream.received().length;
  for (const headers of [NEVER, NEVER.map((line) => line.toUpperCase()), NEVER.map((line) => line.toLowerCase())]) {
    const answered = await ask(gateway.port, requestOf({ token, target: '/keyed/mcp', body: CALL, headers }));
    assert.equal(answered.status, 200);
  }
  const sent = upstream.received().slice(before).toLowerCase();
  assert.ok(!sent.includes('forged-identity') && !sent.includes(token.toLowerCase()));
  assert.equal(sent.split('\r\nx-api-key: the-key-of-the-gateway\r\n').length, 4);
  assert.equal(sent.split('\r\nx-who: ').length, 4);
});

const UPSTREAM_ID = secret('the-session-id-of-the-upstream', 'an upstream’s Mcp-Session-Id');

/** What ana's session holds that another may not use. */
interface Held {
  readonly sealed: string;
  readonly token: string;
}

/** A session with one of each: an Mcp-Session-Id, a task, an elicitation, a request state, an event id, a question. */
async function hold(): Promise<Held> {
  const token = await gateway.tokenFor({ sub: 'ana' });
  const events = [
    'id: the-event-of-ana\ndata: {"jsonrpc":"2.0","method":"notifications/message","params":{}}\n\n',
    'data: {"jsonrpc":"2.0","id":77,"method":"elicitation/create","params":{"mode":"url","elicitationId":"the-elicitation-of-ana"}}\n\n',
    'data: {"jsonrpc":"2.0","id":1,"result":{"task":{"taskId":"the-task-of-ana"},"requestState":"the-state-of-ana"}}\n\n',
  ].join('');
  respond = () => answerOf('200 OK', { 'content-type': 'text/event-stream', 'mcp-session-id': UPSTREAM_ID }, events);
  const answered = await ask(gateway.port, requestOf({ token, body: CALL }));
  assert.ok(answered.body.includes('the-task-of-ana'));
  return { token, sealed: /mcp-session-id: ([^\r]*)/i.exec(answered.head)?.[1] ?? '' };
}

const flipped = (sealed: string): string => sealed.slice(0, 20) + (sealed[20] === 'A' ? 'B' : 'A') + sealed.slice(21);
const answering = '{"jsonrpc":"2.0","id":77,"result":{"action":"accept"}}';
const asking = (method: string, params: object): string => JSON.stringify({ jsonrpc: '2.0', id: 1, method, params });
const withId = (sealed: string, body = CALL) => ({ body, headers: [`Mcp-Session-Id: ${sealed}`] });
const resuming = (id: string, ...more: string[]) => ({
  method: 'GET',
  type: null,
  framing: [],
  headers: [`Last-Event-ID: ${id}`, ...more],
});
const RELATED = { 'io.modelcontextprotocol/related-task': { taskId: 'the-task-of-ana' } };

type Attack = (held: Held) => Omit<Parameters<typeof requestOf>[0], 'token'>;

/** Mallory, who may use the same connection, with what is ana's. */
const FOREIGN: Record<string, readonly [status: number, Attack]> = {
  mcp_session_unknown: [404, ({ sealed }) => withId(sealed)],
  'mcp_session_unknown, to listen': [404, ({ sealed }) => ({ ...withId(sealed, ''), method: 'GET' })],
  'mcp_session_unknown, to end it': [404, ({ sealed }) => ({ ...withId(sealed, ''), method: 'DELETE' })],
  'mcp_session_unknown, changed': [404, ({ sealed }) => withId(flipped(sealed))],
  'mcp_session_unknown, cut': [404, ({ sealed }) => withId(sealed.slice(0, -4))],
  'mcp_session_unknown, not sealed': [404, () => withId('a-session-id-of-no-gateway')],
  'mcp_session_unknown, with an answer': [404, ({ sealed }) => withId(sealed, answering)],
  'mcp_session_unknown, resuming': [404, ({ sealed }) => resuming('the-event-of-ana', `Mcp-Session-Id: ${sealed}`)],
  handle_unknown: [200, () => ({ body: asking('tasks/result', { taskId: 'the-task-of-ana' }) })],
  'handle_unknown, to cancel': [200, () => ({ body: asking('tasks/cancel', { taskId: 'the-task-of-ana' }) })],
  'handle_unknown, as related': [200, () => ({ body: asking('tools/call', { name: 'x', _meta: RELATED }) })],
  'handle_unknown, to listen': [
    200,
    () => ({ body: asking('subscriptions/listen', { notifications: { taskIds: ['the-task-of-ana'] } }) }),
  ],
  'handle_unknown, in a batch': [
    200,
    () => ({ body: batch(toolCall(2), asking('tasks/get', { taskId: 'the-task-of-ana' })) }),
  ],
  'handle_unknown, a state': [
    200,
    () => ({ body: asking('tools/call', { name: 'x', requestState: 'the-state-of-ana' }) }),
  ],
  'handle_unknown, an elicitation': [
    200,
    () => ({ body: asking('tools/call', { name: 'x', elicitationId: 'the-elicitation-of-ana' }) }),
  ],
  response_not_awaited: [400, () => ({ body: answering })],
  'response_not_awaited, in a batch': [400, () => ({ body: batch(CALL, answering) })],
  'response_not_awaited, of another type': [400, () => ({ body: answering.replace('77', '"77"') })],
  event_id_unknown: [400, () => resuming('the-event-of-ana')],
};

test('what is another session’s is refused, and the upstream hears nothing of it', async (t) => {
  const held = await hold();
  const before = upstream.requests().length;
  for (const [name, [status, attack]] of Object.entries(FOREIGN)) {
    await t.test(name, async () => {
      const [code = ''] = name.split(',');
      refusals.set(`mallory: ${name}`, code);
      const token = await gateway.tokenFor({ sub: `mallory: ${name}` });
      const answered = await ask(gateway.port, requestOf({ token, ...attack(held) }));
      const [first] = [JSON.parse(answered.body)].flat();
      assert.deepEqual([answered.status, first.error.data], [status, { code, fate: 'not_forwarded' }]);
      assert.equal(upstream.requests().length, before);
    });
  }
  await t.test('with her own connection’s token on another connection', async () => {
    const answered = await ask(gateway.port, requestOf({ token: held.token, target: '/keyed/mcp', body: CALL }));
    assert.equal(answered.status, 401);
  });
  await t.test('and ana goes on with all of it', async () => {
    respond = () => answerOf('202 Accepted', {}, '');
    assert.equal(
      (await ask(gateway.port, requestOf({ token: held.token, ...withId(held.sealed, answering) }))).status,
      202,
    );
    assert.ok(upstream.requests().at(-1)?.includes(`mcp-session-id: ${UPSTREAM_ID}\r\n`));
    respond = () => jsonAnswer(1);
    const own = asking('tasks/get', { taskId: 'the-task-of-ana' });
    assert.equal(
      JSON.parse((await ask(gateway.port, requestOf({ token: held.token, body: own }))).body).error,
      undefined,
    );
  });
});

test('each of these refusals is in the recording of who tried, with its code', async () => {
  const subjects = new Map<string, string>();
  const refused = new Map<string, string[]>();
  for (const frame of await framesOf(gateway)) {
    if (frame.type === 'session.start') subjects.set(frame.session, frame.start.principal?.subject ?? '');
    if (frame.type !== 'request') continue;
    const subject = subjects.get(frame.session) ?? '';
    refused.set(subject, [...(refused.get(subject) ?? []), frame.refused ?? 'none']);
  }
  for (const [subject, code] of refusals) assert.deepEqual(refused.get(subject), [code], subject);
  const tried = (await framesOf(gateway, 'system')).flatMap((frame) =>
    frame.type === 'event' && /^foreign_/.test(frame.event.name) ? [String(frame.event.subject)] : [],
  );
  assert.ok(tried.includes('mallory: mcp_session_unknown') && tried.includes('mallory: handle_unknown'));
});

test('requests in one piece are answered in order, each as its own principal’s', async () => {
  const waiting = Promise.withResolvers<void>();
  await using stack = new AsyncDisposableStack();
  const slow = stack.adopt(
    await startRawUpstream((request, socket) => {
      const { id } = JSON.parse(request.slice(request.indexOf('\r\n\r\n') + 4));
      // The first answer comes last.
      if (id === 1) void waiting.promise.then(() => socket.write(jsonAnswer(id, 'first')));
      else socket.write(jsonAnswer(id, 'another'), () => id === 3 && waiting.resolve());
    }),
    (one) => one.close(),
  );
  const behind = stack.adopt(await startGatewayInFrontOf(slow.url), (one) => one.close());
  const own = await Promise.all(['first', 'second', 'third'].map((sub) => behind.tokenFor({ sub })));
  const raw = await openRaw(behind.port);
  raw.send(
    [
      requestOf({ token: own[0] ?? '', body: toolCall(1) }),
      requestOf({ token: own[1] ?? '', body: '{' }),
      requestOf({ token: own[2] ?? '', body: toolCall(3) }),
      requestOf({ token: `${own[2]}x`, body: toolCall(2) }),
    ].join(''),
  );
  const text = await raw.closed();
  const statuses = [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status);
  assert.deepEqual(statuses, ['200', '400', '200', '401']);
  assert.ok(text.indexOf('"first"') < text.indexOf('"parse_error"'));
  assert.equal(slow.requests().length, 2);
  const recorded = (await exchangesOf(behind)).map(({ session, end }) => [session, end?.outcome.result]);
  const starts = (await framesOf(behind)).flatMap((frame) => (frame.type === 'session.start' ? [frame] : []));
  const subjectOf = (session: string) => starts.find((one) => one.session === session)?.start.principal?.subject;
  assert.deepEqual(
    new Map(recorded.map(([session = '', result]) => [subjectOf(session), result])),
    new Map([
      ['first', 'complete'],
      ['second', 'parse_error'],
      ['third', 'complete'],
    ]),
  );
});

test('who sends a head byte by byte keeps nobody else waiting', async () => {
  const raws = await Promise.all(Array.from({ length: 100 }, () => openRaw(gateway.port)));
  for (const raw of raws) raw.send('POST /fixture/mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ');
  respond = ({ id }) => jsonAnswer(id);
  for (const raw of raws) raw.send('x');
  assert.equal((await ask(gateway.port, requestOf({ token: gateway.token, body: CALL }))).status, 200);
  for (const raw of raws) raw.socket.destroy();
});

test('a body whose length is not announced is read as far as it may go', async () => {
  const body = `${(100_000).toString(16)}\r\n${' '.repeat(70_000)}`;
  const answered = await ask(gateway.port, requestOf({ token: gateway.token, framing: [CHUNKS], body }));
  assert.deepEqual([answered.status, JSON.parse(answered.body).error.data.code], [413, 'body_too_large']);
});

test('too much of a head is refused, whatever it is made of', async () => {
  for (const [bytes, status] of [
    [requestOf({ token: gateway.token, body: CALL, headers: [`X-Long: ${'x'.repeat(40_000)}`] }), 431],
    [requestOf({ token: gateway.token, body: CALL, target: `/fixture/mcp?${'x'.repeat(40_000)}` }), 431],
    [requestOf({ token: gateway.token, body: CALL, headers: Array<string>(20_000).fill('a: b') }), 431],
    [requestOf({ token: 'x'.repeat(20_000), body: CALL }), 401],
    [requestOf({ token: gateway.token, body: CALL, headers: [`Mcp-Session-Id: v1.${'A'.repeat(20_000)}`] }), 404],
  ] as const) {
    const before = upstream.requests().length;
    assert.equal((await ask(gateway.port, bytes)).status, status);
    assert.equal(upstream.requests().length, before);
  }
});
