import { isAscii } from 'node:buffer';
import {
  BACKSLASH,
  CLOSE_BRACE,
  CLOSE_BRACKET,
  COLON,
  COMMA,
  hexValue,
  isDigit,
  isSpace,
  LETTER_U,
  MINUS,
  OPEN_BRACE,
  OPEN_BRACKET,
  QUOTE,
  SIMPLE_ESCAPE,
} from './ascii.ts';
import { AT_START, afterNumberByte, ENDS } from './number.ts';

/** The bytes are not JSON. `at` is a byte offset; the message never holds content. */
export class JsonTextError extends Error {
  override readonly name = 'JsonTextError';
  readonly at: number;
  constructor(words: string, at: number) {
    super(`${words} (byte ${at}).`);
    this.at = at;
  }
}

/**
 * What a walk meets, in the order of the text. Ranges are byte offsets, the end exclusive; those of keys and strings
 * have the quotes in them. `escaped`: it holds a backslash.
 */
export interface JsonVisitor {
  key?(start: number, end: number, escaped: boolean): void;
  string?(start: number, end: number, escaped: boolean): void;
  number?(start: number, end: number): void;
  /** `true`, `false` or `null`. */
  word?(start: number, end: number): void;
  open?(start: number, isObject: boolean): void;
  close?(end: number): void;
}

/** As deep as the message scanner reads. */
const MAX_DEPTH = 4096;
const WORDS = ['true', 'false', 'null'].map((word) => Buffer.from(word));

const BEYOND_ASCII = /[^\x00-\x7f]/;

const VALUE = 0;
const FIRST_VALUE = 1;
const KEY = 2;
const FIRST_KEY = 3;
const AFTER_KEY = 4;
const AFTER_VALUE = 5;

/**
 * Walks one JSON text token by token, so that it can be changed where it stands and nowhere else.
 *
 * Accepts what JSON.parse accepts, after a byte order mark as `Response.json()` does: doubled keys, lone surrogates and
 * numbers beyond 2^53 are walked like all else. It is for texts of others that are passed on; what a client sends is
 * read by parseStrictJson, which refuses those. UTF-8 is not checked.
 *
 * Takes linear time, never recurses, and holds a byte for each open container, of which there may be 4096. Throws
 * JsonTextError; the visitor has been told of all that came before.
 */
export function walkJson(bytes: Buffer, visitor: JsonVisitor): void {
  const open: number[] = [];
  let expect = VALUE;
  let i = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;
  for (;;) {
    while (isSpace(bytes[i])) i++;
    if (i >= bytes.length) break;
    const byte = bytes[i];

    if (expect === AFTER_VALUE) {
      const container = open[open.length - 1];
      if (container === undefined) throw new JsonTextError('Something follows the JSON value', i);
      i++;
      if (byte === COMMA) expect = container === OPEN_BRACE ? KEY : VALUE;
      else if (byte === container + 2) {
        open.pop();
        visitor.close?.(i);
      } else throw new JsonTextError('A comma or the end of an array or object is missing', i - 1);
    } else if (expect === AFTER_KEY) {
      if (byte !== COLON) throw new JsonTextError('A colon is missing after a key', i);
      expect = VALUE;
      i++;
    } else if ((expect === FIRST_KEY && byte === CLOSE_BRACE) || (expect === FIRST_VALUE && byte === CLOSE_BRACKET)) {
      open.pop();
      expect = AFTER_VALUE;
      i++;
      visitor.close?.(i);
    } else if (expect === KEY || expect === FIRST_KEY) {
      if (byte !== QUOTE) throw new JsonTextError('A key in double quotes is missing', i);
      const end = stringEnd(bytes, i);
      visitor.key?.(i, Math.abs(end), end < 0);
      i = Math.abs(end);
      expect = AFTER_KEY;
    } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      if (open.length >= MAX_DEPTH) throw new JsonTextError('The text nests too deeply', i);
      open.push(byte);
      expect = byte === OPEN_BRACE ? FIRST_KEY : FIRST_VALUE;
      visitor.open?.(i, byte === OPEN_BRACE);
      i++;
    } else {
      i = scalar(bytes, i, visitor);
      expect = AFTER_VALUE;
    }
  }
  if (expect !== AFTER_VALUE || open.length > 0) throw new JsonTextError('The text ends too early', i);
}

/** Tells of a string, number or word, and where it ends. */
function scalar(bytes: Buffer, start: number, visitor: JsonVisitor): number {
  const byte = bytes[start];
  if (byte === QUOTE) {
    const end = stringEnd(bytes, start);
    visitor.string?.(start, Math.abs(end), end < 0);
    return Math.abs(end);
  }
  if (byte === MINUS || isDigit(byte)) {
    const end = numberEnd(bytes, start);
    visitor.number?.(start, end);
    return end;
  }
  for (const word of WORDS) {
    if (!word.every((letter, index) => bytes[start + index] === letter)) continue;
    visitor.word?.(start, start + word.length);
    return start + word.length;
  }
  throw new JsonTextError('A JSON value is missing', start);
}

/** Where the string ends whose quote is at `start`; negative where it holds an escape. */
function stringEnd(bytes: Buffer, start: number): number {
  const length = bytes.length;
  let sign = 1;
  let i = start + 1;
  while (i < length) {
    const byte = bytes[i] as number;
    if (byte === QUOTE) return sign * (i + 1);
    if (byte < 0x20) throw new JsonTextError('A control character stands unescaped in a string', i);
    if (byte !== BACKSLASH) i++;
    else {
      sign = -1;
      i = escapeEnd(bytes, i);
    }
  }
  throw new JsonTextError('The text ends inside a string', length);
}

/** Where the escape ends whose backslash is at `start`. */
function escapeEnd(bytes: Buffer, start: number): number {
  const letter = bytes[start + 1];
  if (letter === LETTER_U) {
    for (let i = start + 2; i < start + 6; i++) {
      if (hexValue(bytes[i]) < 0) throw new JsonTextError('Four hexadecimal digits are missing after \\u', start);
    }
    return start + 6;
  }
  if (letter !== undefined && SIMPLE_ESCAPE[letter] === 1) return start + 2;
  throw new JsonTextError('A backslash does not begin an escape of JSON', start);
}

function numberEnd(bytes: Buffer, start: number): number {
  let at = AT_START;
  let i = start;
  for (; i < bytes.length; i++) {
    const next = afterNumberByte(at, bytes[i] as number);
    if (next < 0) break;
    at = next;
  }
  if (at < ENDS) throw new JsonTextError('A digit is missing in a number', i);
  return i;
}

/** The text of a key or string that a walk has met. A lone surrogate stays one. */
export function textOf(bytes: Buffer, start: number, end: number, escaped: boolean): string {
  return escaped ? JSON.parse(bytes.toString('utf8', start, end)) : bytes.toString('utf8', start + 1, end - 1);
}

/**
 * textOf for a walk that reads all or most literals: cutting a text costs a fraction of decoding bytes, and most literals
 * are ASCII, which reads alike as Latin-1. Holds a copy of the bytes.
 */
export function createTextReader(bytes: Buffer): (start: number, end: number, escaped: boolean) => string {
  const latin1 = bytes.toString('latin1');
  const wide = !isAscii(bytes);
  return (start, end, escaped) => {
    if (escaped) return textOf(bytes, start, end, true);
    const text = latin1.slice(start + 1, end - 1);
    return wide && BEYOND_ASCII.test(text) ? textOf(bytes, start, end, false) : text;
  };
}
