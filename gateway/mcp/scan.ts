import type { ReturnedMessage } from '../recording/frame.ts';
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
import { createCapture } from './capture.ts';
import { AT_START, afterNumberByte, ENDS } from './number.ts';
import { createReturnedDraft, type Noted, type Place, placeInside, placeOf, type ReturnedDraft } from './returned.ts';

export interface MessageScanner {
  push(bytes: Uint8Array): void;
  end(): ReturnedMessage[];
}

/** A longer array is noted up to here, with one `unreadable` for the rest. */
const MAX_MESSAGES = 1024;
/** The longest id, method or name that is noted, in bytes of UTF-8. */
const MAX_TEXT = 1024;
/** The longest key that matters is `isError`. */
const MAX_KEY = 7;
/** Readers give up earlier; each level costs the scanner a bit of memory. */
const MAX_DEPTH = 4096;

// What may come next between tokens.
const VALUE = 0;
const FIRST_VALUE = 1;
const KEY = 2;
const FIRST_KEY = 3;
const AFTER_KEY = 4;
const AFTER_VALUE = 5;

// Which token the last byte was in.
const BETWEEN = 0;
const IN_STRING = 1;
const IN_ESCAPE = 2;
const IN_UNICODE = 3;
const IN_NUMBER = 4;
const IN_WORD = 5;
const BROKEN = 6;

const WORDS = { t: Buffer.from('true'), f: Buffer.from('false'), n: Buffer.from('null') };
const CONTAINER: Noted = { type: 'container' };
const TRUE: Noted = { type: 'true' };
const NULL: Noted = { type: 'null' };
/** `false`, or a value in a place where it doesn't matter. */
const SCALAR: Noted = { type: 'scalar' };

/**
 * Notes the JSON-RPC messages of an answer while it passes: one object, or an array of them, of any size, cut into
 * chunks anywhere. Keeps no value but an id, a method, a name and an error code of at most 1 KiB each.
 *
 * Reads as JSON.parse does, after a byte order mark: the last of two equal keys counts, and bytes in strings that are
 * not UTF-8 are let pass. What is not JSON (or nests deeper than 4096) is one `unreadable`; an empty body has no
 * messages. Nothing is ever withheld on account of this reading.
 */
