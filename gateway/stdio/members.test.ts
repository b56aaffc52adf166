import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { findMembers, replace } from './members.ts';

const text = (bytes: Buffer, at: { start: number; end: number } | undefined): string | undefined =>
  at === undefined ? undefined : bytes.toString('utf8', at.start, at.end);

test('finds what JSON.parse finds, however it is written', () => {
  const space = fc.constantFrom('', ' ', '\n', '\r\n\t');
  const value = fc.jsonValue({ maxDepth: 3 });
  fc.assert(
    fc.property(value, value, fc.dictionary(fc.string(), value), space, (id, params, rest, gap) => {
      const others = Object.entries(rest).filter(([key]) => key !== 'id' && key !== 'params');
      const members = [...others, ['id', id], ['params', params]].map(
        ([key, one]) => `${gap}${JSON.stringify(key)}${gap}:${gap}${JSON.stringify(one, null, gap)}${gap}`,
      );
      const bytes = Buffer.from(`${gap}{${members.join(',')}}${gap}`);
      const found = findMembers(bytes, 0, ['id', 'params', 'absent']);
      assert.deepEqual(JSON.parse(text(bytes, found?.id) ?? ''), JSON.parse(JSON.stringify(id)));
      assert.deepEqual(JSON.parse(text(bytes, found?.params) ?? ''), JSON.parse(JSON.stringify(params)));
      assert.equal('absent' in rest || found?.absent === undefined, true);
    }),
  );
});

test('ends a value where it ends', () => {
  for (const value of ['"a\\\\"', '"\\""', '-0', '12345678901234567890', '[]', '{"id":[{"id":"}"}]}', 'null', '""']) {
    const bytes = Buffer.from(`{"x":"\\"id\\":1","id":${value},"y":2}`);
    assert.equal(text(bytes, findMembers(bytes, 0, ['id'])?.id), value);
  }
});

test('refuses a doubled key, however it is escaped, and finds nothing in what is no object', () => {
  assert.equal(findMembers(Buffer.from('{"id":1,"\\u0069d":2}'), 0, ['id']), undefined);
  assert.deepEqual(findMembers(Buffer.from('{"id":{"a":1,"a":2}}'), 0, ['a']), {});
  for (const none of ['[{"id":1}]', '"id"', '{}', 'null'])
    assert.deepEqual(findMembers(Buffer.from(none), 0, ['id']), {});
});

test('replaces ranges in any order and touches no other byte', () => {
  const bytes = Buffer.from('{ "id" : 0 , "big":9007199254740993, "t":"é" }');
  const found = findMembers(bytes, 0, ['id', 't']);
  assert.ok(found?.id && found.t);
  const edits = [
    { at: found.t, bytes: Buffer.from('7') },
    { at: found.id, bytes: Buffer.from('"long"') },
  ];
  assert.equal(replace(bytes, edits).toString(), '{ "id" : "long" , "big":9007199254740993, "t":7 }');
  assert.equal(replace(bytes, []), bytes);
});
