/** What tokens were found to be, for a short while: by name, never past a token's own end. */
import { keepNewest } from '../keep-newest.ts';
import type { Principal } from './principal.ts';

const MAX_CACHED = 10_000;
const CACHE_TTL = 60_000;

export interface TokenCache {
  get(name: string, now: number): Principal | undefined;
  /** Runs `find` once for all who ask for the same name meanwhile, and keeps what it found; never a failure. */
  fill(name: string, now: () => number, find: () => Promise<Principal>): Promise<Principal>;
}

export function createTokenCache(): TokenCache {
  const kept = new Map<string, { principal: Principal; until: number }>();
  const pending = new Map<string, Promise<Principal>>();

  async function findAndKeep(name: string, now: () => number, find: () => Promise<Principal>): Promise<Principal> {
    try {
      const principal = await find();
      const until = Math.min(now() + CACHE_TTL, principal.expires * 1000);
      keepNewest(kept, name, { principal, until }, MAX_CACHED);
      return principal;
    } finally {
      pending.delete(name);
    }
  }

  return {
    get(name, now) {
      const entry = kept.get(name);
      if (entry === undefined) return undefined;
      kept.delete(name);
      if (entry.until <= now) return undefined;
      kept.set(name, entry); // last in the map: least recently used stays first
      return entry.principal;
    },
    fill(name, now, find) {
      const running = pending.get(name) ?? findAndKeep(name, now, find);
      pending.set(name, running);
      return running;
    },
  };
}
