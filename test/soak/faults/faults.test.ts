import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { runFaultsSoak } from './soak.ts';

// The short form of `npm run soak:faults`: each fault once, a few segments.
test('whatever fails, nothing is lost and nothing is doubled', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'verbatim-faults-'));
  try {
    const report = await runFaultsSoak({ segments: 0, seed: 7, short: true, folder, say: () => {} });
    for (const words of report.skipped) t.diagnostic(`SKIPPED: ${words}`);
    assert.deepEqual(report.problems, []);
    const { lost, doubled, wrong, foreign, told, ok } = report;
    assert.deepEqual(
      { lost, doubled, wrong, foreign, told, ok },
      { lost: 0, doubled: 0, wrong: 0, foreign: 4, told: 4, ok: true },
    );
    assert.ok(report.acknowledged > 500 && report.logins > 10 && report.approvals > 5);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
