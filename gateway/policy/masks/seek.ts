/** What has to be taken out of a text, and what is put in its place. */
import { createTextReader, JsonTextError, walkJson } from '../../mcp/walk.ts';
import type { MaskEdit } from './apply.ts';
import { createCursor } from './cursor.ts';
import type { Finding } from './detector.ts';
import { MaskError, type Tagger } from './masked.ts';

export interface SeekOptions {
  /** `before`: the key that the text is the value of. */
  readonly detection: { find(text: string, before?: string): readonly Finding[] };
  readonly tagger: Tagger;
  /**
   * Why a message that holds this text may not pass, in words without the text; `undefined` where it may. Sees every
   * string and key, those of the protocol included. `key`: the nearest one above.
   */
  readonly refuse?: (text: string, key: string | undefined) => string | undefined;
  /** The same for numbers, as they are written: in JSON a number can not give way to a tag. */
  readonly refuseNumbers?: (text: string, key: string | undefined) => string | undefined;
}

/** UTF-16 units of a text become `replacement`. */
export interface TextEdit {
  readonly start: number;
  readonly end: number;
  readonly replacement: string;
  readonly detector: string;
  readonly hmac: string;
}

export interface Seeker {
  /** In order, without overlap. Throws MaskError. */
  text(text: string, key?: string): TextEdit[];
  /** The same for the text of a key or string of JSON, in bytes. `start` is that of its quote. */
  literal(bytes: Buffer, at: { start: number; text: string; escaped: boolean }, key?: string): MaskEdit[];
  /** Of a key. The same few come back in every row, so what is known to hold nothing is not sought again. */
  key(bytes: Buffer, at: { start: number; text: string; escaped: boolean }): MaskEdit[];
  refuse(text: string, key: string | undefined): void;
  refuseNumber(text: string, key: string | undefined): void;
}

