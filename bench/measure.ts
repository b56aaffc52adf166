import { fileURLToPath } from 'node:url';

import { startChild } from './child.ts';
import { readCpuMicros } from './cpu.ts';
import type { LoadOrder, LoadReport } from './load.ts';
import type { Target } from './targets.ts';

/** What one target took over all its slices: CPU per call (µs, null where it can't be read), rate, latencies (ms). */
export interface Measurement {
  name: string;
  cpu: number | null;
  rate: number;
  p50: number;
  p99: number;
  slices: number;
}

interface Slice extends LoadReport {
  cpu: number | null;
}

/** The value that `share` of the values do not exceed. */
export function quantile(values: number[], share: number): number {
  const sorted = values.toSorted((left, right) => left - right);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}

function summarize(name: string, slices: Slice[]): Measurement {
  const median = (of: (slice: Slice) => number) => quantile(slices.map(of), 0.5);
  const cpu = slices.flatMap((slice) => (slice.cpu === null ? [] : [slice.cpu / slice.calls]));
  return {
    name,
    // Another process on the machine only ever adds to CPU per call (cold caches): the lower quartile is the calm part.
    cpu: cpu.length > 0 ? quantile(cpu, 0.25) : null,
    rate: median(({ calls, seconds }) => calls / seconds),
    p50: median(({ p50 }) => p50),
    p99: median(({ p99 }) => p99),
    slices: slices.length,
  };
}

/**
 * Measures targets against each other. They take turns, a slice each, so that whatever else the machine does meets all of
 * them alike; each has one slice before that does not count.
 *
 * @param ms length of a slice.
 * @param rounds slices a target that count.
 * @throws Error if a call is answered wrongly by any target: then there is nothing to compare.
 */
export async function measure(
  targets: Target[],
  { ms, rounds }: { ms: number; rounds: number },
): Promise<Measurement[]> {
  const load = await startChild(process.execPath, [fileURLToPath(new URL('./load.ts', import.meta.url))]);
  const readCpu = process.platform === 'linux' ? readCpuMicros : async () => null;

  async function runSlice({ name, origin, prefix, headers, pid }: Target): Promise<Slice> {
    const before = await readCpu(pid);
    load.say(JSON.stringify({ origin, prefix, headers, ms } satisfies LoadOrder));
    const report = JSON.parse(await load.line()) as LoadReport | { error: string };
    if ('error' in report) throw new Error(`${name}: ${report.error}`);
    const after = await readCpu(pid);
    return { ...report, cpu: before === null || after === null ? null : after - before };
  }

  try {
    const slices = new Map<Target, Slice[]>(targets.map((target) => [target, []]));
    for (let round = 0; round <= rounds; round += 1) {
      for (const target of round % 2 === 0 ? targets : targets.toReversed()) {
        const slice = await runSlice(target);
        if (round > 0) slices.get(target)?.push(slice);
      }
    }
    return targets.map((target) => summarize(target.name, slices.get(target) ?? []));
  } finally {
    await load.stop();
  }
}
