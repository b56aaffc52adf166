import { isUtf8 } from 'node:buffer';
import {
  BACKSLASH,
  CLOSE_BRACE,
  CLOSE_BRACKET,
  COLON,
  COMMA,
  DOT,
  hexValue,
  isDigit,
  isExponent,
  isSpace,
  LETTER_U,
  MINUS,
  OPEN_BRACE,
  OPEN_BRACKET,
  PLUS,
  QUOTE,
  SIMPLE_ESCAPE,
  ZERO,
} from './ascii.ts';
import { parseJson } from './parse.ts';

/** Why a body is not strict JSON. `at` is a byte offset; `words` never hold content: a key may be what a mask takes out. */
interface JsonRefusal {
  readonly ok: false;
  readonly reason: 'encoding' | 'syntax' | 'duplicate_key' | 'too_deep' | 'number';
  readonly at: number;
  readonly words: string;
}

export type StrictJson = { readonly ok: true; readonly value: unknown } | JsonRefusal;

const DEFAULT_DEPTH = 128;
const SAFE_INTEGER = String(Number.MAX_SAFE_INTEGER);

/**
 * Reads a JSON text that every parser must read alike, or refuses it.
 *
 * Policy decides on this reading while the upstream reads the same bytes with another parser. Where RFC 8259 lets
 * parsers differ (doubled names, lone surrogates, numbers beyond a double's precision, a byte order mark, section 4,
 * 6, 8), one could show the policy one call and the upstream another; so all of that is refused. Besides: valid UTF-8
 * only, nothing after the value, and at most `maxDepth` (128) containers within one another.
 *
 * Takes linear time and never recurses. Throws nothing.
 */
export function parseStrictJson(bytes: Uint8Array, limits: { readonly maxDepth?: number } = {}): StrictJson {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) {
    return refuse('encoding', 0, 'The body begins with a byte order mark.');
  }
  if (!isUtf8(bytes)) return refuse('encoding', firstBadByte(buffer), 'The body is not valid UTF-8.');

  const keys = lex(bytes, limits.maxDepth ?? DEFAULT_DEPTH);
  if (typeof keys !== 'number') return keys;

  let value: unknown;
  try {
    value = parseJson(buffer);
  } catch {
    // The lexer accepts what JSON.parse accepts (a property test); should they ever differ, the stricter one wins.
    return refuse('syntax', 0, 'The body is not JSON.');
  }
  // A doubled key makes JSON.parse drop a member, and nothing makes it add one: equal counts mean that no key, however
  // it is escaped, occurs twice in one object. The costly search for the culprit runs only when there is one.
  return keys === 0 || countMembers(value) === keys ? { ok: true, value } : doubledKey(buffer);
}

function refuse(reason: JsonRefusal['reason'], at: number, words: string): JsonRefusal {
  return { ok: false, reason, at, words };
}

/** Decoding replaces what is not UTF-8, so the first byte that does not come back is where the text breaks. */
function firstBadByte(buffer: Buffer): number {
  const decoded = Buffer.from(buffer.toString('utf8'), 'utf8');
  let at = 0;
  while (at < buffer.length && buffer[at] === decoded[at]) at++;
  return at;
}

const VALUE = 0;
const FIRST_VALUE = 1;
const KEY = 2;
const FIRST_KEY = 3;
const AFTER_KEY = 4;
const AFTER_VALUE = 5;

/** Checks the whole grammar in one pass without recursion. Returns the number of object members. */
function lex(bytes: Uint8Array, maxDepth: number): number | JsonRefusal {
  const open: number[] = [];
  let expect = VALUE;
  let keys = 0;
  let i = 0;
  for (;;) {
    while (isSpace(bytes[i])) i++;
    if (i >= bytes.length) break;
    const byte = bytes[i];

    if (expect === AFTER_VALUE) {
      const container = open[open.length - 1];
      if (container === undefined) return refuse('syntax', i, 'Something follows the JSON value.');
      if (byte === COMMA) expect = container === OPEN_BRACE ? KEY : VALUE;
      else if (byte === container + 2) open.pop();
      else return refuse('syntax', i, 'A comma or the end of the array or object is missing.');
      i++;
    } else if (expect === AFTER_KEY) {
      if (byte !== COLON) return refuse('syntax', i, 'A colon is missing after a key.');
      expect = VALUE;
      i++;
    } else if (closesEmpty(expect, byte)) {
      open.pop();
      expect = AFTER_VALUE;
      i++;
    } else if (expect === KEY || expect === FIRST_KEY) {
      if (byte !== QUOTE) return refuse('syntax', i, 'A key in double quotes is missing.');
      const end = stringEnd(bytes, i + 1);
      if (typeof end !== 'number') return end;
      keys++;
      i = end;
      expect = AFTER_KEY;
    } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      if (open.length >= maxDepth) return refuse('too_deep', i, `The body nests deeper than ${maxDepth} levels.`);
      open.push(byte);
      expect = byte === OPEN_BRACE ? FIRST_KEY : FIRST_VALUE;
      i++;
    } else {
      const end = scalarEnd(bytes, i);
      if (typeof end !== 'number') return end;
      i = end;
      expect = AFTER_VALUE;
    }
  }
  return expect === AFTER_VALUE && open.length === 0 ? keys : refuse('syntax', i, 'The body ends too early.');
}

function closesEmpty(expect: number, byte: number | undefined): boolean {
  return (expect === FIRST_KEY && byte === CLOSE_BRACE) || (expect === FIRST_VALUE && byte === CLOSE_BRACKET);
}

const WORDS = ['true', 'false', 'null'].map((word) => Buffer.from(word));

