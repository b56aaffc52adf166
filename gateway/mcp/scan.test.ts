import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { ReturnedMessage } from '../recording/frame.ts';
import { createMessageScanner } from './scan.ts';

function scan(...chunks: readonly (string | Uint8Array)[]): ReturnedMessage[] {
  const scanner = createMessageScanner();
  for (const chunk of chunks) scanner.push(Buffer.from(chunk));
  return scanner.end();
}
const byByte = (text: string | Uint8Array) => scan(...[...Buffer.from(text)].map((byte) => Uint8Array.of(byte)));
const unreadable = { kind: 'unreadable' };

describe('messages', () => {
  const table: readonly (readonly [string, readonly object[]])[] = [
    ['', []],
    [' \r\n', []],
    ['\ufeff{"id":1,"result":{}}', [{ kind: 'response', id: 1 }]],
    ['{"jsonrpc":"2.0","id":0,"result":{}}', [{ kind: 'response', id: 0 }]],
    ['{"id":"1","result":null}', [{ kind: 'response', id: '1' }]],
    ['{"id":1,"result":{"isError":true}}', [{ kind: 'response', id: 1, isError: true }]],
    ['{"id":1,"result":{"isError":false}}', [{ kind: 'response', id: 1 }]],
    ['{"id":1,"result":{"isError":"true"}}', [{ kind: 'response', id: 1 }]],
    ['{"id":1,"result":{"content":[{"isError":true}],"x":{"isError":true}}}', [{ kind: 'response', id: 1 }]],
    ['{"id":1,"result":[{"isError":true}]}', [{ kind: 'response', id: 1 }]],
    ['{"id":1,"isError":true,"result":{}}', [{ kind: 'response', id: 1 }]],
    ['{"id":1,"error":{"code":-32601,"message":"m"}}', [{ kind: 'response', id: 1, error: -32601 }]],
    ['{"error":{"data":{"code":1},"code":-3.2e1},"id":null}', [{ kind: 'response', error: -32 }]],
    ['{"id":1,"result":{},"error":null}', [{ kind: 'response', id: 1 }]],
    ['{"id":1,"error":{"message":"no code"}}', [{ kind: 'unreadable', id: 1 }]],
    ['{"id":1,"error":"text"}', [{ kind: 'unreadable', id: 1 }]],
    ['{"id":1,"error":[{"code":1}]}', [{ kind: 'unreadable', id: 1 }]],
    ['{"id":0,"method":"roots/list"}', [{ kind: 'request', id: 0, method: 'roots/list' }]],
    [
      '{"method":"notifications/x","params":{"uri":"file:///a"}}',
      [{ kind: 'notification', method: 'notifications/x', name: 'file:///a' }],
    ],
    [
      '{"method":"a","params":{"uri":"u","name":"n","x":{"name":"no"}}}',
      [{ kind: 'notification', method: 'a', name: 'n' }],
    ],
    ['{"method":"a","params":{"name":{"name":"no"},"uri":["no"]}}', [{ kind: 'notification', method: 'a' }]],
    ['{"method":"a","params":[{"name":"no"}],"name":"no"}', [{ kind: 'notification', method: 'a' }]],
    ['{"\\u0069d":7,"re\\u0073ult":{"\\u0069\\u0073Error":true}}', [{ kind: 'response', id: 7, isError: true }]],
    ['{"id":"\\u00e9\\n\\ud83d\\ude00é😀","result":1}', [{ kind: 'response', id: 'é\n😀é😀' }]],
    ['{"id":1,"id":2,"result":{"isError":true},"result":{}}', [{ kind: 'response', id: 2 }]],
    ['{"id":1,"id":null,"method":"a","params":{"name":"x"},"params":{}}', [{ kind: 'notification', method: 'a' }]],
    ['{"id":1,"result":{"isError":true,"isError":1}}', [{ kind: 'response', id: 1 }]],
    ['{"id":1,"error":{"code":1,"code":"x"}}', [{ kind: 'unreadable', id: 1 }]],
    ['{"id":1,"method":"a","result":{}}', [{ kind: 'unreadable', id: 1 }]],
    ['{"id":true,"result":{}}', [unreadable]],
    ['{"id":{"id":1},"result":{}}', [unreadable]],
    ['{"id":1,"method":["a"]}', [{ kind: 'unreadable', id: 1 }]],
    ['{"id":9007199254740993,"result":{}}', [{ kind: 'response' }]],
    ['{"id":1e999,"result":{}}', [{ kind: 'response' }]],
    ['{"id":1.5,"result":{}}', [{ kind: 'response', id: 1.5 }]],
    ['{}', [unreadable]],
    ['[]', []],
    [
      '[{"id":1,"result":{}}, {"method":"a"}]',
      [
        { kind: 'response', id: 1 },
        { kind: 'notification', method: 'a' },
      ],
    ],
    [
      '[1,"a",null,[{"id":1,"result":{}}],{"id":2,"result":[]}]',
      [unreadable, unreadable, unreadable, unreadable, { kind: 'response', id: 2 }],
    ],
    ['"text"', [unreadable]],
    ['12', [unreadable]],
    ['null', [unreadable]],
    ['{"id":1,"result":{}', [unreadable]],
    ['{"id":1,"result":{}} {}', [unreadable]],
    ['[{"id":1,"result":{}},]', [unreadable]],
    ['{"id":1,"result":{},}', [unreadable]],
    ['{"id":01,"result":{}}', [unreadable]],
    ['{"id":1.,"result":{}}', [unreadable]],
    ['-', [unreadable]],
    ['{"id":tru,"result":{}}', [unreadable]],
    ['{"id":1,"result":"\\x"}', [unreadable]],
    ['{"id":1,"result":"\\u12"}', [unreadable]],
    ['{"id":1,"result":"\n"}', [unreadable]],
    ['{"id":1 "result":{}}', [unreadable]],
    ['{"id":1,"result":[}}', [unreadable]],
    ['{"id":1,"result":[1}}', [unreadable]],
    ['<html>', [unreadable]],
    ['\ufeff', []],
    ['\ufeff\ufeff{}', [unreadable]],
  ];
  for (const [text, messages] of table) {
    test(JSON.stringify(text), () => {
      assert.deepEqual(scan(text), messages);
      assert.deepEqual(byByte(text), messages);
    });
  }
  test('half a byte order mark is not JSON', () => {
    assert.deepEqual(scan(Uint8Array.of(0xef, 0xbb)), [unreadable]);
    assert.deepEqual(scan(Uint8Array.of(0xef), Buffer.from('{"id":1,"result":{}}')), [unreadable]);
  });
  test('bytes in strings that are not UTF-8 pass', () => {
    assert.deepEqual(scan('{"id":1,"result":"', Uint8Array.of(0xff, 0xc0), '"}'), [{ kind: 'response', id: 1 }]);
  });
});

