import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { parseJson } from './parse.ts';
import { type JsonPath, locate, removeElements, setMember, spliceBytes } from './splice.ts';
import { JsonTextError } from './walk.ts';

const edit = (start: number, end: number, text: string) => ({ start, end, replacement: Buffer.from(text) });

describe('spliceBytes', () => {
  test('makes edits in order, empty ones and neighbours too', () => {
    const bytes = Buffer.from('abcdef');
    assert.equal(
      spliceBytes(bytes, [edit(0, 0, '<'), edit(1, 3, ''), edit(3, 4, 'DD'), edit(6, 6, '>')]).toString(),
      '<aDDef>',
    );
    assert.equal(spliceBytes(bytes, []), bytes);
  });
  for (const [name, edits] of [
    ['overlapping', [edit(0, 2, ''), edit(1, 3, '')]],
    ['out of order', [edit(2, 3, ''), edit(0, 1, '')]],
    ['outside', [edit(3, 9, '')]],
    ['backwards', [edit(3, 2, '')]],
  ] as const) {
    test(`refuses edits that are ${name}`, () =>
      assert.throws(() => spliceBytes(Buffer.from('abcdef'), edits), RangeError));
  }
});

describe('locate', () => {
  const at = (text: string, path: JsonPath) =>
    locate(Buffer.from(text), path).map(({ start, end, children }) => ({
      text: Buffer.from(text).toString('utf8', start, end),
      children: children.map((child) => [child.step, Buffer.from(text).toString('utf8', child.start, child.end)]),
    }));
  test('the root, with elements of every sort', () => {
    assert.deepEqual(at('[1,"é", {"a":[2]} ,null]', []), [
      {
        text: '[1,"é", {"a":[2]} ,null]',
        children: [
          [0, '1'],
          [1, '"é"'],
          [2, '{"a":[2]}'],
          [3, 'null'],
        ],
      },
    ]);
  });
  test('a key is compared unescaped, an index counts', () => {
    assert.deepEqual(at('{"b":[0],"\\u0061":[5,{"x":1}]}', ['a', 1]), [{ text: '{"x":1}', children: [['x', '1']] }]);
  });
  test('a doubled key leads to all of its values', () => {
    assert.deepEqual(
      at('{"a":[1],"a":[2],"b":{"a":[3]}}', ['a']).map(({ text }) => text),
      ['[1]', '[2]'],
    );
  });
  test('what is not on the path is not found by its last steps', () => {
    assert.deepEqual(
      at('{"b":[[1]],"a":[[2]]}', ['a', 0]).map(({ text }) => text),
      ['[2]'],
    );
  });
  test('a number is not a key, and a scalar holds nothing', () => {
    assert.deepEqual(at('{"0":[1]}', [0]), []);
    assert.deepEqual(at('[[1]]', ['0']), []);
    assert.deepEqual(at('{"a":1}', ['a']), []);
    assert.deepEqual(
      at('{"a":{"b":[1]},"b":[2]}', ['b']).map(({ text }) => text),
      ['[2]'],
    );
  });
});

