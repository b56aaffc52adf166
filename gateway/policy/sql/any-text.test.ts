/** Whatever the text is: an answer comes, it is no error, and a danger stays one. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Dialect } from '../statement.ts';
import * as bigquery from './bigquery.corpus.ts';
import * as mysql from './mysql.corpus.ts';
import * as postgresql from './postgresql.corpus.ts';
import { loadSqlReader } from './read.ts';
import * as sqlite from './sqlite.corpus.ts';

const CORPORA = { postgresql, mysql, bigquery, sqlite };
/** A parser that one of these broke would read none of the others. */
const short = (texts: readonly string[]): string[] => texts.filter((text) => text.length < 10_000);

const PIECES = [
  ...[
    'select',
    'from',
    'where',
    'with',
    'as',
    'union',
    'into',
    'drop table',
    'delete from',
    'update t set a = 1',
    'explain',
  ],
  ...[
    't',
    'a',
    'lower(',
    'sleep(',
    '(',
    ')',
    ',',
    ';',
    '*',
    '1',
    '=',
    '.',
    "'",
    '"',
    '`',
    '--',
    '/*',
    '*/',
    '#',
    '$$',
    '\\',
    '@a',
  ],
  ...[
    ' ',
    '\n',
    '\r',
    ':=',
    '::',
    '[',
    ']',
    'for update',
    'null',
    'case when',
    'end',
    "'x'",
    'order by',
    'limit 1',
    '@@',
    '/*!',
  ],
];
const text = fc
  .array(fc.oneof({ weight: 8, arbitrary: fc.constantFrom(...PIECES) }, fc.string({ maxLength: 3 })), { maxLength: 30 })
  .map((pieces) => pieces.join(' '));

/** What may stand before a statement without changing it, and what only seems to. */
const prefix = fc
  .array(
    fc.constantFrom(
      ' ',
      '\n',
      '\t',
      '\r\n',
      ';',
      '-- c\n',
      '-- select 1\n',
      '/* c */',
      '# c\n',
      '/**/',
      '\ufeff',
      '\u00a0',
      '\r',
      '(',
    ),
    { maxLength: 5 },
  )
  .map((pieces) => pieces.join(''));

for (const [dialect, { GOOD, HOSTILE }] of Object.entries(CORPORA)) {
  const loaded = loadSqlReader(dialect as Dialect);
  const isReadOnly = async (sql: string): Promise<boolean> => {
    const reading = (await loaded).read(sql);
    return reading.ok && reading.readOnly;
  };
  describe(dialect, () => {
    test('any text is answered', async () => {
      const { read } = await loaded;
      fc.assert(
        fc.property(text, (sql) => {
          const reading = read(sql);
          // Either it says what it does, or why it can't.
          assert.ok(reading.ok ? reading.commands.length > 0 : reading.words !== '');
        }),
        { numRuns: 500 },
      );
    });

    test('a danger behind comments and spaces, or behind and before a good statement, stays one', async () => {
      const hostile = fc.constantFrom(
        ...short(HOSTILE).filter((sql) => sql.trim() !== '' && !/^(?:--|#|\/\*|;)/.test(sql)),
      );
      const good = fc.constantFrom(...GOOD.map(([sql]) => sql));
      await fc.assert(
        fc.asyncProperty(prefix, hostile, good, async (before, danger, harmless) => {
          assert.equal(await isReadOnly(before + danger), false);
          assert.equal(await isReadOnly(`${harmless}\n;${danger}`), false);
          assert.equal(await isReadOnly(`${danger}\n;${harmless}`), false);
        }),
        { numRuns: 300 },
      );
    });

    test('upper case changes nothing', async () => {
      for (const sql of short(HOSTILE)) assert.equal(await isReadOnly(sql.toUpperCase()), false, sql);
    });
  });
}
