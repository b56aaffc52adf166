import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { harmEverywhere } from './harm.ts';
import { createJournalSample, createRandom } from './journal-sample.ts';

const root = await mkdtemp(join(tmpdir(), 'verbatim-prefix-'));
after(() => rm(root, { recursive: true, force: true }));

// More and larger ones, of other seeds: npm run soak:prefix.
test('every prefix of a journal, and every flipped byte and torn tail of it, recovers to a prefix or is named damage', async () => {
  const shape = { strands: 3, commits: 12, body: 16, fileLimit: 1200 };
  const sample = await createJournalSample(root, createRandom(7), shape);
  assert.ok(sample.files.size >= 3);
  const bytes = [...sample.files.values()].reduce((sum, { length }) => sum + length, 0);
  const count = await harmEverywhere(sample, 7, 7);
  assert.ok(count > 2 * bytes);
});
