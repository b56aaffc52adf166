/** For tests: a small detection, and what every masking must have kept. */
import assert from 'node:assert/strict';
import { createSecretKey } from 'node:crypto';
import type { Finding } from './detector.ts';
import type { MaskOptions } from './mask-json.ts';
import type { Masked } from './masked.ts';
import { createTagger } from './tagger.ts';

const EMAIL = /[^\s@"'<>,:;{}()[\]\\/]+@[^\s@"'<>,:;{}()[\]\\/]+/g;
const SSN = /\bssn: ?(\d{9})\b/gi;
const NOTE = /<note>[^<]*<\/note>/g;

export const detection = {
  find(value: string, before = ''): Finding[] {
    const lead = before === '' ? '' : `${before}: `;
    const text = lead + value;
    const found: Finding[] = [];
    for (const match of text.matchAll(EMAIL)) {
      found.push({ start: match.index, end: match.index + match[0].length, detector: 'email' });
    }
    for (const match of text.matchAll(SSN)) {
      found.push({ start: match.index + match[0].length - 9, end: match.index + match[0].length, detector: 'ssn' });
    }
    for (const match of text.matchAll(NOTE)) {
      found.push({ start: match.index, end: match.index + match[0].length, detector: 'note' });
    }
    return found
      .filter(({ end }) => end > lead.length)
      .map((one) => ({ ...one, start: Math.max(0, one.start - lead.length), end: one.end - lead.length }));
  },
};

export const tagger = createTagger(createSecretKey(Buffer.alloc(32, 7)));

export const answers: MaskOptions = { detection, tagger, where: 'response', replaceBlobs: [] };
export const requests: MaskOptions = { ...answers, where: 'request' };

/** The masked text with its tags shortened to `[email]`; what lies outside the spans is checked against the original. */
export function shown(before: Buffer, { bytes, spans }: Masked): string {
  keptOutside(before, { bytes, spans });
  return bytes.toString('utf8').replaceAll(/\[(\w+):[0-9a-f]{8}\]/g, '[$1]');
}

/** Every byte outside a span is one that was there, in the same order, from the first to the last. */
export function keptOutside(before: Buffer, { bytes, spans }: Masked): void {
  if (spans.length === 0) assert.equal(bytes, before);
  let at = 0;
  const outside = [...spans.map(({ at, length }) => [at, at + length] as const), [bytes.length, bytes.length] as const];
  const pieces = outside.map(([start, end]) => {
    assert.ok(start >= at && end >= start && end <= bytes.length);
    const piece = bytes.subarray(at, start);
    at = end;
    return piece;
  });
  const [first = bytes, ...rest] = pieces;
  const last = rest.pop();
  if (last === undefined) return;
  assert.ok(before.subarray(0, first.length).equals(first));
  assert.ok(before.subarray(before.length - last.length).equals(last));
  let from = first.length;
  for (const piece of rest) {
    const found = before.indexOf(piece, from);
    assert.ok(found >= 0 && found + piece.length <= before.length - last.length);
    from = found + piece.length;
  }
}
