/** What the gateway says of itself: in its log, in the system strand and as audit objects. */
import { isoMicros } from './clock.ts';
import type { Config } from './config.ts';
import { GatewayError } from './errors.ts';
import { KmsError } from './google-kms.ts';
import type { LedgerKeys } from './ledger-keys.ts';
import type { Log } from './log.ts';
import type { Metrics } from './metrics.ts';
import { ALLOW_ALL } from './policy/allow-all.ts';
import type { Policy } from './policy/decide.ts';
import type { Runtime } from './proxy/runtime.ts';
import type { SealerEvents } from './recording/sealer.ts';
import type { SystemStrand } from './recording/system.ts';
import type { Block } from './sessions/block.ts';
import { frozenError } from './sessions/freeze.ts';
import type { Window } from './sessions/window.ts';
import type { Store } from './store/store.ts';

/** Whether another disk of this state has keys of its own too: then what one replica begins another can't go on with. */
export async function noteUnshared(log: Log, state: Store, ledger: string): Promise<void> {
  const own = `login-keys/${ledger}.json`;
  const others: string[] = [];
  try {
    await state.create(own, Buffer.from('{}'));
    for await (const name of state.list('login-keys/')) if (name !== own) others.push(name);
  } catch {
    // Calls are refused while the state can't be read; this warning can wait.
  }
  if (others.length === 0) return;
  log.warn(
    { event: 'secrets_missing' },
    'Another gateway has used this state, and `secrets` is empty: an MCP session or a login that begins on one ends on the other. Give all of them the same secret.',
  );
}

export function sealerEvents(
  log: Log,
  metrics: () => Metrics | undefined,
  keys: Pick<LedgerKeys, 'describe'>,
): SealerEvents {
  return {
    checkpoint(info) {
      metrics()?.checkpoint(info.objects);
      log.info({ event: 'checkpoint', ...info }, 'A checkpoint is stored.');
    },
    heartbeat: (info) => log.info({ event: 'heartbeat', ...info }, 'A heartbeat is in the ledger.'),
    keyChanged(info) {
      const facts = { event: 'key_changed', ...info, key: keys.describe(info.verifierKey) };
      log.info(facts, 'Another key signs this ledger from now on; the one before is needed no more.');
    },
    unsigned({ ledger, verifierKey, error }) {
      metrics()?.sealFailed();
      metrics()?.signingFailed();
      const facts = { ledger, key: keys.describe(verifierKey), ...signingFailure(error.cause) };
      log.error(
        { event: 'signing_failed', ...facts },
        'A checkpoint could not be signed. What is recorded is stored, and one later checkpoint covers it.',
      );
    },
    gap: () => metrics()?.gap(),
    taken({ ledger, object, error }) {
      metrics()?.sealFailed();
      log.error({ event: 'ledger_taken', ledger, object }, error.message);
    },
    failed(error) {
      metrics()?.sealFailed();
      log.error({ event: 'seal_failed', err: error }, 'Sealing failed; it is tried again with the same bytes.');
    },
  };
}

/** Why there is no signature, in words that are ours. */
export function signingFailure(error: unknown): { code: string; reason: string } {
  if (error instanceof KmsError) return { code: error.code, reason: error.message };
  return { code: 'unexpected', reason: 'an error without safe words' };
}

export async function announceStart(runtime: Runtime, config: Config): Promise<void> {
  const { recorder, system, log, inForce } = runtime;
  await system.event('started', {
    version: runtime.version,
    configuration: inForce().digest,
    policy: inForce().policy.set.digest,
  });
  announcePolicy(log, inForce().policy);
  for (const { kind, reason: _, ...gap } of recorder.gaps) {
    // They were written before there were metrics.
    runtime.metrics.gap();
    if (kind === 'loss') {
      log.warn({ event: 'gap', ...gap }, 'What a damaged disk lost was accepted: this recording has a gap frame.');
    } else if (kind === 'crash') {
      log.warn({ event: 'gap', ...gap }, 'The last stop was not orderly: this recording has a gap frame.');
    } else {
      log.info({ event: 'detached', ...gap }, 'This disk had no gateway for a while: this recording has a gap frame.');
    }
  }
  await announceRecording(log, system, config, undefined);
}

export function announcePolicy(log: Log, policy: Policy): void {
  if (policy.set !== ALLOW_ALL) return;
  log.warn(
    { event: 'no_policy' },
    'No policy is in force (policies: allow-all): every well-formed message is allowed by the rule no-policy.',
  );
}

