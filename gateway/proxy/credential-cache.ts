/**
 * One credential that is kept, refreshed before it ends and never fetched twice at once. Nothing runs by itself: a call
 * that finds it old starts the refresh and goes on with the old one, so a connection that nobody uses asks for nothing.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Credential, UsedCredential } from './credential.ts';
import { isTransient } from './credential-error.ts';

/** Times in milliseconds since the epoch, `refreshAt <= awaitAt <= deadAt`. */
export interface Fresh {
  readonly used: UsedCredential;
  /** From here on the next call starts a refresh. */
  readonly refreshAt: number;
  /** From here on a call waits for the refresh, unless the last attempt failed. */
  readonly awaitAt: number;
  /** From here on it is never used. */
  readonly deadAt: number;
}

/** Fetches one, past every cache. */
export type Load = (signal: AbortSignal) => Promise<Fresh>;

/**
 * `token`: good until it ends, whatever happens to its source. `remoteSecret`: gone as soon as its source says so.
 * `localSecret`: reading costs nothing, so a failure is never remembered.
 */
export type SourceKind = 'token' | 'remoteSecret' | 'localSecret';

const FIRST_RETRY_MS = 1000;
const LONGEST_RETRY_MS = 30_000;
/** Renewals that far apart have nothing to do with one another. */
const RENEWALS_FORGOTTEN_MS = 60_000;

export function createCredentialCache(deps: {
  now: () => number;
  load: Load;
  kind: SourceKind;
  closed: AbortSignal;
  refreshFailed?: ((error: unknown) => void) | undefined;
}): Credential {
  const { now, load, kind, closed, refreshFailed } = deps;
  let held: Fresh | undefined;
  let loading: Promise<Fresh> | undefined;
  let failed: { error: unknown; count: number; retryAt: number } | undefined;
  let renewing: Promise<Fresh> | undefined;
  let renewals = { count: 0, at: Number.NEGATIVE_INFINITY };

  function alive(): Fresh | undefined {
    return held !== undefined && now() < held.deadAt ? held : undefined;
  }

  function mayLoad(): boolean {
    return failed === undefined || now() >= failed.retryAt;
  }

  function loadOnce(): Promise<Fresh> {
    loading ??= load(closed)
      .then(keep, fail)
      .finally(() => {
        loading = undefined;
      });
    return loading;
  }

  function keep(fresh: Fresh): Fresh {
    failed = undefined;
    held = fresh;
    return fresh;
  }

  function fail(error: unknown): never {
    const count = (failed?.count ?? 0) + 1;
    failed = kind === 'localSecret' ? undefined : { error, count, retryAt: now() + retryDelay(count) };
    // A secret that was disabled or taken away stops working here at once, not when the cache forgets it.
    if (kind === 'remoteSecret' && !isTransient(error)) held = undefined;
    if (alive() !== undefined && !closed.aborted) refreshFailed?.(error);
    throw error;
  }

  function refreshInBackground(): void {
    if (loading === undefined && mayLoad() && !closed.aborted) loadOnce().catch(() => {});
  }

  async function renewOnce(used: UsedCredential): Promise<Fresh> {
    // What is under way began before the upstream refused: its result counts only where it is another one.
    if (loading !== undefined) {
      const before = await loading.catch(() => undefined);
      if (before !== undefined && !same(before.used, used)) return before;
    }
    return loadOnce();
  }

  /** An upstream that refuses whatever it gets must not turn each call into a new token. */
  function mayRenew(): boolean {
    if (kind === 'localSecret') return true;
    const since = now() - renewals.at;
    if (since > RENEWALS_FORGOTTEN_MS) renewals = { count: 0, at: renewals.at };
    return mayLoad() && (renewals.count === 0 || since >= retryDelay(renewals.count));
  }

  return {
    async current() {
      const there = alive();
      if (there !== undefined) {
        if (now() < there.refreshAt) return there.used;
        if (now() < there.awaitAt || failed !== undefined) {
          refreshInBackground();
          return there.used;
        }
      }
      if (!mayLoad()) throw failed?.error;
      try {
        return (await loadOnce()).used;
      } catch (error) {
        const kept = alive();
        if (kept === undefined) throw error;
        return kept.used;
      }
    },
    async renew(used) {
      const there = alive();
      if (there !== undefined && !same(there.used, used)) return there.used;
      if (renewing === undefined) {
        if (!mayRenew()) return undefined;
        renewals = { count: renewals.count + 1, at: now() };
        renewing = renewOnce(used).finally(() => {
          renewing = undefined;
        });
      }
      const renewed = await renewing.catch(() => undefined);
      return renewed === undefined || same(renewed.used, used) ? undefined : renewed.used;
    },
  };
}

function retryDelay(count: number): number {
  return Math.min(FIRST_RETRY_MS * 2 ** (count - 1), LONGEST_RETRY_MS);
}

function same(a: UsedCredential, b: UsedCredential): boolean {
  return isDeepStrictEqual(a.headers, b.headers);
}

/** A token that says less would be minted anew for each call. */
const LEAST_LIFE_MS = 1000;

/**
 * When a token is refreshed: at 80 % of its life or 5 minutes before it ends, whichever is later, but 30 s before the
 * end at the latest; at half its life where that is less than a minute. It is not used in its very last seconds: it has
 * to reach the upstream and be good there.
 */
export function freshToken(used: UsedCredential, obtained: number, expires: number): Fresh {
  const life = Math.max(expires - obtained, LEAST_LIFE_MS);
  const late = Math.min(Math.max(life * 0.8, life - 300_000), life - 30_000);
  const deadAt = obtained + life - Math.min(10_000, life / 10);
  return { used, refreshAt: obtained + Math.max(late, life / 2), awaitAt: deadAt, deadAt };
}
