import assert from 'node:assert/strict';
import { test } from 'node:test';
import { capacityOf, type Fill, isAtLeast, type Mark, markOf } from './watermark.ts';

const GiB = 1024 ** 3;
const MiB = 1024 ** 2;
const ROOMY = { limit: 10 * GiB, free: 100 * GiB, total: 200 * GiB };

const MET: [string, Partial<Fill>, Mark][] = [
  ['nothing is used', { used: 0 }, 'none'],
  ['below the first share', { used: 7 * GiB - 1 }, 'none'],
  ['70 % of the limit', { used: 7 * GiB }, 'warn'],
  ['85 % of the limit', { used: 8.5 * GiB }, 'sessions'],
  ['95 % of the limit', { used: 9.5 * GiB }, 'calls'],
  ['the limit', { used: 10 * GiB }, 'answers'],
  ['others leave 1 GiB', { used: 0, free: GiB }, 'warn'],
  ['others leave 512 MiB', { used: 0, free: 512 * MiB }, 'sessions'],
  ['others leave 256 MiB', { used: 0, free: 256 * MiB }, 'calls'],
  ['others leave 128 MiB', { used: 0, free: 128 * MiB }, 'answers'],
  ['others leave nothing', { used: 0, free: 0 }, 'answers'],
  ['a small disk is warned of at a fifth', { used: 0, free: 20 * MiB, total: 100 * MiB }, 'warn'],
  ['a small disk is not full at 256 MiB', { used: 0, free: 90 * MiB, total: 100 * MiB }, 'none'],
];

for (const [what, fill, mark] of MET) {
  test(`${what}: ${mark}, at once`, () => {
    assert.equal(markOf('none', { ...ROOMY, used: 0, ...fill }), mark);
  });
}

test('a mark is left only well below it', () => {
  const at = (before: Mark, used: number): Mark => markOf(before, { ...ROOMY, used: used * GiB });
  assert.equal(at('calls', 9.4), 'calls', 'one call more or less changes nothing');
  assert.equal(at('calls', 8.99), 'sessions');
  assert.equal(at('sessions', 8.1), 'sessions');
  assert.equal(at('sessions', 7.9), 'warn');
  assert.equal(at('answers', 0), 'none');
  const left = (before: Mark, free: number): Mark => markOf(before, { ...ROOMY, used: 0, free: free * MiB });
  assert.equal(left('calls', 300), 'calls');
  assert.equal(left('calls', 321), 'sessions');
});

test('a mark is never held by where it was before a stop', () => {
  assert.equal(markOf('none', { ...ROOMY, used: 9.4 * GiB }), 'sessions');
});

test('what the journal may hold is its limit, or what the disk leaves it', () => {
  assert.equal(capacityOf({ ...ROOMY, used: GiB }), 10 * GiB);
  // Calls are refused at 95 % of it, and that is where the disk says so, too.
  const fill = { limit: 10 * GiB, used: GiB, free: 512 * MiB, total: 200 * GiB };
  assert.equal(Math.round(capacityOf(fill) * 0.95), GiB + 256 * MiB);
  assert.ok(capacityOf({ ...fill, used: 0, free: 0 }) >= 1);
});

test('marks are in order', () => {
  assert.ok(isAtLeast('answers', 'calls') && isAtLeast('calls', 'calls') && !isAtLeast('sessions', 'calls'));
});
