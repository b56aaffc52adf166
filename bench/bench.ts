import { parseArgs } from 'node:util';

import { type DecideFigures, decideWords, measureDecide } from './decide.ts';
import { type Measurement, measure } from './measure.ts';
import {
  type StartTarget,
  startBareTarget,
  startGatewayTarget,
  startNginxTarget,
  startProgram,
  type Target,
  TargetUnavailable,
} from './targets.ts';

// `npm run bench [-- --quick] [-- --json]`: what a call costs the gateway, as a ratio to what it costs a bare proxy.

const sliceMs = 1_000;
/** Whole seconds for all slices; starting and stopping comes on top and takes a second or two. */
const budget = { quick: 26, full: 88 };

/** Starts what can run here. The reasons of the others are said aloud: a missing line must not look like a fast one. */
async function startTargets(stack: AsyncDisposableStack, upstream: string): Promise<Target[]> {
  const starters: Record<string, StartTarget> = {
    gateway: startGatewayTarget,
    bare: startBareTarget,
    nginx: startNginxTarget,
  };
  const targets: Target[] = [];
  for (const [name, start] of Object.entries(starters)) {
    try {
      targets.push(stack.adopt(await start(upstream), ({ stop }) => stop()));
    } catch (error) {
      if (!(error instanceof TargetUnavailable)) throw error;
      console.error(`${name}: skipped (${error.message})`);
    }
  }
  return targets;
}

/** CPU per call of `one` as a multiple of `other`'s, both by name; null where either was not measured. */
function ratio(all: Measurement[], one: string, other: string): number | null {
  const cpu = (name: string) => all.find((measurement) => measurement.name === name)?.cpu ?? null;
  const [above, below] = [cpu(one), cpu(other)];
  return above === null || below === null || below === 0 ? null : above / below;
}

const show = (value: number | null, digits: number) => (value === null ? '–' : value.toFixed(digits));

function printTable(all: Measurement[]): void {
  const rows = all.map(({ name, cpu, rate, p50, p99 }) => [
    name,
    show(cpu, 1),
    show(ratio(all, name, 'bare'), 2),
    show(ratio(all, name, 'nginx'), 2),
    show(rate, 0),
    show(p50, 2),
    show(p99, 2),
  ]);
  const table = [['', 'µs CPU/call', '× bare', '× nginx', 'calls/s', 'p50 ms', 'p99 ms'], ...rows];
  const widths = table[0]?.map((_, column) => Math.max(...table.map((row) => row[column]?.length ?? 0))) ?? [];
  for (const row of table) {
    const cells = row.map((cell, column) =>
      column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
    );
    console.log(cells.join('  '));
  }
}

const { values } = parseArgs({ options: { quick: { type: 'boolean' }, json: { type: 'boolean' } } });
if (process.platform !== 'linux') console.error('CPU per call is read from /proc, so only latencies are shown here.');

await using stack = new AsyncDisposableStack();
const upstream = await startProgram(new URL('./upstream.ts', import.meta.url));
stack.defer(upstream.stop);
const targets = await startTargets(stack, upstream.origin);
// One round more than counts: the first warms up.
const rounds = Math.floor((values.quick ? budget.quick : budget.full) / targets.length) - 1;
// Before the load: it would take turns with nobody.
const decision: DecideFigures = measureDecide();
const measurements = await measure(targets, { ms: sliceMs, rounds });

if (values.json) {
  const ratios = {
    gatewayToBare: ratio(measurements, 'gateway', 'bare'),
    gatewayToNginx: ratio(measurements, 'gateway', 'nginx'),
    bareToNginx: ratio(measurements, 'bare', 'nginx'),
  };
  console.log(JSON.stringify({ connections: 16, sliceMs, rounds, measurements, ratios, decision }));
} else {
  printTable(measurements);
  console.log(decideWords(decision));
}
