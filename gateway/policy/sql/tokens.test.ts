/** What the tokens say stands beside what the tree says: each is tried without the other. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scan, type Token } from './scan.ts';
import { callsIn, commandIn, statementsOf, writesByWord } from './tokens.ts';

function tokensOf(sql: string): readonly Token[] {
  const scanned = scan(sql, 'mysql');
  assert.ok(scanned.ok);
  return scanned.tokens;
}

test('words of statements that write', () => {
  for (const sql of [
    'select 1 into x',
    'select 1 for share',
    'select 1 lock in share mode',
    'select @a := 1',
    'select 1 procedure analyse()',
    'with a as (delete from t) select 1',
    'explain analyze select 1',
    'select 1 INTO outfile "x"',
  ]) {
    assert.equal(writesByWord(tokensOf(sql)), true, sql);
  }
  for (const sql of [
    'select replace(a, b, c), insert(a, 1, 2, b)',
    'select t.update from t',
    'select `into`, "into"',
    'select a::b',
  ]) {
    assert.equal(writesByWord(tokensOf(sql)), false, sql);
  }
});

test('names before a parenthesis', () => {
  const table: readonly (readonly [sql: string, ctes: string[], ...calls: string[]])[] = [
    ['select f(1), `G` (2), s . h(3)', [], 'f', 'g', 's.h'],
    ['select 1 in (2), exists (select 3), cast(a as decimal(1, 2))', [], 'cast'],
    ['select `in`(1), s.exists(2)', [], 'in', 's.exists'],
    ['with c (a, b) as (select 1, 2) select c(1)', ['c'], 'c'],
    ['with c (a) as (select 1), d (a) as (select 2) select 1', ['c', 'd']],
    ['select 1, c (2) as d', ['c'], 'c'],
  ];
  for (const [sql, ctes, ...calls] of table) assert.deepEqual(callsIn(tokensOf(sql), new Set(ctes)), calls, sql);
});

test('the command that a statement begins with', () => {
  const table: readonly (readonly [sql: string, command: string | undefined])[] = [
    ['select 1', 'SELECT'],
    ['drop table if exists t', 'DROP TABLE'],
    ['create or replace temporary view v as select 1', 'CREATE VIEW'],
    ['create unique index i on t (a)', 'CREATE INDEX'],
    ['create `table` x', 'CREATE'],
    ['desc t', 'DESCRIBE'],
    ['with a as (select 1) delete from t', undefined],
    ['(select 1)', undefined],
  ];
  for (const [sql, command] of table) assert.equal(commandIn(tokensOf(sql)), command, sql);
});

test('statements between semicolons', () => {
  const statements = statementsOf(tokensOf("select ';'; ; drop table t;"));
  assert.deepEqual(
    statements.map((statement) => statement[0]?.text),
    ['select', 'drop'],
  );
});
