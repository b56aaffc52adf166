import { BACKSLASH } from './ascii.ts';
import { textOf, walkJson } from './walk.ts';

interface Open {
  readonly isObject: boolean;
  readonly members: [string, unknown][];
  readonly items: unknown[];
  key: string;
}

/**
 * JSON.parse for bytes of others.
 *
 * V8's own may take an escaped key for another one that it met before: with `{"nam\\":1}` parsed earlier, by anybody,
 * the key `nam\u0065` reads as `nam\` (nodejs/node#63785; V8 13.6 and 14.6). So one request could change how the next is
 * read. Where a key holds an escape, the value is built from a walk instead; the fuzzer's properties fail without it.
 *
 * The bytes are UTF-8. Throws JsonTextError or SyntaxError.
 */
export function parseJson(bytes: Buffer): unknown {
  return hasEscapedKey(bytes) ? built(bytes) : JSON.parse(bytes.toString('utf8'));
}

function hasEscapedKey(bytes: Buffer): boolean {
  if (!bytes.includes(BACKSLASH)) return false;
  let found = false;
  walkJson(bytes, {
    key(_start, _end, escaped) {
      found ||= escaped;
    },
  });
  return found;
}

function built(bytes: Buffer): unknown {
  let root: unknown;
  const open: Open[] = [];

  function add(value: unknown): void {
    const top = open.at(-1);
    if (top === undefined) root = value;
    else if (top.isObject) top.members.push([top.key, value]);
    else top.items.push(value);
  }
  const scalar = (start: number, end: number): void => add(JSON.parse(bytes.toString('latin1', start, end)));

  walkJson(bytes, {
    key(start, end, escaped) {
      const top = open.at(-1);
      if (top !== undefined) top.key = textOf(bytes, start, end, escaped);
    },
    string: (start, end, escaped) => add(textOf(bytes, start, end, escaped)),
    number: scalar,
    word: scalar,
    open: (_start, isObject) => open.push({ isObject, members: [], items: [], key: '' }),
    close() {
      const top = open.pop();
      // As in JSON.parse, `__proto__` is a member like any other.
      if (top !== undefined) add(top.isObject ? Object.fromEntries(top.members) : top.items);
    },
  });
  return root;
}
