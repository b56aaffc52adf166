/** HTTP requests as hostile clients send them: each a buffer, and the end of its connection's sending side. */
import fc from 'fast-check';
import { cut, cuts } from '../../fuzz/generate.ts';
import { bodies } from './bodies.ts';
import { mostlyWhole } from './spoil.ts';

/** Stands for a token that is good; put in when it is sent, so that a seed gives the same requests each time. */
export const TOKEN = '@good-token@';

const oftenly = <T>(usual: T, ...others: T[]): fc.Arbitrary<T> =>
  fc.oneof({ weight: 25, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: fc.constantFrom(usual, ...others) });

const methods = oftenly(
  'POST',
  'GET',
  'DELETE',
  'OPTIONS',
  'PUT',
  'HEAD',
  'post',
  'PATCH',
  'CONNECT',
  'PRI',
  'M-SEARCH',
  '',
);
const targets = oftenly(
  '/fixture/mcp',
  ...['/fixture/mcp?a=b', '/fixture/mcp?access_token=x', '/fixture/mcp/', '/fixture', '/', '//fixture/mcp', '*'],
  ...['/fixture/../fixture/mcp', '/fixture/%6dcp', '/fixture/mcp#x', '/other/mcp', 'http://127.0.0.1/fixture/mcp'],
  ...['/healthz', '/readyz', '/connect', '/.well-known/oauth-protected-resource/fixture/mcp', '/approvals', '/x\x80'],
);
const versions = oftenly('HTTP/1.1', 'HTTP/1.0', 'HTTP/2.0', 'HTTP/0.9', 'http/1.1', 'HTTP/1.12', '');
const who = oftenly(
  `Authorization: Bearer ${TOKEN}`,
  ...['Authorization: Bearer junk', 'Authorization: Basic YTpi', 'Authorization:', 'X-None: 1'],
  ...[`authorization: bearer  ${TOKEN}`, `Authorization: Bearer ${TOKEN}\r\nAuthorization: Bearer ${TOKEN}`],
);
const hosts = oftenly(
  'Host: 127.0.0.1',
  'Host: evil.example',
  'Host:',
  'X-None: 1',
  'Host: 127.0.0.1\r\nHost: x',
  'Host: a/b',
);
const types = oftenly(
  'Content-Type: application/json',
  ...['Content-Type: application/json; charset=utf-8', 'Content-Type: text/plain', 'X-None: 1', 'Content-Type: json'],
  ...['Content-Type: application/json; charset=utf-16', 'Content-Type: application/json\r\nContent-Encoding: gzip'],
);
const NAMES = [
  ...['MCP-Protocol-Version', 'Mcp-Session-Id', 'Mcp-Method', 'Mcp-Name', 'Mcp-Param-a', 'Last-Event-ID', 'Accept'],
  ...['Origin', 'Connection', 'Expect', 'Upgrade', 'TE', 'Trailer', 'Cookie', 'Forwarded', 'X-Forwarded-For', 'Via'],
  ...[
    'Content-Length',
    'Transfer-Encoding',
    'Content-Encoding',
    'Range',
    'Proxy-Authorization',
    'traceparent',
    'X',
    '',
  ],
];
const VALUES = [
  ...['2025-06-18', '2026-07-28', '2025-03-26', '1', 'x', '', 'tools/call', 'json', 'forbidden', 'null', 'keep-alive'],
  ...['close, Authorization', '100-continue', 'websocket', 'chunked', 'gzip', '*/*', 'text/event-stream', '\xff', '\t'],
];
const headers = fc.oneof(
  fc.tuple(fc.constantFrom(...NAMES), fc.constantFrom(...VALUES)).map(([name, value]) => `${name}: ${value}`),
  fc.tuple(fc.constantFrom(...NAMES), fc.string({ maxLength: 12 })).map(([name, value]) => `${name}: ${value}`),
  fc.string({ maxLength: 12 }),
);

type Framed = { readonly lines: readonly string[]; readonly body: Buffer };

const framings: fc.Arbitrary<(body: Buffer, at: readonly number[]) => Framed> = oftenly<
  (body: Buffer, at: readonly number[]) => Framed
>(
  (body) => ({ lines: [`Content-Length: ${body.length}`], body }),
  (body, at) => ({ lines: ['Transfer-Encoding: chunked'], body: chunked(body, at) }),
  (body, at) => ({ lines: ['Transfer-Encoding: chunked'], body: chunked(body, at) }),
  (body) => ({ lines: [`Content-Length: ${body.length + 3}`], body }),
  (body) => ({ lines: [`Content-Length: ${Math.max(0, body.length - 3)}`], body }),
  (body, at) => ({ lines: [`Content-Length: ${body.length}`, 'Transfer-Encoding: chunked'], body: chunked(body, at) }),
  (body) => ({ lines: [], body }),
  (body) => ({ lines: ['Content-Length: 99999999'], body }),
);

function chunked(body: Buffer, at: readonly number[]): Buffer {
  const chunks = cut(body, at).filter(({ length }) => length > 0);
  const sent = chunks.flatMap((chunk) => [Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, Buffer.from('\r\n')]);
  return Buffer.concat([...sent, Buffer.from('0\r\n\r\n')]);
}

const whole: fc.Arbitrary<Buffer> = fc
  .tuple(
    methods,
    targets,
    versions,
    who,
    hosts,
    types,
    fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: fc.array(headers, { maxLength: 3 }) }),
    framings,
    bodies,
    cuts,
  )
  .map(([method, target, version, token, host, type, more, framing, body, at]) => {
    const { lines, body: sent } = framing(body, at);
    const head = [`${method} ${target} ${version}`, host, token, type, ...lines, ...more].join('\r\n');
    return Buffer.concat([Buffer.from(`${head}\r\n\r\n`, 'latin1'), sent]);
  });

export const hostileRequests: fc.Arbitrary<Buffer> = mostlyWhole(whole);
