import assert from 'node:assert/strict';
import { test } from 'node:test';
import { medianOf, slopeOf } from './flatness.ts';

const samples = (value: (at: number) => number) =>
  Array.from({ length: 60 }, (_, at) => ({ at: at * 10, value: value(at * 10) }));

test('a steady rise is its slope, and bursts do not move it', () => {
  assert.equal(slopeOf(samples((at) => 100 + 3 * at)), 3);
  assert.equal(slopeOf(samples((at) => (at % 50 === 0 ? 10_000 : 100 + 3 * at))), 3);
  assert.equal(slopeOf(samples((at) => (at % 20 === 0 ? 100 : 120))), 0);
  assert.equal(slopeOf([]), 0);
});

test('a median', () => {
  assert.equal(medianOf([3, 1, 2]), 2);
  assert.equal(medianOf([4, 1, 2, 3]), 2.5);
});
