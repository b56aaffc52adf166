import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Dialect } from '../statement.ts';
import * as bigquery from './bigquery.corpus.ts';
import * as mysql from './mysql.corpus.ts';
import * as postgresql from './postgresql.corpus.ts';
import { loadSqlReader } from './read.ts';
import * as sqlite from './sqlite.corpus.ts';

const CORPORA = { postgresql, mysql, bigquery, sqlite };

for (const [dialect, { GOOD, HOSTILE }] of Object.entries(CORPORA)) {
  const loaded = loadSqlReader(dialect as Dialect);
  describe(`${dialect}: only reads`, () => {
    for (const [sql, ...tables] of GOOD) {
      test(JSON.stringify(sql), async () => {
        const reading = (await loaded).read(sql);
        assert.ok(reading.ok, JSON.stringify(reading));
        assert.deepEqual([reading.readOnly, reading.notReadOnly, reading.tables], [true, undefined, tables]);
      });
    }
  });
  describe(`${dialect}: never read-only`, () => {
    for (const sql of HOSTILE) {
      test(JSON.stringify(sql.slice(0, 100)), async () => {
        const reading = (await loadSqlReader(dialect as Dialect)).read(sql);
        assert.equal(reading.ok && reading.readOnly, false, JSON.stringify(reading));
      });
    }
  });
}
