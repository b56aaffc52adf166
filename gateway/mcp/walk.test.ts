import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { JsonTextError, textOf, walkJson } from './walk.ts';

/** What a walk tells, as text: the ranges are checked by what they cut out. */
function told(text: string): string[] {
  const bytes = Buffer.from(text);
  const events: string[] = [];
  const cut = (name: string) => (start: number, end: number) => {
    events.push(`${name} ${bytes.toString('utf8', start, end)}`);
  };
  walkJson(bytes, {
    key: cut('key'),
    string: cut('string'),
    number: cut('number'),
    word: cut('word'),
    open: (start, isObject) => events.push(`open ${start} ${isObject ? 'object' : 'array'}`),
    close: (end) => events.push(`close ${end}`),
  });
  return events;
}

const accepts = (text: string): boolean => {
  try {
    walkJson(Buffer.from(text), {});
    return true;
  } catch (error) {
    assert.ok(error instanceof JsonTextError);
    return false;
  }
};

const parses = (text: string): boolean => {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
};

test('every token is told of, with its range, in the order of the text', () => {
  assert.deepEqual(told(' {"a" : [1, "é\\n", true], "b":{ }, "":-0.5e+1}\n'), [
    'open 1 object',
    'key "a"',
    'open 8 array',
    'number 1',
    'string "é\\n"',
    'word true',
    'close 25',
    'key "b"',
    'open 31 object',
    'close 34',
    'key ""',
    'number -0.5e+1',
    'close 47',
  ]);
  assert.deepEqual(told('"x"'), ['string "x"']);
});

describe('what lenient readers take is walked: it is masked where it stands', () => {
  for (const text of ['{"a":1,"a":2}', '"\\ud800"', '9007199254740993', '1e999', '\ufeff[]']) {
    test(text, () => assert.ok(accepts(text)));
  }
});

describe('what is not JSON is refused, and where', () => {
  const table: readonly (readonly [string, number])[] = [
    ['', 0],
    ['{', 1],
    ['{} {}', 3],
    ['{"a":1,}', 7],
    ['[1,]', 3],
    ['[1 2]', 3],
    ['[1}', 2],
    ['{"a" 1}', 5],
    ['{a:1}', 1],
    ['nul', 0],
    ['-', 1],
    ['1.', 2],
    ['"a', 2],
    ['"\\x"', 1],
    ['"\\u12g4"', 1],
    ['"a\nb"', 2],
    ['\u00a0{}', 0],
    ['[\ufeff]', 1],
  ];
  for (const [text, at] of table) {
    test(JSON.stringify(text), () =>
      assert.throws(
        () => walkJson(Buffer.from(text), {}),
        (error) => error instanceof JsonTextError && error.at === at,
      ),
    );
  }
});

test('4096 levels are walked, 4097 are not', () => {
  const nested = (levels: number) => '['.repeat(levels) + ']'.repeat(levels);
  assert.ok(accepts(nested(4096)));
  assert.ok(!accepts(nested(4097)));
});

test('a text is unescaped, and a lone surrogate stays one', () => {
  const text = (literal: string) => textOf(Buffer.from(literal), 0, Buffer.byteLength(literal), literal.includes('\\'));
  assert.equal(text('"é"'), 'é');
  assert.equal(text('"a\\u0040\\/\\ud800"'), 'a@/\ud800');
});

test('accepts what JSON.parse accepts, for any text that is nearly JSON', () => {
  const pieces = fc.constantFrom(
    ...['{', '}', '[', ']', ',', ':', '"', '"a"', '"\\', 'u0041', '\\"', '1', '-', '0', '.5', 'e', '+', 'true', 'null'],
    ...[' ', '\n', '\t', '\u0000', 'é', '😀'],
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.array(pieces, { maxLength: 12 }).map((list) => list.join('')),
        fc.tuple(fc.json(), fc.nat(), pieces).map(([text, at, piece]) => {
          const place = at % (text.length + 1);
          return text.slice(0, place) + piece + text.slice(place + 1);
        }),
      ),
      (text) => assert.equal(accepts(text), parses(text)),
    ),
    { numRuns: 5000 },
  );
});
