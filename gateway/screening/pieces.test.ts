import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { piecesOf } from './pieces.ts';

test('a text that is one piece is one piece', () => {
  for (const [length, pieces] of [
    [0, 0],
    [1, 1],
    [10_000, 1],
    [10_001, 2],
    [19_500, 2],
    [19_501, 3],
    [150_000, 16],
  ] as const) {
    assert.equal(piecesOf('x'.repeat(length)).length, pieces, String(length));
  }
});

test('nothing is lost, no character is cut, and what is not too long is whole in some piece', () => {
  const letter = fc.constantFrom('a', 'é', '日', '😀', '\ud83d');
  const text = fc.array(letter, { minLength: 1, maxLength: 50 }).map((some) => some.join(''));
  fc.assert(
    fc.property(text, fc.integer({ min: 1, max: 40_000 }), fc.nat(), (seed, length, at) => {
      const whole = seed.repeat(Math.ceil(length / seed.length)).slice(0, length);
      const pieces = piecesOf(whole);
      const start = at % whole.length;
      const part = whole.slice(start, start + 490);
      assert.ok(pieces.some((piece) => piece.includes(part)));
      assert.ok(pieces.every((piece) => piece.length <= 10_000));
      const cuts = pieces.slice(1).filter((piece) => /^[\udc00-\udfff]/.test(piece));
      const ends = pieces.slice(0, -1).filter((piece, index) => {
        return /[\ud800-\udbff]$/.test(piece) && !pieces[index + 1]?.startsWith('\ud83d');
      });
      if (whole.isWellFormed()) assert.deepEqual([cuts, ends], [[], []]);
    }),
    { numRuns: 200 },
  );
});
