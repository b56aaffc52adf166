/**
 * The outage soak: the store is taken away under a real gateway while clients call. It has to cost disk and not memory;
 * calls go on until `maxUnsealedAge` or the limit of the journal and fail closed in words; when the store is back, all
 * that was acknowledged is delivered. Ledgers, clients and upstream are in this process.
 */
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { stringify } from 'yaml';
import { openRecordings } from '../../gateway/recording/read.ts';
import { openStore } from '../../gateway/store/open.ts';
import { configurationFor, freePort } from '../gateway-under-test.ts';
import { startIssuer } from '../issuer.ts';
import { type Checked, check } from './check.ts';
import { createSoakClients } from './clients.ts';
import { readJoined } from './joined.ts';
import { verify } from './kill-soak.ts';
import { startProcess } from './life.ts';
import { createRandom } from './random.ts';
import { createSoakTokens } from './tokens.ts';
import { startSoakUpstream } from './upstream.ts';

export interface OutageOptions {
  /** What ends the calls: the age of what is not sealed, or how much of it there is. */
  readonly until: 'recording_behind' | 'recording_quota';
  /** `maxUnsealedAge`, seconds. */
  readonly age: number;
  /** `journal.limit`, MiB. */
  readonly limit: number;
  /** Seconds that calls go on before the outage, while all are refused, and after it. */
  readonly around: number;
  /** Ends then in any case, minutes. */
  readonly minutes: number;
  readonly clients: number;
  readonly seed: number;
  /** A folder of its own, which the caller removes. */
  readonly folder: string;
  readonly say: (line: string) => void;
}

export interface OutageReport extends Omit<Checked, 'problems'> {
  readonly until: string;
  readonly problems: readonly string[];
  /** Seconds from the outage to the first refusal of all calls, and from its end to a sealed journal. */
  readonly seconds: { readonly refused: number; readonly delivered: number };
  /** MiB: what the journal held at most; resident size at most before the outage, until its end, and in all. */
  readonly journal: number;
  readonly memory: { readonly before: number; readonly outage: number; readonly most: number };
  /** Calls that were acknowledged while all were to be refused: those that had begun. */
  readonly late: number;
  readonly ok: boolean;
}

const MiB = 1024 ** 2;
/**
 * A round of 32 MiB in the making, its objects, and what V8 leaves lying of the one before: the same for any journal. Rounds
 * follow one another without a pause when the store is back, and that is when it is most.
 */
const MOST_GROWTH_MIB = 384;
const LOOK_MS = 250;
/** Calls take milliseconds: none came through for so long. */
const STALLED_MS = 5000;
const PADDING = 200_000;

interface Gateway {
  readonly url: string;
  readonly key: string;
  /** Resident size and journal, MiB. */
  look(): Promise<{ memory: number; journal: number; unsealed: number }>;
  /** What `/readyz` says. */
  ready(): Promise<string>;
  stop(): Promise<number | null>;
  kill(): void;
}

async function startGateway(configFile: string, logFd: number): Promise<Gateway> {
  const { child, stdout } = startProcess(['gateway/cli/bin.js', 'gateway', '--config', configFile, '--json'], logFd);
  const exited = once(child, 'exit');
  const { value: line } = await createInterface({ input: stdout })[Symbol.asyncIterator]().next();
  if (line === undefined) throw new Error('The gateway did not start: see gateway.log.');
  const { url, key, metrics } = JSON.parse(line) as { url: string; key: string; metrics: string };
  return {
    url,
    key,
    async look() {
      const text = await (await fetch(`${metrics}/metrics`)).text();
      const gauge = (name: string): number => Number(new RegExp(`^${name} (.+)$`, 'm').exec(text)?.[1] ?? Number.NaN);
      return {
        memory: gauge('process_resident_memory_bytes') / MiB,
        journal: gauge('verbatim_journal_bytes') / MiB,
        unsealed: gauge('verbatim_oldest_unsealed_seconds'),
      };
    },
    ready: async () => (await (await fetch(`${url}/readyz`)).text()).trim(),
    async stop() {
      child.kill('SIGTERM');
      const [code] = (await exited) as [number | null];
      return code;
    },
    kill: () => void child.kill('SIGKILL'),
  };
}

