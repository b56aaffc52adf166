/**
 * The scanner that stands in front of the parsers. It knows where comments, text and names begin and end, and refuses every
 * spelling that a parser may cut at another place than the server does: in that gap hides a statement that nobody read.
 * What is refused has a plain spelling; the words say which.
 */
import type { Dialect, Unreadable } from '../statement.ts';
import { LEXICONS, type Lexicon } from './lexicon.ts';

export interface Token {
  readonly kind: 'word' | 'name' | 'text' | 'number' | 'sign';
  /** A word as written, a quoted name without its quotes, one character of a sign; empty for text. */
  readonly text: string;
}

export type Scanned = { readonly ok: true; readonly tokens: readonly Token[] } | Unreadable;

/** Bytes of UTF-8. */
const MAX_SQL = 64 * 1024;
/** Nested parentheses, brackets and braces. A grammar takes time that doubles with each. */
const MAX_DEPTH = 16;

class Refused extends Error {}

/** @returns its tokens without comments; at least one. */
export function scan(text: string, dialect: Dialect): Scanned {
  try {
    if (Buffer.byteLength(text) > MAX_SQL) throw new Refused(`it is longer than ${MAX_SQL / 1024} KiB`);
    if (!text.isWellFormed()) throw new Refused('it is not well-formed Unicode');
    if (text.includes('\0')) throw new Refused('it holds a NUL');
    const tokens = createScanner(text, LEXICONS[dialect]).tokens();
    if (tokens.every((token) => isSign(token, ';'))) throw new Refused('it holds no statement');
    return { ok: true, tokens };
  } catch (error) {
    if (error instanceof Refused) return { ok: false, words: `The SQL is not read: ${error.message}.` };
    throw error;
  }
}

export function isSign(token: Token | undefined, sign: string): boolean {
  return token?.kind === 'sign' && token.text === sign;
}

