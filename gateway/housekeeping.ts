/** What a running gateway does again and again: looks at files and at the shared state, ends what is over, tells of it. */
import { unwatchFile, watchFile } from 'node:fs';
import { pollBlocks, pollFreezes, pollWindows } from './announcements.ts';
import type { Configurations } from './configurations.ts';
import type { KeyChange } from './key-change.ts';
import { policiesStamp } from './policies.ts';
import type { Runtime } from './proxy/runtime.ts';
import { repeat } from './repeat.ts';
import type { Ends } from './sessions/ends.ts';
import type { Webhooks } from './sessions/webhooks.ts';

export interface Housekeeping {
  stop(): Promise<void>;
}

const TICK_MS = 1000;
const POLL_FILE_MS = 1000;
/** A freeze, and a session's end, is in force on every replica within 5 s. */
const LOOK_MS = 2000;
/** How often a key that is to come is tried, where it did not sign. */
const KEY_MS = 10_000;

/** Resolves when the shared state has been looked at once, whether it could be read or not. */
export async function startHousekeeping(deps: {
  readonly runtime: Runtime;
  readonly configurations: Configurations;
  readonly configFile: string;
  readonly ends: Ends;
  readonly webhooks: Webhooks;
  readonly keyChange: KeyChange;
  /** Milliseconds. */
  readonly heartbeatEvery: number;
}): Promise<Housekeeping> {
  const { runtime, configurations, configFile, ends, webhooks } = deps;
  const { recorder, sessions, system, authorization, log } = runtime;

  /** What other replicas and operators wrote; unread for 10 s, calls are refused. */
  async function look(): Promise<void> {
    // One that fails keeps none of the others from taking effect.
    const looked = await Promise.allSettled([
      ends.poll().then(sessions.learn),
      pollFreezes(runtime),
      pollBlocks(runtime),
      pollWindows(runtime),
    ]);
    for (const one of looked) if (one.status === 'rejected') throw one.reason;
  }

  const reload = (): void =>
    void configurations
      .reload()
      .catch((err: unknown) => log.error({ event: 'reload_failed', err }, 'Reading the configuration again failed.'));
  let stamp = policiesStamp(configurations.inForce().config.policies);

  /** Files of the policy come and go: their folder is looked at, and not each file watched. */
  function lookAtPolicies(): void {
    const now = policiesStamp(configurations.inForce().config.policies);
    if (now !== stamp) reload();
    stamp = now;
  }

  async function tick(): Promise<void> {
    lookAtPolicies();
    // A commit that fails leaves the journal refusing; only another commit can show that the disk is back.
    if (recorder.journal.failed()) await system.event('recording.resumed');
    await sessions.sweep({ ...configurations.inForce().config.sessions, sessionsPerPrincipal: 0 });
    await system.turn();
  }

  const unread = (err: unknown): void =>
    log.error(
      { event: 'state_unreadable', err },
      'Freezes, blocks, windows and ends could not be read; it is tried again.',
    );
  const changeKey = (): Promise<void> =>
    deps.keyChange
      .step()
      .catch((err: unknown) =>
        log.error({ event: 'key_change_failed', err }, 'Another key could not be announced; it is tried again.'),
      );
  await look().catch(unread);
  watchFile(configFile, { interval: POLL_FILE_MS }, reload);
  const repeated = [
    repeat(tick, TICK_MS, (err) => log.error({ event: 'tick_failed', err }, 'Housekeeping failed; it is tried again.')),
    repeat(look, LOOK_MS, unread),
    // Apart from the others, which must not wait for an identity provider.
    repeat(
      () => authorization.renew(sessions.granted()),
      TICK_MS,
      (err) => log.error({ event: 'recheck_failed', err }, 'Groups could not be asked for; it is tried again.'),
    ),
    repeat(webhooks.poll, LOOK_MS, (err) =>
      log.error({ event: 'webhooks_failed', err }, 'Webhooks could not be looked for; it is tried again.'),
    ),
    repeat(changeKey, KEY_MS, () => {}),
    repeat(recorder.heartbeat, deps.heartbeatEvery, () => {}),
  ];
  // At once, and nobody waits for it: the key before goes on signing.
  const first = changeKey();
  return {
    async stop() {
      await first;
      unwatchFile(configFile, reload);
      await Promise.all(repeated.map((one) => one.stop()));
      await webhooks.idle();
    },
  };
}
