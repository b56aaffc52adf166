/** In a file of its own: what breaks here is broken for the rest of the process. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadSqlReader } from './read.ts';

test('a parser that ran out of stack reads nothing any more', async () => {
  const { read, isSpent } = await loadSqlReader('postgresql');
  assert.ok(read('select 1').ok && !isSpent());
  assert.ok(!read(`select ${'1+'.repeat(30_000)}1`).ok);
  assert.ok(isSpent());
  assert.equal(read('select 1').ok, false);
});

test('a statement that PostgreSQL refuses breaks nothing', async () => {
  const { read, isSpent } = await loadSqlReader('postgresql');
  assert.ok(!read('select from where').ok && !isSpent());
});
