/**
 * The kill loop: a real gateway process is killed at random moments while clients call through it, and started again on
 * the same disk. What the clients were told and what reached the upstream is then held against what is recorded.
 * VERBATIM_SEED repeats a run's choices.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { stringify } from 'yaml';
import { createExchangeGrouping, type Exchange, releasedBytes, requestBytes } from '../gateway/recording/exchange.ts';
import type { Frame } from '../gateway/recording/frame.ts';
import { openRecordings } from '../gateway/recording/read.ts';
import { openStore } from '../gateway/store/open.ts';
import { assertNoSecrets } from './canaries.ts';
import { noteKeys, placesIn } from './canary-watch.ts';
import { configurationFor, freePort } from './gateway-under-test.ts';
import { startIssuer } from './issuer.ts';
import { callOnce, createRandom, type Outcome, startLoggingUpstream } from './kill-world.ts';

const KILLS = 20;
const CLIENTS = 4;

const seed = Number(process.env.VERBATIM_SEED ?? Math.floor(Math.random() * 2 ** 31));
const random = createRandom(seed);

interface Gateway {
  readonly child: ChildProcess;
  /** Resolves when it listens, or undefined where it ended before. */
  readonly started: Promise<{ url: string; key: string } | undefined>;
  readonly exited: Promise<unknown[]>;
  readonly log: string[];
}

function startProcess(configFile: string): Gateway {
  const child = spawn(process.execPath, ['gateway/cli/bin.js', 'gateway', '--config', configFile, '--json'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exited = once(child, 'exit');
  const log: string[] = [];
  createInterface({ input: child.stderr }).on('line', (line) => log.push(line));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const started = lines.next().then(({ value }) => (value === undefined ? undefined : JSON.parse(value)));
  return { child, started, exited, log };
}

/** Clients call until told to stop; each call is sent once and has a body that no other has. */
function createClients(url: string, tokens: () => string) {
  const ledger: Outcome[] = [];
  let serial = 0;
  async function client(stopped: () => boolean): Promise<void> {
    while (!stopped()) {
      const id = ++serial;
      const name = ['json', 'sse', 'json', 'sse', 'json', 'sse', 'broken', 'malformed'][Math.floor(random() * 8)];
      const padding = 'é'.repeat(Math.floor(random() ** 4 * 40_000));
      const sent = `{"jsonrpc":"2.0", "id":${id},"method":"tools/call","params":{"name":"${name}","arguments":{"p":"${padding}"}}${name === 'malformed' ? '' : '}'}`;
      const outcome = await callOnce(url, tokens(), sent);
      if (outcome.state === 'refused connection') return;
      ledger.push(outcome);
    }
  }
  return {
    ledger,
    async callWhile(running: Promise<unknown>): Promise<void> {
      let stopped = false;
      const clients = Array.from({ length: CLIENTS }, () => client(() => stopped));
      await running;
      stopped = true;
      await Promise.all(clients);
    },
  };
}

test(`${KILLS} kills lose nothing that was acknowledged (seed ${seed})`, { timeout: 120_000 }, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'verbatim-kill-'));
  const [issuer, upstream, port] = await Promise.all([startIssuer(), startLoggingUpstream(), freePort()]);
  const { origin, pathname } = new URL(upstream.url);
  const configFile = join(folder, 'verbatim.yaml');
  const config = { sealEvery: '50ms', heartbeatEvery: '1s' };
  await writeFile(configFile, stringify(configurationFor({ folder, issuer, port, origin, pathname }, { config })));
  const url = `http://127.0.0.1:${port}/fixture${pathname}`;

  const tokens = [await issuer.token(url), await issuer.token(url)];
  const clients = createClients(url, () => tokens[Math.floor(random() * tokens.length)] ?? '');
  const killed: number[] = [];
  let beforeListening = 0;
  let key = '';

  let running: Gateway | undefined;
  const logs: string[][] = [];

  async function runUntilKilled(afterOrderlyStop: boolean): Promise<void> {
    const gateway = startProcess(configFile);
    running = gateway;
    logs.push(gateway.log);
    const killAfter = async (milliseconds: number): Promise<void> => {
      await delay(milliseconds);
      gateway.child.kill('SIGKILL');
      await gateway.exited;
      killed.push(Date.now());
    };
    // One in four dies on its way up, in the middle of recovery. (After an orderly stop it may die before it has touched
    // its disk, which leaves no trace and no gap.)
    if (!afterOrderlyStop && random() < 0.25) {
      beforeListening++;
      await killAfter(150 + random() * 350);
      return;
    }
    assert.ok(await gateway.started, `It did not start: ${gateway.log.join('\n')}`);
    tokens.push(await issuer.token(url));
    await clients.callWhile(killAfter(random() ** 2 * 500));
  }

  async function runAndStop(): Promise<void> {
    const gateway = startProcess(configFile);
    running = gateway;
    logs.push(gateway.log);
    const started = await gateway.started;
    assert.ok(started, `It did not start: ${gateway.log.join('\n')}`);
    key = started.key;
    await clients.callWhile(delay(100));
    gateway.child.kill('SIGTERM');
    assert.deepEqual(await gateway.exited, [0, null], gateway.log.join('\n'));
  }

  t.after(async () => {
    running?.child.kill('SIGKILL');
    await Promise.all([running?.exited, issuer.close(), upstream.close()]);
    await rm(folder, { recursive: true, force: true });
  });

  // A busy machine gets fewer calls through in the same time: it is given more rounds.
  for (let round = 0; round < KILLS || (!isEnough(tally(clients.ledger)) && round < 3 * KILLS); round++) {
    const afterOrderlyStop = round === KILLS / 2;
    if (afterOrderlyStop) await runAndStop();
    await runUntilKilled(afterOrderlyStop);
  }
  // Twice: the last start must find nothing to close.
  await runAndStop();
  await runAndStop();

  const storeUrl = `file://${folder}/store`;
  const verify = spawn(process.execPath, ['gateway/cli/bin.js', 'verify', '--all', '--store', storeUrl, '--key', key], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const said: string[] = [];
  createInterface({ input: verify.stdout }).on('line', (line) => said.push(line));
  assert.deepEqual(await once(verify, 'close'), [0, null], said.join('\n'));

  const recorded = await readRecorded(storeUrl);
  const counts = check(recorded, clients.ledger, upstream.reached, killed);
  const summary = { seed, kills: killed.length, beforeListening, ...counts };
  t.diagnostic(JSON.stringify(summary));
  t.diagnostic(said.at(-1) ?? '');
  noteKeys(join(folder, 'disk', 'keys'));
  assertNoSecrets([{ name: 'the log', bytes: Buffer.from(logs.flat().join('\n')) }, ...placesIn('the folder', folder)]);
  assert.ok(isEnough(counts), 'Too few calls came through to prove anything.');
});

