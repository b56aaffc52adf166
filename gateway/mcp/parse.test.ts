import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseStrictJson } from './json.ts';
import { parseJson } from './parse.ts';

const read = (text: string): unknown => parseJson(Buffer.from(text));

describe('an escaped key is itself, whatever was parsed before', () => {
  // Each key ends in a backslash; V8 takes the start of the escape behind it for that backslash.
  test('JSON.parse', () => {
    read('{"h":[],"\\\\":0,"quer\\\\":0}');
    assert.deepEqual(read('{"h":1,"\\"":2}'), { h: 1, '"': 2 });
    read('{"id":1,"quer\\\\":"y"}');
    assert.deepEqual(read('{"id":1,"quer\\u0079":"DROP"}'), { id: 1, query: 'DROP' });
  });
  test('a doubled key is found in what a client sends', () => {
    const strict = (text: string) => parseStrictJson(Buffer.from(text));
    assert.ok(strict('{"name":"x","nam\\\\":"y"}').ok);
    const doubled = strict('{"name":"harmless","nam\\u0065":"harmful"}');
    assert.ok(!doubled.ok && doubled.reason === 'duplicate_key');
  });
  test('a key of a client is the key that a policy sees', () => {
    assert.ok(parseStrictJson(Buffer.from('{"a":1,"quer\\\\":"y"}')).ok);
    const asked = parseStrictJson(Buffer.from('{"a":1,"quer\\u0079":"DROP"}'));
    assert.deepEqual(asked.ok && asked.value, { a: 1, query: 'DROP' });
  });
});

test('with escaped keys the value is the one that JSON.parse is to give', () => {
  assert.deepEqual(read('{"\\u0061":[1,-0.5e1,"\\n",null,true,{}],"b":[],"\\u0061":2}'), { a: 2, b: [] });
  assert.deepEqual(Object.keys(read('{"\\u005f_proto__":{"x":1}}') as object), ['__proto__']);
  assert.deepEqual(read('["\\u0061"]'), ['a']);
  assert.deepEqual(read('{"a":"\\n"}'), { a: '\n' });
});

test('what is not JSON throws', () => {
  for (const text of ['', '{', '{"\\u0061":}', '{"\\u0061":1}}']) assert.throws(() => read(text));
});