/**
 * What froze or thawed since the last look: recorded, and where a freeze stops whole sessions their calls are ended.
 * Rejects, after all of that, where a freeze could not be read or recorded.
 */
export async function pollFreezes({ freezes, system, sessions, log }: Runtime): Promise<void> {
  const { on, off, failure } = await freezes.poll();
  for (const freeze of on) {
    const { id, scope, actor } = freeze;
    log.warn({ event: 'freeze_on', id, scope, actor }, 'Calls are frozen.');
    sessions.abort(frozenError(freeze), ({ connection, principal }) => {
      return freezes.match({ connection, principal, messages: [] })?.id === id;
    });
  }
  for (const { freeze, how } of off) log.info({ event: 'freeze_off', id: freeze.id, how }, 'A freeze has ended.');
  // Said once by `poll`: one that can't be recorded must not keep the others from being so.
  const recorded = await Promise.allSettled([
    ...on.map(({ id, scope, reason, actor }) => system.event('freeze.on', { id, scope, reason, actor })),
    ...off.map(({ freeze, how }) => system.event('freeze.off', { id: freeze.id, how })),
  ]);
  const failed = recorded.find((one) => one.status === 'rejected');
  // Before the other: what can't be recorded comes up once, what can't be read again at each look.
  if (failed !== undefined) throw failed.reason;
  if (failure !== undefined) throw failure;
}

/**
 * Who was blocked or let in again since the last look: recorded, and a blocked principal's sessions end. Rejects, after
 * all of that, where a block could not be read or recorded.
 */
export async function pollBlocks({ authorization, blocks, system, sessions, log }: Runtime): Promise<void> {
  const { on, off, failure } = await blocks.poll();
  for (const { id, who, actor } of on) {
    log.warn({ event: 'block_on', id, who, actor }, 'A principal is blocked.');
    if ('principal' in who && who.issuer !== undefined) {
      await authorization.forgetAccounts({ issuer: who.issuer, subject: who.principal });
    }
  }
  for (const { it, how } of off) log.info({ event: 'block_off', id: it.id, how }, 'A block has ended.');
  // At each look: a session that was still being opened when its principal was blocked is there a look later.
  if (blocks.count() > 0) {
    // A block that can't be read may be about somebody else: calls and streams stop, and no session ends for it.
    const isNamed = (block: Block | undefined): boolean => block !== undefined && !('all' in block.who);
    sessions.end('revoked', (principal) => isNamed(blocks.match(principal)));
    sessions.abort(new GatewayError('principal_blocked'), ({ principal }) => {
      return blocks.match(principal) !== undefined;
    });
  }
  const recorded = await Promise.allSettled([
    ...on.map(({ id, who, reason, actor }) => system.event('block.on', { id, who, reason, actor })),
    ...off.map(({ it, how }) => system.event('block.off', { id: it.id, how })),
  ]);
  const failed = recorded.find((one) => one.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
  if (failure !== undefined) throw failure;
}

/** Access windows that opened or ended since the last look: recorded; the calls of one that ended are ended too. */
export async function pollWindows({ windows, sessions, system, log }: Runtime): Promise<void> {
  const { opened, ended, failure } = await windows.poll();
  for (const { connection, issuer, subject } of ended) {
    if (windows.openFor({ issuer, subject }, connection) !== undefined) continue;
    sessions.abort(new GatewayError('access_needed'), ({ connection: name, principal }) => {
      return name === connection && principal.issuer === issuer && principal.subject === subject;
    });
  }
  for (const { id, kind, connection } of opened)
    log.info({ event: 'window_opened', id, kind, connection }, 'Access for a time.');
  const recorded = await Promise.allSettled([
    ...opened.map((window) => system.event('window.opened', factsOf(window))),
    ...ended.map((window) => system.event('window.ended', factsOf(window))),
  ]);
  const failed = recorded.find((one) => one.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
  if (failure !== undefined) throw failure;
}

function factsOf({ id, kind, connection, issuer, subject, expires, state }: Window): Record<string, unknown> {
  return { id, kind, connection, issuer, subject, expires: isoMicros(expires * 1000), state };
}

/** Switching a recording off (or on again) is an event. */
export async function announceRecording(
  log: Log,
  system: SystemStrand,
  config: Config,
  before: Config | undefined,
): Promise<void> {
  for (const { name, recording } of Object.values(config.connections)) {
    const was = before?.connections[name]?.recording ?? 'on';
    if (recording === was) continue;
    log.warn({ event: `recording_${recording}`, connection: name }, `Recording of ${name} is ${recording}.`);
    await system.event(`recording.${recording}`, { connection: name });
  }
}