type Tally = Record<'acknowledged' | 'not_forwarded' | 'outcome_withheld', number>;

function isEnough({ acknowledged, not_forwarded, outcome_withheld }: Tally): boolean {
  return acknowledged > 100 && not_forwarded > 5 && outcome_withheld > 5;
}

/** What the clients were told, before it is held against the recording. */
function tally(ledger: readonly Outcome[]): Tally {
  const counts: Tally = { acknowledged: 0, not_forwarded: 0, outcome_withheld: 0 };
  for (const { state, received } of ledger) if (state === 'whole') counts[fateIn(received) ?? 'acknowledged']++;
  return counts;
}

interface Recorded {
  /** Exchanges by the text of their request's body; one that is there twice is here twice. */
  readonly exchanges: ReadonlyMap<string, readonly Exchange[]>;
  readonly strands: readonly (readonly Frame[])[];
}

async function readRecorded(storeUrl: string): Promise<Recorded> {
  const recordings = openRecordings(openStore(storeUrl));
  const exchanges = new Map<string, Exchange[]>();
  const strands: Frame[][] = [];
  for await (const { session } of recordings.sessions()) {
    const grouping = createExchangeGrouping();
    const frames: Frame[] = [];
    const take = (exchange: Exchange): void => {
      const body = requestBytes(exchange).toString();
      exchanges.set(body, [...(exchanges.get(body) ?? []), exchange]);
    };
    for await (const item of recordings.frames(session)) {
      assert.equal(item.kind, 'frame', JSON.stringify(item));
      if (item.kind !== 'frame') continue;
      frames.push(item.frame);
      const ended = grouping.add(item.frame);
      if (ended !== undefined) take(ended);
    }
    assert.deepEqual(grouping.rest(), [], 'Every exchange has an end.');
    strands.push(frames);
  }
  return { exchanges, strands };
}