/** Where the string, number, `true`, `false` or `null` that begins at `start` ends. */
function scalarEnd(bytes: Uint8Array, start: number): number | JsonRefusal {
  const byte = bytes[start];
  if (byte === QUOTE) return stringEnd(bytes, start + 1);
  if (byte === MINUS || isDigit(byte)) return numberEnd(bytes, start);
  for (const word of WORDS) {
    if (word.every((letter, index) => bytes[start + index] === letter)) return start + word.length;
  }
  return refuse('syntax', start, 'A JSON value is missing.');
}

function stringEnd(bytes: Uint8Array, start: number): number | JsonRefusal {
  const length = bytes.length;
  let i = start;
  while (i < length) {
    const byte = bytes[i] as number;
    if (byte === QUOTE) return i + 1;
    if (byte < 0x20) return refuse('syntax', i, 'A control character stands unescaped in a string.');
    if (byte !== BACKSLASH) i++;
    else {
      const end = escapeEnd(bytes, i);
      if (typeof end !== 'number') return end;
      i = end;
    }
  }
  return refuse('syntax', length, 'The body ends inside a string.');
}

/** Where the escape ends whose backslash is at `start`; a surrogate pair is one escape. */
function escapeEnd(bytes: Uint8Array, start: number): number | JsonRefusal {
  const letter = bytes[start + 1];
  if (letter !== LETTER_U) {
    const simple = letter !== undefined && SIMPLE_ESCAPE[letter] === 1;
    return simple ? start + 2 : refuse('syntax', start, 'A backslash does not begin an escape of JSON.');
  }
  const unit = codeUnit(bytes, start + 2);
  if (unit < 0) return refuse('syntax', start, 'Four hexadecimal digits are missing after \\u.');
  if (unit < 0xd800 || unit > 0xdfff) return start + 6;
  const second = bytes[start + 6] === BACKSLASH && bytes[start + 7] === LETTER_U ? codeUnit(bytes, start + 8) : -1;
  if (unit > 0xdbff || second < 0xdc00 || second > 0xdfff) {
    return refuse('encoding', start, 'An escaped surrogate stands alone.');
  }
  return start + 12;
}

function codeUnit(bytes: Uint8Array, start: number): number {
  let unit = 0;
  for (let i = start; i < start + 4; i++) {
    const digit = hexValue(bytes[i]);
    if (digit < 0) return -1;
    unit = unit * 16 + digit;
  }
  return unit;
}

function numberEnd(bytes: Uint8Array, start: number): number | JsonRefusal {
  const first = bytes[start] === MINUS ? start + 1 : start;
  let i = bytes[first] === ZERO ? first + 1 : digitsEnd(bytes, first);
  const whole = i - first;
  if (whole === 0) return refuse('syntax', i, 'A digit is missing in a number.');
  const integerEnd = i;
  if (bytes[i] === DOT) {
    i = digitsEnd(bytes, i + 1);
    if (!isDigit(bytes[i - 1])) return refuse('syntax', i, 'A digit is missing after a decimal point.');
  }
  const hasExponent = isExponent(bytes[i]);
  if (hasExponent) {
    const sign = bytes[i + 1];
    i = digitsEnd(bytes, sign === PLUS || sign === MINUS ? i + 2 : i + 1);
    if (!isDigit(bytes[i - 1])) return refuse('syntax', i, 'A digit is missing in an exponent.');
  }
  if (
    i === integerEnd
      ? !isSafe(bytes, first, i)
      : (hasExponent || whole > 300) && !Number.isFinite(Number(ascii(bytes, start, i)))
  ) {
    return refuse('number', start, 'A number is too large to be read alike everywhere: send it as a string.');
  }
  return i;
}

function digitsEnd(bytes: Uint8Array, start: number): number {
  let i = start;
  while (isDigit(bytes[i])) i++;
  return i;
}

/** Whether an integer's digits are at most 2^53 - 1. Digits of equal count compare as text. */
function isSafe(bytes: Uint8Array, first: number, end: number): boolean {
  const digits = end - first;
  return digits < SAFE_INTEGER.length || (digits === SAFE_INTEGER.length && ascii(bytes, first, end) <= SAFE_INTEGER);
}

function ascii(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('latin1');
}

/** The members of all objects in an object or array. `__proto__` counts: JSON.parse makes it an own property. */
function countMembers(root: unknown): number {
  const waiting: unknown[] = [root];
  let members = 0;
  for (let value = waiting.pop(); value !== undefined; value = waiting.pop()) {
    const children: unknown[] = Array.isArray(value) ? value : Object.values(value as object);
    if (children !== value) members += children.length;
    for (const child of children) if (typeof child === 'object' && child !== null) waiting.push(child);
  }
  return members;
}

/** Finds the second occurrence of a key in one object, in bytes that are known to be JSON and to have one. */
function doubledKey(buffer: Buffer): JsonRefusal {
  const open: Set<string>[] = [];
  for (let i = 0; i < buffer.length; i++) {
    const byte = buffer[i];
    if (byte === OPEN_BRACE || byte === OPEN_BRACKET) open.push(new Set());
    else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) open.pop();
    if (byte !== QUOTE) continue;
    const end = stringEnd(buffer, i + 1);
    if (typeof end !== 'number') return end;
    let next = end;
    while (isSpace(buffer[next])) next++;
    const keys = open.at(-1);
    if (buffer[next] === COLON && keys !== undefined) {
      const key: string = JSON.parse(buffer.toString('utf8', i, end));
      if (keys.has(key)) return refuse('duplicate_key', i, 'A key occurs twice in one object.');
      keys.add(key);
    }
    i = end - 1;
  }
  return refuse('duplicate_key', 0, 'A key occurs twice in one object.');
}
