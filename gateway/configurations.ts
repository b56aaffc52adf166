/**
 * The configuration in force. A changed file loads whole or not at all: without a restart, without a dropped stream, and
 * stored by its digest before its first use.
 */
import { isDeepStrictEqual } from 'node:util';
import { announcePolicy } from './announcements.ts';
import type { Config, ConnectionConfig } from './config.ts';
import { type LoadedConfig, loadConfigFile } from './config-file.ts';
import type { Keyring } from './identity/keyring.ts';
import type { Login } from './identity/server/login.ts';
import type { Log } from './log.ts';
import { loadPolicies } from './policies.ts';
import type { Policy } from './policy/decide.ts';
import { loggableReason } from './proxy/credential-error.ts';
import { unreadableCredentials } from './proxy/credential-readable.ts';
import type { UserCredentials } from './proxy/credential-user.ts';
import type { InForce } from './proxy/runtime.ts';
import { openUpstream, type Upstream } from './proxy/upstream.ts';
import { configurationName, policyName } from './recording/objects.ts';
import type { Store } from './store/store.ts';
import { problemWords } from './yaml-file.ts';

export interface Configurations {
  inForce(): InForce;
  /** Reads the file again: a good one takes force, a bad one is refused with an event. */
  reload(): Promise<void>;
  close(): Promise<void>;
}

/** What can't change under a running process: it is bound to sockets, disks, buckets and timers. */
const FIXED: Record<string, (config: Config) => unknown> = {
  listen: (config) => config.listen,
  metrics: (config) => config.metrics,
  data: (config) => config.data,
  stores: (config) => config.stores,
  replica: (config) => config.replica,
  signing: (config) => config.signing,
  sealEvery: (config) => config.sealEvery,
  heartbeatEvery: (config) => config.heartbeatEvery,
  'google.modelArmor': (config) => config.google.modelArmor,
  'google.kms': (config) => config.google.kms,
  'limits.headerBytes': (config) => config.limits.headerBytes,
};

