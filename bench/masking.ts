import { parseArgs } from 'node:util';

import { heldOut } from './masking-held-out.ts';
import { type Masking, measureMasking, missedGoals, percent } from './masking-measure.ts';
import { tuned } from './masking-tuned.ts';

// `npm run bench:masking [-- --seed N] [-- --lines N] [-- --set held-out | tuned | both] [-- --no-speed] [-- --json]`: what the
// detectors find in labelled text and what they change in clean text. Exits 1 where a goal is missed.

function printTable({ corpus, seed, lines, rows, changed, speed }: Masking): void {
  console.log(`\n${corpus}: ${lines} lines, seed ${seed}`);
  const table = [
    ['', 'values', 'gone', 'gone, alone', 'clean lines changed'],
    ...rows.map((row) => [
      row.kind,
      String(row.values),
      percent(row.gone),
      percent(row.goneAlone),
      percent(row.changed),
    ]),
    ['all', '', '', '', percent(changed)],
  ];
  const widths = table[0]?.map((_, column) => Math.max(...table.map((row) => row[column]?.length ?? 0))) ?? [];
  for (const row of table) {
    const cells = row.map((cell, column) =>
      column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
    );
    console.log(cells.join('  '));
  }
  if (speed) {
    const { lines: one, documents } = speed;
    console.log(`nothing found: ${one.toFixed(0)} MB/s line by line, ${documents.toFixed(0)} MB/s in 64 KiB`);
  }
}

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '7' },
    lines: { type: 'string', default: '12000' },
    set: { type: 'string', default: 'held-out' },
    speed: { type: 'boolean', default: true },
    json: { type: 'boolean', default: false },
  },
  allowNegative: true,
});
const sets = { 'held-out': [heldOut], tuned: [tuned], both: [tuned, heldOut] };
const chosen = Object.entries(sets).find(([name]) => name === values.set)?.[1];
const [seed, lines] = [Number(values.seed), Number(values.lines)];
if (!chosen || !Number.isSafeInteger(seed) || !Number.isSafeInteger(lines) || lines < 1000) {
  console.error('--set is held-out, tuned or both; --seed a number; --lines a number of at least 1000');
  process.exit(2);
}

const measured = chosen.map((corpus) => measureMasking(corpus, seed, lines, values.speed));
const missed = measured.flatMap((masking) => missedGoals(masking).map((words) => `${masking.corpus}: ${words}`));
if (values.json) console.log(JSON.stringify({ measured, missed }));
else for (const masking of measured) printTable(masking);
for (const words of missed) console.error(`missed: ${words}`);
if (missed.length > 0) process.exitCode = 1;
