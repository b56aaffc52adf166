import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GatewayError } from '../errors.ts';
import {
  checkPath,
  checkQuery,
  checkRequestHeaders,
  contentEncodingOf,
  recordHeaders,
  requestHeadersForUpstream,
  responseHeadersForClient,
} from './headers.ts';

const HOST = ['Host', 'gw'];

const ACCEPTED: readonly string[][] = [
  [],
  ['Accept', 'a', 'accept', 'b'],
  ['Connection', 'keep-alive, TE', 'TE', 'trailers'],
  ['Connection', 'close'],
  ['Transfer-Encoding', 'Chunked'],
  ['Content-Length', '0'],
  ['Expect', '100-Continue'],
  ['X-Tab', 'a\tb', 'X-Latin', 'caf\u00e9'],
  ['Cookie', 'a=1', 'Cookie', 'b=2'],
];
for (const headers of ACCEPTED) {
  test(`headers ${JSON.stringify(headers)} are accepted`, () => {
    assert.equal(checkRequestHeaders([...HOST, ...headers], '1.1'), undefined);
  });
}

const REFUSED: readonly (readonly [string[], string])[] = [
  [['host', 'other'], 'bad_http'],
  [['Content-Type', 'application/json', 'content-type', 'text/plain'], 'bad_http'],
  [['Content-Length', '1', 'Content-Length', '1'], 'bad_http'],
  [['Content-Length', '1, 1'], 'bad_http'],
  [['Content-Length', '+1'], 'bad_http'],
  [['Content-Length', '0x1'], 'bad_http'],
  [['Authorization', 'Bearer a', 'AUTHORIZATION', 'Bearer b'], 'bad_http'],
  [['Mcp-Session-Id', 'a', 'mcp-session-id', 'b'], 'bad_http'],
  [['Mcp-Method', 'a', 'Mcp-Method', 'a'], 'bad_http'],
  [['Mcp-Param-X', 'a', 'mcp-param-x', 'b'], 'bad_http'],
  [['Last-Event-ID', '1', 'last-event-id', '2'], 'bad_http'],
  [['Origin', 'https://a', 'Origin', 'https://b'], 'bad_http'],
  [['Connection', 'close, Authorization'], 'bad_http'],
  [['Connection', 'keep-alive', 'Connection', 'mcp-session-id'], 'bad_http'],
  [['Connection', 'Host'], 'bad_http'],
  [['Connection', 'Upgrade', 'Upgrade', 'websocket'], 'upgrade_refused'],
  [['Upgrade', 'h2c'], 'upgrade_refused'],
  [['Connection', 'Upgrade, HTTP2-Settings'], 'upgrade_refused'],
  [['Transfer-Encoding', 'chunked', 'Content-Length', '5'], 'bad_http'],
  [['Transfer-Encoding', 'gzip, chunked'], 'bad_http'],
  [['Transfer-Encoding', 'xchunked'], 'bad_http'],
  [['Transfer-Encoding', 'chunked', 'Transfer-Encoding', 'identity'], 'bad_http'],
  [['TE', 'gzip'], 'bad_http'],
  [['TE', 'trailers, deflate'], 'bad_http'],
  [['Trailer', 'X-Sum'], 'bad_http'],
  [['Expect', '200-ok'], 'bad_http'],
  [['Bad Name', 'x'], 'bad_http'],
  [['', 'x'], 'bad_http'],
  [['N\u00e4me', 'x'], 'bad_http'],
  [['X', 'a\r\nY: b'], 'bad_http'],
  [['X', 'a\u0000'], 'bad_http'],
  [['X', '\u007f'], 'bad_http'],
];
for (const [headers, code] of REFUSED) {
  test(`headers ${JSON.stringify(headers)} are refused`, () => {
    assert.equal(checkRequestHeaders([...HOST, ...headers], '1.1')?.code, code);
  });
}

