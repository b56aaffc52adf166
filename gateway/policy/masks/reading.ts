import { type Folded, fold, isFolded } from './fold.ts';

/**
 * One pass over a text that notes where detectors have something to look at, so that text without any costs little.
 * Everything here is bounded by the text's length.
 */
export interface Reading extends Folded {
  /** What stands before the text as a person sees it: the key that a JSON string is the value of. */
  readonly before: string;
  /** Runs of ASCII digits: start, end, start, end, … */
  readonly runs: readonly number[];
  /** Where `:` and `=` stand. */
  readonly signs: readonly number[];
  /** Where a token starts whose first two characters some detector knows. */
  readonly tokens: readonly number[];
}

/** Tells a detector's caller of a value. Offsets in the reading's text. */
export type Report = (start: number, end: number) => void;

const DIGIT = 1;
const LETTER = 2;
const SIGN = 3;
const ESCAPE = 4;

const classes = new Uint8Array(128);
for (let code = 0; code < 128; code++) {
  const character = String.fromCharCode(code);
  if (code >= 0x30 && code <= 0x39) classes[code] = DIGIT;
  else if (/[A-Za-z]/.test(character)) classes[code] = LETTER;
  else if (character === ':' || character === '=') classes[code] = SIGN;
  else if (character === '\\' || character === '%') classes[code] = ESCAPE;
}

export const isDigit = (code: number): boolean => code >= 0x30 && code <= 0x39;
/** ASCII. */
export const isLetter = (code: number): boolean => code < 128 && classes[code] === LETTER;
/** ASCII. */
export const isAlphanumeric = (code: number): boolean =>
  code < 128 && (classes[code] === LETTER || classes[code] === DIGIT);
export const isHex = (code: number): boolean =>
  isDigit(code) || (code >= 0x41 && code <= 0x46) || (code >= 0x61 && code <= 0x66);

/** Where a token may start after an escape at `at`: `\n`, `\u003d` and `%3D` are no part of it. */
function afterEscape(text: string, at: number): number {
  if (text.charCodeAt(at) === 0x25) {
    return isHex(text.charCodeAt(at + 1)) && isHex(text.charCodeAt(at + 2)) ? at + 3 : at + 1;
  }
  const next = text[at + 1];
  if (next === 'u' && isHex(text.charCodeAt(at + 5))) return at + 6;
  return next === 'n' || next === 'r' || next === 't' ? at + 2 : at + 1;
}

/** `openings`: of two ASCII characters at the start of a token, first * 128 + second, 1 where some detector knows them. */
export function read(original: string, openings: Uint8Array, before = ''): Reading {
  const plain = survey(original, openings);
  if (plain) return { ...plain, text: original, before };
  const folded = fold(original);
  // What is folded folds no further, but for half a pair: it is told to look no more.
  return { ...(survey(folded.text, openings, true) ?? { runs: [], signs: [], tokens: [] }), ...folded, before };
}

/** Nothing where the text has to be folded first. */
function survey(
  text: string,
  openings: Uint8Array,
  folded = false,
): Pick<Reading, 'runs' | 'signs' | 'tokens'> | undefined {
  const runs: number[] = [];
  const signs: number[] = [];
  const tokens: number[] = [];
  const length = text.length;
  let inToken = false;
  let at = 0;
  while (at < length) {
    const code = text.charCodeAt(at);
    if (code >= 128) {
      if (!folded && isFolded(code)) return undefined;
      inToken = false;
      at++;
      continue;
    }
    const kind = classes[code];
    if (kind === LETTER || kind === DIGIT) {
      if (!inToken) {
        inToken = true;
        const next = text.charCodeAt(at + 1);
        if (next < 128 && openings[code * 128 + next] === 1) tokens.push(at);
      }
      if (kind === DIGIT) {
        const start = at++;
        while (at < length && isDigit(text.charCodeAt(at))) at++;
        runs.push(start, at);
      } else {
        at++;
      }
      continue;
    }
    inToken = false;
    if (kind === SIGN) signs.push(at);
    // Digits after an escape are still digits, `%20` too: only the start of a token moves.
    if (kind === ESCAPE) {
      const start = afterEscape(text, at);
      if (start > at + 1 && start < length) {
        const next = text.charCodeAt(start + 1);
        const first = text.charCodeAt(start);
        if (first < 128 && next < 128 && openings[first * 128 + next] === 1) tokens.push(start);
      }
    }
    at++;
  }
  return { runs, signs, tokens };
}
