/**
 * Reading JSON text without decoding it. A recording is shown in its own words: number spelling, key order, duplicate
 * keys and escapes stay as they were sent, which parsing and printing again would lose.
 *
 * `indentJson` alone validates. On text that is not JSON the others return `undefined` or fewer parts; none throws.
 */

interface Token {
  readonly kind: '{' | '}' | '[' | ']' | ',' | ':' | 'string' | 'literal';
  readonly start: number;
  readonly end: number;
}

const STRING = /"(?:[^"\\]|\\.)*"/sy;
const LITERAL = /[^\s{}[\],:"]+/y;
const SPACE = /[ \t\r\n]*/y;

function* tokens(text: string): Generator<Token, boolean> {
  let at = 0;
  while (true) {
    SPACE.lastIndex = at;
    SPACE.test(text);
    at = SPACE.lastIndex;
    const character = text[at];
    if (character === undefined) return true;
    if ('{}[],:'.includes(character)) {
      yield { kind: character as '{', start: at, end: at + 1 };
      at++;
      continue;
    }
    const pattern = character === '"' ? STRING : LITERAL;
    pattern.lastIndex = at;
    if (!pattern.test(text)) return false;
    const end = pattern.lastIndex;
    yield { kind: character === '"' ? 'string' : 'literal', start: at, end };
    at = end;
  }
}

/** The values directly inside the outermost object or array, as they are spelled. Keys are decoded. */
export function children(text: string): { key?: string; text: string }[] {
  const found: { key?: string; text: string }[] = [];
  let depth = 0;
  let key: string | undefined;
  let start: number | undefined;
  let end = 0;
  let object = false;
  const flush = (): void => {
    if (start === undefined) return;
    const value = text.slice(start, end);
    found.push(key === undefined ? { text: value } : { key, text: value });
    start = undefined;
    key = undefined;
  };
  for (const token of tokens(text)) {
    const opens = token.kind === '{' || token.kind === '[';
    const closes = token.kind === '}' || token.kind === ']';
    if (closes) depth--;
    if (depth === 0 && closes) {
      flush();
      return found;
    }
    if (depth === 0 && opens) {
      object = token.kind === '{';
    } else if (depth === 1 && token.kind === ',') {
      flush();
    } else if (depth === 1 && token.kind === ':' && object && start !== undefined) {
      key = decode(text.slice(start, end));
      start = undefined;
    } else if (depth >= 1) {
      start ??= token.start;
      end = token.end;
    }
    if (opens) depth++;
  }
  return found;
}

/** The value of a key of the outermost object, as it is spelled; the last one where the key comes twice. */
export function member(text: string, key: string): string | undefined {
  return children(text).findLast((child) => child.key === key)?.text;
}

function decode(string: string): string {
  try {
    return String(JSON.parse(string));
  } catch {
    return string;
  }
}

/** The text with one value a line, every token as it was; `undefined` where it is not JSON: blanks may matter there. */
export function indentJson(text: string, step = '  '): string | undefined {
  if (!isJson(text)) return undefined;
  const out: string[] = [];
  let depth = 0;
  let previous: Token['kind'] | undefined;
  const newline = (): void => void out.push('\n', step.repeat(Math.max(0, depth)));
  const reader = tokens(text);
  let next = reader.next();
  for (; !next.done; next = reader.next()) {
    const { kind, start, end } = next.value;
    const closes = kind === '}' || kind === ']';
    if (closes) {
      depth--;
      if (depth < 0) return undefined;
      if (previous !== '{' && previous !== '[') newline();
    } else if (previous === '{' || previous === '[' || previous === ',') newline();
    else if (previous === ':') out.push(' ');
    out.push(text.slice(start, end));
    if (kind === '{' || kind === '[') depth++;
    previous = kind;
  }
  return next.value && depth === 0 && previous !== undefined ? out.join('') : undefined;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
