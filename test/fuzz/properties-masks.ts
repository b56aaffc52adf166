import assert from 'node:assert/strict';
import { createSecretKey } from 'node:crypto';
import fc from 'fast-check';
import type { SsePart } from '../../gateway/mcp/sse.ts';
import type { Finding } from '../../gateway/policy/masks/detector.ts';
import { keptOutside } from '../../gateway/policy/masks/fixture.ts';
import { maskEvent } from '../../gateway/policy/masks/mask-event.ts';
import { type MaskOptions, maskJson } from '../../gateway/policy/masks/mask-json.ts';
import { maskText } from '../../gateway/policy/masks/mask-text.ts';
import { MaskError } from '../../gateway/policy/masks/masked.ts';
import { createTagger } from '../../gateway/policy/masks/tagger.ts';
import { createWhim, cut, cuts, nearlyJson, parsed, spoilt, type Whim, whims, written } from './generate.ts';
import { split } from './properties-sse.ts';

const PLANTED = ['ann@example.org', 'bob.o@x', '<é😀/"\\>@b\u0301'];
const SECRET = /(?:ann@example\.org|bob\.o@x|<é😀\/"\\>@b\u0301)/g;
const MAX_INNER = 4;

const detection = {
  find: (text: string): Finding[] =>
    Array.from(text.matchAll(SECRET), (match) => ({
      start: match.index,
      end: match.index + match[0].length,
      detector: 'email',
    })),
};
const tagger = createTagger(createSecretKey(Buffer.alloc(32, 7)));
const options: MaskOptions = { detection, tagger, where: 'response', replaceBlobs: [] };

const plain = fc
  .array(
    fc.oneof(
      fc.constantFrom(...PLANTED),
      fc.string({ unit: 'grapheme', maxLength: 4 }),
      fc.constantFrom('{', '"', '\\'),
    ),
    {
      maxLength: 4,
    },
  )
  .map((pieces) => pieces.join(''));

/** JSON written into a string, which may hold such a string again. */
interface Inner {
  readonly inner: unknown;
}

const trees: fc.Arbitrary<unknown> = fc.letrec<{ tree: unknown }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 5, withCrossShrink: true },
    fc.oneof({ weight: 3, arbitrary: plain }, { weight: 1, arbitrary: fc.constantFrom(0, -1.5e9, true, null) }),
    fc.array(tie('tree'), { maxLength: 3 }),
    fc.array(fc.tuple(plain, tie('tree')), { maxLength: 3 }).map((members) => Object.fromEntries(members)),
    fc.array(tie('tree'), { maxLength: 2 }).map((inner): Inner => ({ inner })),
  ),
})).tree;

/** The tree with its inner JSON written out. */
function settled(tree: unknown, whim: Whim, depth = 0): unknown {
  if (Array.isArray(tree)) return tree.map((each) => settled(each, whim, depth));
  if (typeof tree !== 'object' || tree === null) return tree;
  if (Object.hasOwn(tree, 'inner') && Object.keys(tree).length === 1) {
    const inner = settled((tree as Inner).inner, whim, depth + 1);
    // What is deeper than masks look is text, where a secret that is written with escapes is none.
    return depth < MAX_INNER ? written(inner, whim) : JSON.stringify(inner).replaceAll(SECRET, '');
  }
  return Object.fromEntries(Object.entries(tree).map(([key, each]) => [key, settled(each, whim, depth)]));
}

const messages = fc.tuple(trees, fc.constantFrom(...PLANTED), whims).map(([tree, id, numbers]) => {
  const whim = createWhim(numbers);
  return {
    jsonrpc: '2.0',
    id,
    result: { nextCursor: id, structuredContent: settled(tree, whim), content: [{ type: 'text', text: id }] },
  };
});

const messageTexts = fc.tuple(messages, whims).map(([message, numbers]) => written(message, createWhim(numbers)));

const replaced = (text: string): string => text.replaceAll(SECRET, (value) => tagger.tag('email', value).tag);

