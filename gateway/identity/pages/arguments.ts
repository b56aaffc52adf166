/**
 * The arguments of a call as an approver reads them: JSON that is indented and in which every character that would not be
 * seen, or would move others, is an escape. What is shown is still JSON of exactly the same value.
 */

import { canonicalJson } from '../../canonical-json.ts';

/** As escape sequences of JSON; what is not seen of emoji too, since here the exact value counts. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu;

export interface ShownArguments {
  readonly text: string;
  /** Whether this is all. */
  readonly whole: boolean;
}

/** Indented, members sorted by name as they are for the hash, and no more of it than `most` characters. */
export function showArguments(value: unknown, most: number): ShownArguments {
  const writer = createWriter(most);
  writer.value(value, '');
  const { text, whole } = writer.end();
  return { text: seen(text), whole };
}

/** All of it in one line: an indent would multiply what is deeply nested. */
export function wholeArguments(value: unknown): string {
  return seen(canonicalJson(value));
}

function seen(text: string): string {
  return text.replace(UNSEEN, (found) => (found === '\n' ? found : [...unitsOf(found)].join('')));
}

function* unitsOf(text: string): Generator<string> {
  for (let index = 0; index < text.length; index++) {
    yield `\\u${text.charCodeAt(index).toString(16).padStart(4, '0')}`;
  }
}

function createWriter(most: number) {
  const pieces: string[] = [];
  let left = most;

  function put(piece: string): boolean {
    pieces.push(piece.slice(0, Math.max(0, left)));
    left -= piece.length;
    return left >= 0;
  }

  function members(
    open: string,
    close: string,
    indent: string,
    entries: Iterable<[string | undefined, unknown]>,
  ): boolean {
    const inner = `${indent}  `;
    let first = true;
    for (const [name, member] of entries) {
      const quoted = name === undefined ? '' : `${text(name)}: `;
      if (!put(`${first ? open : ','}\n${inner}${quoted}`) || !value(member, inner)) return false;
      first = false;
    }
    return put(first ? `${open}${close}` : `\n${indent}${close}`);
  }

  /** A long text is cut before it is quoted: what is left of it does not fit either. */
  function text(of: string): string {
    return JSON.stringify(of.length > left ? of.slice(0, left + 1) : of);
  }

  function value(of: unknown, indent: string): boolean {
    if (left < 0) return false;
    if (typeof of === 'string') return put(text(of));
    if (Array.isArray(of)) return members('[', ']', indent, unnamed(of));
    if (typeof of === 'object' && of !== null) return members('{', '}', indent, named(of));
    return put(JSON.stringify(of) ?? 'null');
  }

  return { value, end: () => ({ text: pieces.join('').toWellFormed(), whole: left >= 0 }) };
}

function* unnamed(list: readonly unknown[]): Generator<[undefined, unknown]> {
  for (const member of list) yield [undefined, member];
}

function* named(of: object): Generator<[string, unknown]> {
  for (const name of Object.keys(of).sort()) yield [name, (of as Record<string, unknown>)[name]];
}
