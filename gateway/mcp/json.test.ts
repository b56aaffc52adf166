import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { parseStrictJson } from './json.ts';

const bytes = (text: string) => new TextEncoder().encode(text);
const refusal = (input: string | Uint8Array, limits?: { maxDepth?: number }) => {
  const read = parseStrictJson(typeof input === 'string' ? bytes(input) : input, limits);
  return read.ok ? undefined : [read.reason, read.at];
};

describe('what is refused, and where', () => {
  const table: readonly (readonly [string | Uint8Array, string, number])[] = [
    ['', 'syntax', 0],
    [' ', 'syntax', 1],
    ['{', 'syntax', 1],
    ['{}x', 'syntax', 2],
    ['{} {}', 'syntax', 3],
    ['1,2', 'syntax', 1],
    ['{"a":1,}', 'syntax', 7],
    ['[1,]', 'syntax', 3],
    ['[,1]', 'syntax', 1],
    ['[1 2]', 'syntax', 3],
    ['[1}', 'syntax', 2],
    ['{"a" 1}', 'syntax', 5],
    ['{a:1}', 'syntax', 1],
    ["{'a':1}", 'syntax', 1],
    ['[1]]', 'syntax', 3],
    ['nul', 'syntax', 0],
    ['nulll', 'syntax', 4],
    ['NaN', 'syntax', 0],
    ['-', 'syntax', 1],
    ['+1', 'syntax', 0],
    ['01', 'syntax', 1],
    ['1.', 'syntax', 2],
    ['.5', 'syntax', 0],
    ['1e', 'syntax', 2],
    ['1e+', 'syntax', 3],
    ['"a', 'syntax', 2],
    ['"\\', 'syntax', 1],
    ['"\\x"', 'syntax', 1],
    ['"\\u12g4"', 'syntax', 1],
    ['"a\nb"', 'syntax', 2],
    ['"\u0000"', 'syntax', 1],
    ['{}\u0000', 'syntax', 2],
    ['\u00a0{}', 'syntax', 0],
    ['// c\n{}', 'syntax', 0],
    ['\ufeff{}', 'encoding', 0],
    [Uint8Array.of(0x22, 0xff, 0x22), 'encoding', 1],
    [Uint8Array.of(0x22, 0xc0, 0xaf, 0x22), 'encoding', 1],
    [Uint8Array.of(0x22, 0x61, 0xed, 0xa0, 0x80, 0x22), 'encoding', 2],
    ['"\\ud800"', 'encoding', 1],
    ['"\\udc00"', 'encoding', 1],
    ['"\\ud800\\ud800"', 'encoding', 1],
    ['"\\udc00\\udc00"', 'encoding', 1],
    ['"\\ud800x"', 'encoding', 1],
    ['"\\ud83d\\n"', 'encoding', 1],
    ['9007199254740992', 'number', 0],
    ['[-9007199254740992]', 'number', 1],
    ['10000000000000000', 'number', 0],
    ['1e309', 'number', 0],
    ['-1e309', 'number', 0],
    ['1.5E+999', 'number', 0],
    [`${'9'.repeat(400)}.5`, 'number', 0],
    ['{"a":1,"a":1}', 'duplicate_key', 7],
    ['{"a":1,"\\u0061":2}', 'duplicate_key', 7],
    ['{"\\u0061":1,"b":{"c":[{"d":1, "\\u0064" :2}]}}', 'duplicate_key', 30],
    ['{"__proto__":1,"__proto__":2}', 'duplicate_key', 15],
    ['{"é":1,"\\u00e9":2}', 'duplicate_key', 8],
    ['[{"a":1},{"a":{"a":1},"b":"a:","a":3}]', 'duplicate_key', 31],
    ['{"1":1,"1":2}', 'duplicate_key', 7],
    ['{"":1,"":2}', 'duplicate_key', 6],
    ['{"a":{"b":1},"a":null}', 'duplicate_key', 13],
  ];
  for (const [input, reason, at] of table) {
    const name = typeof input === 'string' ? JSON.stringify(input.slice(0, 50)) : Buffer.from(input).toString('hex');
    test(`${name}: ${reason} at ${at}`, () => assert.deepEqual(refusal(input), [reason, at]));
  }
});

describe('what is read', () => {
  const table = [
    '9007199254740991',
    '-9007199254740991',
    '1e308',
    '1e-999',
    '-0',
    '0.1',
    '1E+2',
    '12345678901234567890.5',
    '"\\ud83d\\ude00 \\" \\\\ \\/ \\b\\f\\n\\r\\t"',
    '"\u007f\u2028😀"',
    ' \t\r\n{ "a" : [ ] , "b" : { } } \n',
    '{"a":{"a":{"a":1}},"b":[{"a":1},{"a":2}]}',
    '{"__proto__":{"x":1},"constructor":2,"length":3,"2":1,"1":2}',
    'null',
    '"text"',
    '[]',
  ];
  for (const text of table) {
    test(text.slice(0, 40), () =>
      assert.deepEqual(parseStrictJson(bytes(text)), { ok: true, value: JSON.parse(text) }),
    );
  }

  test('__proto__ is a member, and changes no prototype', () => {
    const read = parseStrictJson(bytes('{"__proto__":{"admin":true}}'));
    assert.ok(read.ok);
    assert.deepEqual(Object.keys(read.value as object), ['__proto__']);
    assert.equal((read.value as { admin?: unknown }).admin, undefined);
  });
});

