import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseSince } from './sessions.ts';

const NOW = Date.parse('2026-11-22T18:00:00Z');

for (const [text, expected] of [
  ['2026-11-22', '2026-11-22T00:00:00.000Z'],
  ['2026-11-22T18:04Z', '2026-11-22T18:04:00.000Z'],
  ['2026-11-22T18:04:05.5+01:00', '2026-11-22T17:04:05.500Z'],
  ['30m', '2026-11-22T17:30:00.000Z'],
  ['2h', '2026-11-22T16:00:00.000Z'],
  ['3d', '2026-11-19T18:00:00.000Z'],
] as const) {
  test(`since ${text}`, () => assert.equal(parseSince(text, NOW).toISOString(), expected));
}

// A time without a zone would mean another moment on another machine.
for (const text of ['', 'soon', '2h ago', '-2h', '2026-13-01', '2026-11-22T18:04', '1.5h']) {
  test(`since ${JSON.stringify(text)} is refused`, () => {
    assert.throws(() => parseSince(text, NOW), { name: 'CommandError', exitCode: 2 });
  });
}
