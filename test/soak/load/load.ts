import { parseArgs } from 'node:util';
import { ATTACKS, type AttackKind } from './attacks.ts';
import { runLoad } from './run.ts';
import { verdictOf } from './verdict.ts';

// `npm run soak:load [-- --minutes N] [--idle N] [--busy N] [--attacks all|none|NAME,…] [--attack-seconds N] [--json]`:
// idle streams and busy clients for a while, then each kind of attack while others call. What is judged: verdict.ts.

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    idle: { type: 'string', default: '2000' },
    busy: { type: 'string', default: '64' },
    attacks: { type: 'string', default: 'all' },
    'attack-seconds': { type: 'string', default: '10' },
    'attack-scale': { type: 'string', default: '1' },
    json: { type: 'boolean', default: false },
  },
});

function refuse(words: string): never {
  console.error(words);
  process.exit(2);
}

function number(name: 'minutes' | 'idle' | 'busy' | 'attack-seconds' | 'attack-scale', least: number): number {
  const found = Number(values[name]);
  return Number.isFinite(found) && found >= least ? found : refuse(`--${name} must be a number, at least ${least}.`);
}

function attacksOf(words: string): AttackKind[] {
  const all = Object.keys(ATTACKS) as AttackKind[];
  if (words === 'all') return all;
  if (words === 'none') return [];
  const named = words.split(',');
  const unknown = named.find((one) => !all.some((kind) => kind === one));
  if (unknown !== undefined) refuse(`--attacks knows no ${unknown}. There are: ${all.join(', ')}.`);
  return all.filter((kind) => named.includes(kind));
}

const seconds = number('minutes', 0.005) * 60;
const report = await runLoad(
  {
    idle: number('idle', 0),
    busy: number('busy', 1),
    seconds,
    // The first minute; of a shorter run a third.
    settle: Math.min(60, seconds / 3),
    attacks: attacksOf(values.attacks).map((kind) => [kind]),
    attackSeconds: number('attack-seconds', 0.05),
    attackScale: number('attack-scale', 0),
    world: { sessionIdle: '5s', upstreamIdle: 5000 },
  },
  (line) => console.error(`[${(performance.now() / 1000).toFixed(0)} s] ${line}`),
);
const { problems, figures } = verdictOf(report, { timed: true });
for (const words of problems) console.error(`NOT AS IT SHOULD BE: ${words}`);
console.log(values.json ? JSON.stringify(figures) : JSON.stringify(figures, undefined, 2));
process.exitCode = problems.length === 0 ? 0 : 1;
