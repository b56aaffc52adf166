/**
 * Loaded into the gateway's own process (`--import`): what a process alone can tell of itself, asked over its IPC channel.
 * The gateway knows nothing of it.
 */
import { createHistogram, type Histogram, monitorEventLoopDelay } from 'node:perf_hooks';

/** Milliseconds of the timer whose lateness is measured: they are part of each value. */
const RESOLUTION_MS = 10;

export interface Probed {
  /** Milliseconds between two turns of a 10 ms timer, since the last reset. */
  readonly delay: { readonly p50: number; readonly p99: number; readonly max: number };
  /**
   * Milliseconds of CPU that the main thread used between two such turns: what the delay would be on a machine that does
   * nothing else.
   */
  readonly work: { readonly p50: number; readonly p99: number; readonly max: number };
  /** Bytes; the heap after a full collection where one was asked for. */
  readonly heap: number;
  readonly external: number;
  readonly rss: number;
  /** Seconds of CPU since the start, all threads. */
  readonly cpu: number;
  /** What keeps the process alive, by kind: timers, sockets, file operations. */
  readonly resources: Readonly<Record<string, number>>;
}

const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
delay.enable();

const work = createHistogram();
let before = threadCpu();
setInterval(() => {
  const now = threadCpu();
  work.record(Math.max(1, now - before));
  before = now;
}, RESOLUTION_MS).unref();

/** Nanoseconds. */
function threadCpu(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) * 1000;
}

function shown(histogram: Histogram): { p50: number; p99: number; max: number } {
  const milliseconds = (nanoseconds: number): number => Math.round(nanoseconds / 10_000) / 100;
  const [p50, p99] = [milliseconds(histogram.percentile(50)), milliseconds(histogram.percentile(99))];
  return { p50, p99, max: milliseconds(histogram.max) };
}

function probe(order: { readonly collect?: boolean; readonly reset?: boolean }): Probed {
  if (order.collect === true) globalThis.gc?.();
  const { heapUsed, external, rss } = process.memoryUsage();
  const { user, system } = process.cpuUsage();
  const resources: Record<string, number> = {};
  for (const kind of process.getActiveResourcesInfo()) resources[kind] = (resources[kind] ?? 0) + 1;
  const probed = {
    delay: shown(delay),
    work: shown(work),
    heap: heapUsed,
    external,
    rss,
    cpu: (user + system) / 1e6,
    resources,
  };
  // Behind a collection that was asked for: its pause is the probe's, not the gateway's.
  if (order.reset === true) {
    setImmediate(() => {
      delay.reset();
      work.reset();
      before = threadCpu();
    });
  }
  return probed;
}

process.on('message', (message) => {
  const { number, input } = message as { number: number; input: { collect?: boolean; reset?: boolean } };
  process.send?.({ number, value: probe(input) });
});
process.on('disconnect', () => process.exit(1));
process.channel?.unref();
