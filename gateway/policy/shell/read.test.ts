import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { readShell } from './read.ts';
import { GOOD, HOSTILE } from './shell.corpus.ts';

describe('programs', () => {
  for (const [text, ...programs] of GOOD) {
    test(JSON.stringify(text), () => assert.deepEqual(readShell(text), { ok: true, programs }));
  }
});

describe('refused', () => {
  for (const text of HOSTILE) {
    test(JSON.stringify(text.slice(0, 100)), () => assert.equal(readShell(text).ok, false));
  }
});

const piece = fc.oneof(
  fc.constantFrom(
    '$(',
    ')',
    '`',
    '"',
    "'",
    '\\',
    '\n',
    ' ',
    ';',
    '|',
    '&',
    '<',
    '>',
    '{',
    '}',
    '((',
    '[[',
    'if',
    'rm',
    '$',
    '<<',
  ),
  fc.string({ maxLength: 4 }),
);

test('whatever the text is, an answer comes and no error', () => {
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
      assert.equal(typeof readShell(pieces.join('')).ok, 'boolean');
    }),
    { numRuns: 2000 },
  );
});

test('what is refused is refused in every place where a program may stand', () => {
  const places = [
    'ls; X',
    'ls && X',
    'echo "$(X)"',
    'echo `X`',
    'cat <(X)',
    '(X)',
    '{ X; }',
    'if X; then ls; fi',
    'ls | X',
    '! X',
  ];
  for (const place of places) {
    for (const inner of ['env rm x', 'ls > out', '$CMD x', './x', 'A=1 ls']) {
      assert.equal(readShell(place.replace('X', () => inner)).ok, false, `${place} ${inner}`);
    }
  }
});
