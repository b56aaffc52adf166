/** A gateway under load: `verbatim gateway` as a process of its own, with a probe in it that answers over IPC. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { peerOf } from './peer.ts';
import type { Probed } from './probe.ts';

export interface GatewayProcess {
  readonly pid: number;
  readonly url: string;
  readonly logFile: string;
  probe(order?: { collect?: boolean; reset?: boolean }): Promise<Probed>;
  /** The sum of each metric's samples. A scrape looks at every socket: few of them, while something is measured. */
  metrics<Name extends string>(...names: Name[]): Promise<Record<Name, number>>;
  /** Open descriptors. */
  descriptors(): number;
  /** Bytes. */
  residentSize(): number;
  /** Log events of severity ERROR so far, and how often each. */
  errors(): Record<string, number>;
  /** Stops it in order; resolves with its exit code. */
  stop(): Promise<number | null>;
  kill(): Promise<void>;
}

const BIN = fileURLToPath(new URL('../../../gateway/cli/bin.js', import.meta.url));
const PROBE = new URL('./probe.ts', import.meta.url).href;

export async function startGatewayProcess(
  folder: string,
  config: Record<string, unknown>,
  env: Record<string, string> = {},
): Promise<GatewayProcess> {
  const configFile = join(folder, 'verbatim.yaml');
  const logFile = join(folder, 'gateway.log');
  await writeFile(configFile, stringify({ ...config, metrics: { host: '127.0.0.1', port: 0 } }));
  // A file and no pipe: the gateway writes its log synchronously, and must not wait for who reads it.
  const log = openSync(logFile, 'a');
  const child = fork(BIN, ['gateway', '--config', configFile, '--json'], {
    execArgv: ['--expose-gc', '--import', PROBE],
    stdio: ['ignore', 'pipe', log, 'ipc'],
    env: { ...process.env, ...env },
  });
  closeSync(log);
  const exited = once(child, 'exit');
  if (child.stdout === null) throw new Error('It has no stdout.');
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const { value: first } = await lines.next();
  if (first === undefined) throw new Error(`The gateway did not start: ${readFileSync(logFile, 'utf8')}`);
  const { url, metrics } = JSON.parse(first) as { url: string; metrics: string };
  const peer = peerOf(child, 'the gateway');
  const pid = child.pid ?? 0;
  const isOver = (): boolean => child.exitCode !== null || child.signalCode !== null;
  return {
    pid,
    url,
    logFile,
    probe: (order = {}) => peer.ask<Probed>('probe', order),
    async metrics<Name extends string>(...names: Name[]) {
      // A connection of its own: one that is kept may be closed by the other side just when it is used again.
      const scraped = await fetch(`${metrics}/metrics`, { headers: { connection: 'close' } });
      const lines = (await scraped.text()).split('\n');
      const sumOf = (name: string): number =>
        lines
          .filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`))
          .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
      return Object.fromEntries(names.map((name) => [name, sumOf(name)])) as Record<Name, number>;
    },
    descriptors: () => readdirSync(`/proc/${pid}/fd`).length,
    residentSize() {
      const [, kilobytes = '0'] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
      return Number(kilobytes) * 1024;
    },
    errors() {
      const counts: Record<string, number> = {};
      for (const line of readFileSync(logFile, 'utf8').split('\n')) {
        if (!line.startsWith('{"severity":"ERROR"')) continue;
        const { event } = JSON.parse(line) as { event: string };
        counts[event] = (counts[event] ?? 0) + 1;
      }
      return counts;
    },
    async stop() {
      if (!isOver()) child.kill('SIGTERM');
      await exited;
      return child.exitCode;
    },
    async kill() {
      if (!isOver()) child.kill('SIGKILL');
      await exited;
    },
  };
}
