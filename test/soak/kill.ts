import { randomInt } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { runKillSoak } from './kill-soak.ts';

const HELP = `npm run soak:kill -- [options]

Kills a gateway with SIGKILL at random moments, at every step of a sealing round and of recovery, while clients call
through it, and starts it again on the same disk. Then holds what the clients were told and what reached the upstream
against what is recorded, and verifies the store. SIGKILL leaves the page cache alone, so that it says nothing of fsync:
for that there is --power.

  --kills N             at least so many kills (100)
  --exchanges N         and at least so many acknowledged exchanges (10,000)
  --minutes N           stop killing then in any case (120)
  --clients N           clients that call at once (16)
  --durability D        disk or bucket (disk)
  --store S             file, or gcs: a bucket of the double in test/gcs, locked, where 4 of 100 writes fail (file)
  --power               each kill is a power cut: what the journal had not synced is torn or gone
  --seed N              repeats a run's choices, as far as time allows
  --keep                keep the folder, and say where it is
  --json                one line of JSON at the end: {"kills", "acknowledged", "lost", "forwarded", "unrecorded", ...}

Exits with 1 unless something was acknowledged, nothing is lost, unrecorded, untrue or otherwise wrong, and the store
verifies.`;

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '100' },
    exchanges: { type: 'string', default: '10000' },
    minutes: { type: 'string', default: '120' },
    clients: { type: 'string', default: '16' },
    durability: { type: 'string', default: 'disk' },
    seed: { type: 'string', default: String(randomInt(2 ** 31)) },
    store: { type: 'string', default: 'file' },
    power: { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

function refuse(words: string): never {
  console.error(words);
  process.exit(2);
}

function wholeNumber(name: 'kills' | 'exchanges' | 'minutes' | 'clients' | 'seed'): number {
  const number = Number(values[name]);
  return /^\d+$/.test(values[name]) && Number.isSafeInteger(number)
    ? number
    : refuse(`--${name} must be a whole number.`);
}

function durabilityOf(text: string): 'disk' | 'bucket' {
  return text === 'disk' || text === 'bucket' ? text : refuse('--durability must be disk or bucket.');
}

function storeOf(text: string): 'file' | 'gcs' {
  return text === 'file' || text === 'gcs' ? text : refuse('--store must be file or gcs.');
}

if (values.help) {
  console.log(HELP);
  process.exit(0);
}

const folder = await mkdtemp(join(tmpdir(), 'verbatim-soak-'));
const options = {
  kills: wholeNumber('kills'),
  exchanges: wholeNumber('exchanges'),
  minutes: wholeNumber('minutes'),
  clients: wholeNumber('clients'),
  seed: wholeNumber('seed'),
  durability: durabilityOf(values.durability),
  store: storeOf(values.store),
  power: values.power,
};
console.error(`${JSON.stringify(options)}${values.keep ? ` in ${folder}` : ''}`);
const report = await runKillSoak({ ...options, folder, say: (line) => console.error(line) }).catch((error: Error) => {
  console.error(`${error.message} It is in ${folder}, with all else.`);
  process.exit(1);
});
const { kills, acknowledged, lost, forwarded, unrecorded, problems, ok, ...more } = report;
for (const problem of problems) console.error(problem);
if (kills < options.kills || acknowledged < options.exchanges)
  console.error(`The ${options.minutes} minutes were over before all kills and exchanges were there.`);
if (acknowledged === 0) console.error('Nothing was acknowledged, so that nothing is proved.');
if (!values.keep) await rm(folder, { recursive: true, force: true });
if (values.json) console.log(JSON.stringify({ kills, acknowledged, lost, forwarded, unrecorded, ok, ...more }));
else {
  const { killing, checking } = more.seconds;
  console.log(`${kills} kills and ${acknowledged} acknowledged exchanges in ${killing} s, checked in ${checking} s:`);
  console.log(
    `${lost} lost; ${forwarded} forwarded, ${unrecorded} of them unrecorded; ${more.untrue} untrue; ${ok ? 'all is well' : 'NOT WELL'}`,
  );
}
process.exitCode = ok ? 0 : 1;
