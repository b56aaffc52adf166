import assert from 'node:assert/strict';
import { test } from 'node:test';

import { compilePattern } from './pattern.ts';

function find(source: string, text: string) {
  const compiled = compilePattern(source);
  assert.ok(compiled.ok, source);
  return compiled.pattern.find(text).map(({ start, end }) => text.slice(start, end));
}

test('finds what matches, in UTF-16 units', () => {
  assert.deepEqual(find('CUST-\\d{8}', 'x😀 CUST-12345678, CUST-1234567 CUST-00000001'), [
    'CUST-12345678',
    'CUST-00000001',
  ]);
  assert.deepEqual(find('(?i)acme[a-z]+', 'AcmeCorp'), ['AcmeCorp']);
  assert.deepEqual(find('\\p{Han}+', 'a漢字b'), ['漢字']);
});

test('says what is wrong and what to do', () => {
  for (const [source, problem] of [
    ['a(?=b)', /look-around/],
    ['(?<!a)b', /look-around/],
    ['(a)\\1', /back-reference/],
    ['(?<q>a)\\k<q>', /back-reference/],
    ['(?>a)b', /atomic/],
    ['a++', /possessive/],
    ['(', /not valid/],
    ['a*', /empty text/],
    ['\\b', /empty text/],
    ['x|$', /empty text/],
    ['', /empty/],
    ['é'.repeat(513), /1024 bytes/],
    ['[a-z]{500}\\pL{500}', /repeats too much/],
  ] as const) {
    const compiled = compilePattern(source);
    assert.ok(!compiled.ok, source);
    assert.match(compiled.problem, problem);
    assert.ok(compiled.fix.length > 0);
  }
});

test('a pattern that would run for ever elsewhere takes time in proportion', () => {
  const compiled = compilePattern('^(a+)+$');
  assert.ok(compiled.ok);
  assert.deepEqual(compiled.pattern.find(`${'a'.repeat(20_000)}!`), []);
});
