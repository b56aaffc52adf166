/**
 * `npm run soak:prefix`: the journals of many seeds, harmed at every byte. `--seeds N` (default 20), `--from SEED`, `--json`.
 * A failure names its seed: `npm run soak:prefix -- --seeds 1 --from SEED` plays it again.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { harmEverywhere } from '../../gateway/recording/harm.ts';
import { createJournalSample, createRandom } from '../../gateway/recording/journal-sample.ts';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '20' },
    from: { type: 'string', default: '1' },
    json: { type: 'boolean', default: false },
  },
});
const first = Number(values.from);
let bytes = 0;
let journals = 0;
const failed: number[] = [];
for (let seed = first; seed < first + Number(values.seeds); seed++) {
  const folder = await mkdtemp(join(tmpdir(), 'verbatim-soak-prefix-'));
  try {
    const random = createRandom(seed);
    const shape = {
      strands: 1 + Math.floor(random() * 6),
      commits: 10 + Math.floor(random() * 30),
      body: 16 + Math.floor(random() * 1200),
      fileLimit: 800 + Math.floor(random() * 6000),
    };
    const sample = await createJournalSample(folder, random, shape);
    bytes += [...sample.files.values()].reduce((sum, { length }) => sum + length, 0);
    journals += await harmEverywhere(sample, seed, 3);
  } catch (error) {
    failed.push(seed);
    console.error(`seed ${seed}:`, error);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
const result = { seeds: Number(values.seeds), bytes, journals, failed };
console.log(
  values.json
    ? JSON.stringify(result)
    : `${journals} harmed journals of ${bytes} bytes: ${failed.length} seeds failed ${failed.join(', ')}`,
);
process.exitCode = failed.length === 0 ? 0 : 1;