/** ASCII alone: some letters beyond it become ASCII when JavaScript folds their case, and no server's do. */
export function fold(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

const SPACE = /[ \t\n]/;
const WORD_START = /[A-Za-z_]/;
const NUMBER = /^(?:\d[\d_]*(?:e\d*)?|0x[\da-f_]+|0b[01_]+|0o[0-7_]+)$/i;

function createScanner(text: string, lexicon: Lexicon) {
  const tokens: Token[] = [];
  const wordPart = lexicon.dollarInNames ? /[\w$]/ : /\w/;
  let at = 0;
  let depth = 0;

  /** Just behind `needle`, or the words for its absence. */
  function behind(needle: string, from: number, absent: string): number {
    const found = text.indexOf(needle, from);
    if (found < 0) throw new Refused(absent);
    return found + needle.length;
  }

  function lineComment(): void {
    const end = text.indexOf('\n', at);
    const comment = text.slice(at, end < 0 ? text.length : end);
    checkCharacters(comment, 'a comment');
    at += comment.length;
  }

  function blockComment(): void {
    const end = behind('*/', at + 2, 'a comment has no end');
    const comment = text.slice(at, end);
    if (/^\/\*(?:M?!|\+)/i.test(comment)) {
      throw new Refused('a comment that begins with "/*!", "/*M!" or "/*+" can be part of the statement');
    }
    if (comment.indexOf('/*', 2) >= 0)
      throw new Refused('a comment holds "/*", which some servers count and some do not');
    checkCharacters(comment, 'a comment');
    at = end;
  }

  function dashes(): void {
    if (lexicon.dashesNeedSpace && !/[ \t\r\n]/.test(text[at + 2] ?? '\n')) {
      throw new Refused('"--" without a space after it is no comment in MySQL');
    }
    lineComment();
  }

  /** Steps over text or a name in quotes. */
  function quoted(quote: string, kind: 'text' | 'name'): void {
    const start = at + 1;
    let end = start;
    for (;;) {
      end = behind(quote, end, `a quote (${quote}) has no end`);
      if (text[end - 2] === '\\' && end - 2 >= start) {
        throw new Refused(
          'a backslash before a quote ends the text or does not, by a setting of the server; double the quote',
        );
      }
      if (text[end] !== quote) break;
      if (!lexicon.doubledQuotes) throw new Refused('quotes follow one another, as in triple-quoted text');
      end++;
    }
    const inside = text.slice(start, end - 1);
    if (!lexicon.doubledQuotes && /[\r\n]/.test(inside)) throw new Refused('quoted text goes over the end of a line');
    if (kind === 'name') checkName(inside, quote);
    tokens.push({ kind, text: kind === 'name' ? inside.replaceAll(quote + quote, quote) : '' });
    at = end;
  }

  function checkName(name: string, quote: string): void {
    if (name === '') throw new Refused('a quoted name is empty');
    if (quote === '`' && name.includes('\\')) throw new Refused('a quoted name holds a backslash');
    if (/[\x00-\x1f\x7f-\x9f]/.test(name)) throw new Refused('a quoted name holds a control character');
  }

  function dollar(): void {
    const tag = /^\$(?:[A-Za-z_]\w*)?\$/.exec(text.slice(at, at + 130))?.[0];
    const parameter = /^\$\d+(?![\w$])/.exec(text.slice(at, at + 20))?.[0];
    if (!lexicon.dollarQuotes || (tag === undefined && parameter === undefined)) {
      throw new Refused('a "$" stands outside of a name');
    }
    if (tag === undefined) {
      tokens.push({ kind: 'number', text: parameter ?? '' });
      at += parameter?.length ?? 0;
      return;
    }
    at = behind(tag, at + tag.length, 'dollar-quoted text has no end');
    tokens.push({ kind: 'text', text: '' });
  }

  function word(): void {
    const start = at;
    while (at < text.length && wordPart.test(text[at] as string)) at++;
    const written = text.slice(start, at);
    const isNumber = /\d/.test(written[0] as string);
    if (isNumber && !NUMBER.test(written)) throw new Refused('a number goes on with letters');
    if (/['"]/.test(text[at] ?? '') && lexicon.refusedPrefixes.has(fold(written))) {
      throw new Refused('raw text or bytes (r"", b"") follow other rules of quoting');
    }
    tokens.push({ kind: isNumber ? 'number' : 'word', text: written });
  }

  function sign(character: string): void {
    if (character === '\\') throw new Refused('a backslash stands outside of text');
    if (character === '#' && lexicon.hash === 'nothing') throw new Refused('a "#" begins no comment in this dialect');
    if (character > '\x7f') {
      throw new Refused(
        'a character beyond ASCII (a space or a letter that looks like another) stands outside of quotes',
      );
    }
    if (character < ' ' || character === '\x7f')
      throw new Refused('a control character or a lone CR stands outside of text');
    if ('([{'.includes(character) && ++depth > MAX_DEPTH)
      throw new Refused(`more than ${MAX_DEPTH} parentheses are nested`);
    if (')]}'.includes(character)) depth--;
    // No dialect calls text; a parser that let it pass would name no function.
    if (character === '(' && tokens.at(-1)?.kind === 'text') throw new Refused('a parenthesis follows quoted text');
    tokens.push({ kind: 'sign', text: character });
    at++;
  }

  function next(): void {
    const character = text[at] as string;
    const two = text.slice(at, at + 2);
    if (SPACE.test(character) || two === '\r\n') at++;
    else if (two === '/*') blockComment();
    else if (two === '--') dashes();
    else if (character === '#' && lexicon.hash === 'comment') lineComment();
    else if (lexicon.strings.includes(character)) quoted(character, 'text');
    else if (lexicon.names.includes(character)) quoted(character, 'name');
    else if (character === '$') dollar();
    else if (WORD_START.test(character) || /\d/.test(character)) word();
    else sign(character);
  }

  return {
    tokens(): Token[] {
      while (at < text.length) next();
      return tokens;
    },
  };
}

/** Line ends other than LF end a comment for some servers. */
function checkCharacters(text: string, place: string): void {
  if (/\r(?!\n|$)|[\x00-\x08\v\f\x0e-\x1f\x7f-\x9f\u2028\u2029]/.test(text)) {
    throw new Refused(`${place} holds a control character or a lone CR`);
  }
}
