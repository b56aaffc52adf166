import assert from 'node:assert/strict';
import fc from 'fast-check';
import { parseStrictJson } from '../../gateway/mcp/json.ts';
import { createMessageScanner } from '../../gateway/mcp/scan.ts';
import { removeElements, setMember } from '../../gateway/mcp/splice.ts';
import { JsonTextError, textOf, walkJson } from '../../gateway/mcp/walk.ts';
import { createWhim, cut, cuts, nearlyJson, parsed, texts, tokensOf, values, whims, written } from './generate.ts';

/** Why a text that JSON.parse takes is not to be taken, found by another way than the lexer's. */
function ambiguous(text: string): boolean {
  const tokens = tokensOf(text);
  const open: Set<string>[] = [];
  return tokens.some((token, index) => {
    if (token === '{' || token === '[') open.push(new Set());
    else if (token === '}' || token === ']') open.pop();
    else if (token.startsWith('"')) {
      const word: string = JSON.parse(token);
      if (!word.isWellFormed()) return true;
      const keys = open.at(-1);
      if (tokens[index + 1] !== ':' || keys === undefined) return false;
      if (keys.has(word)) return true;
      keys.add(word);
    } else if (/^-?\d+$/.test(token)) return !Number.isSafeInteger(Number(token));
    else if (/^-?\d/.test(token)) return !Number.isFinite(Number(token));
    return false;
  });
}

/** Strict JSON is JSON.parse's, less what readers could differ in. */
export const lexer = fc.property(nearlyJson, (text) => {
  const bytes = Buffer.from(text);
  // What half a surrogate pair becomes in UTF-8 is what is read.
  const sent = bytes.toString('utf8');
  const reference = parsed(sent);
  const read = parseStrictJson(bytes);
  assert.equal(read.ok, reference !== undefined && !ambiguous(sent));
  if (read.ok) assert.deepEqual(read.value, reference?.value);
  else assert.ok(read.at >= 0 && read.at <= bytes.length);
});

export const bytesLexer = fc.property(texts, fc.nat(), fc.nat(255), (text, at, byte) => {
  const bytes = Buffer.from(text);
  bytes[at % bytes.length] = byte;
  const sent = bytes.toString('utf8');
  const whole = Buffer.from(sent).equals(bytes);
  const read = parseStrictJson(bytes);
  assert.equal(read.ok, whole && parsed(sent) !== undefined && !ambiguous(sent));
});

/** What a walk tells, put together again. */
function rebuilt(bytes: Buffer): unknown {
  const roots: unknown[] = [];
  const open: { isObject: boolean; members: [string, unknown][]; items: unknown[]; key: string }[] = [];
  const add = (value: unknown) => {
    const top = open.at(-1);
    if (top === undefined) roots.push(value);
    else if (top.isObject) top.members.push([top.key, value]);
    else top.items.push(value);
  };
  const scalar = (start: number, end: number) => add(JSON.parse(bytes.toString('utf8', start, end)));
  walkJson(bytes, {
    key(start, end, escaped) {
      const top = open.at(-1);
      if (top !== undefined) top.key = textOf(bytes, start, end, escaped);
    },
    string: (start, end, escaped) => add(textOf(bytes, start, end, escaped)),
    number: scalar,
    word: scalar,
    open: (_, isObject) => open.push({ isObject, members: [], items: [], key: '' }),
    close() {
      const top = open.pop();
      if (top !== undefined) add(top.isObject ? Object.fromEntries(top.members) : top.items);
    },
  });
  assert.equal(roots.length, 1);
  return roots[0];
}

export const walk = fc.property(nearlyJson, (text) => {
  const bytes = Buffer.from(text);
  const reference = parsed(bytes.toString('utf8').replace(/^\ufeff/, ''));
  try {
    const value = rebuilt(bytes);
    assert.ok(reference !== undefined);
    assert.deepEqual(value, reference.value);
  } catch (error) {
    if (!(error instanceof JsonTextError)) throw error;
    assert.equal(reference, undefined);
  }
});

/** Elements cut out and members set: as JSON.parse sees it, and nothing else gone. */
export const splice = fc.property(
  fc.array(values, { maxLength: 6 }),
  fc.array(fc.boolean(), { maxLength: 6 }),
  values,
  whims,
  (list, drop, value, numbers) => {
    const text = written({ before: value, result: { tools: list, after: value } }, createWhim(numbers));
    const bytes = Buffer.from(text);
    const left = removeElements(bytes, ['result', 'tools'], (index, element) => {
      assert.deepEqual(element, JSON.parse(JSON.stringify(list[index])));
      return drop[index] !== true;
    });
    const kept = list.filter((_, index) => drop[index] !== true);
    assert.deepEqual(
      parsed(left.toString()),
      parsed(JSON.stringify({ before: value, result: { tools: kept, after: value } })),
    );
    if (kept.length === list.length) assert.equal(left, bytes);
    const set = setMember(bytes, ['result', 'scope'], '"private"').toString();
    assert.equal(set.length, text.length + ',"scope":"private"'.length);
    const read = parsed(set)?.value as { result: { scope: string } } | undefined;
    assert.equal(read?.result.scope, 'private');
    assert.equal(setMember(Buffer.from(set), ['result', 'scope'], '"private"').toString(), set);
  },
);

function scanned(chunks: readonly Buffer[]): unknown {
  const scanner = createMessageScanner();
  for (const chunk of chunks) scanner.push(chunk);
  return scanner.end();
}

/** Messages are read alike however they are cut, and unreadable where JSON.parse reads nothing. */
export const scanner = fc.property(nearlyJson, cuts, (text, at) => {
  const bytes = Buffer.from(text);
  const whole = scanned([bytes]) as { kind: string; id?: unknown }[];
  assert.deepEqual(scanned(cut(bytes, at)), whole);
  const sent = bytes.toString('utf8').replace(/^\ufeff/, '');
  const reference = parsed(sent);
  if (reference === undefined) {
    assert.deepEqual(whole, /^[ \t\r\n]*$/.test(sent) ? [] : [{ kind: 'unreadable' }]);
    return;
  }
  const { value } = reference;
  assert.equal(whole.length, Array.isArray(value) ? value.length : 1);
  for (const [index, message] of whole.entries()) {
    const source = (Array.isArray(value) ? value[index] : value) as { id?: unknown } | null;
    if (message.id !== undefined) assert.equal(message.id, source?.id);
  }
});