test('Host, versions and HTTP/1.0', () => {
  assert.equal(checkRequestHeaders([], '1.1')?.code, 'bad_http');
  assert.equal(checkRequestHeaders([], '1.0'), undefined);
  assert.equal(checkRequestHeaders(['Transfer-Encoding', 'chunked'], '1.0')?.code, 'bad_http');
  assert.equal(checkRequestHeaders(HOST, '2.0')?.code, 'bad_http');
});

test('upstream: the allow-list in order, nothing else, then what the gateway sets', () => {
  const passes = [
    ['Mcp-Method', 'tools/call'],
    ['ACCEPT', 'application/json'],
    ['accept', 'text/event-stream'],
    ['Content-Type', 'application/json'],
    ['Mcp-Param-Region', 'eu'],
    ['MCP-Protocol-Version', '2025-11-25'],
    ['Last-Event-ID', '7'],
    ['Accept-Language', 'de'],
    ['User-Agent', 'x'],
    ['traceparent', '00-1'],
    ['tracestate', 'a=b'],
  ];
  const stays =
    'Host Content-Length Accept-Encoding Connection Keep-Alive Transfer-Encoding TE Mcp-Session-Id Authorization Cookie X-Serverless-Authorization X-Goog-IAP-JWT-Assertion X-Goog-Authenticated-User-Email X-Forwarded-For X-Forwarded-Host X-Real-IP Forwarded Via Proxy-Authorization Proxy-Connection Upgrade Expect Origin Referer baggage Content-Encoding X-Api-Key mcp_session_id X-Anything'
      .split(' ')
      .map((name) => [name, 'hostile']);
  const mixed = passes.flatMap((one, index) => [one, ...stays.slice(index * 3, index * 3 + 3)]).concat(stays);
  assert.deepEqual(
    requestHeadersForUpstream(mixed.flat(), [
      ['Mcp-Session-Id', 'theirs'],
      ['X-Api-Key', 'secret'],
    ]),
    [...passes.flat(), ...['Mcp-Session-Id', 'theirs', 'X-Api-Key', 'secret', 'accept-encoding', 'identity']],
  );
});

test("upstream: what is set replaces the client's", () => {
  assert.deepEqual(requestHeadersForUpstream(['User-Agent', 'a'], [['user-agent', 'b']]), [
    ...['user-agent', 'b', 'accept-encoding', 'identity'],
  ]);
});

test('client: the allow-list in order, nothing else, then what the gateway sets', () => {
  const passes = [
    ['Content-Type', 'text/event-stream'],
    ['Cache-Control', 'no-cache'],
    ['X-Accel-Buffering', 'no'],
    ['mcp-protocol-version', '2025-11-25'],
    ['Retry-After', '1'],
    ['Allow', 'POST'],
    ['Content-Language', 'en'],
  ];
  const stays =
    'Set-Cookie WWW-Authenticate Alt-Svc Location Content-Length Content-Encoding Transfer-Encoding Connection Access-Control-Allow-Origin Server Date ETag Last-Modified X-Powered-By Mcp-Session-Id Trailer Link Refresh Strict-Transport-Security Clear-Site-Data'
      .split(' ')
      .map((name) => [name, 'hostile']);
  const raw = [...stays, ...passes].flat().map((text) => Buffer.from(text, 'latin1'));
  assert.deepEqual(responseHeadersForClient(raw, [['Mcp-Session-Id', 'sealed']]), [
    ...passes.flat(),
    ...['Mcp-Session-Id', 'sealed'],
  ]);
});

test('client: without cache-control an answer is not stored', () => {
  assert.deepEqual(responseHeadersForClient([], []), ['cache-control', 'no-store, no-transform']);
  assert.deepEqual(responseHeadersForClient(['Cache-Control', 'public'], [['cache-control', 'no-store']]), [
    ...['cache-control', 'no-store'],
  ]);
});

