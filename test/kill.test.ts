/** The short form of `npm run soak:kill`. VERBATIM_SEED repeats a run's choices. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { assertNoSecrets } from './canaries.ts';
import { noteKeys, placesIn } from './canary-watch.ts';
import { runKillSoak } from './soak/kill-soak.ts';

const KILLS = 20;

const seed = Number(process.env.VERBATIM_SEED ?? Math.floor(Math.random() * 2 ** 31));

test(`${KILLS} kills lose nothing that was acknowledged (seed ${seed})`, { timeout: 300_000 }, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'verbatim-kill-'));
  t.after(() => rm(folder, { recursive: true, force: true }));

  const report = await runKillSoak({
    kills: KILLS,
    exchanges: 500,
    minutes: 4,
    clients: 16,
    seed,
    durability: 'disk',
    store: 'file',
    power: false,
    folder,
    say: () => {},
  });
  t.diagnostic(JSON.stringify(report));

  assert.deepEqual(report.problems, [], readFileSync(join(folder, 'gateway.log'), 'utf8').slice(-2000));
  assert.deepEqual([report.lost, report.unrecorded, report.untrue, report.ok], [0, 0, 0, true]);
  noteKeys(join(folder, 'disk', 'keys'));
  assertNoSecrets(placesIn('the folder', folder));
  const { acknowledged, not_forwarded, outcome_withheld, forwarded, kinds } = report;
  // How many came through is a matter of the machine; of each kind there has to be one.
  assert.ok(report.kills >= KILLS);
  const { json, sse, sampling, answer } = kinds;
  const least = Math.min(json, sse, sampling, answer, acknowledged, not_forwarded, outcome_withheld, forwarded);
  assert.ok(least > 0, 'Too few calls came through to prove anything.');
});
