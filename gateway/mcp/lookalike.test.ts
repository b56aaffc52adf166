import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLookalikes } from './lookalike.ts';

test('a key that a reader without regard to case takes for another', () => {
  const has = createLookalikes(['tools', 'link']);
  for (const [value, expected] of [
    [{ tools: 1, link: 2, other: 3 }, false],
    [{ Tools: 1 }, true],
    [{ tools: 1, TOOLS: 2 }, true],
    // Unicode's simple folding: long s, Kelvin sign.
    [{ 'tool\u017f': 1 }, true],
    [{ 'lin\u212a': 1 }, true],
    [{ tool: 1, toolset: 2, ' tools': 3, 'tools\n': 4 }, false],
    [['Tools'], false],
    ['Tools', false],
    [null, false],
    [undefined, false],
  ] as const) {
    assert.equal(has(value), expected, JSON.stringify(value));
  }
});
