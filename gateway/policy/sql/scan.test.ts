import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Dialect } from '../statement.ts';
import { scan } from './scan.ts';

const ALL: readonly Dialect[] = ['postgresql', 'mysql', 'bigquery', 'sqlite'];
const except = (...without: Dialect[]): Dialect[] => ALL.filter((dialect) => !without.includes(dialect));

/** A text, the dialects that refuse it, and what it is an example of. The others take it. */
const TABLE: readonly (readonly [text: string, refusedIn: readonly Dialect[], of: string])[] = [
  ['a -- b\n c', [], 'a comment'],
  ['a --b\n c', ['mysql'], 'no space behind two dashes'],
  ['a --', [], 'an empty comment'],
  ['a /* b */ c', [], 'a comment'],
  ['a /* -- */ c', [], 'a comment'],
  ["a -- it's\n c", [], 'a quote in a comment'],
  ["a /* it's */ c", [], 'a quote in a comment'],
  ["'--' 'a'", [], 'dashes in text'],
  ['a /* /* */ c', ALL, 'a comment in a comment'],
  ['a /*! b */', ALL, 'a comment that is run'],
  ['a /*M! b */', ALL, 'a comment that MariaDB runs'],
  ['a /*+ b */', ALL, 'a hint'],
  ['a /* b', ALL, 'a comment without end'],
  ['a /*/', ALL, 'a comment without end'],
  ['a # b\n', ['sqlite'], 'a hash'],
  ["a # it's\n", ['postgresql', 'sqlite'], 'a quote behind a hash'],
  ['a -- b\r drop', ALL, 'a lone CR in a comment'],
  ['a -- b\r\n c', [], 'CRLF'],
  ['a\r\nb', [], 'CRLF'],
  ['a\rb', ALL, 'a lone CR'],
  ['a /* \r */ b', ALL, 'a lone CR in a comment'],
  ['a /* \u2028 */ b', ALL, 'a line separator in a comment'],
  ['a\fb', ALL, 'a form feed'],
  ['a\u007fb', ALL, 'DEL'],
  ['a\u00a0b', ALL, 'a space beyond ASCII'],
  ['\ufeffa', ALL, 'a byte order mark'],
  ['größe', ALL, 'a letter beyond ASCII'],
  ["'größe \u00a0'", [], 'letters beyond ASCII in text'],
  ["a '\0'", ALL, 'NUL'],
  ["a '\ud800'", ALL, 'a lone surrogate'],
  ["'it''s'", ['bigquery'], 'a doubled quote'],
  ["'' a", [], 'empty text'],
  ["'a", ALL, 'text without end'],
  ["'a''", ALL, 'text without end'],
  ["'a\\'b'", ALL, 'a backslash before a quote'],
  ["'a\\\\' b", ALL, 'backslashes before a quote'],
  ["'a\\nb'", [], 'a backslash in text'],
  ["'a\nb'", ['bigquery'], 'text over two lines'],
  ["r'a'", ['bigquery'], 'raw text'],
  ["B'a'", ['bigquery'], 'bytes'],
  ["E'a'", [], 'a prefix'],
  ['"a" b', [], 'double quotes'],
  ['"a', ALL, 'a double quote without end'],
  ['"" a', ['postgresql', 'sqlite'], 'an empty name'],
  ['"a\u0001" b', ['postgresql', 'sqlite'], 'a control character in a name'],
  ['`a` b', [], 'backticks'],
  ['`a b', except('postgresql'), 'a backtick without end'],
  ['`a\\n` b', ALL, 'a backslash in a name, or outside of text'],
  ['a \\ b', ALL, 'a backslash'],
  ['a$b', ['bigquery'], 'a dollar in a word'],
  ['a $1', except('postgresql'), 'a parameter'],
  ["a $$it's$$", except('postgresql'), 'dollar quotes'],
  ["a $x$it's $$ $x$", except('postgresql'), 'dollar quotes with a tag'],
  ['a $x$ b', ALL, 'dollar quotes without end'],
  ['a $ b', ALL, 'a dollar alone'],
  ['1.5e3 0x1F 1e5 .5', [], 'numbers'],
  ['1a', ALL, 'a number that goes on'],
  ['0xg', ALL, 'a number that goes on'],
  ["'a' (1)", ALL, 'text that is called'],
  ["'a' + (1)", [], 'a parenthesis'],
  [`${'('.repeat(16)}1${')'.repeat(16)}`, [], '16 parentheses'],
  [`${'('.repeat(17)}1${')'.repeat(17)}`, ALL, '17 parentheses'],
  [`${'['.repeat(9)}${'('.repeat(8)}1`, ALL, 'brackets and parentheses'],
  ['(1)'.repeat(100), [], 'parentheses one after another'],
  [`a ${'b '.repeat(32_767)}`, [], '64 KiB'],
  [`a ${'b '.repeat(32_767)} `, ALL, 'more than 64 KiB'],
  [`'${'\u20ac'.repeat(22_000)}'`, ALL, 'more than 64 KiB of UTF-8'],
  ['', ALL, 'nothing'],
  [' ;\n; ', ALL, 'nothing'],
  ['-- a', ALL, 'nothing but a comment'],
];

for (const dialect of ALL) {
  describe(dialect, () => {
    for (const [text, refusedIn, of] of TABLE) {
      const refused = refusedIn.includes(dialect);
      test(`${of}: ${JSON.stringify(text.slice(0, 40))} is ${refused ? 'refused' : 'taken'}`, () => {
        assert.equal(scan(text, dialect).ok, !refused);
      });
    }
  });
}

test('tokens: what stands in comments and text is not among them', () => {
  const scanned = scan('SELECT "a""b", \'x\' -- c\n FROM t;', 'postgresql');
  assert.ok(scanned.ok);
  assert.deepEqual(
    scanned.tokens.map(({ kind, text }) => `${kind} ${text}`),
    ['word SELECT', 'name a"b', 'sign ,', 'text ', 'word FROM', 'word t', 'sign ;'],
  );
});

test('words about a refusal hold nothing of the text', () => {
  const secret = 'hunter2';
  for (const text of [`'${secret}`, `${secret}\\`, `/* ${secret}`, `1${secret}`, `"${secret}`]) {
    const scanned = scan(text, 'postgresql');
    assert.ok(!scanned.ok && !scanned.words.includes(secret));
  }
});

test('64 KiB of whatever character take no time', () => {
  const started = performance.now();
  for (const piece of [
    "'",
    '"',
    '`',
    '/*',
    '--',
    '$',
    '$$',
    '\\',
    '(',
    '*/',
    'a',
    '1',
    ' ',
    '#',
    "''",
    '$a$ ',
    'a.',
    '-- \n',
  ]) {
    for (const dialect of ALL) scan(piece.repeat(64_000 / piece.length), dialect);
  }
  assert.ok(performance.now() - started < 5000);
});
