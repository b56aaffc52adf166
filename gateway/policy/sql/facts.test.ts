/** Commands, tables and functions of statements that do more than read: what rules that deny go by. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Dialect } from '../statement.ts';
import { loadSqlReader } from './read.ts';

interface Facts {
  readonly commands: readonly string[];
  readonly tables?: readonly string[];
  readonly functions?: readonly string[];
}

const TABLE: readonly (readonly [Dialect, sql: string, Facts])[] = [
  ['postgresql', 'DROP TABLE Orders, "Lines"', { commands: ['DROP TABLE'], tables: ['Lines', 'orders'] }],
  ['postgresql', 'drop materialized view a.b', { commands: ['DROP MATERIALIZED VIEW'], tables: ['a.b'] }],
  ['postgresql', 'drop function f(int)', { commands: ['DROP FUNCTION'] }],
  ['postgresql', 'alter table t rename column a to b', { commands: ['ALTER TABLE'], tables: ['t'] }],
  ['postgresql', 'create index i on t (a)', { commands: ['CREATE INDEX'], tables: ['t'] }],
  ['postgresql', 'truncate a, b.c', { commands: ['TRUNCATE'], tables: ['a', 'b.c'] }],
  [
    'postgresql',
    'with a as (delete from t returning *) select * from a',
    { commands: ['DELETE', 'SELECT'], tables: ['t'] },
  ],
  ['postgresql', 'with t as (select 1) delete from t', { commands: ['DELETE', 'SELECT'], tables: ['t'] }],
  [
    'postgresql',
    'explain analyze update t set a = lower(b)',
    { commands: ['EXPLAIN', 'UPDATE'], tables: ['t'], functions: ['lower'] },
  ],
  ['postgresql', 'select * into x from t', { commands: ['CREATE TABLE', 'SELECT'], tables: ['t', 'x'] }],
  [
    'postgresql',
    'with a as (select * from b), b as (select 1) select * from a, b',
    { commands: ['SELECT'], tables: ['b'] },
  ],
  ['postgresql', 'select * from (with a as (select 1) select * from a) x, a', { commands: ['SELECT'], tables: ['a'] }],
  ['postgresql', 'with a as (select 1) select * from s.a', { commands: ['SELECT'], tables: ['s.a'] }],
  ['postgresql', 'select U&"\\0070g_sleep"(1)', { commands: ['SELECT'], functions: ['pg_sleep'] }],
  ['postgresql', 'select pg_catalog.lower(a), s.f(1)', { commands: ['SELECT'], functions: ['lower', 's.f'] }],
  ['postgresql', 'grant select on t to x', { commands: ['GRANT'], tables: ['t'] }],
  ['postgresql', 'revoke select on t from x', { commands: ['REVOKE'], tables: ['t'] }],
  ['postgresql', 'begin; rollback', { commands: ['BEGIN', 'ROLLBACK'] }],
  ['mysql', 'drop table a, s.b', { commands: ['DROP TABLE'], tables: ['a', 's.b'] }],
  [
    'mysql',
    'create temporary table x as select * from t',
    { commands: ['CREATE TABLE', 'SELECT'], tables: ['t', 'x'] },
  ],
  ['mysql', 'insert into a select * from b', { commands: ['INSERT', 'SELECT'], tables: ['a', 'b'] }],
  ['mysql', 'replace into a values (1)', { commands: ['REPLACE'], tables: ['a'] }],
  ['mysql', 'desc t', { commands: ['DESCRIBE'], tables: ['t'] }],
  ['mysql', 'with c as (select * from c) select * from c', { commands: ['SELECT'], tables: ['c'] }],
  ['mysql', 'with c as (select 1) select * from s.c', { commands: ['SELECT'], tables: ['s.c'] }],
  ['mysql', 'select * from a where x in (select y from b)', { commands: ['SELECT'], tables: ['a', 'b'] }],
  ['mysql', 'select `Sleep` (1), s.f(2)', { commands: ['SELECT'], functions: ['s.f', 'sleep'] }],
  ['bigquery', 'select * from `p.d.t`, p.d.u', { commands: ['SELECT'], tables: ['p.d.t', 'p.d.u'] }],
  ['bigquery', 'drop table d.t', { commands: ['DROP TABLE'], tables: ['d.t'] }],
  [
    'bigquery',
    'create or replace table d.x as select * from d.t',
    { commands: ['CREATE TABLE', 'SELECT'], tables: ['d.t', 'd.x'] },
  ],
  [
    'bigquery',
    'select safe.lower(a), d.f(1) from d.t',
    { commands: ['SELECT'], tables: ['d.t'], functions: ['d.f', 'safe.lower'] },
  ],
  ['sqlite', 'DELETE FROM Main.Orders', { commands: ['DELETE'], tables: ['main.orders'] }],
  ['sqlite', 'drop table if exists a', { commands: ['DROP TABLE'], tables: ['a'] }],
  ['sqlite', 'insert or replace into t select * from u', { commands: ['INSERT', 'SELECT'], tables: ['t', 'u'] }],
];

for (const [dialect, sql, { commands, tables = [], functions = [] }] of TABLE) {
  test(`${dialect}: ${sql}`, async () => {
    const reading = (await loadSqlReader(dialect)).read(sql);
    assert.ok(reading.ok, JSON.stringify(reading));
    assert.deepEqual(
      { commands: reading.commands, tables: reading.tables, functions: reading.functions },
      { commands, tables, functions },
    );
  });
}
