/** HTTP answers as a hostile or broken upstream sends them to a call: each is written, and then the connection ends. */
import fc from 'fast-check';
import { createWhim, nearlyJson, spoilt, values, whims, written } from '../../fuzz/generate.ts';
import { requests } from './bodies.ts';
import { mostlyWhole } from './spoil.ts';

/** Stands for the id of the call that is answered. */
export const ID = 4_242_424_242;

const results = fc.oneof(
  values.map((value) => ({ jsonrpc: '2.0', id: ID, result: { content: [{ type: 'text', text: 'x' }], extra: value } })),
  values.map((result) => ({ jsonrpc: '2.0', id: ID, result })),
  values.map((data) => ({ jsonrpc: '2.0', id: ID, error: { code: -32000, message: 'x', data } })),
  requests,
  fc.constantFrom<unknown>(
    { jsonrpc: '2.0', id: 'other', result: {} },
    { jsonrpc: '2.0', id: 's', method: 'sampling/createMessage', params: { messages: [] } },
    { jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: 1, progress: 1 } },
    { jsonrpc: '2.0', id: ID, result: { resultType: 'input_required', inputRequests: {} } },
    { jsonrpc: '2.0', id: ID, result: { taskId: 't', task: { taskId: 't', status: 'working' } } },
  ),
);
const texts = fc.tuple(results, whims).map(([message, numbers]) => written(message, createWhim(numbers)));
const LINES = [
  'event: message',
  'id: 7',
  'retry: 5',
  ': alive',
  'zz',
  'data',
  'data:',
  '\ufeff',
  'event: endpoint',
  '',
];
const events = fc
  .tuple(fc.array(fc.oneof(texts, nearlyJson), { maxLength: 3 }), fc.array(fc.constantFrom(...LINES)), whims)
  .map(([all, others, numbers]) => {
    const whim = createWhim(numbers);
    const end = ['\n', '\r\n', '\r'][whim() % 3] ?? '\n';
    return all
      .map((text) => {
        const lines = text.split(/\r\n|\r|\n/).map((line) => `data: ${line}`);
        const other = others[whim() % (others.length + 1)];
        return `${[...(other === undefined ? [] : [other]), ...lines].join(end)}${end}${end}`;
      })
      .join('');
  });

const bodies: fc.Arbitrary<readonly [string, Buffer]> = fc.oneof(
  { weight: 4, arbitrary: texts.map((text) => ['application/json', Buffer.from(text)] as const) },
  { weight: 4, arbitrary: events.map((text) => ['text/event-stream', Buffer.from(text)] as const) },
  { weight: 2, arbitrary: spoilt(texts).map((text) => ['application/json', Buffer.from(text)] as const) },
  { weight: 2, arbitrary: spoilt(events).map((text) => ['text/event-stream', Buffer.from(text)] as const) },
  { weight: 1, arbitrary: nearlyJson.map((text) => ['application/json', Buffer.from(text)] as const) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(
        fc.constantFrom('application/json', 'text/event-stream', 'text/html', ''),
        fc.uint8Array({ maxLength: 80 }),
      )
      .map(([type, bytes]) => [type, Buffer.from(bytes)] as const),
  },
  { weight: 1, arbitrary: texts.map((text) => ['text/html', Buffer.from(text)] as const) },
);

const STATUS = [
  ...['200 OK', '202 Accepted', '204 No Content', '206 x', '304 x'],
  ...[
    '301 x',
    '307 x',
    '400 x',
    '401 x',
    '403 x',
    '404 x',
    '405 x',
    '409 x',
    '429 x',
    '500 x',
    '503 x',
    '600 x',
    '999 x',
  ],
  ...['100 Continue', '103 Early', '101 Switching Protocols', '0 x', '20 x', '2000 x', 'OK', ''],
];
const HEADERS = [
  ...[
    'Mcp-Session-Id: s',
    'Mcp-Session-Id: \xff',
    'Set-Cookie: a=b',
    'WWW-Authenticate: Bearer',
    'Location: http://127.0.0.1:1/',
  ],
  ...[
    'Content-Encoding: gzip',
    'Content-Encoding: identity',
    'Transfer-Encoding: gzip, chunked',
    'Connection: keep-alive',
  ],
  ...[
    'Connection: close',
    'Content-Length: 1',
    'Content-Length: 99999',
    'Trailer: X',
    'X : y',
    ' folded',
    'no colon',
    'X: \0',
  ],
  ...[`X: ${'x'.repeat(20_000)}`, 'Content-Type: text/event-stream', 'Content-Type: application/json', 'X: \x80\xff'],
];

function framed(body: Buffer, whim: number): [string[], Buffer] {
  if (whim % 16 === 0) return [[], body];
  if (whim % 16 === 1) return [[`Content-Length: ${body.length + 5}`], body];
  if (whim % 2 === 0) return [[`Content-Length: ${body.length}`], body];
  const half = body.length >> 1;
  const chunks = [body.subarray(0, half), body.subarray(half)].filter(({ length }) => length > 0);
  const sent = chunks.flatMap((chunk) => [Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, Buffer.from('\r\n')]);
  return [['Transfer-Encoding: chunked'], Buffer.concat([...sent, Buffer.from('0\r\n\r\n')])];
}

const whole: fc.Arbitrary<Buffer> = fc
  .tuple(
    fc.oneof({ weight: 3, arbitrary: fc.constant('200 OK') }, { weight: 1, arbitrary: fc.constantFrom(...STATUS) }),
    bodies,
    fc.array(fc.constantFrom(...HEADERS), { maxLength: 2 }),
    fc.nat(255),
    fc.nat(4),
  )
  .map(([status, [type, body], more, whim, some]) => {
    const [lines, sent] = framed(body, whim);
    const typed = type === '' ? [] : [`Content-Type: ${type}`];
    const others = some === 0 ? more : [];
    const head = [`HTTP/1.1 ${status}`, ...typed, ...lines, ...others].join('\r\n');
    return Buffer.concat([Buffer.from(`${head}\r\n\r\n`, 'latin1'), sent]);
  });

export const hostileAnswers: fc.Arbitrary<Buffer> = mostlyWhole(whole);