describe('bounds', () => {
  const withId = (id: string) => scan(`{"id":${id},"result":{}}`);
  test('text of 1 KiB is noted, however it is escaped; longer text is not', () => {
    assert.deepEqual(withId(`"${'a'.repeat(1024)}"`), [{ kind: 'response', id: 'a'.repeat(1024) }]);
    assert.deepEqual(withId(`"${'\\u0061'.repeat(1024)}"`), [{ kind: 'response', id: 'a'.repeat(1024) }]);
    assert.deepEqual(withId(`"${'a'.repeat(1025)}"`), [{ kind: 'response' }]);
    assert.deepEqual(withId(`"${'é'.repeat(513)}"`), [{ kind: 'response' }]);
    assert.deepEqual(withId('1'.repeat(2000)), [{ kind: 'response' }]);
    assert.deepEqual(scan(`{"${'i'.repeat(100_000)}":1,"id":1,"result":{}}`), [{ kind: 'response', id: 1 }]);
  });
  test('text without end takes no memory', () => {
    const scanner = createMessageScanner();
    const before = process.memoryUsage().arrayBuffers;
    const chunk = Buffer.alloc(1 << 20, 'a');
    scanner.push(Buffer.from('{"id":"'));
    for (let sent = 0; sent < 64; sent++) scanner.push(chunk);
    assert.ok(process.memoryUsage().arrayBuffers - before < 8 << 20);
    assert.deepEqual(scanner.end(), [unreadable]);
  });
  test('depth ends at 4096', () => {
    const nested = (levels: number) => `{"id":1,"result":${'['.repeat(levels)}${']'.repeat(levels)}}`;
    assert.deepEqual(scan(nested(4095)), [{ kind: 'response', id: 1 }]);
    assert.deepEqual(scan(nested(4096)), [unreadable]);
    assert.deepEqual(scan('['.repeat(5_000_000)), [unreadable]);
  });
  test('an array is noted up to 1024 messages', () => {
    const many = scan(`[${Array(5000).fill('{"id":1,"result":{}}').join(',')}]`);
    assert.equal(many.length, 1025);
    assert.deepEqual(many.slice(-2), [{ kind: 'response', id: 1 }, unreadable]);
  });
});

type Loose = Record<string, unknown>;

/** What the scanner must say, from the value that JSON.parse returns. */
function expected(text: string): ReturnedMessage[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return text.trim() === '' ? [] : [{ kind: 'unreadable' }];
  }
  return (Array.isArray(value) ? value : [value]).map(expectedMessage);
}

