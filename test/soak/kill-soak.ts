/**
 * The kill soak: a gateway is killed again and again, at every step of its work, while clients call through it, and is
 * started again on the same disk. What the clients were told and what reached the upstream is then held against what is
 * recorded. Ledgers, clients and upstream are in this process, which is not killed.
 */
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { stringify } from 'yaml';
import { openRecordings } from '../../gateway/recording/read.ts';
import { openStore } from '../../gateway/store/open.ts';
import { configurationFor, freePort } from '../gateway-under-test.ts';
import { startIssuer } from '../issuer.ts';
import { type Checked, check } from './check.ts';
import { createSoakClients, type Kind, type Tally } from './clients.ts';
import type { Step } from './death.ts';
import { readJoined } from './joined.ts';
import { type Life, startLife, startProcess } from './life.ts';
import { createPlan, type Fate } from './plan.ts';
import { cutPower, sizesIn } from './power.ts';
import { createRandom } from './random.ts';
import { openSoakStores, type StoreKind } from './stores.ts';
import { createSoakTokens } from './tokens.ts';
import { startSoakUpstream } from './upstream.ts';

export interface KillSoakOptions {
  /** Goes on until so many kills and so many acknowledged exchanges are there. */
  readonly kills: number;
  readonly exchanges: number;
  /** Ends then in any case. */
  readonly minutes: number;
  readonly clients: number;
  readonly seed: number;
  readonly durability: 'disk' | 'bucket';
  /** A folder, or a bucket of the double in test/gcs, where writes fail now and then. */
  readonly store: StoreKind;
  /** Each kill is a power cut: the journal loses what it had not synced. */
  readonly power: boolean;
  /** A folder of its own, which the caller removes. */
  readonly folder: string;
  readonly say: (line: string) => void;
}

export interface KillSoakReport extends Checked {
  readonly seed: number;
  readonly kills: number;
  /** Kills of gateways that did not listen yet. */
  readonly beforeListening: number;
  /** Power cuts that took something. */
  readonly torn: number;
  /** Writes to the bucket that a fault struck. */
  readonly struck: number;
  /** Kills by step: before, during, after it. */
  readonly steps: Readonly<Record<Step, number[]>>;
  readonly tally: Readonly<Tally>;
  /** Acknowledged calls by kind, and the answers to what the server asked during one. */
  readonly kinds: Readonly<Record<Kind, number>>;
  readonly seconds: { readonly killing: number; readonly serving: number; readonly checking: number };
  readonly verified: { readonly ok: boolean; readonly segments: number; readonly frames: number };
  /** Something was acknowledged, nothing is lost, unrecorded, untrue or otherwise wrong, and the store verifies. */
  readonly ok: boolean;
}

/** An ordered death that does not come is not waited for longer. */
const COMES_WITHIN_MS = 3000;
/** A gateway that hangs at its start or its stop is a fault, not something to wait for. */
const HANGS_AFTER_MS = 60_000;
const SERVING_MS = { least: 60, first: 300, most: 5000 };
const SAY_EVERY_MS = 10_000;

