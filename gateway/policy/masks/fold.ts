/**
 * Text as detectors read it. People and programs write digits in full width, dashes of every length, spaces that do not
 * break and characters that nobody sees; each is read as its ASCII counterpart, or not at all.
 */

export interface Folded {
  readonly text: string;
  /** For each unit of `text`, where what it was made of starts and ends in the original. Undefined where nothing was folded. */
  readonly map: { readonly starts: Uint32Array; readonly ends: Uint32Array } | undefined;
}

const DROP = 1;
const PAIR = 2;

/** The zeros of Unicode's decimal digits in the basic plane (general category Nd), ASCII aside. */
const ZEROS = [
  0x0660, 0x06f0, 0x07c0, 0x0966, 0x09e6, 0x0a66, 0x0ae6, 0x0b66, 0x0be6, 0x0c66, 0x0ce6, 0x0d66, 0x0de6, 0x0e50,
  0x0ed0, 0x0f20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40, 0x1c50,
  0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0,
];
/** Spaces, dashes and what is not seen: first and last of each range. */
const SPACES = [0xa0, 0xa0, 0x1680, 0x1680, 0x2000, 0x200a, 0x202f, 0x202f, 0x205f, 0x205f, 0x3000, 0x3000];
const DASHES = [0x2010, 0x2015, 0x2043, 0x2043, 0x2212, 0x2212, 0xfe58, 0xfe58, 0xfe63, 0xfe63];
const UNSEEN = [
  0xad, 0xad, 0x034f, 0x034f, 0x061c, 0x061c, 0x180e, 0x180e, 0x200b, 0x200f, 0x202a, 0x202e, 0x2060, 0x2069, 0x20e3,
  0x20e3, 0xfe00, 0xfe0f, 0xfeff, 0xfeff,
];
/** U+1D7CE to U+1D7FF, five sets of digits in mathematical letters: the high surrogate, and the first low one. */
const MATH_HIGH = 0xd835;
const MATH_LOW = 0xdfce;

/** What a UTF-16 unit is read as; 0 is itself. */
const table = new Uint16Array(0x10000);
for (const zero of ZEROS) for (let digit = 0; digit < 10; digit++) table[zero + digit] = 0x30 + digit;
for (let code = 0xff01; code <= 0xff5e; code++) table[code] = code - 0xfee0;
for (const [ranges, to] of [
  [SPACES, 0x20],
  [DASHES, 0x2d],
  [UNSEEN, DROP],
] as const) {
  for (let at = 0; at < ranges.length; at += 2) table.fill(to, ranges[at], (ranges[at + 1] ?? 0) + 1);
}
table[0xfe6b] = 0x40;
table[MATH_HIGH] = PAIR;

/** Whether a unit is read as something else. */
export function isFolded(code: number): boolean {
  return table[code] !== 0;
}

export function fold(original: string): Folded {
  const units = new Uint16Array(original.length);
  const starts = new Uint32Array(original.length);
  const ends = new Uint32Array(original.length);
  let length = 0;
  for (let at = 0; at < original.length; ) {
    const start = at;
    const code = original.charCodeAt(at++);
    let to = table[code] || code;
    if (to === DROP && code !== DROP) continue;
    if (code === MATH_HIGH) {
      to = code;
      const low = original.charCodeAt(at);
      if (low >= MATH_LOW) {
        to = 0x30 + ((low - MATH_LOW) % 10);
        at++;
      }
    }
    units[length] = to;
    starts[length] = start;
    ends[length++] = at;
  }
  const pieces: string[] = [];
  // A call takes its arguments on the stack: in pieces.
  for (let at = 0; at < length; at += 8192) {
    pieces.push(String.fromCharCode(...units.subarray(at, Math.min(at + 8192, length))));
  }
  return { text: pieces.join(''), map: { starts, ends } };
}
