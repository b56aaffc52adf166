import { type Folded, fold, isFolded } from './fold.ts';

/**
 * One pass over a text that notes where detectors have something to look at, so that text without any costs little.
 * Everything here is bounded by the text's length.
 */
export interface Reading extends Folded {
  /** What stands before the text as a person sees it: the key that a JSON string is the value of. */
  readonly before: string;
  /** Runs of ASCII digits: start, end, start, end, …; without those between letters far inside a token. */
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
const FOLDED = 5;

/** How far the digits of an account may be from what its token starts with: `IBANGB29NWBK…`, after an escape. */
const nearStart = 8;

/** What a UTF-16 unit is to the survey: one look at each. */
const classes = new Uint8Array(0x10000);
for (let code = 128; code < 0x10000; code++) if (isFolded(code)) classes[code] = FOLDED;
for (let code = 0; code < 128; code++) {
  const character = String.fromCharCode(code);
  if (code >= 0x30 && code <= 0x39) classes[code] = DIGIT;
  else if (/[A-Za-z]/.test(character)) classes[code] = LETTER;
  else if (character === ':' || character === '=') classes[code] = SIGN;
  else if (character === '\\' || character === '%') classes[code] = ESCAPE;
}

export const isDigit = (code: number): boolean => code >= 0x30 && code <= 0x39;
/** ASCII. */
export const isLetter = (code: number): boolean => classes[code] === LETTER;
/** ASCII. */
export const isAlphanumeric = (code: number): boolean => classes[code] === LETTER || classes[code] === DIGIT;
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
  const runs: number[] = [];
  const signs: number[] = [];
  const tokens: number[] = [];
  if (survey(original, openings, true, runs, signs, tokens))
    return { text: original, map: undefined, before, runs, signs, tokens };
  const { text, map } = fold(original);
  runs.length = signs.length = tokens.length = 0;
  // What is folded folds no further, but for half a pair: it is told to look no more.
  survey(text, openings, false, runs, signs, tokens);
  return { text, map, before, runs, signs, tokens };
}

/** False where the text has to be folded first. */
function survey(
  text: string,
  openings: Uint8Array,
  folds: boolean,
  runs: number[],
  signs: number[],
  tokens: number[],
): boolean {
  const length = text.length;
  for (let at = 0; at < length; at++) {
    let kind = classes[text.charCodeAt(at)];
    if (kind === LETTER || kind === DIGIT) {
      if (at + 1 < length) {
        const first = text.charCodeAt(at);
        const second = text.charCodeAt(at + 1);
        if (first < 128 && second < 128 && openings[first * 128 + second] === 1) tokens.push(at);
      }
      const token = at;
      let glued = false;
      // To the end of the token.
      do {
        if (kind === DIGIT) {
          const start = at++;
          while (at < length && classes[text.charCodeAt(at)] === DIGIT) at++;
          kind = at < length ? classes[text.charCodeAt(at)] : 0;
          // Far inside a hash digits between letters are nobody's number.
          if (glued && kind === LETTER && start - token > nearStart) continue;
          runs.push(start);
          runs.push(at);
        } else {
          glued = true;
          at++;
          kind = at < length ? classes[text.charCodeAt(at)] : 0;
        }
      } while (kind === LETTER || kind === DIGIT);
      if (at >= length) break;
    }
    if (kind === SIGN) signs.push(at);
    else if (kind === ESCAPE) {
      // The digits of `%20` are digits all the same: only the start of a token moves.
      const start = afterEscape(text, at);
      const first = text.charCodeAt(start);
      const second = text.charCodeAt(start + 1);
      if (start > at + 1 && first < 128 && second < 128 && openings[first * 128 + second] === 1) tokens.push(start);
    } else if (kind === FOLDED && folds) return false;
  }
  return true;
}

/** Whether enough digits follow one another from this run on; `joins` says whether what lies between two runs may. */
export function reaches(
  { text, runs }: Reading,
  run: number,
  enough: number,
  joins: (text: string, from: number, to: number) => boolean,
): boolean {
  let digits = 0;
  for (let next = run; next < runs.length; next += 2) {
    const from = runs[next] ?? 0;
    const to = runs[next + 1] ?? 0;
    if (next > run && !joins(text, runs[next - 1] ?? 0, from)) return false;
    digits += to - from;
    if (digits >= enough) return true;
  }
  return false;
}