/** `after` is `before` with its secrets replaced, in texts and keys, in JSON in texts, and nothing else. */
function assertMasked(before: unknown, after: unknown, depth = 0): void {
  if (typeof before === 'string') {
    assert.ok(typeof after === 'string');
    const inner =
      depth < MAX_INNER && /^[\ufeff \t\r\n]*[[{]/.test(before) ? parsed(before.replace(/^\ufeff/, '')) : undefined;
    if (inner === undefined) assert.equal(after, replaced(before));
    else assertMasked(inner.value, parsed(after.replace(/^\ufeff/, ''))?.value, depth + 1);
  } else if (typeof before === 'object' && before !== null) {
    assert.ok(typeof after === 'object' && after !== null && Array.isArray(after) === Array.isArray(before));
    const [left, right] = [Object.entries(before), Object.entries(after)];
    assert.equal(right.length, left.length);
    for (const [index, [key, value]] of left.entries()) {
      const [masked, changed] = right[index] ?? [];
      assert.equal(masked, Array.isArray(before) ? key : replaced(key));
      assertMasked(value, changed, depth);
    }
  } else assert.equal(after, before);
}

/** No secret is left, however it may be written, but in the protocol's own places. */
export const json = fc.property(messageTexts, (text) => {
  const bytes = Buffer.from(text);
  const masked = maskJson(bytes, options);
  keptOutside(bytes, masked);
  for (const { at, length, hmac } of masked.spans) {
    const tag = masked.bytes.toString('utf8', at, at + length);
    const value = PLANTED.find((each) => tagger.tag('email', each).tag === tag);
    assert.ok(value !== undefined && tagger.tag('email', value).hmac === hmac);
  }
  const before = parsed(text)?.value as Record<string, Record<string, unknown>>;
  const after = parsed(masked.bytes.toString('utf8'))?.value as typeof before;
  assert.equal(after.id, before.id);
  assert.equal(after.result?.nextCursor, before.result?.nextCursor);
  assertMasked(before.result?.structuredContent, after.result?.structuredContent);
  assertMasked(before.result?.content, after.result?.content);
  assert.equal(maskJson(masked.bytes, options).spans.length, 0);
});

/** What is spoilt is refused where JSON.parse refuses it, and masked where it does not. */
export const spoiltJson = fc.property(fc.oneof(spoilt(messageTexts), nearlyJson), (text) => {
  const bytes = Buffer.from(text);
  const isJson = parsed(bytes.toString('utf8').replace(/^\ufeff/, '')) !== undefined;
  try {
    const masked = maskJson(bytes, options);
    keptOutside(bytes, masked);
    assert.ok(isJson);
    assert.ok(parsed(masked.bytes.toString('utf8').replace(/^\ufeff/, '')) !== undefined);
  } catch (error) {
    if (!(error instanceof MaskError)) throw error;
    assert.ok(!isJson);
  }
});

export const text = fc.property(fc.array(plain, { maxLength: 6 }), (pieces) => {
  const before = pieces.join(' ');
  const bytes = Buffer.from(before);
  const masked = maskText(bytes, options);
  keptOutside(bytes, masked);
  const after = masked.bytes.toString('utf8');
  assert.ok(!PLANTED.some((value) => after.includes(value)));
  if (parsed(before) === undefined) assert.equal(after, replaced(before));
});

/** Lines of an event that are no data, with a secret where one may be replaced. */
const OTHER_LINES = ['id: 7', 'event: message', 'retry: 5', ': ping', `: to ${PLANTED[0]}`, 'zz: 1'];

const events = fc
  .tuple(messageTexts, fc.array(fc.constantFrom(...OTHER_LINES), { maxLength: 3 }), whims)
  .map(([message, others, numbers]) => {
    const whim = createWhim(numbers);
    const end = ['\n', '\r\n', '\r'][whim() % 3] ?? '\n';
    const data = message.split(/\r\n|\r|\n/).map((line) => {
      // One space behind the colon belongs to the field, so data that begins with one needs another.
      return whim() % 2 === 0 || line.startsWith(' ') ? `data: ${line}` : `data:${line}`;
    });
    for (const other of others) data.splice(whim() % (data.length + 1), 0, other);
    return `${data.join(end)}${end}${end}`;
  });

const isOther = (line: string): boolean => !line.startsWith('data') && !line.startsWith(':');

/** The data of a masked event is the masked data of the event, and its other lines are as they were. */
export const event = fc.property(events, (source) => {
  // Comments in front of it are a part of their own.
  const part = split([Buffer.from(source)]).find(({ kind }) => kind === 'event');
  assert.ok(part?.data !== undefined);
  const masked = maskEvent(part, options);
  keptOutside(part.bytes, masked);
  const [after] = split([masked.bytes]);
  assert.ok(after?.data !== undefined);
  assert.equal(after.data.toString(), maskJson(part.data, options).bytes.toString());
  const lines = (each: Buffer) => each.toString().split(/\r\n|\r|\n/);
  assert.deepEqual(lines(masked.bytes).filter(isOther), lines(part.bytes).filter(isOther));
  assert.ok(!lines(masked.bytes).some((line) => line.startsWith(':') && line.includes(PLANTED[0] ?? '')));
});

const maskedAll = (parts: readonly SsePart[]): string =>
  Buffer.concat(parts.map((part) => maskEvent(part, options).bytes)).toString();

/** A stream is masked alike however it is cut. */
export const chunks = fc.property(fc.array(events, { minLength: 1, maxLength: 3 }), cuts, (all, at) => {
  const stream = Buffer.from(`${all.join('')}: to ${PLANTED[1]}\n`);
  const whole = maskedAll(split([stream]));
  assert.equal(maskedAll(split(cut(stream, at))), whole);
  assert.ok(!whole.includes(`: to ${PLANTED[1]}`));
});
