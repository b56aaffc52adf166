import { randomInt } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type OutageReport, runOutage } from './outage-soak.ts';

const HELP = `npm run soak:outage -- [options]

Takes the store away under a gateway while clients call through it, twice: until what is not sealed is too old, and until
the journal is full for who calls. Calls must go on until then, fail closed in words, and go on when the store is back; memory must
not grow with the journal; then what the clients were told and what reached the upstream is held against what is recorded.

  --age N               maxUnsealedAge of the first outage, seconds (20)
  --limit N             journal.limit of the second, MiB (512)
  --around N            seconds of calls before an outage, while all are refused, and after it (5)
  --minutes N           end an outage then in any case (30)
  --clients N           clients that call at once (16)
  --seed N              repeats a run's choices, as far as time allows
  --keep                keep the folders, and say where they are
  --json                one line of JSON at the end: {"outages", "acknowledged", "lost", "forwarded", "unrecorded", ...}

Exits with 1 unless nothing is lost, unrecorded, untrue or otherwise wrong, and memory is bounded.`;

const { values } = parseArgs({
  options: {
    age: { type: 'string', default: '20' },
    limit: { type: 'string', default: '512' },
    around: { type: 'string', default: '5' },
    minutes: { type: 'string', default: '30' },
    clients: { type: 'string', default: '16' },
    seed: { type: 'string', default: String(randomInt(2 ** 31)) },
    keep: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

function wholeNumber(name: 'age' | 'limit' | 'around' | 'minutes' | 'clients' | 'seed'): number {
  const number = Number(values[name]);
  if (/^\d+$/.test(values[name]) && Number.isSafeInteger(number)) return number;
  console.error(`--${name} must be a whole number.`);
  process.exit(2);
}

if (values.help) {
  console.log(HELP);
  process.exit(0);
}

const [age, limit] = [wholeNumber('age'), wholeNumber('limit')];
const common = {
  around: wholeNumber('around'),
  minutes: wholeNumber('minutes'),
  clients: wholeNumber('clients'),
  seed: wholeNumber('seed'),
  say: (line: string): void => console.error(line),
};
const outages = [
  { until: 'recording_behind', age, limit: 64 * 1024 },
  { until: 'recording_quota', age: 24 * 3600, limit },
] as const;
const reports: OutageReport[] = [];
for (const outage of outages) {
  const folder = await mkdtemp(join(tmpdir(), 'verbatim-outage-'));
  console.error(`${outage.until}, seed ${common.seed}${values.keep ? ` in ${folder}` : ''}`);
  const report = await runOutage({ ...outage, ...common, folder });
  for (const problem of report.problems) console.error(problem);
  if (!values.keep) await rm(folder, { recursive: true, force: true });
  reports.push(report);
}
const sum = (name: 'acknowledged' | 'lost' | 'forwarded' | 'unrecorded' | 'untrue' | 'not_forwarded'): number =>
  reports.reduce((total, report) => total + report[name], 0);
const ok = reports.every((report) => report.ok);
if (values.json) {
  const each = reports.map(({ until, seconds, journal, memory, late }) => ({ until, seconds, journal, memory, late }));
  const counts = { acknowledged: sum('acknowledged'), lost: sum('lost') };
  const more = { forwarded: sum('forwarded'), unrecorded: sum('unrecorded'), untrue: sum('untrue') };
  console.log(
    JSON.stringify({
      outages: reports.length,
      ...counts,
      ...more,
      refused: sum('not_forwarded'),
      each,
      seed: common.seed,
      ok,
    }),
  );
} else {
  for (const { until, seconds, journal, memory } of reports) {
    console.log(
      `${until} after ${seconds.refused} s with ${journal} MiB in the journal, delivered in ${seconds.delivered} s; memory ${memory.before} MiB before, ${memory.outage} MiB in it, ${memory.most} MiB at most`,
    );
  }
  console.log(
    `${sum('acknowledged')} acknowledged, ${sum('lost')} lost; ${sum('forwarded')} forwarded, ${sum('unrecorded')} unrecorded; ${ok ? 'all is well' : 'NOT WELL'}`,
  );
}
process.exitCode = ok ? 0 : 1;
