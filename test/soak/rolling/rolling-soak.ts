/**
 * Replicas are replaced one after the other, in order or by a kill, by the same or another version, while clients call, listen,
 * converse and log in through a balancer. Then what the clients were told is held against what is recorded.
 */
import { closeSync, openSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DEMO_CLIENT, startIdp } from '../../../demo/idp.ts';
import { DEMO_USERS } from '../../../demo/users.ts';
import { startFixture } from '../../conformance/fixture.ts';
import { configurationFor } from '../../gateway-under-test.ts';
import { startIssuer } from '../../issuer.ts';
import { createRandom } from '../random.ts';
import { callAllTheTime } from './calls.ts';
import { type Checked, checkRecorded } from './check.ts';
import { type Departure, type Program, startFleet } from './fleet.ts';
import { createLedger, type Ledger } from './ledger.ts';
import { converseAllTheTime, createPeople } from './people.ts';
import { streamAllTheTime } from './streams.ts';
import { startRollingUpstream } from './upstream.ts';

/** One replacement. */
export interface Step {
  readonly slot: number;
  readonly program: Program;
  readonly how: Departure['how'];
}

export interface RollingOptions {
  /** A folder of its own, which the caller removes. */
  readonly folder: string;
  readonly replicas: number;
  /** What the slots run at first, in turn. */
  readonly first: readonly Program[];
  readonly steps: Iterable<Step>;
  /** No step begins after that. */
  readonly minutes: number;
  readonly load: {
    readonly calls: number;
    readonly streams: number;
    readonly conversations: number;
    readonly logins: number;
  };
  readonly drainDelayMs: number;
  readonly drainMs: number;
  readonly seed: number;
  readonly say: (line: string) => void;
}

export interface RollingReport extends Checked {
  readonly replaced: number;
  readonly crashes: number;
  /** Between which versions: `from > to`, and how often. */
  readonly moves: Readonly<Record<string, number>>;
  readonly counts: Ledger['counts'];
  readonly failures: readonly string[];
  readonly seconds: number;
  readonly ok: boolean;
}

const PEOPLE = 4;
const EARLY_LOGINS = 3;

export async function runRolling(options: RollingOptions): Promise<RollingReport> {
  const { folder, load, say } = options;
  await using stack = new AsyncDisposableStack();
  const adopt = <T extends { close(): Promise<void> }>(one: T): T => stack.adopt(one, (open) => open.close());
  const log = openSync(join(folder, 'gateways.log'), 'a');
  stack.defer(() => closeSync(log));
  const upstream = adopt(await startRollingUpstream());
  const fixture = adopt(await startFixture({ port: 0 }));
  const issuer = adopt(await startIssuer());
  let publicUrl = '';
  const idp = adopt(
    await startIdp({
      port: 0,
      callbacks: () => [`${publicUrl}/oauth/callback/corp`],
      clientSecret: 'what the gateways show',
      people: { all: () => DEMO_USERS, find: (name) => DEMO_USERS.find((user) => user.name === name) },
    }),
  );
  const secrets = { client: join(folder, 'client-secret'), shared: join(folder, 'shared-secret') };
  await writeFile(secrets.client, 'what the gateways show');
  await writeFile(secrets.shared, 'what all gateways of this soak share, 32 bytes and more');
  const oidc = { issuer: idp.issuer, clientId: DEMO_CLIENT, clientSecret: `file:${secrets.client}` };
  const storeUrl = `file://${folder}/store`;
  const { origin, pathname } = new URL(upstream.url);
  const fleet = await startFleet({
    folder,
    size: options.replicas,
    log,
    configuration({ port, publicUrl: at, folder: own }) {
      publicUrl = at;
      return configurationFor(
        { folder: own, issuer, port, origin, pathname },
        {
          connections: { sdk: { upstream: { url: new URL(fixture.url).origin, allowAddresses: ['loopback'] } } },
          config: {
            publicUrl,
            stores: { recordings: storeUrl },
            login: { secrets: [`file:${secrets.shared}`], providers: { corp: { oidc } } },
            drainDelay: `${options.drainDelayMs}ms`,
            drain: `${options.drainMs}ms`,
          },
        },
      );
    },
  });
  stack.defer(() => fleet.kill());
  await fleet.start(options.first);
  say(`${options.replicas} replicas run ${fleet.running().join(', ')}`);

  const began = performance.now();
  const random = createRandom(options.seed);
  const ledger = createLedger(fleet);
  const url = { raw: `${publicUrl}/fixture${pathname}`, sdk: `${publicUrl}/sdk/mcp` };
  const tokensOf = async (audience: string, kind: string): Promise<() => string> => {
    const made = Array.from({ length: PEOPLE }, (_, at) => issuer.token(audience, { sub: `${kind}-${at}` }));
    const tokens = await Promise.all(made);
    let turn = 0;
    return () => tokens[turn++ % tokens.length] ?? '';
  };
  let over = false;
  const stopped = (): boolean => over;
  const people = createPeople(url.raw, { ledger, stopped });
  if (load.logins > 0) await people.begin(EARLY_LOGINS);
  const [calling, streaming, conversing] = await Promise.all([
    tokensOf(url.raw, 'caller'),
    tokensOf(url.raw, 'listener'),
    tokensOf(url.sdk, 'talker'),
  ]);
  const leaveMs = options.drainDelayMs + options.drainMs;
  const loads = [
    callAllTheTime({ url: url.raw, clients: load.calls, token: calling, random, ledger, stopped }),
    streamAllTheTime({ url: url.raw, clients: load.streams, token: streaming, ledger, fleet, leaveMs, stopped }),
    ...Array.from({ length: load.conversations }, () => converseAllTheTime(url.sdk, conversing, { ledger, stopped })),
    ...Array.from({ length: load.logins }, () => people.liveAllTheTime()),
  ];

  const moves: Record<string, number> = {};
  let replaced = 0;
  for (const { slot, program, how } of options.steps) {
    if (performance.now() - began > options.minutes * 60_000) break;
    const move = `${fleet.running()[slot % fleet.size]} > ${program.name}`;
    await fleet.replace(slot, program, how);
    moves[move] = (moves[move] ?? 0) + 1;
    replaced++;
    say(`${replaced}: ${move} by ${how}; ${ledger.counts.acknowledged} calls, ${ledger.counts.failed} failed`);
  }
  over = true;
  await Promise.all(loads);
  if (load.logins > 0) await people.checkAll();
  await fleet.stop();
  const checked = await checkRecorded(storeUrl, fleet.keys, ledger.known, upstream.reached);
  const crashes = fleet.departures.filter(({ how }) => how === 'crash').length;
  return {
    ...checked,
    replaced,
    crashes,
    moves,
    counts: ledger.counts,
    failures: ledger.failures,
    seconds: Math.round((performance.now() - began) / 1000),
    ok:
      ledger.counts.failed === 0 &&
      checked.problems.length === 0 &&
      checked.lost + checked.unrecorded === 0 &&
      checked.verified &&
      // A crash has a gap where it cut a session, and nothing else has one.
      (crashes === 0 ? checked.gaps === 0 : checked.continued > 0),
  };
}
