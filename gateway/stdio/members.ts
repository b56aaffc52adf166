/** Finds members of a JSON object in its bytes, and replaces values there without touching another byte. Pure. */
import {
  BACKSLASH,
  CLOSE_BRACE,
  CLOSE_BRACKET,
  COMMA,
  isSpace,
  OPEN_BRACE,
  OPEN_BRACKET,
  QUOTE,
} from '../mcp/ascii.ts';

/** Where a value stands: from its first byte to behind its last. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

export interface Edit {
  readonly at: Range;
  readonly bytes: Buffer;
}

/**
 * The values of the wanted members of the object that begins at `start`, in bytes that are known to be JSON. Not an
 * object: no members. A wanted key that occurs twice is `undefined`: readers differ on which value counts.
 */
export function findMembers<Key extends string>(
  bytes: Buffer,
  start: number,
  wanted: readonly Key[],
): { readonly [key in Key]?: Range } | undefined {
  const found: { [key in Key]?: Range } = {};
  let i = afterSpace(bytes, start);
  if (bytes[i] !== OPEN_BRACE) return found;
  i = afterSpace(bytes, i + 1);
  while (i < bytes.length && bytes[i] !== CLOSE_BRACE) {
    const keyEnd = stringEnd(bytes, i);
    const key = wanted.find((one) => one === keyAt(bytes, i, keyEnd));
    // Behind the key stands a colon, with or without space around it.
    const value = afterSpace(bytes, afterSpace(bytes, keyEnd) + 1);
    const end = valueEnd(bytes, value);
    if (key !== undefined) {
      if (found[key] !== undefined) return undefined;
      found[key] = { start: value, end };
    }
    i = afterSpace(bytes, end);
    if (bytes[i] === COMMA) i = afterSpace(bytes, i + 1);
  }
  return found;
}

/** A key of interest is short: what is longer than its escaped form could be is none. */
const LONGEST_KEY = 512;

function keyAt(bytes: Buffer, start: number, end: number): string | undefined {
  return end - start > LONGEST_KEY ? undefined : JSON.parse(bytes.toString('utf8', start, end));
}

/** The bytes with each range replaced; the ranges do not overlap. */
export function replace(bytes: Buffer, edits: readonly Edit[]): Buffer {
  const pieces: Buffer[] = [];
  let from = 0;
  for (const { at, bytes: own } of [...edits].sort((a, b) => a.at.start - b.at.start)) {
    pieces.push(bytes.subarray(from, at.start), own);
    from = at.end;
  }
  return from === 0 ? bytes : Buffer.concat([...pieces, bytes.subarray(from)]);
}

function afterSpace(bytes: Buffer, start: number): number {
  let i = start;
  while (isSpace(bytes[i])) i++;
  return i;
}

/** Behind the string whose opening quote is at `start`. */
function stringEnd(bytes: Buffer, start: number): number {
  let end = start;
  for (;;) {
    end = bytes.indexOf(QUOTE, end + 1);
    if (end < 0) return bytes.length;
    let escapes = end;
    while (bytes[escapes - 1] === BACKSLASH) escapes--;
    if ((end - escapes) % 2 === 0) return end + 1;
  }
}

function valueEnd(bytes: Buffer, start: number): number {
  let i = start;
  let depth = 0;
  do {
    const byte = bytes[i];
    if (byte === QUOTE) i = stringEnd(bytes, i);
    else {
      if (byte === OPEN_BRACE || byte === OPEN_BRACKET) depth++;
      else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) depth--;
      i++;
    }
  } while (i < bytes.length && (depth > 0 || !endsScalar(bytes, start, i)));
  return i;
}

/** Whether a value that began at `start` is over at `i`: at once behind a string or container, else at a delimiter. */
function endsScalar(bytes: Buffer, start: number, i: number): boolean {
  const first = bytes[start];
  if (first === QUOTE || first === OPEN_BRACE || first === OPEN_BRACKET) return true;
  const next = bytes[i];
  return next === COMMA || next === CLOSE_BRACE || next === CLOSE_BRACKET || isSpace(next);
}
