import assert from 'node:assert/strict';
import { test } from 'node:test';
import { confirmationCode } from './confirmation-code.ts';

test('one challenge has one code, another one another', () => {
  assert.equal(confirmationCode('a'.repeat(43)), confirmationCode('a'.repeat(43)));
  const codes = Array.from({ length: 1000 }, (_, index) => confirmationCode(String(index)));
  assert.equal(new Set(codes).size, 1000);
  for (const code of codes) assert.match(code, /^[B-DF-HJ-NP-TV-XZ2-9]{4}-[B-DF-HJ-NP-TV-XZ2-9]{4}$/);
});
