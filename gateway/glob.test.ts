import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compileGlob } from './glob.ts';

for (const [glob, name, expected] of [
  ['delete_orders', 'delete_orders', true],
  ['delete_orders', 'delete_orders2', false],
  ['delete_orders', 'Delete_orders', false],
  ['delete_*', 'delete_', true],
  ['delete_*', 'delete_orders', true],
  ['delete_*', 'DELETE_orders', false],
  ['delete_*', 'xdelete_orders', false],
  ['*_orders', 'delete_orders', true],
  ['*_orders', 'delete_orders_', false],
  ['*', '', true],
  ['*', 'any\nthing', true],
  ['**', 'x', true],
  ['', '', true],
  ['', 'x', false],
  ['a*a', 'a', false],
  ['a*a', 'aa', true],
  ['a*b*c', 'acbc', true],
  ['a*b*c', 'abbc', true],
  ['a*bc*c', 'abc', false],
  ['*aab*', 'xaaab', true],
  ['*abab*', 'abaabab', true],
  ['a.c', 'abc', false],
  ['a.c', 'a.c', true],
  ['a?c', 'abc', false],
  ['[ab]*', 'a', false],
  ['[ab]*', '[ab]c', true],
  ['🗑*', '🗑️', true],
] as const) {
  test(`${JSON.stringify(glob)} ${expected ? 'matches' : 'does not match'} ${JSON.stringify(name)}`, () => {
    assert.equal(compileGlob(glob)(name), expected);
  });
}

test('agrees with a regular expression, whose time nobody bounds', () => {
  const few = fc.array(fc.constantFrom('a', 'b', '*'), { maxLength: 8 }).map((letters) => letters.join(''));
  fc.assert(
    fc.property(few, few, (glob, name) => {
      const expression = new RegExp(`^${glob.replaceAll('*', '[^]*')}$`);
      const plain = name.replaceAll('*', 'a');
      assert.equal(compileGlob(glob)(plain), expression.test(plain));
    }),
    { numRuns: 3000 },
  );
});

test('a name as long as a body takes no longer for a glob that begins to match everywhere', () => {
  const name = 'a'.repeat(4 * 1024 * 1024);
  const covers = compileGlob(`*${'a'.repeat(120)}b*${'a'.repeat(120)}c`);
  const started = performance.now();
  assert.equal(covers(`${name}c`), false);
  assert.equal(compileGlob('*a*a*a*a*a*a*a*a*a*b*c')(`${name}c`), false);
  assert.ok(performance.now() - started < 2000);
});