/** JSON in a string of JSON, and so on: as deep as that is looked into. What is deeper is text. */
const MAX_INNER = 4;
/** Digits: shorter numbers in a text identify nobody. */
const SHORTEST_NUMBER = 4;
/** Of keys and values that are read together. */
const LONGEST_KEY = 64;
/** In one message: each takes time and memory, and a place in the recording. */
const MOST_FINDINGS = 100_000;
/** Keys that are remembered. */
const MOST_KEYS = 1_000;
const NONE: never[] = [];
const BEGINS_AS_JSON = /^[\ufeff \t\r\n]*[[{]/;

export function createSeeker(options: SeekOptions): Seeker {
  const { detection, tagger } = options;
  const cleanKeys = new Set<string>();
  let count = 0;

  function inText(text: string, key: string | undefined, depth: number): TextEdit[] {
    refuse(text, key);
    return (depth < MAX_INNER && BEGINS_AS_JSON.test(text) && inJson(text, key, depth + 1)) || inFlat(text, key);
  }

  function inKey(text: string, depth: number): TextEdit[] {
    if (cleanKeys.has(text)) return NONE;
    const edits = inText(text, undefined, depth);
    // How JSON in a key is read depends on the depth.
    const isKnown = edits.length === 0 && text.length <= LONGEST_KEY && !BEGINS_AS_JSON.test(text);
    if (isKnown && cleanKeys.size < MOST_KEYS) cleanKeys.add(text);
    return edits;
  }

  function inFlat(text: string, key: string | undefined): TextEdit[] {
    // `{"ssn":"078051120"}` says in its key alone what the digits are.
    const found = detection.find(text, key?.slice(0, LONGEST_KEY));
    if (found.length === 0) return NONE;
    count += found.length;
    if (count > MOST_FINDINGS) throw new MaskError(`It holds more than ${MOST_FINDINGS} values that are to be masked.`);
    return whole(text, found).map(({ start, end, detector }) => {
      const { tag, hmac } = tagger.tag(detector, text.slice(start, end));
      return { start, end, replacement: tag, detector, hmac };
    });
  }

  /** Of a text that is JSON itself; `undefined` where it is none. */
  function inJson(text: string, outer: string | undefined, depth: number): TextEdit[] | undefined {
    // A lone surrogate becomes U+FFFD, which is one unit as well: offsets stay right.
    const bytes = Buffer.from(text);
    const edits: MaskEdit[] = [];
    const keys: (string | undefined)[] = [];
    let key = outer;
    const textAt = createTextReader(bytes);
    const take = (start: number, escaped: boolean, found: readonly TextEdit[]): void => {
      for (const edit of literalEdits(bytes, start, escaped, found)) edits.push(edit);
    };
    try {
      walkJson(bytes, {
        key(start, end, escaped) {
          key = textAt(start, end, escaped);
          take(start, escaped, inKey(key, depth));
        },
        string: (start, end, escaped) => take(start, escaped, inText(textAt(start, end, escaped), key, depth)),
        number(start, end) {
          const [edit] = inNumber(bytes.toString('latin1', start, end), key);
          if (edit !== undefined) edits.push({ ...edit, start, end });
        },
        open: () => keys.push(key),
        close() {
          key = keys.pop();
        },
      });
    } catch (error) {
      if (error instanceof JsonTextError) return undefined;
      throw error;
    }
    if (edits.length === 0) return NONE;
    const cursor = createCursor(bytes, 0, false);
    return edits.map(({ start, end, replacement, detector, hmac }) => ({
      start: cursor.unitOf(start),
      end: cursor.unitOf(end),
      replacement: replacement.toString(),
      detector,
      hmac,
    }));
  }

  /** A number in JSON that is text gives way to a string as a whole, so that the text is JSON still. */
  function inNumber(text: string, key: string | undefined): MaskEdit[] {
    refuseNumber(text, key);
    if (text.length < SHORTEST_NUMBER) return [];
    return inFlat(text, key).map((edit) => ({ ...edit, replacement: Buffer.from(JSON.stringify(edit.replacement)) }));
  }

  function refuse(text: string, key: string | undefined): void {
    const words = options.refuse?.(text, key);
    if (words !== undefined) throw new MaskError(words, { refused: true });
  }

  function refuseNumber(text: string, key: string | undefined): void {
    const words = options.refuseNumbers?.(text, key);
    if (words !== undefined) throw new MaskError(words, { refused: true });
  }

  return {
    text: (text, key) => inText(text, key, 0),
    literal: (bytes, { start, text, escaped }, key) => literalEdits(bytes, start, escaped, inText(text, key, 0)),
    key: (bytes, { start, text, escaped }) => literalEdits(bytes, start, escaped, inKey(text, 0)),
    refuse,
    refuseNumber,
  };
}

/** Edits of a literal's text as edits of its bytes. */
function literalEdits(bytes: Buffer, quote: number, escaped: boolean, edits: readonly TextEdit[]): MaskEdit[] {
  if (edits.length === 0) return NONE;
  const cursor = createCursor(bytes, quote + 1, escaped);
  return edits.map(({ start, end, replacement, detector, hmac }) => ({
    start: cursor.byteOf(start),
    end: cursor.byteOf(end),
    replacement: Buffer.from(JSON.stringify(replacement).slice(1, -1)),
    detector,
    hmac,
  }));
}

/** In order, each apart from the next, and none that cuts a character of two units in half. */
function whole(text: string, findings: readonly Finding[]): Finding[] {
  const apart: { start: number; end: number; detector: string }[] = [];
  for (const { start, end, detector } of findings.toSorted((left, right) => left.start - right.start)) {
    if (!(start >= 0 && start < end && end <= text.length)) throw new MaskError('A detector found what is not there.');
    const one = { start: splits(text, start) ? start - 1 : start, end: splits(text, end) ? end + 1 : end, detector };
    const last = apart.at(-1);
    if (last !== undefined && one.start < last.end) last.end = Math.max(last.end, one.end);
    else apart.push(one);
  }
  return apart;
}

function splits(text: string, at: number): boolean {
  const [before, after] = [text.charCodeAt(at - 1), text.charCodeAt(at)];
  return before >= 0xd800 && before <= 0xdbff && after >= 0xdc00 && after <= 0xdfff;
}
