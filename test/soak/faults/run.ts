import { randomInt } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { runFaultsSoak } from './soak.ts';

const HELP = `npm run soak:faults -- [options]

Recorders, logins and approvals work on a double of Google Cloud Storage, on disks and with a key service that fail in
turn: answers that say that it failed, with the work done or not; connections that break; answers that are cut or wrong;
writes, fdatasyncs and renames that fail; a disk that is full. Recorders are killed in between. Then all that was
acknowledged is held against what is recorded, and the store is proved as verbatim verify does.

  --segments N   at least so many segments in the bucket (10000)
  --seed N       repeats a run's choices, as far as time allows
  --short        what runs in npm test: a few seconds, a few segments
  --json         one line of JSON at the end: {"segments", "lost", "doubled", ...}

Exits with 1 unless nothing is lost, doubled or otherwise wrong. A full disk takes the right to mount a tmpfs.`;

const { values } = parseArgs({
  options: {
    segments: { type: 'string', default: '10000' },
    seed: { type: 'string', default: String(randomInt(2 ** 31)) },
    short: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

function wholeNumber(name: 'segments' | 'seed'): number {
  if (/^\d{1,10}$/.test(values[name])) return Number(values[name]);
  console.error(`--${name} must be a whole number.`);
  process.exit(2);
}

if (values.help) {
  console.log(HELP);
  process.exit(0);
}

const seed = wholeNumber('seed');
const folder = await mkdtemp(join(tmpdir(), 'verbatim-faults-'));
const began = performance.now();
const elapsed = (): number => Math.round((performance.now() - began) / 1000);
const segments = values.short ? 0 : wholeNumber('segments');
const say = (line: string): void => console.error(`${elapsed()} s: ${line}`);
console.error(`seed ${seed}`);
try {
  const { problems, skipped, ...figures } = await runFaultsSoak({ segments, seed, short: values.short, folder, say });
  for (const words of skipped) console.error(`SKIPPED: ${words}`);
  for (const problem of problems) console.error(problem);
  const { lost, doubled, ok, ...more } = figures;
  const seconds = elapsed();
  if (values.json) {
    console.log(JSON.stringify({ lost, doubled, ok, ...more, skipped: skipped.length, seed, seconds }));
  } else {
    console.log(`${more.strikes} faults in ${more.cells} cells, ${more.segments} segments, ${seconds} s:`);
    console.log(
      `${lost} lost, ${doubled} doubled, ${more.wrong} wrong; ${more.withheld} withheld of ` +
        `${more.logins + more.approvals + more.withheld} logins and approvals: ${ok ? 'all is well' : 'NOT WELL'}`,
    );
  }
  process.exitCode = ok ? 0 : 1;
} finally {
  await rm(folder, { recursive: true, force: true });
}
