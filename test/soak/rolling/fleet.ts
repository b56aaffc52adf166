/** Gateways as processes behind a balancer, each on its own disk, stopped and started again one after the other. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { stringify } from 'yaml';
import { type Balancer, startBalancer } from '../../balancer.ts';
import { freePort } from '../../gateway-under-test.ts';

/** One version of the gateway. */
export interface Program {
  readonly name: string;
  /** Of Node, in front of the command and its options. */
  readonly args: readonly string[];
}

/** One replica's end: it was asked to stop in order, or it was killed. */
export interface Departure {
  readonly origin: string;
  readonly at: number;
  readonly how: 'order' | 'crash';
  /** When it was given requests again. */
  until?: number;
}

export interface Fleet {
  readonly balancer: Balancer;
  readonly size: number;
  readonly departures: readonly Departure[];
  /** Verifier keys and ledgers of all replicas. */
  readonly keys: ReadonlySet<string>;
  /** What each slot runs, by its name. */
  running(): string[];
  /** Ends the process of a slot and starts `program` on its disk; resolves when it is given requests again. */
  replace(slot: number, program: Program, how: Departure['how']): Promise<void>;
  /** Starts the slots with these programs. */
  start(programs: readonly Program[]): Promise<void>;
  stop(): Promise<void>;
  /** Whatever state it is in. */
  kill(): Promise<void>;
}

export interface FleetOptions {
  readonly folder: string;
  readonly size: number;
  /** The configuration that all share, without what is a replica's own. */
  readonly configuration: (at: { port: number; publicUrl: string; folder: string }) => Record<string, unknown>;
  /** A descriptor for the gateways' logs. */
  readonly log: number;
}

const PROBE_EVERY_MS = 100;
const READY_WITHIN_MS = 60_000;

interface Slot {
  readonly origin: string;
  readonly configFile: string;
  child?: ChildProcess;
  exited?: Promise<unknown[]>;
  program?: string;
}

export async function startFleet(options: FleetOptions): Promise<Fleet> {
  const balancer = await startBalancer();
  const departures: Departure[] = [];
  const keys = new Set<string>();
  const slots: Slot[] = [];
  for (let at = 0; at < options.size; at++) {
    const port = await freePort();
    const folder = join(options.folder, `replica-${at}`);
    await mkdir(folder);
    const configFile = join(folder, 'verbatim.yaml');
    const own = options.configuration({ port, publicUrl: balancer.url, folder });
    await writeFile(configFile, stringify({ ...own, replica: `replica-${at}` }));
    slots.push({ origin: `http://127.0.0.1:${port}`, configFile });
  }
  const probing = setInterval(() => {
    for (const { origin } of slots) void balancer.probe(origin);
  }, PROBE_EVERY_MS);

  async function begin(slot: Slot, program: Program): Promise<void> {
    const args = [...program.args, 'gateway', '--config', slot.configFile, '--json'];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', options.log] });
    if (child.stdout === null) throw new Error('The child has no pipe.');
    slot.child = child;
    slot.program = program.name;
    slot.exited = once(child, 'exit');
    const ready = await createInterface({ input: child.stdout })[Symbol.asyncIterator]().next();
    if (ready.value === undefined) throw new Error(`${program.name} did not start: see gateways.log.`);
    keys.add((JSON.parse(ready.value) as { key: string }).key);
    balancer.add(slot.origin);
    const deadline = performance.now() + READY_WITHIN_MS;
    while (!(await balancer.probe(slot.origin))) {
      if (performance.now() > deadline) throw new Error(`${program.name} did not become ready.`);
      await delay(PROBE_EVERY_MS);
    }
  }

  async function end({ child, exited, origin, program }: Slot, how: Departure['how']): Promise<Departure> {
    const departure: Departure = { origin, at: performance.now(), how };
    departures.push(departure);
    child?.kill(how === 'crash' ? 'SIGKILL' : 'SIGTERM');
    const [code, signal] = (await exited) ?? [];
    if (how === 'order' && code !== 0) throw new Error(`${program} stopped with ${code ?? signal}: see gateways.log.`);
    return departure;
  }

  return {
    balancer,
    size: options.size,
    departures,
    keys,
    running: () => slots.map(({ program = '' }) => program),
    async start(programs) {
      await Promise.all(
        slots.map(async (slot, at) => {
          const program = programs[at % programs.length];
          if (program !== undefined) await begin(slot, program);
        }),
      );
    },
    async replace(at, program, how) {
      const slot = slots[at % slots.length];
      if (slot === undefined) throw new Error('There is no such slot.');
      const departure = await end(slot, how);
      // As a load balancer does that is told of new members: kept connections are those of the old process.
      balancer.remove(slot.origin);
      await begin(slot, program);
      departure.until = performance.now();
    },
    async stop() {
      for (const slot of slots) await end(slot, 'order');
      for (const slot of slots) delete slot.child;
    },
    async kill() {
      clearInterval(probing);
      for (const { child } of slots) child?.kill('SIGKILL');
      await Promise.all(slots.map(({ exited }) => exited));
      await balancer.close();
    },
  };
}