export async function runOutage(options: OutageOptions): Promise<OutageReport> {
  const { folder, say, until } = options;
  const random = createRandom(options.seed);
  const ledgers = { clients: join(folder, 'clients.ledger'), upstream: join(folder, 'upstream.ledger') };
  const [issuer, upstream, port] = await Promise.all([startIssuer(), startSoakUpstream(ledgers.upstream), freePort()]);
  const { origin, pathname } = new URL(upstream.url);
  const configFile = join(folder, 'verbatim.yaml');
  const config = {
    metrics: { host: '127.0.0.1', port: 0 },
    maxUnsealedAge: `${options.age}s`,
    journal: { limit: `${options.limit}MiB` },
    sealEvery: '1s',
  };
  await writeFile(configFile, stringify(configurationFor({ folder, issuer, port, origin, pathname }, { config })));
  const tokens = createSoakTokens(issuer, `http://127.0.0.1:${port}/fixture${pathname}`, random);
  const clients = createSoakClients({
    ledger: ledgers.clients,
    path: `/fixture${pathname}`,
    clients: options.clients,
    token: tokens.any,
    random,
    padding: PADDING,
  });
  await tokens.renew();
  const logFd = openSync(join(folder, 'gateway.log'), 'a');
  const deadline = performance.now() + options.minutes * 60_000;
  const problems: string[] = [];
  const store = join(folder, 'store');
  let most = { memory: 0, journal: 0 };
  let gateway: Gateway | undefined;

  /** Looks again and again, until it holds. */
  async function watch(what: string, holds: (gateway: Gateway) => Promise<boolean>): Promise<number> {
    const began = performance.now();
    for (;;) {
      if (gateway === undefined) throw new Error('There is no gateway.');
      const { memory, journal } = await gateway.look();
      most = { memory: Math.max(most.memory, memory), journal: Math.max(most.journal, journal) };
      await tokens.renew();
      if (await holds(gateway)) return Math.round((performance.now() - began) / 100) / 10;
      if (performance.now() > deadline) throw new Error(`Time is up, and it did not come to this: ${what}.`);
      await delay(LOOK_MS);
    }
  }

  let closed: Promise<void> | undefined;
  function closeLedgers(): Promise<void> {
    if (closed === undefined) clients.close();
    closed ??= upstream.close();
    return closed;
  }

  function stalledFor(ms: number): () => boolean {
    let [count, since] = [-1, performance.now()];
    return () => {
      if (clients.tally.acknowledged !== count) [count, since] = [clients.tally.acknowledged, performance.now()];
      return performance.now() - since > ms;
    };
  }

  const forSeconds = (seconds: number): (() => Promise<boolean>) => {
    const end = performance.now() + seconds * 1000;
    return async () => performance.now() > end;
  };

  try {
    gateway = await startGateway(configFile, logFd);
    const over = Promise.withResolvers<void>();
    const calling = clients.callUntil(gateway.url, over.promise);
    await watch('calls', forSeconds(options.around));
    const before = most.memory;
    say(`${clients.tally.acknowledged} exchanges acknowledged; the store goes away`);
    await rename(store, `${store}.away`);
    await writeFile(store, '');
    // All that call take more than their share: nothing is refused to who might come, and everything to those.
    const stalled = stalledFor(STALLED_MS);
    const refused = await watch('every call is refused', async ({ ready }) =>
      until === 'recording_quota' ? stalled() : (await ready()).startsWith(until),
    );
    const { acknowledged } = clients.tally;
    say(
      `${refused} s: ${acknowledged} acknowledged, ${Math.round(most.journal)} MiB in the journal; calls are refused`,
    );
    await watch('calls are refused', forSeconds(options.around));
    const late = clients.tally.acknowledged - acknowledged;
    if (late > 2 * options.clients) problems.push(`${late} calls were acknowledged while all were to be refused.`);
    const outage = most.memory;
    say('the store is back');
    await rm(store);
    await rename(`${store}.away`, store);
    // Clients that call go on filling it: what is meant is what the outage left.
    const delivered = await watch('it is delivered', async ({ look, ready }) => {
      const { unsealed } = await look();
      return (await ready()).startsWith('ok') && unsealed < 15;
    });
    say(`${delivered} s: the backlog is delivered`);
    await watch('calls', forSeconds(options.around));
    over.resolve();
    await calling;
    if (clients.tally.acknowledged === acknowledged + late) problems.push('No call came through afterwards.');
    const code = await gateway.stop();
    if (code !== 0) problems.push(`The gateway ended with ${code}.`);
    const growth = most.memory - before;
    if (growth > MOST_GROWTH_MIB) problems.push(`Memory grew by ${Math.round(growth)} MiB.`);
    await closeLedgers();
    say('checking');
    const storeUrl = `file://${store}`;
    const verified = await verify(storeUrl, gateway.key);
    const checked = await check(
      openRecordings(openStore(storeUrl)),
      await readJoined(ledgers.clients, ledgers.upstream),
      [],
    );
    problems.push(...checked.problems, ...verified.problems.map(({ code, object }) => `verify: ${code} ${object}`));
    return {
      ...checked,
      until,
      problems,
      seconds: { refused, delivered },
      journal: Math.round(most.journal),
      memory: { before: Math.round(before), outage: Math.round(outage), most: Math.round(most.memory) },
      late,
      ok: verified.ok && checked.wrong === 0 && problems.length === 0,
    };
  } finally {
    gateway?.kill();
    await Promise.all([issuer.close(), closeLedgers()]);
    closeSync(logFd);
  }
}
