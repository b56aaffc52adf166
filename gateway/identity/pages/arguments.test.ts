import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { showArguments, wholeArguments } from './arguments.ts';

test('members are sorted, texts are whole, and what is not seen is an escape of JSON', () => {
  const value = { b: ['x\u202ey', {}, []], a: 'line\nend \u{e0041}\ud800', ['__proto__']: null };
  const { text, whole } = showArguments(value, 1000);
  assert.equal(
    text,
    '{\n  "__proto__": null,\n  "a": "line\\nend \\udb40\\udc41\\ud800",\n  "b": [\n    "x\\u202ey",\n    {},\n    []\n  ]\n}',
  );
  assert.equal(whole, true);
  assert.equal(
    wholeArguments(value),
    '{"__proto__":null,"a":"line\\nend \\udb40\\udc41\\ud800","b":["x\\u202ey",{},[]]}',
  );
});

test('what is shown is JSON of the same value, and its beginning where it is too long', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.integer({ min: 0, max: 200 }), (value, most) => {
      const all = showArguments(value, 1e9);
      assert.equal(all.whole, true);
      const same = JSON.parse(JSON.stringify(value)) as unknown;
      assert.deepEqual(JSON.parse(all.text), same);
      assert.deepEqual(JSON.parse(wholeArguments(value)), same);
      assert.doesNotMatch(all.text, /[\p{Cf}\p{Cs}\p{Zl}\p{Zp}]|(?!\n)\p{Cc}/u);
      const some = showArguments(value, most);
      // Of an escape that was cut in its middle the last characters differ.
      assert.ok(some.whole ? some.text === all.text : all.text.startsWith(some.text.slice(0, -12)));
      assert.ok(some.text.length <= most * 6);
    }),
  );
});

test('what is deep or long costs no more than what is shown of it', () => {
  let deep: unknown = 1;
  for (let level = 0; level < 128; level++) deep = Array.from({ length: 2 }, () => deep);
  assert.equal(showArguments(deep, 10_000).text.length, 10_000);
  assert.equal(showArguments({ ['k'.repeat(1e7)]: 'v'.repeat(1e7) }, 1000).whole, false);
});
