/**
 * The load: idle streams and busy clients for a while, then each kind of attack while honest clients call. What is judged
 * is in verdict.ts; here it is made to happen and measured.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { AttackCounts, AttackKind } from './attacks.ts';
import type { Lap } from './clients.ts';
import type { Sample } from './flatness.ts';
import type { Probed } from './probe.ts';
import { megabytes } from './verdict.ts';
import { type LoadWorld, type LoadWorldOptions, startLoadWorld } from './world.ts';

export interface LoadOrder {
  /** Streams that nothing comes on but keep-alives. */
  readonly idle: number;
  /** Clients that call without a pause. */
  readonly busy: number;
  /** Of the steady load. */
  readonly seconds: number;
  /** Before memory has to be flat. */
  readonly settle: number;
  /** One after the other; those of one group at once. */
  readonly attacks: readonly (readonly AttackKind[])[];
  /** Seconds of each attack, and of the measurement before it. */
  readonly attackSeconds: number;
  /** Sockets of an attack are these parts of what is usual. */
  readonly attackScale: number;
  readonly world: LoadWorldOptions;
}

export interface SteadyReport {
  readonly opened: number;
  /** Streams that did not hear the last event, and those that ended by themselves. */
  readonly deaf: number;
  readonly broken: number;
  readonly calls: Lap;
  readonly delay: Probed['delay'];
  readonly work: Probed['work'];
  /** CPU seconds of the gateway a second. */
  readonly cpu: number;
  /** Once a second, from the settling on; seconds and bytes. */
  readonly resident: readonly Sample[];
  /** Heap after a full collection, at the settling and at the end. */
  readonly heap: { readonly first: number; readonly last: number };
  readonly journal: { readonly most: number };
  readonly sessions: number;
}

export interface AttackReport {
  readonly kind: string;
  readonly sockets: number;
  readonly before: Lap;
  readonly during: Lap;
  readonly counts: AttackCounts;
  readonly delay: Probed['delay'];
  readonly work: Probed['work'];
  readonly resident: number;
  readonly journalBytes: number;
  /** What is still there of it some time after it has ended. */
  readonly left: Held;
}

/** What a gateway holds for its callers. */
export interface Held {
  readonly sessions: number;
  readonly strands: number;
  readonly calls: number;
  readonly descriptors: number;
  readonly heap: number;
  readonly resources: Readonly<Record<string, number>>;
}

export interface LoadReport {
  readonly order: LoadOrder;
  /** Before anybody called, after the steady load, and after the attacks. */
  readonly idle: readonly [Held, Held, Held];
  readonly steady: SteadyReport;
  readonly attacks: readonly AttackReport[];
  /** Log events of severity ERROR, and how often each. */
  readonly errors: Readonly<Record<string, number>>;
  /** Exit code after SIGTERM, and how long the stop took. */
  readonly stop: { readonly code: number | null; readonly seconds: number };
}

const SOCKETS: Record<AttackKind, number> = {
  slowReaders: 100,
  slowHeads: 1000,
  slowBodies: 120,
  headerFloods: 32,
  halfOpen: 2000,
  unauthenticated: 64,
  denied: 32,
  connections: 10_000,
  hugeBodies: 8,
  endless: 16,
  neverRead: 64,
  junk: 64,
};

const HONEST_DURING_ATTACKS = 8;

export async function runLoad(order: LoadOrder, say: (line: string) => void): Promise<LoadReport> {
  const world = await startLoadWorld(order.world);
  try {
    await warmUp(world);
    const before = await heldWhenIdle(world, undefined);
    say(`It is idle: ${shown(before)}`);
    const steady = await steadyLoad(world, order, say);
    const after = await heldWhenIdle(world, before);
    say(`It is idle again: ${shown(after)}`);
    const attacks: AttackReport[] = [];
    for (const kinds of order.attacks) {
      const report = await underAttack(world, order, kinds, before);
      say(shownAttack(report));
      attacks.push(report);
    }
    const last = await heldWhenIdle(world, before);
    say(`At the end: ${shown(last)}`);
    const started = performance.now();
    const code = await world.gateway.stop();
    return {
      order,
      idle: [before, after, last],
      steady,
      attacks,
      errors: world.gateway.errors(),
      stop: { code, seconds: (performance.now() - started) / 1000 },
    };
  } finally {
    await world.close();
  }
}

/** Code is compiled, pools are filled: what is measured as idle afterwards is a gateway that has worked. */
async function warmUp(world: LoadWorld): Promise<void> {
  await call(world, 'warm', 8);
  await delay(200);
  await world.clients.ask<Lap>('rest');
}

async function call({ clients, gateway, tokens }: LoadWorld, kind: string, count: number): Promise<void> {
  await clients.ask('call', { origin: gateway.url, path: '/fixture/mcp', tokens: await tokens(kind, count) });
}

