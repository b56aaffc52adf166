import { randomInt } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Program } from './rolling/fleet.ts';
import { runRolling, type Step } from './rolling/rolling-soak.ts';
import { PRESENT, previousProgram } from './rolling/versions.ts';

const HELP = `npm run soak:upgrade -- [options]

Updates and rollbacks under load: gateways behind a balancer, over the same stores, go from the version before to the present one
and back, one after the other, while clients call, answer, listen, converse (the official SDKs) and log in. The version before is
the newest in test/stores; where none is kept, a bundle of the present sources. Nothing may fail, be cut early or be lost.

  --from VERSION        another kept version
  --minutes N           no replacement begins after that (5)
  --rolls N             at most so many replacements (1,000)
  --replicas N          gateways (3)
  --crash-every N       each so many-th replacement is a kill; 0 is never (0)
  --clients N           clients that call at once (8)
  --seed N              repeats a run's choices, as far as time allows
  --keep                keep the folder, and say where it is
  --json                one line of JSON at the end

Exits with 1 where a call, a stream, a conversation or a login failed or was lost that should not.`;

const { values } = parseArgs({
  options: {
    from: { type: 'string' },
    minutes: { type: 'string', default: '5' },
    rolls: { type: 'string', default: '1000' },
    replicas: { type: 'string', default: '3' },
    'crash-every': { type: 'string', default: '0' },
    clients: { type: 'string', default: '8' },
    seed: { type: 'string', default: String(randomInt(2 ** 31)) },
    keep: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

function numberOf(name: 'minutes' | 'rolls' | 'replicas' | 'crash-every' | 'clients' | 'seed'): number {
  const number = Number(values[name]);
  if (values[name] !== '' && Number.isFinite(number) && number >= 0) return number;
  console.error(`--${name} must be a number.`);
  process.exit(2);
}

/** All to the present version, then all back, and so on. */
function* stepsOf(previous: Program, rolls: number, replicas: number, crashEvery: number): Iterable<Step> {
  for (let at = 0; at < rolls; at++) {
    const isUpdate = Math.floor(at / replicas) % 2 === 0;
    const isCrash = crashEvery > 0 && at % crashEvery === crashEvery - 1;
    yield { slot: at, program: isUpdate ? PRESENT : previous, how: isCrash ? 'crash' : 'order' };
  }
}

if (values.help) {
  console.log(HELP);
  process.exit(0);
}
const folder = await mkdtemp(join(tmpdir(), 'verbatim-upgrade-'));
const previous = await previousProgram(folder, values.from);
const replicas = numberOf('replicas');
const { failures, problems, ok, ...report } = await runRolling({
  folder,
  replicas,
  first: [previous],
  steps: stepsOf(previous, numberOf('rolls'), replicas, numberOf('crash-every')),
  minutes: numberOf('minutes'),
  load: { calls: numberOf('clients'), streams: 4, conversations: 2, logins: 1 },
  drainDelayMs: 600,
  drainMs: 3000,
  seed: numberOf('seed'),
  say: (line) => console.error(line),
});
for (const words of [...failures, ...problems]) console.error(words);
if (values.keep) console.error(`Kept in ${folder}`);
else await rm(folder, { recursive: true, force: true });
const line = { ok, from: previous.name, ...report };
console.log(values.json ? JSON.stringify(line) : `${ok ? 'All is well' : 'NOT WELL'}: ${JSON.stringify(line)}`);
process.exitCode = ok ? 0 : 1;