export async function openConfigurations(deps: {
  file: string;
  first: LoadedConfig & { ok: true };
  policy: Policy;
  store: Store;
  log: Log;
  now: () => number;
  /** Makes what serves the section `login`. Throws in words where it can't take force. */
  openLogin(config: Config, keyring: Keyring): Promise<Login | undefined>;
  /** The keys that it names. Throws likewise. */
  openKeyring(config: Config): Promise<Keyring>;
  userCredentials?: UserCredentials | undefined;
  /** A policy is about to take force. */
  preparePolicy?(policy: Policy): void;
  /** Records an event; resolves when it is durable. */
  announce(name: string, details: Record<string, unknown>): Promise<void>;
  /** Records which recordings a new configuration switches; it takes force only when that is durable. */
  announceRecording(next: Config, before: Config): Promise<void>;
}): Promise<Configurations> {
  const { store, log } = deps;
  let current = await prepare(deps.first, deps.policy, undefined);
  let refusedDigest: string | undefined;
  await warnOfUnreadable(current.config);

  async function prepare(
    loaded: LoadedConfig & { ok: true },
    policy: Policy,
    before: InForce | undefined,
  ): Promise<InForce> {
    const upstreams = new Map<string, Upstream>();
    for (const connection of Object.values(loaded.config.connections)) {
      const there = before?.upstreams.get(connection.name);
      const same =
        there !== undefined &&
        sameUpstream(there.connection, connection) &&
        isDeepStrictEqual(before?.config.google, loaded.config.google);
      upstreams.set(connection.name, same ? there : await open(connection, loaded.config.google));
    }
    const keyring = await deps.openKeyring(loaded.config);
    const login = await deps.openLogin(loaded.config, keyring);
    await store.create(configurationName(loaded.digest), loaded.canonical);
    await store.create(policyName(policy.set.digest), policy.set.canonical);
    deps.preparePolicy?.(policy);
    const { config, digest } = loaded;
    return hold({
      config,
      digest,
      policy,
      urls: urlsOf(config),
      upstreams,
      keyring,
      ...(login === undefined ? {} : { login }),
    });
  }

  function open(connection: ConnectionConfig, google: Config['google']): Promise<Upstream> {
    const refreshFailed = (error: unknown): void =>
      log.warn(
        { event: 'credential_refresh_failed', connection: connection.name, reason: loggableReason(error) },
        'A credential could not be refreshed; the one before it is used as long as it is good.',
      );
    const { now, userCredentials } = deps;
    return openUpstream(connection, { now, google, refreshFailed, userCredentials });
  }

  /** A credential may come later than the gateway, so this stops nothing: it says early what calls would say. */
  async function warnOfUnreadable({ connections }: Config): Promise<void> {
    for (const connection of Object.values(connections)) {
      const reasons = await unreadableCredentials(connection);
      if (reasons.length === 0) continue;
      log.warn(
        { event: 'credential_unreadable', connection: connection.name, reason: reasons.join('; ') },
        'A credential can not be read: calls that need it are refused until it can.',
      );
    }
  }

  /** Configurations with calls under way, and how many. A call keeps the one with which it began. */
  const busy = new Map<InForce, number>();

  function hold(facts: Omit<InForce, 'enter' | 'leave'>): InForce {
    const held: InForce = {
      ...facts,
      enter: () => void busy.set(held, (busy.get(held) ?? 0) + 1),
      leave() {
        const left = (busy.get(held) ?? 1) - 1;
        if (left > 0) return void busy.set(held, left);
        busy.delete(held);
        if (held !== current) closeUnused(held);
      },
    };
    return held;
  }

  /** The upstreams of the configuration in force, and of those with calls under way. */
  function upstreamsInUse(): Set<Upstream> {
    return new Set([current, ...busy.keys()].flatMap(({ upstreams }) => [...upstreams.values()]));
  }

  /** Closes those of its upstreams that no configuration uses any more. */
  function closeUnused(old: InForce): void {
    const used = upstreamsInUse();
    for (const upstream of old.upstreams.values()) if (!used.has(upstream)) void upstream.close();
  }

  async function refuse(digest: string, problems: readonly string[]): Promise<void> {
    // Once per state of the file: it is read again every second.
    if (refusedDigest === digest) return;
    refusedDigest = digest;
    log.error(
      { event: 'configuration_refused', file: deps.file, problems },
      'The changed configuration was not loaded; the one before stays in force.',
    );
    await deps.announce('configuration.refused', { problems: problems.slice(0, 20) });
  }

  return {
    inForce: () => current,
    async reload() {
      const before = current.config;
      const loaded = loadConfigFile(deps.file);
      if (!loaded.ok) {
        const problems = loaded.problems.map((one) => problemWords(deps.file, one));
        await refuse(JSON.stringify(problems), problems);
        return;
      }
      const policies = loadPolicies(loaded.config);
      if (!policies.ok) {
        const problems = policies.problems.map((one) => problemWords(deps.file, one));
        await refuse(JSON.stringify(problems), problems);
        return;
      }
      const { policy } = policies;
      if (loaded.digest === current.digest && policy.set.digest === current.policy.set.digest) {
        refusedDigest = undefined;
        return;
      }
      const bound = Object.keys(FIXED).filter(
        (key) => !isDeepStrictEqual(FIXED[key]?.(loaded.config), FIXED[key]?.(before)),
      );
      if (bound.length > 0) {
        await refuse(loaded.digest, [
          `${bound.join(', ')} can't change while the gateway runs. Restart it to change them.`,
        ]);
        return;
      }
      let next: InForce;
      try {
        next = await prepare(loaded, policy, current);
        // Before it takes force: no call may go unrecorded before the recording says so.
        await deps.announceRecording(next.config, before);
      } catch (error) {
        await refuse(loaded.digest, [error instanceof Error ? error.message : String(error)]);
        return;
      }
      await deps.announce('configuration.loaded', { configuration: loaded.digest, policy: next.policy.set.digest });
      const old = current;
      current = next;
      refusedDigest = undefined;
      const facts = { event: 'configuration_loaded', digest: loaded.digest, policy: policy.set.digest };
      log.info(facts, 'A changed configuration is in force.');
      announcePolicy(log, policy);
      closeUnused(old);
      await warnOfUnreadable(next.config);
    },
    async close() {
      await Promise.all([...upstreamsInUse()].map((upstream) => upstream.close()));
    },
  };
}

function urlsOf({ publicUrl }: Config): InForce['urls'] {
  return {
    approval: (id) => `${publicUrl}/approvals/${id}`,
    accessRequest: (id) => `${publicUrl}/access/requests/${id}`,
    accessWindow: (id) => `${publicUrl}/access/windows/${id}`,
    access: (connection) => `${publicUrl}/access/${connection}`,
  };
}

function sameUpstream(a: ConnectionConfig, b: ConnectionConfig): boolean {
  return isDeepStrictEqual(
    [a.upstream, a.credential, a.credentialByGroup, a.limits.firstByte, a.limits.idleStream],
    [b.upstream, b.credential, b.credentialByGroup, b.limits.firstByte, b.limits.idleStream],
  );
}
