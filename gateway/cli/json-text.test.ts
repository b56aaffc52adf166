import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { children, indentJson, member } from './json-text.ts';

test('tokens stay as they are spelled', () => {
  const text = '{"a":1.00,"a":1e400,"b\\u0062":[true,{}, [] ,"x\\"}"]}';
  assert.equal(
    indentJson(text),
    '{\n  "a": 1.00,\n  "a": 1e400,\n  "b\\u0062": [\n    true,\n    {},\n    [],\n    "x\\"}"\n  ]\n}',
  );
});

test('indenting changes nothing but blanks', () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 4 }), (text) => {
      assert.deepEqual(JSON.parse(indentJson(text) ?? ''), JSON.parse(text));
    }),
  );
});

test('members are found where JSON.parse finds them', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue(), { minKeys: 1 }), (value) => {
      const text = JSON.stringify(value);
      const parsed = JSON.parse(text) as Record<string, unknown>;
      for (const key of Object.keys(parsed)) assert.deepEqual(JSON.parse(member(text, key) ?? ''), parsed[key]);
    }),
  );
});

test('children of arrays and of text that is no JSON', () => {
  assert.deepEqual(
    children('[1, {"a":[2]},"x"]').map((child) => child.text),
    ['1', '{"a":[2]}', '"x"'],
  );
  assert.deepEqual(
    children('{"a":1,"a":2}').map((child) => child.key),
    ['a', 'a'],
  );
  assert.equal(member('{"a":1,"a":2}', 'a'), '2');
  for (const text of ['', 'x', '{"a"', '"unended', '}{', '[1']) {
    assert.equal(Array.isArray(children(text)), true);
    assert.equal(typeof indentJson(text) === 'string' && text !== 'x', false, text);
  }
});