function expectedMessage(value: unknown): ReturnedMessage {
  const isObject = (each: unknown): each is Loose => typeof each === 'object' && each !== null && !Array.isArray(each);
  if (!isObject(value)) return { kind: 'unreadable' };
  const own = (object: unknown, key: string) =>
    isObject(object) && Object.hasOwn(object, key) ? object[key] : undefined;
  const text = (each: unknown) => (typeof each === 'string' ? each : undefined);
  const exact = (each: unknown) =>
    typeof each === 'number' && Number.isFinite(each) && !(Number.isInteger(each) && !Number.isSafeInteger(each))
      ? each
      : undefined;
  const rawId = own(value, 'id') ?? undefined;
  const method = own(value, 'method') ?? undefined;
  const error = own(value, 'error') ?? undefined;
  const hasResult = Object.hasOwn(value, 'result');
  const id = text(rawId) ?? exact(rawId);
  const known = id === undefined ? {} : { id };
  const code = exact(own(error, 'code'));
  const badId = rawId !== undefined && typeof rawId !== 'string' && typeof rawId !== 'number';
  const isBad =
    badId ||
    (method !== undefined && (typeof method !== 'string' || hasResult || error !== undefined)) ||
    (method === undefined && !hasResult && error === undefined) ||
    (error !== undefined && code === undefined);
  if (isBad) return { kind: 'unreadable', ...known };
  if (method === undefined) {
    const failed = own(own(value, 'result'), 'isError') === true;
    return {
      kind: 'response',
      ...known,
      ...(code !== undefined && { error: code }),
      ...(failed && { isError: true as const }),
    };
  }
  const params = own(value, 'params');
  const name = text(own(params, 'name')) ?? text(own(params, 'uri'));
  return {
    kind: rawId === undefined ? 'notification' : 'request',
    ...known,
    method: method as string,
    ...(name !== undefined && { name }),
  };
}

const leaf = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 8 }),
  fc.integer(),
  fc.double(),
  fc.boolean(),
  fc.constant(null),
);
const key = fc.constantFrom(
  'id',
  'method',
  'params',
  'result',
  'error',
  'name',
  'uri',
  'code',
  'isError',
  'x',
  '__proto__',
  '',
);
const { tree } = fc.letrec<{ tree: string }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    leaf.map((value) => JSON.stringify(value)),
    fc.array(tie('tree'), { maxLength: 4 }).map((items) => `[${items.join(' , ')}]`),
    // Written by hand, so that keys may occur twice and be escaped.
    fc
      .array(fc.tuple(key, fc.boolean(), tie('tree')), { maxLength: 6 })
      .map(
        (members) =>
          `{${members.map(([name, isEscaped, value]) => `${isEscaped ? escaped(name) : JSON.stringify(name)}:${value}`).join(',\n')}}`,
      ),
  ),
}));
const escaped = (text: string) =>
  `"${[...text].map((c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`).join('')}"`;

const likely = fc
  .tuple(
    fc.constantFrom('1', '"a"', 'null', '{}', '1.5e3'),
    fc.constantFrom('method', 'result', 'error', 'params'),
    tree,
    tree,
  )
  .map(
    ([id, member, first, second]) =>
      `{"id":${id},"${member}":{"isError":true,"code":7,"name":${first},"uri":"u"},"x":${second}}`,
  );
const anyText = fc.oneof(
  tree,
  likely,
  fc.array(likely, { maxLength: 3 }).map((all) => `[${all.join(',')}]`),
);
const cuts = fc.array(fc.nat(), { maxLength: 10 });

function cut(bytes: Buffer, at: readonly number[]): Buffer[] {
  const places = [...new Set(at.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b);
  return [0, ...places].map((from, index) => bytes.subarray(from, places[index] ?? bytes.length));
}

describe('for any text and any chunks', () => {
  test('JSON: as JSON.parse reads it', () => {
    fc.assert(
      fc.property(anyText, cuts, (text, at) => assert.deepEqual(scan(...cut(Buffer.from(text), at)), expected(text))),
      { numRuns: 2000 },
    );
  });
  test('nearly JSON: unreadable where JSON.parse throws', () => {
    const edited = fc
      .tuple(anyText, fc.nat(), fc.constantFrom('', '"', '\\', ',', '0', '}', ']', '{', ':', '-', 'e', '\u0001', ' '))
      .map(([text, at, by]) => text.slice(0, at % (text.length + 1)) + by + text.slice((at % (text.length + 1)) + 1));
    fc.assert(
      fc.property(edited, cuts, (text, at) => {
        // Half a surrogate pair becomes U+FFFD on the wire: compare what the bytes say.
        const bytes = Buffer.from(text);
        assert.deepEqual(scan(...cut(bytes, at)), expected(bytes.toString()));
      }),
      { numRuns: 2000 },
    );
  });
});
