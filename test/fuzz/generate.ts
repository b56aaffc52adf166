/** What the properties are tried on: JSON as any writer could have written it, and what is nearly JSON. */
import fc from 'fast-check';

/** Decides, letter by letter, how a text is written. Cycled, so that few numbers go a long way. */
export type Whim = () => number;

export const whims: fc.Arbitrary<readonly number[]> = fc.array(fc.nat(255), { minLength: 1, maxLength: 24 });

export function createWhim(numbers: readonly number[]): Whim {
  let at = 0;
  return () => numbers[at++ % numbers.length] ?? 0;
}

const SPACE = ['', '', '', ' ', '\n', '\t', '\r\n', '  '];
const SHORT: Readonly<Record<string, string>> = { '"': '\\"', '\\': '\\\\', '/': '\\/', '\n': '\\n', '\t': '\\t' };

/** JSON text of the value with escapes and white space wherever they may stand. */
export function written(value: unknown, whim: Whim): string {
  const space = () => SPACE[whim() % SPACE.length] ?? '';
  const text = (each: string): string => {
    const units = Array.from({ length: each.length }, (_, index) => each.charAt(index));
    return `"${units.map((unit) => letter(unit, whim)).join('')}"`;
  };
  const tell = (each: unknown): string => {
    if (typeof each === 'string') return text(each);
    if (Array.isArray(each)) return `[${space()}${each.map(tell).join(`${space()},${space()}`)}${space()}]`;
    if (typeof each !== 'object' || each === null) return JSON.stringify(each);
    const members = Object.entries(each).map(([key, inner]) => `${text(key)}${space()}:${space()}${tell(inner)}`);
    return `{${space()}${members.join(`${space()},${space()}`)}${space()}}`;
  };
  return `${space()}${tell(value)}${space()}`;
}

function letter(unit: string, whim: Whim): string {
  const code = unit.charCodeAt(0);
  const isSurrogate = code >= 0xd800 && code <= 0xdfff;
  const hex = () => `\\u${code.toString(16).padStart(4, '0')}`;
  const choice = whim();
  // A pair is written in one way, or half of it would be bytes that are no UTF-8.
  if (isSurrogate) return hex();
  if (choice % 4 === 0) return choice % 8 === 0 ? hex().toUpperCase().replace('\\U', '\\u') : hex();
  const mustBe = code < 0x20 || unit === '"' || unit === '\\';
  return mustBe || (unit === '/' && choice % 2 === 0) ? (SHORT[unit] ?? hex()) : unit;
}

/** A text with one place spoilt. */
export function spoilt(texts: fc.Arbitrary<string>): fc.Arbitrary<string> {
  const by = fc.constantFrom(
    '',
    '"',
    '\\',
    ',',
    '0',
    '9e9',
    '}',
    ']',
    '{',
    '[',
    ':',
    '-',
    'e',
    '\u0001',
    ' ',
    '\ud800',
    'é',
  );
  return fc.tuple(texts, fc.nat(), by, fc.nat(2)).map(([text, at, piece, gone]) => {
    const place = at % (text.length + 1);
    return text.slice(0, place) + piece + text.slice(place + gone);
  });
}

const TOKENS =
  '{ } [ ] , : " "a" "b" "\\u0061" \\ \\u00 \\ud83d 0 1 - . e + true null nul 9007199254740993 1e999 é 😀'.split(' ');

/** Tokens of JSON in any order. */
const soup: fc.Arbitrary<string> = fc
  .array(fc.constantFrom(...TOKENS, ' ', '\n', '\ufeff', '\u0000'), { maxLength: 14 })
  .map((tokens) => tokens.join(''));

// Keys that end in a backslash are what V8 may take others for.
const KEYS = [
  'a\\',
  'nam\\',
  '\\',
  'id',
  'method',
  'params',
  'result',
  'error',
  'name',
  'uri',
  'code',
  'isError',
  'a',
  '',
  '__proto__',
  'é',
];

/** Values with keys that matter to messages. */
export const values: fc.Arbitrary<unknown> = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.oneof(
      fc.string({ unit: 'grapheme', maxLength: 6 }),
      fc.integer(),
      fc.double({ noNaN: true }),
      fc.boolean(),
      fc.constant(null),
    ),
    fc.array(tie('value'), { maxLength: 4 }),
    fc
      .array(fc.tuple(fc.constantFrom(...KEYS), tie('value')), { maxLength: 4 })
      // As JSON.parse does it: `__proto__` is a member like any other.
      .map((members) => Object.fromEntries(members)),
  ),
})).value;

export const texts: fc.Arbitrary<string> = fc
  .tuple(values, whims)
  .map(([value, numbers]) => written(value, createWhim(numbers)));

/** Objects that write a key twice, escaped or not. */
const doubled: fc.Arbitrary<string> = fc
  .tuple(fc.array(fc.tuple(fc.constantFrom('a', 'b', 'é', '\\'), texts), { minLength: 1, maxLength: 4 }), whims)
  .map(([members, numbers]) => {
    const whim = createWhim(numbers);
    return `[{${members.map(([key, text]) => `${written(key, whim)}:${text}`).join(',')}}]`;
  });

export const nearlyJson: fc.Arbitrary<string> = fc.oneof(soup, texts, doubled, spoilt(texts), spoilt(doubled));

export const cuts: fc.Arbitrary<readonly number[]> = fc.array(fc.nat(), { maxLength: 10 });

/** The bytes in chunks. */
export function cut(bytes: Buffer, at: readonly number[]): Buffer[] {
  const places = [...new Set(at.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b);
  return [0, ...places].map((from, index) => bytes.subarray(from, places[index] ?? bytes.length));
}

const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/gs;

export function tokensOf(text: string): string[] {
  return text.match(TOKEN) ?? [];
}

/**
 * The value as JSON.parse is to read it; `undefined` where it refuses. V8 may misread an escaped key (mcp/parse.ts), so it
 * is asked for its yes or no alone and the value is put together here.
 */
export function parsed(text: string): { readonly value: unknown } | undefined {
  try {
    JSON.parse(text);
  } catch {
    return undefined;
  }
  const tokens = tokensOf(text);
  let at = 0;
  const read = (): unknown => {
    const token = tokens[at++] ?? '';
    if (token !== '{' && token !== '[') return JSON.parse(token);
    const items: unknown[] = [];
    const members: [string, unknown][] = [];
    while (tokens[at] !== '}' && tokens[at] !== ']') {
      if (tokens[at] === ',') at++;
      if (token === '[') items.push(read());
      else {
        const key = JSON.parse(tokens[at] ?? '') as string;
        at += 2;
        members.push([key, read()]);
      }
    }
    at++;
    return token === '[' ? items : Object.fromEntries(members);
  };
  return { value: read() };
}