export function createMessageScanner(): MessageScanner {
  const messages: ReturnedMessage[] = [];
  const open: number[] = [];
  const capture = createCapture();
  let token = BETWEEN;
  let expect = VALUE;
  let isEmpty = true;
  let bom = 0;
  let number = AT_START;
  let word = WORDS.n;
  let wordAt = 0;
  let unicodeLeft = 0;
  let stringIsKey = false;
  /** How many containers are open inside a message itself: 1, or 2 where messages stand in an array. */
  let level = 1;
  let draft: ReturnedDraft | undefined;
  /** The place of the value that comes next, and of the container in the message that the scanner is inside of. */
  let place: Place = 'other';
  let outer: Place = 'other';

  function broken(): number {
    token = BROKEN;
    return Number.POSITIVE_INFINITY;
  }

  function add(message: ReturnedMessage): void {
    if (messages.length < MAX_MESSAGES) messages.push(message);
    else if (messages.length === MAX_MESSAGES) messages.push({ kind: 'unreadable' });
  }

  function endValue(value: Noted): void {
    expect = AFTER_VALUE;
    token = BETWEEN;
    if (place !== 'other') draft?.note(place, value);
    // Text or a number in the place of a message.
    if (value !== CONTAINER && open.length < level) add({ kind: 'unreadable' });
    place = 'other';
  }

  function openContainer(byte: number, at: number): number {
    if (open.length >= MAX_DEPTH) return broken();
    if (open.length === 0) level = byte === OPEN_BRACKET ? 2 : 1;
    open.push(byte);
    if (open.length === level && byte === OPEN_BRACE) draft = createReturnedDraft();
    if (open.length === level + 1) outer = place;
    if (place !== 'other') draft?.note(place, CONTAINER);
    place = 'other';
    expect = byte === OPEN_BRACE ? FIRST_KEY : FIRST_VALUE;
    return at + 1;
  }

  function closeContainer(at: number): number {
    if (open.length === level) {
      add(draft?.finish() ?? { kind: 'unreadable' });
      draft = undefined;
    }
    open.pop();
    endValue(CONTAINER);
    return at + 1;
  }

  function between(bytes: Uint8Array, start: number): number {
    let i = start;
    while (isSpace(bytes[i])) i++;
    if (i >= bytes.length) return i;
    isEmpty = false;
    const byte = bytes[i] as number;
    const container = open[open.length - 1];
    switch (expect) {
      case AFTER_VALUE:
        if (container === undefined) return broken();
        if (byte === container + 2) return closeContainer(i);
        if (byte !== COMMA) return broken();
        expect = container === OPEN_BRACE ? KEY : VALUE;
        return i + 1;
      case AFTER_KEY:
        if (byte !== COLON) return broken();
        expect = VALUE;
        return i + 1;
      case FIRST_KEY:
        if (byte === CLOSE_BRACE) return closeContainer(i);
        return openKey(byte, i);
      case KEY:
        return openKey(byte, i);
      case FIRST_VALUE:
        if (byte === CLOSE_BRACKET) return closeContainer(i);
        return openValue(byte, i);
      default:
        return openValue(byte, i);
    }
  }

  function openKey(byte: number, at: number): number {
    if (byte !== QUOTE) return broken();
    stringIsKey = true;
    token = IN_STRING;
    const inMessage = draft !== undefined && open.length === level;
    if (inMessage || (outer !== 'other' && open.length === level + 1)) capture.begin(MAX_KEY);
    return at + 1;
  }

  function openValue(byte: number, at: number): number {
    if (byte === OPEN_BRACE || byte === OPEN_BRACKET) return openContainer(byte, at);
    if (byte === QUOTE) {
      stringIsKey = false;
      token = IN_STRING;
      if (place === 'id' || place === 'method' || place === 'name' || place === 'uri') capture.begin(MAX_TEXT);
      return at + 1;
    }
    if (byte === MINUS || isDigit(byte)) {
      token = IN_NUMBER;
      number = AT_START;
      if (place === 'id' || place === 'code') capture.begin(MAX_TEXT);
      return at;
    }
    const known =
      byte === WORDS.t[0] ? WORDS.t : byte === WORDS.f[0] ? WORDS.f : byte === WORDS.n[0] ? WORDS.n : undefined;
    if (known === undefined) return broken();
    token = IN_WORD;
    word = known;
    wordAt = 1;
    return at + 1;
  }

  // The hot loop: most bytes of most answers are text.
  function inString(bytes: Uint8Array, start: number): number {
    const length = bytes.length;
    let i = start;
    while (i < length) {
      const byte = bytes[i] as number;
      if (byte === QUOTE) {
        capture.keep(bytes, start, i);
        endString();
        return i + 1;
      }
      if (byte === BACKSLASH) {
        capture.escape();
        if (i + 1 >= length || SIMPLE_ESCAPE[bytes[i + 1] as number] !== 1) {
          token = IN_ESCAPE;
          capture.keep(bytes, start, i + 1);
          return i + 1;
        }
        i += 2;
      } else {
        if (byte < 0x20) return broken();
        i++;
      }
    }
    capture.keep(bytes, start, length);
    return length;
  }

  function inEscape(bytes: Uint8Array, at: number): number {
    const byte = bytes[at] as number;
    if (byte === LETTER_U) [token, unicodeLeft] = [IN_UNICODE, 4];
    else if (SIMPLE_ESCAPE[byte] === 1) token = IN_STRING;
    else return broken();
    capture.keep(bytes, at, at + 1);
    return at + 1;
  }

  function inUnicode(bytes: Uint8Array, at: number): number {
    if (hexValue(bytes[at]) < 0) return broken();
    if (--unicodeLeft === 0) token = IN_STRING;
    capture.keep(bytes, at, at + 1);
    return at + 1;
  }

  function endString(): void {
    const text = capture.text();
    if (!stringIsKey) {
      endValue(place === 'other' ? SCALAR : { type: 'string', text });
      return;
    }
    token = BETWEEN;
    expect = AFTER_KEY;
    if (open.length === level) place = text === undefined || draft === undefined ? 'other' : placeOf(text);
    else place = text === undefined ? 'other' : placeInside(outer, text);
    if (place !== 'other') draft?.forget(place);
  }

  function inNumber(bytes: Uint8Array, start: number): number {
    let i = start;
    for (; i < bytes.length; i++) {
      const next = afterNumberByte(number, bytes[i] as number);
      if (next < 0) break;
      number = next;
    }
    capture.keep(bytes, start, i);
    if (i === bytes.length) return i;
    return endNumber() ? i : broken();
  }

  function endNumber(): boolean {
    if (number < ENDS) return false;
    const text = capture.text();
    endValue(place === 'other' ? SCALAR : { type: 'number', value: text === undefined ? undefined : Number(text) });
    return true;
  }

  function inWord(bytes: Uint8Array, start: number): number {
    let i = start;
    while (i < bytes.length && wordAt < word.length) if (bytes[i++] !== word[wordAt++]) return broken();
    if (wordAt === word.length) endValue(word === WORDS.t ? TRUE : word === WORDS.n ? NULL : SCALAR);
    return i;
  }

  const step = [between, inString, inEscape, inUnicode, inNumber, inWord];

  function push(bytes: Uint8Array): void {
    let i = 0;
    for (; bom < 3 && i < bytes.length; i++) {
      if (bytes[i] !== [0xef, 0xbb, 0xbf][bom]) break;
      bom++;
    }
    // Part of a mark is not JSON; a mark or none is behind us.
    if (i < bytes.length && bom < 3) {
      if (bom > 0) broken();
      bom = 3;
    }
    while (i < bytes.length) i = step[token]?.(bytes, i) ?? Number.POSITIVE_INFINITY;
  }

  function end(): ReturnedMessage[] {
    if (token === IN_NUMBER && open.length === 0) endNumber();
    if (isEmpty && token === BETWEEN && (bom === 0 || bom === 3)) return [];
    return token === BETWEEN && expect === AFTER_VALUE && open.length === 0 ? messages : [{ kind: 'unreadable' }];
  }

  return { push, end };
}