export async function runKillSoak(options: KillSoakOptions): Promise<KillSoakReport> {
  const { folder, say } = options;
  const random = createRandom(options.seed);
  const ledgers = { clients: join(folder, 'clients.ledger'), upstream: join(folder, 'upstream.ledger') };
  const [issuer, upstream, port] = await Promise.all([startIssuer(), startSoakUpstream(ledgers.upstream), freePort()]);
  const { origin, pathname } = new URL(upstream.url);
  const configFile = join(folder, 'verbatim.yaml');
  const stores = await openSoakStores(options.store, folder, options.seed);
  const config = { sealEvery: '150ms', heartbeatEvery: '1s', stores: { recordings: stores.recordings } };
  const connection = { durability: options.durability };
  const at = { folder, issuer, port, origin, pathname };
  await writeFile(configFile, stringify(configurationFor(at, { config, connection })));
  const tokens = createSoakTokens(issuer, `http://127.0.0.1:${port}/fixture${pathname}`, random);
  const clients = createSoakClients({
    ledger: ledgers.clients,
    path: `/fixture${pathname}`,
    clients: options.clients,
    token: tokens.any,
    random,
  });
  const plan = createPlan(random);
  const logFd = openSync(join(folder, 'gateway.log'), 'a');
  const start = (): Life => startLife(logFd);

  const began = performance.now();
  const killed: number[] = [];
  let beforeListening = 0;
  let torn = 0;
  const journal = join(folder, 'disk', 'journal');
  const powerLog = join(folder, 'power.log');
  let servingMs = 0;
  let standby: Life | undefined;

  /** How long a gateway serves on average, so that exchanges and kills come out together: all kills where time is short. */
  function meanServingMs(): number {
    const acknowledged = clients.tally.acknowledged;
    // Where a first answer takes longer than that, lives become longer until there is one.
    if (acknowledged === 0 || servingMs === 0)
      return Math.min(SERVING_MS.most, SERVING_MS.first * (1 + killed.length / 5));
    // Of the lives to come some do not get to serve.
    const lives = Math.max(1, (options.kills - killed.length) * 0.7);
    const wanted = (options.exchanges - acknowledged) / lives / (acknowledged / servingMs);
    const spent = performance.now() - began;
    const starting = (spent - servingMs) / killed.length;
    const affordable = (options.minutes * 60_000 - spent - (options.kills - killed.length) * starting) / lives;
    return Math.min(SERVING_MS.most, Math.max(SERVING_MS.least, Math.min(wanted, affordable)));
  }

  /** A gateway's life until it is killed. */
  async function live(fate: Fate): Promise<void> {
    const life = standby ?? start();
    standby = undefined;
    // How long that takes says nothing of a gateway: its time is counted from here.
    await life.loaded;
    const timers: NodeJS.Timeout[] = [];
    const killIn = (ms: number): void => void timers.push(setTimeout(life.kill, ms));
    const before = options.power ? sizesIn(journal) : undefined;
    if (options.power) await rm(powerLog, { force: true });
    const listening = life.begin({
      configFile,
      ...(options.power ? { powerLog } : {}),
      ...('death' in fate && fate.settled === 'at start' ? { death: fate.death } : {}),
    });
    if (fate.settled === 'at start') killIn('killAfterMs' in fate ? fate.killAfterMs : COMES_WITHIN_MS);
    // The next one loads its code while this one lives.
    standby = start();
    let hung = false;
    const slow = setTimeout(() => {
      hung = true;
      life.kill();
    }, HANGS_AFTER_MS);
    const place = await listening;
    clearTimeout(slow);
    if (hung) throw new Error('A gateway did not come up: see gateway.log.');
    if (place === undefined) beforeListening++;
    else {
      const began = performance.now();
      if (fate.settled === 'serving') {
        const { death, share } = fate;
        const servedMs = share * meanServingMs();
        if (death === undefined) killIn(servedMs);
        else {
          timers.push(setTimeout(() => life.die(death), servedMs));
          killIn(servedMs + COMES_WITHIN_MS);
        }
      }
      await clients.callUntil(place.url, life.ended);
      servingMs += performance.now() - began;
    }
    const { at, signal, died } = await life.ended;
    for (const timer of timers) clearTimeout(timer);
    if (signal !== 'SIGKILL') throw new Error('A gateway ended by itself: see gateway.log.');
    if (before !== undefined && cutPower(powerLog, journal, before, random)) torn++;
    killed.push(at);
    if (died !== undefined) plan.came(died);
  }

  /** The real command, stopped in order. Resolves the verifier key. */
  async function runAndStop(): Promise<string> {
    const { child, stdout } = startProcess(['gateway/cli/bin.js', 'gateway', '--config', configFile, '--json'], logFd);
    const exited = once(child, 'exit');
    const slow = setTimeout(() => void child.kill('SIGKILL'), HANGS_AFTER_MS);
    const { value: line } = await createInterface({ input: stdout })[Symbol.asyncIterator]().next();
    if (line === undefined) throw new Error('The gateway did not start: see gateway.log.');
    const { url, key } = JSON.parse(line) as { url: string; key: string };
    await tokens.renew();
    await clients.callUntil(url, delay(100));
    child.kill('SIGTERM');
    const [code] = await exited;
    clearTimeout(slow);
    if (code !== 0) throw new Error('The gateway did not stop in order: see gateway.log.');
    return key;
  }

  async function judge() {
    stores.heal();
    const verified = await verify(stores.recordings, key);
    say('checking');
    const recordings = openRecordings(openStore(stores.recordings));
    const joined = await readJoined(ledgers.clients, ledgers.upstream);
    return { verified, checked: await check(recordings, joined, killed) };
  }

  let key: string;
  try {
    let said = began;
    const isDone = (): boolean => killed.length >= options.kills && clients.tally.acknowledged >= options.exchanges;
    // An orderly stop once in between; behind it none dies before it has touched its disk, since that leaves no trace.
    for (let lives = 0; !isDone() && performance.now() - began < options.minutes * 60_000; lives++) {
      await tokens.renew();
      const isAfterStop = lives === 0 || lives === Math.floor(options.kills / 2);
      if (isAfterStop && lives > 0) await runAndStop();
      await live(plan.next(!isAfterStop));
      if (performance.now() - said < SAY_EVERY_MS) continue;
      said = performance.now();
      const seconds = Math.round((said - began) / 1000);
      say(`${seconds} s: ${killed.length} kills, ${clients.tally.acknowledged} exchanges acknowledged`);
    }
    // Twice: the last start must find nothing to close.
    await runAndStop();
    key = await runAndStop();
  } finally {
    standby?.kill();
    await standby?.ended;
    await Promise.all([issuer.close(), upstream.close()]);
    clients.close();
    closeSync(logFd);
  }

  const killing = performance.now() - began;
  say(`${killed.length} kills, ${clients.tally.acknowledged} exchanges acknowledged; verifying`);
  const struck = stores.struck();
  const { verified, checked } = await judge().finally(stores.close);
  return {
    ...checked,
    seed: options.seed,
    kills: killed.length,
    beforeListening,
    torn,
    struck,
    steps: plan.steps,
    tally: clients.tally,
    kinds: clients.kinds,
    seconds: {
      killing: Math.round(killing / 1000),
      serving: Math.round(servingMs / 1000),
      checking: Math.round((performance.now() - began - killing) / 1000),
    },
    verified: { ok: verified.ok, segments: verified.segments, frames: verified.frames },
    problems: [...checked.problems, ...verified.problems.map(({ code, object }) => `verify: ${code} ${object}`)],
    ok: verified.ok && checked.wrong === 0 && checked.acknowledged > 0,
  };
}

interface Verified {
  readonly ok: boolean;
  readonly segments: number;
  readonly frames: number;
  readonly problems: readonly { readonly code: string; readonly object: string }[];
}

export async function verify(storeUrl: string, key: string): Promise<Verified> {
  const args = ['gateway/cli/bin.js', 'verify', '--all', '--store', storeUrl, '--key', key, '--json'];
  const child = startProcess(args, 'inherit');
  return JSON.parse(await text(child.stdout)) as Verified;
}