describe('removeElements', () => {
  const list = '{"tools":[ {"n":0} , {"n":1},{"n":2}\n, {"n":3} ],"x":[{"n":0}]}';
  for (const [keep, expected] of [
    [[0, 1, 2, 3], list],
    [[1, 2, 3], '{"tools":[   {"n":1},{"n":2}\n, {"n":3} ],"x":[{"n":0}]}'],
    [[0, 1, 2], '{"tools":[ {"n":0} , {"n":1},{"n":2}\n  ],"x":[{"n":0}]}'],
    [[0, 3], '{"tools":[ {"n":0} , \n {"n":3} ],"x":[{"n":0}]}'],
    [[2], '{"tools":[   {"n":2}\n  ],"x":[{"n":0}]}'],
    [[], '{"tools":[   \n  ],"x":[{"n":0}]}'],
  ] as const) {
    test(`keeps ${keep}`, () => {
      const bytes = Buffer.from(list);
      const left = removeElements(bytes, ['tools'], (index, value) => {
        assert.deepEqual(value, { n: index });
        return (keep as readonly number[]).includes(index);
      });
      assert.equal(left.toString(), expected);
      assert.deepEqual(
        JSON.parse(left.toString()).tools.map(({ n }: { n: number }) => n),
        keep,
      );
      if (keep.length === 4) assert.equal(left, bytes);
    });
  }
  test('white space stays where it is', () => {
    assert.equal(removeElements(Buffer.from('[ 1 , 2 , 3 ]'), [], (index) => index !== 1).toString(), '[ 1 ,   3 ]');
    assert.equal(removeElements(Buffer.from('[ 1 , 2 ]'), [], (index) => index !== 1).toString(), '[ 1   ]');
  });
  test('of doubled keys both values lose the element', () => {
    const left = removeElements(Buffer.from('{"a":[1,2],"a":[2]}'), ['a'], (_, value) => value !== 2);
    assert.equal(left.toString(), '{"a":[1],"a":[]}');
  });
  test('nothing changes where no array is, and what is not JSON is refused', () => {
    const bytes = Buffer.from('{"a":{"0":1}}');
    assert.equal(
      removeElements(bytes, ['a'], () => false),
      bytes,
    );
    assert.equal(
      removeElements(bytes, ['b'], () => false),
      bytes,
    );
    assert.throws(() => removeElements(Buffer.from('[1,]'), [], () => true), JsonTextError);
  });
});

describe('setMember', () => {
  for (const [text, path, json, expected] of [
    ['{"a": 1 }', ['a'], '"x"', '{"a": "x" }'],
    ['{"a":1 }', ['b'], '[]', '{"a":1,"b":[] }'],
    ['{ }', ['b'], '2', '{"b":2 }'],
    ['{"r":{"a":[1]}}', ['r', 'b'], '2', '{"r":{"a":[1],"b":2}}'],
    ['[{},{}]', [1, 'b"'], '2', '[{},{"b\\"":2}]'],
    ['{"a":1,"\\u0061":{}}', ['a'], '3', '{"a":3,"\\u0061":3}'],
    ['{"r":{},"r":{"b":1}}', ['r', 'b'], '2', '{"r":{"b":2},"r":{"b":2}}'],
    ['{"r":[]}', ['r', 'b'], '2', '{"r":[]}'],
    ['{"r":[]}', ['s', 'b'], '2', '{"r":[]}'],
  ] as const) {
    test(`${text} at ${path.join('.')}`, () =>
      assert.equal(setMember(Buffer.from(text), path as [string], json).toString(), expected));
  }
});

/** The same value, with white space where JSON allows it. */
const spaced = fc.tuple(fc.jsonValue(), fc.constantFrom(0, 1, '\t')).map(([value, indent]) => ({ value, indent }));

describe('for any JSON', () => {
  test('removing elements does what filter does, and takes away nothing but them and commas', () => {
    fc.assert(
      fc.property(fc.array(fc.jsonValue()), spaced, fc.array(fc.boolean()), (list, { value, indent }, drop) => {
        const text = JSON.stringify({ before: value, list, after: value }, undefined, indent);
        const left = removeElements(Buffer.from(text), ['list'], (index) => drop[index] !== true).toString();
        const kept = list.filter((_, index) => drop[index] !== true);
        assert.equal(
          left.replaceAll(/\s/g, ''),
          JSON.stringify({ before: value, list: kept, after: value }).replaceAll(/\s/g, ''),
        );
        const head = text.indexOf('"list"');
        assert.equal(left.slice(0, head), text.slice(0, head));
      }),
    );
  });
  test('setting a member does what an assignment does', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.string(), spaced, (object, key, { value, indent }) => {
        const text = JSON.stringify([object], undefined, indent);
        const set = parseJson(setMember(Buffer.from(text), [0, key], JSON.stringify(value)));
        const expected = parseJson(Buffer.from(JSON.stringify(object))) as object;
        Object.defineProperty(expected, key, {
          value: parseJson(Buffer.from(JSON.stringify(value))),
          enumerable: true,
          configurable: true,
          writable: true,
        });
        assert.deepEqual(set, [expected]);
      }),
    );
  });
});
