/** What this process has of one person's tokens for one connection: the last version, and the refresh that is under way. */
import { GatewayError } from '../errors.ts';
import { credentialError } from './credential-error.ts';
import { OVER, type TokenVersion, type UserRefresh } from './credential-user-refresh.ts';
import type { UserVersions, Version } from './credential-user-versions.ts';

/** How long another replica's end or renewal may go unseen, and how long the store may be unreadable. */
const LOOK_MS = 5000;
const KNOWN_MS = 10_000;
/** After a refresh that failed; each attempt costs a claim (credential-user-versions.ts). */
const RETRY_MS = 20_000;

export interface Held {
  /** The last version, as read within `LOOK_MS`. Throws `credential_unavailable`. */
  look(now?: boolean): Promise<Version>;
  put(version: Version): void;
  /** The version behind `from`; once for all who ask at the same time. Throws `credential_unavailable`. */
  refreshed(refreshing: Parameters<UserRefresh>[0], from: TokenVersion): Promise<Version>;
}

export function createHeld(deps: {
  folder: string;
  versions: UserVersions;
  refresh: UserRefresh;
  now: () => number;
}): Held {
  const { folder, versions, refresh, now } = deps;
  let last: Version | undefined;
  let readAt = Number.NEGATIVE_INFINITY;
  let looking: Promise<Version> | undefined;
  let refreshing: { n: number; done: Promise<Version> } | undefined;
  let failed: { n: number; until: number; error: unknown } | undefined;

  function put(version: Version, at = now()): Version {
    if (last === undefined || version.n >= last.n) {
      last = version;
      readAt = at;
    }
    return last;
  }

  async function read(): Promise<Version> {
    const began = now();
    return put(await versions.last(folder, last), began);
  }

  async function refreshOnce(of: Parameters<UserRefresh>[0], from: TokenVersion): Promise<Version> {
    const token = from.tokens.refresh;
    try {
      if (token !== undefined) return put(await refresh(of, from, token));
      const made = await versions.create(folder, from.n + 1, { kind: 'failed', words: OVER.ended });
      return put(made ?? (await versions.last(folder, from)));
    } catch (cause) {
      const error = cause instanceof GatewayError ? cause : stateUnknown();
      failed = { n: from.n, until: now() + RETRY_MS, error };
      throw error;
    }
  }

  return {
    put,
    async look(anew = false) {
      // Without tokens each call looks: the person may just have come back from their consent on another replica.
      if (!anew && last?.kind === 'tokens' && now() - readAt < LOOK_MS) return last;
      looking ??= read().finally(() => {
        looking = undefined;
      });
      try {
        return await looking;
      } catch {
        if (last !== undefined && now() - readAt < KNOWN_MS) return last;
        throw stateUnknown();
      }
    },
    refreshed(of, from) {
      if (failed?.n === from.n && now() < failed.until) return Promise.reject(failed.error);
      if (refreshing?.n === from.n) return refreshing.done;
      const one = {
        n: from.n,
        done: refreshOnce(of, from).finally(() => {
          if (refreshing === one) refreshing = undefined;
        }),
      };
      refreshing = one;
      return one.done;
    },
  };
}

function stateUnknown(): GatewayError {
  return credentialError('The state of the gateway can not be read or written.', 'the state can not be used', true);
}
