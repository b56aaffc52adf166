import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import fc from 'fast-check';
import { createTerminal, cut, escapeForTerminal, type Screen, table } from './terminal.ts';

const HOSTILE: readonly [string, string][] = [
  ['\u001b[2J', '\\u{1b}[2J'],
  ['\u009b31m', '\\u{9b}31m'],
  ['a\rb', 'a\\u{d}b'],
  ['a\tb\nc', 'a\\u{9}b\\u{a}c'],
  ['\u0000\u007f', '\\u{0}\\u{7f}'],
  ['abc\u202edcba', 'abc\\u{202e}dcba'],
  ['\u2066x\u2069', '\\u{2066}x\\u{2069}'],
  ['z\u200bw\u200dj\ufeff', 'z\\u{200b}w\\u{200d}j\\u{feff}'],
  ['line\u2028par\u2029', 'line\\u{2028}par\\u{2029}'],
  ['\ud800x\udc00', '\\u{d800}x\\u{dc00}'],
  ['tag\u{e0041}', 'tag\\u{e0041}'],
  ['filler\u3164\u034f\u00ad', 'filler\\u{3164}\\u{34f}\\u{ad}'],
  ['plain ünïcode 漢字 🙂 \\ "', 'plain ünïcode 漢字 🙂 \\ "'],
];

for (const [text, expected] of HOSTILE) {
  test(`escaped for a terminal: ${JSON.stringify(text)}`, () => assert.equal(escapeForTerminal(text), expected));
}

test('newlines stay only where asked for', () => {
  assert.equal(escapeForTerminal('a\nb\r\n', { keepNewlines: true }), 'a\nb\\u{d}\n');
});

test('nothing that a terminal obeys or hides survives', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      assert.equal(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{DI}]/u.test(escapeForTerminal(text)), false);
    }),
  );
});

test('cut counts code points', () => {
  assert.equal(cut('🙂🙂🙂', 3), '🙂🙂🙂');
  assert.equal(cut('🙂🙂🙂🙂', 3), '🙂🙂…');
});

function screen(isTTY: boolean, columns = 40): Screen {
  return Object.assign(new PassThrough(), { isTTY, columns });
}

test('colours only on a terminal that wants them', () => {
  assert.equal(createTerminal(screen(true), {}).paint('red', 'x'), '\u001b[31mx\u001b[0m');
  for (const [tty, env] of [
    [false, {}],
    [true, { NO_COLOR: '1' }],
    [true, { TERM: 'dumb' }],
  ] as const) {
    assert.equal(createTerminal(screen(tty), env).paint('red', 'x'), 'x');
  }
  assert.equal(createTerminal(screen(true), { NO_COLOR: '' }).paint('red', 'x'), '\u001b[31mx\u001b[0m');
});

test('a table fits the terminal, and is whole where nobody looks', () => {
  const columns = [
    { title: 'ID', value: (row: { id: string; who: string; n: number }) => row.id },
    { title: 'WHO', value: (row: { who: string }) => row.who, flexible: true as const },
    { title: 'N', value: (row: { n: number }) => String(row.n), align: 'right' as const },
  ];
  const rows = [{ id: 'abc', who: `somebody-${'x'.repeat(40)}\u001b[31m`, n: 12 }];
  const narrow = table(createTerminal(screen(true), { NO_COLOR: '1' }), columns, rows);
  assert.deepEqual(narrow, [`ID   WHO${' '.repeat(28)}   N`, `abc  somebody-${'x'.repeat(21)}…  12`]);
  const [, whole] = table(createTerminal(screen(false), {}), columns, rows);
  assert.equal(whole, `abc  somebody-${'x'.repeat(40)}\\u{1b}[31m  12`);
});