function check(
  { exchanges, strands }: Recorded,
  ledger: readonly Outcome[],
  reached: readonly string[],
  killed: readonly number[],
) {
  const counts = {
    calls: ledger.length,
    acknowledged: 0,
    cut: 0,
    not_forwarded: 0,
    outcome_withheld: 0,
    reached: reached.length,
    unknown: 0,
    gaps: 0,
  };
  const reachedOnce = new Set(reached);
  assert.equal(reachedOnce.size, reached.length, 'Nothing reaches the upstream twice.');
  for (const body of reachedOnce)
    assert.equal(exchanges.get(body)?.length, 1, `It reached the upstream: ${shown(body)}`);

  for (const { sent, state, received } of ledger) {
    const found = exchanges.get(sent) ?? [];
    assert.ok(found.length <= 1, `It is recorded twice: ${shown(sent)}`);
    const [exchange] = found;
    const fate = state === 'whole' ? fateIn(received) : undefined;
    if (fate === 'not_forwarded')
      assert.equal(reachedOnce.has(sent), false, `It was told not to be forwarded: ${shown(sent)}`);
    if (fate === 'not_forwarded' && exchange === undefined) {
      counts.not_forwarded++;
      continue;
    }
    if (state === 'whole') {
      assert.ok(exchange, `It was acknowledged: ${shown(sent)}`);
      assert.equal(requestBytes(exchange).toString(), sent);
      assert.deepEqual(releasedBytes(exchange).toString(), received.toString());
      assert.equal(exchange.end?.outcome.fate, fate);
      if (fate === undefined) assert.equal(exchange.end?.outcome.result, 'complete');
      counts[fate ?? 'acknowledged']++;
    } else {
      counts.cut++;
      // Whatever came out before the cut was recorded before it came out.
      const released = exchange === undefined ? Buffer.alloc(0) : releasedBytes(exchange);
      assert.ok(released.subarray(0, received.length).equals(received), `It was released unrecorded: ${shown(sent)}`);
    }
  }

  for (const exchange of [...exchanges.values()].flat()) {
    if (exchange.end?.outcome.result !== 'unknown') continue;
    counts.unknown++;
    assert.equal(exchange.end.outcome.fate, 'outcome_withheld');
  }
  for (const frames of strands) counts.gaps += checkGaps(frames, killed);
  return counts;
}

/** A gap for each kill that the strand went through, and none that no kill explains. */
function checkGaps(frames: readonly Frame[], killed: readonly number[]): number {
  const gaps = frames.flatMap((frame) => (frame.type === 'gap' ? [frame.gap] : []));
  const covers = (gap: { from: string; to: string }, at: number): boolean =>
    Math.floor(Date.parse(gap.from)) <= at && at <= Math.ceil(Date.parse(gap.to)) + 1;
  const began = Date.parse(frames[0]?.at ?? '');
  for (const at of killed) {
    if (at > began)
      assert.ok(
        gaps.some((gap) => covers(gap, at)),
        `No gap for the kill at ${new Date(at).toISOString()}`,
      );
  }
  for (const gap of gaps)
    assert.ok(
      killed.some((at) => covers(gap, at)),
      `No kill explains ${JSON.stringify(gap)}`,
    );
  return gaps.length;
}

function fateIn(received: Buffer): 'not_forwarded' | 'outcome_withheld' | undefined {
  const text = received.toString();
  if (text.includes('"fate":"not_forwarded"')) return 'not_forwarded';
  return text.includes('"fate":"outcome_withheld"') ? 'outcome_withheld' : undefined;
}

function shown(body: string): string {
  return `${body.slice(0, 60)}… (seed ${seed})`;
}