describe('depth', () => {
  const nested = (levels: number) => '['.repeat(levels) + ']'.repeat(levels);
  test('128 levels are read, 129 are not', () => {
    assert.equal(refusal(nested(128)), undefined);
    assert.deepEqual(refusal(nested(129)), ['too_deep', 128]);
  });
  test('the limit can be set, also beyond what recursion could take', () => {
    assert.deepEqual(refusal('[{"a":[]}]', { maxDepth: 2 }), ['too_deep', 6]);
    assert.equal(refusal(nested(200_000), { maxDepth: 1_000_000 }), undefined);
  });
  test('10 MB of hostile nesting, digits, escapes and keys end in bounded time', () => {
    const size = 10_000_000;
    assert.deepEqual(refusal('['.repeat(size)), ['too_deep', 128]);
    assert.deepEqual(refusal('{"":'.repeat(size / 4)), ['too_deep', 512]);
    assert.deepEqual(refusal('9'.repeat(size)), ['number', 0]);
    assert.deepEqual(refusal(`${'9'.repeat(size)}.0`), ['number', 0]);
    assert.deepEqual(refusal(`"${'\\u0041'.repeat(size / 6)}`), ['syntax', 9_999_997]);
    const keys = Array.from({ length: 400_000 }, (_, index) => `"key${index}":0`).join(',');
    assert.equal(refusal(`{${keys}}`), undefined);
    assert.deepEqual(refusal(`{${keys},"key0":0}`), ['duplicate_key', keys.length + 2]);
  });
});

test('words hold nothing of the content', () => {
  const wordsOf = (text: string) => {
    const read = parseStrictJson(bytes(text));
    assert.ok(!read.ok);
    return read.words;
  };
  assert.doesNotMatch(wordsOf('{"token":"hunter2",}'), /token|hunter2/);
  assert.match(wordsOf('[12345678901234567890]'), /send it as a string/);
  assert.doesNotMatch(wordsOf('{"hunter2":1,"hunter2":2}'), /hunter2/);
  assert.match(wordsOf('{"\u001b[31m":1}'), /^[\x20-\x7e]+$/);
});

test('bytes in the middle of a larger buffer are read by their own offsets', () => {
  const outer = Buffer.from('xx{"a":12345678901234567890}yy');
  assert.deepEqual(refusal(outer.subarray(2, -2)), ['number', 5]);
});

/** JSON text as other writers would write it: any escapes, any white space. */
const text = fc.json({ maxDepth: 6 });

describe('agreement with JSON.parse', () => {
  test('what it reads without loss, this reads alike', () => {
    const exact = fc.jsonValue({ maxDepth: 6, noUnicodeString: false }).map((value) => JSON.stringify(value));
    fc.assert(
      fc.property(exact, fc.constantFrom(undefined, 1, '\t'), (json, indent) => {
        const spaced = JSON.stringify(JSON.parse(json), null, indent);
        const read = parseStrictJson(bytes(spaced));
        const lossy = /[\d.]{16,}|\\ud/.test(spaced);
        if (!read.ok) assert.ok(lossy, read.words);
        else assert.deepEqual(read.value, JSON.parse(spaced));
      }),
      { numRuns: 500 },
    );
  });
  test('what it refuses, this refuses; what this calls syntax, it refuses', () => {
    const soup = fc
      .array(
        fc.constantFrom(
          '{',
          '}',
          '[',
          ']',
          ',',
          ':',
          '"',
          '"a"',
          '"b"',
          '\\',
          '\\u00',
          '0',
          '1',
          '-',
          '.',
          'e',
          ' ',
          'true',
          'null',
          '\n',
          'é',
        ),
        { maxLength: 12 },
      )
      .map((tokens) => tokens.join(''));
    const edited = fc
      .tuple(text, fc.nat(), fc.constantFrom('', '"', '\\', ',', '0', '}', '[', '\u0001'))
      .map(([json, at, by]) => json.slice(0, at % (json.length + 1)) + by + json.slice((at % (json.length + 1)) + 1));
    fc.assert(
      fc.property(fc.oneof(soup, edited), (json) => {
        let parses = true;
        try {
          JSON.parse(json);
        } catch {
          parses = false;
        }
        const read = parseStrictJson(bytes(json));
        if (!parses) assert.equal(read.ok, false);
        if (!read.ok && read.reason === 'syntax') assert.equal(parses, false, `${json}: ${read.words}`);
      }),
      { numRuns: 3000 },
    );
  });
  test('a key that is written twice in one object, however escaped, is refused', () => {
    const escaped = (key: string) =>
      `"${[...key].map((c) => (c.length === 1 ? `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}` : c)).join('')}"`;
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.string(), { minLength: 1, maxLength: 6 }),
        fc.nat(),
        fc.boolean(),
        (keys, pick, deep) => {
          const members = keys.map((key) => `${JSON.stringify(key)}:1`).join(',');
          const doubled = `{${members},${escaped(keys[pick % keys.length] ?? '')}:2}`;
          assert.equal(refusal(deep ? `[{"x":{"y":[${doubled}]}}]` : doubled)?.[0], 'duplicate_key');
          assert.equal(refusal(`{${members}}`), undefined);
        },
      ),
      { numRuns: 500 },
    );
  });
  test('any bytes: never throws, and `at` lies in the body', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (input) => {
        const read = parseStrictJson(input);
        if (!read.ok) assert.ok(read.at >= 0 && read.at <= input.length);
      }),
      { numRuns: 500 },
    );
  });
});