const BROKEN: readonly string[][] = [
  ['X', 'a\r\nSet-Cookie: x'],
  ['Mcp-Foo', 'a\nb'],
  ['Content-Type', 'a\u0000'],
  ['Content-Type', 'application/json', 'content-type', 'text/event-stream'],
  ['Bad Name', 'x'],
];
for (const headers of BROKEN) {
  test(`upstream headers ${JSON.stringify(headers)} are withheld`, () => {
    assert.throws(
      () =>
        responseHeadersForClient(
          headers.map((text) => Buffer.from(text)),
          [],
        ),
      (error) => error instanceof GatewayError && error.code === 'upstream_broken' && error.fate === 'outcome_withheld',
    );
  });
}

test('content encodings other than identity are named', () => {
  assert.equal(contentEncodingOf([]), undefined);
  assert.equal(contentEncodingOf(['Content-Encoding', 'Identity']), undefined);
  assert.equal(contentEncodingOf(['Content-Encoding', 'identity, GZIP', 'content-encoding', 'br']), 'gzip, br');
});

test('recorded headers keep order, spelling and duplicates; credentials become fingerprints', () => {
  const secret =
    'Authorization cookie Set-Cookie Proxy-Authorization X-Api-Key X-ApiKey api_key X-Serverless-Authorization X-Goog-IAP-JWT-Assertion X-Access-Token X-Client-Secret X-Amz-Security-Token X-Auth X-Auth-Key Mcp-Param-Password'.split(
      ' ',
    );
  const plain = 'Host Mcp-Session-Id Mcp-Method X-Author Content-Type WWW-Authenticate traceparent'.split(' ');
  const recorded = recordHeaders(
    [...secret, ...plain, 'A', 'a'].flatMap((name) => [name, 'v\u00e9']),
    (value) => `fp(${value})`,
  );
  assert.deepEqual(recorded, [
    ...secret.map((name) => ({ name, fingerprint: 'fp(v\u00e9)' })),
    ...[...plain, 'A', 'a'].map((name) => ({ name, value: 'v\u00e9' })),
  ]);
  assert.deepEqual(recordHeaders([Buffer.from('X'), Buffer.from([0xe9])], String), [{ name: 'X', value: '\u00e9' }]);
});

test('queries: only listed names, once each, in one spelling', () => {
  const good = ['', '?sessionId=a%20b', '?sessionId=a&page=2', '?page', '?page=a=b'];
  for (const search of good) assert.equal(checkQuery(search, ['sessionId', 'page']), undefined, search);
  const wrong = [
    '?',
    '?x=1',
    '?page=1&x=2',
    '?page=1&page=2',
    '?p%61ge=1',
    '?page=1;x=2',
    '?page=%zz',
    '?page=a b',
    '?page=1#x',
    '?page=\u00e9',
    '?&page=1',
    '?PAGE=1',
    'page=1',
    '?access_token=x',
  ];
  for (const search of wrong) assert.equal(checkQuery(search, ['sessionId', 'page'])?.code, 'bad_http', search);
});

test('paths: one spelling, origin form', () => {
  for (const url of ['/', '/orders/mcp', '/orders/mcp?a=//..', '/a%20b', '/a..b/.well-known/x']) {
    assert.equal(checkPath(url), undefined, url);
  }
  const wrong = [
    '',
    '*',
    'http://evil/orders/mcp',
    'orders/mcp',
    '//evil/mcp',
    '/a//b',
    '/a/../b',
    '/a/./b',
    '/a/..',
    '/a%2fb',
    '/a%2Fb',
    '/a%5cb',
    '/a\\b',
    '/%2e%2e/b',
    '/a/.%2E/b',
    '/a%00',
    '/a%0d%0ab',
    '/a%252fb',
    '/a#b',
    '/a b',
    '/\u00e9',
    '/a%',
    '/a%zz',
    '/a%3fb',
    '/a\u0000',
  ];
  for (const url of wrong) assert.equal(checkPath(url)?.code, 'bad_http', url);
});
