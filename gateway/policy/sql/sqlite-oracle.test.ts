/** SQLite itself says what a statement would touch: it asks for leave before it is run. */
import assert from 'node:assert/strict';
import { constants, DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import fc from 'fast-check';
import { loadSqlReader } from './read.ts';
import { GOOD } from './sqlite.corpus.ts';

const READS: ReadonlySet<number> = new Set([
  constants.SQLITE_READ,
  constants.SQLITE_SELECT,
  constants.SQLITE_FUNCTION,
  constants.SQLITE_RECURSIVE,
]);

const TABLES = ['customers', 'orders', 'refunds', 'a', 'b', 't', 'u', 'events', 'order lines'];

function open() {
  const database = new DatabaseSync(':memory:');
  for (const table of TABLES) {
    database.exec(
      `create table "${table}" (id, a, b, x, name, total, status, created_at, customer_id, order_id, amount, data, "Weird Name")`,
    );
  }
  return {
    /** What it asks leave for; undefined where it does not know the statement. */
    touched(sql: string): { writes: boolean; tables: Set<string>; functions: Set<string> } | undefined {
      const found = { writes: false, tables: new Set<string>(), functions: new Set<string>() };
      database.setAuthorizer((action, first, second) => {
        if (!READS.has(action)) found.writes = true;
        // Of what no column is used it names no column, and then CTEs, too.
        if (action === constants.SQLITE_READ && first !== null && second !== '') found.tables.add(first.toLowerCase());
        if (action === constants.SQLITE_FUNCTION && second !== null) found.functions.add(second.toLowerCase());
        return constants.SQLITE_OK;
      });
      try {
        database.prepare(sql);
        return found;
      } catch {
        return undefined;
      } finally {
        database.setAuthorizer(null);
      }
    },
  };
}

/** Names of operators, and of what SQLite puts in by itself. */
const OPERATORS: ReadonlySet<string> = new Set(['like', 'glob', 'regexp', 'match', '->', '->>', 'current_timestamp']);

const withoutSchema = (table: string): string => table.split('.').at(-1) ?? '';

test('what SQLite reads for the good ones is what the reader says', async () => {
  const { read } = await loadSqlReader('sqlite');
  const { touched } = open();
  let asked = 0;
  for (const [sql, ...tables] of GOOD) {
    const found = touched(sql);
    if (found === undefined) continue;
    asked++;
    assert.equal(found.writes, false, sql);
    const reading = read(sql);
    assert.ok(reading.ok);
    for (const table of found.tables) {
      if (table === 'pragma_table_info') continue;
      assert.ok(tables.map(withoutSchema).includes(table), `${sql}: SQLite reads ${table}`);
    }
    for (const name of found.functions)
      assert.ok(OPERATORS.has(name) || reading.functions.includes(name), `${sql}: ${name}`);
  }
  assert.ok(asked >= GOOD.length - 3);
});

const joined = (...parts: fc.Arbitrary<string>[]): fc.Arbitrary<string> =>
  fc.tuple(...parts).map((all) => all.join(''));
const word = (...words: string[]): fc.Arbitrary<string> => fc.constantFrom(...words);

/** SELECTs in and beside one another, with names that are tables here and CTEs there, spelled in every way. */
const { select } = fc.letrec<{ select: string; source: string; value: string; cte: string }>((tie) => ({
  cte: joined(word('t', 'u', 'A', '"b"', 'c'), word(' as (', ' as(', '/**/as\n('), tie('select'), word(')')),
  source: fc.oneof(
    {
      weight: 4,
      arbitrary: word('t', 'U', '"t"', '`a`', 'b', 'c', 'main.t', 'MAIN . "u"', 't as x', "json_each('[]')"),
    },
    joined(word('('), tie('select'), word(') y')),
    joined(tie('source'), word(' join ', ' left join ', ', ', '\ncross join '), tie('source')),
  ),
  value: fc.oneof(
    {
      weight: 3,
      arbitrary: word(
        '1',
        'a',
        'id',
        '*',
        "'--'",
        'null',
        '*',
        'count(*)',
        'lower(1)',
        'LOWER (2)',
        '"upper"(3)',
        'random()',
        'quote(4)',
      ),
    },
    joined(word('(', 'exists (', '1 in (', 'not exists ('), tie('select'), word(')')),
    joined(word('coalesce(1, ', 'abs(', 'case when 1 then ('), tie('value'), word(')', ') end')),
  ),
  select: joined(
    fc.oneof(
      { weight: 3, arbitrary: fc.constant('') },
      joined(word('with ', 'with recursive '), tie('cte'), word(' ', ' -- c\n')),
    ),
    word('select ', 'SELECT/* */', 'select distinct '),
    tie('value'),
    fc.oneof(fc.constant(''), joined(word(' from '), tie('source'))),
    fc.oneof(
      { weight: 3, arbitrary: fc.constant('') },
      joined(word(' where ', ' limit ', ' union select ', ' union all select '), tie('value')),
    ),
  ),
}));

test('SQLite asks for no more than the reader says, and for no other tables', async () => {
  const { read } = await loadSqlReader('sqlite');
  const { touched } = open();
  let both = 0;
  fc.assert(
    fc.property(select, (sql) => {
      const reading = read(sql);
      if (!reading.ok || !reading.readOnly) return;
      const found = touched(sql);
      if (found === undefined) return;
      both++;
      assert.equal(found.writes, false);
      for (const table of found.tables) {
        assert.ok(table === 'json_each' || reading.tables.map(withoutSchema).includes(table), table);
      }
      for (const name of found.functions) assert.ok(OPERATORS.has(name) || reading.functions.includes(name), name);
    }),
    { numRuns: 1000 },
  );
  assert.ok(both > 100, `${both} statements that both know`);
});
