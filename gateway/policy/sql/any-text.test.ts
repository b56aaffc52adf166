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

const joined = (...parts: fc.Arbitrary<string>[]): fc.Arbitrary<string> =>
  fc.tuple(...parts).map((all) => all.join(''));

/** SELECTs in every place where one may stand. Each `?` becomes a table of its own. */
const { select } = fc.letrec<{ select: string; source: string; value: string }>((tie) => ({
  source: fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom('?', '? as x', 's.?', '? x') },
    joined(fc.constant('('), tie('select'), fc.constantFrom(') y', ') as z')),
    joined(tie('source'), fc.constantFrom(' join ', ' left join ', ', ', ' cross join '), tie('source')),
  ),
  value: fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom('1', 'a', '*', 'count(*)', 'x.a', "'from ?'") },
    joined(fc.constantFrom('(', 'exists (', '1 in (', 'not exists ('), tie('select'), fc.constant(')')),
    joined(
      fc.constantFrom('coalesce(1, ', 'abs(', 'sum(', 'case when 1 = 1 then ('),
      tie('value'),
      fc.constantFrom(')', ') end'),
    ),
  ),
  select: joined(
    fc.oneof(
      { weight: 4, arbitrary: fc.constant('') },
      joined(fc.constant('with c as ('), tie('select'), fc.constant(') ')),
    ),
    fc.constantFrom('select ', 'select distinct '),
    tie('value'),
    fc.constant(' from '),
    tie('source'),
    fc.oneof(
      { weight: 3, arbitrary: fc.constant('') },
      joined(fc.constantFrom(' where ', ' group by ', ' order by ', ' having '), tie('value')),
      joined(fc.constantFrom(' union all ', ' union all select a from c, '), tie('select')),
    ),
  ),
}));

for (const [dialect, { GOOD, HOSTILE }] of Object.entries(CORPORA)) {
  const loaded = loadSqlReader(dialect as Dialect);
  const isReadOnly = async (sql: string): Promise<boolean> => {
    const reading = (await loaded).read(sql);
    return reading.ok && reading.readOnly;
  };
  const isOpen = async (sql: string): Promise<boolean> => {
    const reading = (await loaded).read(sql);
    return !reading.ok && /has no end/.test(reading.words);
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
          // What is open at its end takes the other into its text, and is another statement.
          if (!(await isOpen(danger))) assert.equal(await isReadOnly(`${danger}\n;${harmless}`), false);
        }),
        { numRuns: 300 },
      );
    });

    test('no table is lost, wherever it stands', async () => {
      const { read } = await loaded;
      let seen = 0;
      fc.assert(
        fc.property(
          select.filter((sql) => sql.length < 300),
          (template) => {
            const named: string[] = [];
            const sql = template.replace(/'from \?'|\?/g, (place) => {
              if (place !== '?') return place;
              named.push(`t${named.length}`);
              return named.at(-1) ?? '';
            });
            const reading = read(sql);
            if (!reading.ok) return;
            seen++;
            const tables = reading.tables.map((table) => table.split('.').at(-1) ?? '');
            for (const table of named) assert.ok(tables.includes(table), `${table} of ${sql}`);
          },
        ),
        { numRuns: 500 },
      );
      assert.ok(seen > 100, `${seen} were read`);
    });

    test('upper case changes nothing', async () => {
      for (const sql of short(HOSTILE)) assert.equal(await isReadOnly(sql.toUpperCase()), false, sql);
    });
  });
}
