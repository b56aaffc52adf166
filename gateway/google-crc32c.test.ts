import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32c } from './google-crc32c.ts';

// RFC 3720, appendix B.4, and the check value of the Castagnoli polynomial.
for (const [name, bytes, expected] of [
  ['nothing', Buffer.alloc(0), 0],
  ['the check value', Buffer.from('123456789'), 0xe3069283],
  ['32 zeros', Buffer.alloc(32), 0x8a9136aa],
  ['32 ones', Buffer.alloc(32, 0xff), 0x62a8ab43],
  ['0 to 31', Buffer.from(Array.from({ length: 32 }, (_, index) => index)), 0x46dd794e],
] as const) {
  test(`crc32c of ${name}`, () => assert.equal(crc32c(bytes), expected));
}
