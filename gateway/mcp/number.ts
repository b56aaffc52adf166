import { DOT, isDigit, isExponent, MINUS, PLUS, ZERO } from './ascii.ts';

// Where in a JSON number (RFC 8259, section 6) the last byte was. It may end after those from ENDS on.
export const AT_START = 0;
const AT_MINUS = 1;
const AT_POINT = 2;
const AT_EXPONENT = 3;
const AT_SIGN = 4;
export const ENDS = 5;
const AT_ZERO = 5;
const AT_WHOLE = 6;
const AT_FRACTION = 7;
const AT_POWER = 8;

/** Where in a number its next byte is, or -1 where that byte can't be part of it. */
export function afterNumberByte(at: number, byte: number): number {
  if (isDigit(byte)) {
    if (at === AT_START || at === AT_MINUS) return byte === ZERO ? AT_ZERO : AT_WHOLE;
    if (at === AT_WHOLE) return AT_WHOLE;
    if (at === AT_POINT || at === AT_FRACTION) return AT_FRACTION;
    return at === AT_ZERO ? -1 : AT_POWER;
  }
  if (byte === DOT) return at === AT_ZERO || at === AT_WHOLE ? AT_POINT : -1;
  if (isExponent(byte)) return at >= ENDS && at !== AT_POWER ? AT_EXPONENT : -1;
  if (byte === MINUS && at === AT_START) return AT_MINUS;
  return (byte === PLUS || byte === MINUS) && at === AT_EXPONENT ? AT_SIGN : -1;
}