async function steadyLoad(world: LoadWorld, order: LoadOrder, say: (line: string) => void): Promise<SteadyReport> {
  const { clients, gateway, upstream, tokens, url } = world;
  const streamTokens = await tokens('stream', order.idle);
  const began = performance.now();
  const opened = await clients.ask<number>('openStreams', { url, tokens: streamTokens });
  say(`${opened} streams opened in ${Math.round(performance.now() - began) / 1000} s.`);
  await call(world, 'busy', order.busy);
  await delay(order.settle * 1000);
  const first = await gateway.probe({ collect: true, reset: true });
  const start = performance.now();
  const resident: Sample[] = [];
  let most = 0;
  for (let at = 0; at < order.seconds - order.settle; at = (performance.now() - start) / 1000) {
    await delay(Math.min(1000, (order.seconds - order.settle - at) * 1000));
    resident.push({ at, value: gateway.residentSize() });
    if (resident.length % 10 !== 0) continue;
    most = Math.max(most, (await gateway.metrics('verbatim_journal_bytes')).verbatim_journal_bytes);
    if (resident.length % 30 === 0) say(`${Math.round(at)} s: ${megabytes(gateway.residentSize())} MB resident.`);
  }
  const end = await gateway.probe();
  const seconds = (performance.now() - start) / 1000;
  const last = await gateway.probe({ collect: true });
  const { verbatim_sessions: sessions } = await gateway.metrics('verbatim_sessions');
  await upstream.ask('tell', { word: 'the-last-word' });
  const { deaf, broken } = await clients.ask<{ deaf: number; broken: number }>('heard', {
    word: 'the-last-word',
    within: 30_000,
  });
  const calls = await clients.ask<Lap>('rest');
  await clients.ask('closeStreams');
  const report: SteadyReport = {
    opened,
    deaf,
    broken,
    calls,
    delay: end.delay,
    work: end.work,
    cpu: (end.cpu - first.cpu) / seconds,
    resident,
    heap: { first: first.heap, last: last.heap },
    journal: { most },
    sessions,
  };
  say(
    `Steady: ${Math.round(calls.calls / calls.seconds)} calls/s, p50 ${calls.p50} ms, p99 ${calls.p99} ms, ${calls.failed} failed; event loop p99 ${end.delay.p99} ms, max ${end.delay.max} ms, its work p99 ${end.work.p99} ms, max ${end.work.max} ms; CPU ${report.cpu.toFixed(2)}; heap ${megabytes(first.heap)} → ${megabytes(last.heap)} MB; ${sessions} sessions; journal at most ${megabytes(most)} MB.`,
  );
  return report;
}

async function underAttack(
  world: LoadWorld,
  order: LoadOrder,
  kinds: readonly AttackKind[],
  idle: Held,
): Promise<AttackReport> {
  const { clients, attackers, gateway } = world;
  const inputs = await Promise.all(
    kinds.map(async (kind) => ({
      kind,
      port: Number(new URL(gateway.url).port),
      count: Math.max(2, Math.round(SOCKETS[kind] * order.attackScale)),
      tokens: await world.tokens(`attacker-${kind}`, 4),
      forged: await world.forged(),
    })),
  );
  await call(world, 'honest', HONEST_DURING_ATTACKS);
  await delay(order.attackSeconds * 500);
  await clients.ask<Lap>('lap');
  await delay(order.attackSeconds * 1000);
  const before = await clients.ask<Lap>('lap');
  await gateway.probe({ reset: true });
  await Promise.all(inputs.map((input) => attackers.ask('attack', input)));
  await delay(order.attackSeconds * 1000);
  const probed = await gateway.probe();
  const { verbatim_journal_bytes: journalBytes } = await gateway.metrics('verbatim_journal_bytes');
  const resident = gateway.residentSize();
  // Calls under way come to their end while the attack goes on.
  const during = await clients.ask<Lap>('rest');
  const counts = await attackers.ask<AttackCounts>('rest');
  const left = await heldWhenIdle(world, idle);
  return {
    kind: kinds.join(' and '),
    sockets: inputs.reduce((sum, { count }) => sum + count, 0),
    before,
    during,
    counts,
    delay: probed.delay,
    work: probed.work,
    resident,
    journalBytes,
    left,
  };
}

/** What it holds once nobody calls any more: sessions that are idle have ended, sockets are closed. */
async function heldWhenIdle({ gateway }: LoadWorld, like: Held | undefined): Promise<Held> {
  const until = performance.now() + 300_000;
  for (;;) {
    const found = await gateway.metrics('verbatim_sessions', 'verbatim_strands', 'verbatim_calls');
    const descriptors = gateway.descriptors();
    const [sessions, strands, calls] = [found.verbatim_sessions, found.verbatim_strands, found.verbatim_calls];
    const isIdle = sessions === 0 && calls === 0 && strands === 1 && descriptors <= (like?.descriptors ?? 60);
    if (isIdle || performance.now() > until) {
      const { heap, resources } = await gateway.probe({ collect: true });
      return { sessions, strands, calls, descriptors, heap, resources };
    }
    await delay(250);
  }
}

function shown({ sessions, strands, calls, descriptors, heap, resources }: Held): string {
  return `${sessions} sessions, ${strands} strands, ${calls} calls, ${descriptors} descriptors, heap ${megabytes(heap)} MB, ${JSON.stringify(resources)}`;
}

function shownAttack({
  kind,
  sockets,
  before,
  during,
  counts,
  delay: loop,
  work,
  resident,
  journalBytes,
  left,
}: AttackReport): string {
  const lap = ({ calls, seconds, p50, p99, max, failed, errors }: Lap): string =>
    `${Math.round(calls / seconds)}/s p50 ${p50} p99 ${p99} max ${max} failed ${failed}${errors.length > 0 ? ` (${errors[0]})` : ''}`;
  return `${kind} (${sockets}): before ${lap(before)}; during ${lap(during)}; loop p99 ${loop.p99} max ${loop.max}, work p99 ${work.p99} max ${work.max}; ${megabytes(resident)} MB; journal ${megabytes(journalBytes)} MB; ${JSON.stringify(counts)}; left ${shown(left)}`;
}
