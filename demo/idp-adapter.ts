import type { Adapter, AdapterPayload } from 'oidc-provider';

/** Enough for a demo; beyond it the oldest entry goes, so that a flood of logins can't fill the memory. */
const MOST_ENTRIES = 2_000;

interface Entry {
  readonly payload: AdapterPayload;
  readonly expires: number;
}

/**
 * Where the demo's identity provider keeps its interactions, grants and codes: this process, until it ends.
 *
 * `alreadyUsed` makes the error that a second use of a one-time object ends in.
 */
export function createAdapters(alreadyUsed: () => Error): (model: string) => Adapter {
  const entries = new Map<string, Entry>();
  return (model) => (model === 'Session' ? nothing() : inMemory(model, entries, alreadyUsed));
}

function inMemory(model: string, entries: Map<string, Entry>, alreadyUsed: () => Error): Adapter {
  const key = (id: string) => `${model}:${id}`;

  function live(id: string): AdapterPayload | undefined {
    const entry = entries.get(key(id));
    if (entry === undefined) return undefined;
    if (entry.expires > Date.now()) return entry.payload;
    entries.delete(key(id));
    return undefined;
  }

  return {
    async upsert(id, payload, expiresIn = Number.POSITIVE_INFINITY) {
      entries.delete(key(id));
      entries.set(key(id), { payload: structuredClone(payload), expires: Date.now() + expiresIn * 1000 });
      for (const oldest of entries.keys()) {
        if (entries.size <= MOST_ENTRIES) break;
        entries.delete(oldest);
      }
    },
    async find(id) {
      return structuredClone(live(id));
    },
    async findByUid() {
      return undefined;
    },
    async findByUserCode() {
      return undefined;
    },
    async consume(id) {
      const payload = live(id);
      // The provider reads, then consumes: of several uses at once, all would have read "unused". Only this step,
      // which no await divides, decides who was first.
      if (payload === undefined || payload.consumed) throw alreadyUsed();
      payload.consumed = Math.floor(Date.now() / 1000);
    },
    async destroy(id) {
      entries.delete(key(id));
    },
    async revokeByGrantId(grantId) {
      for (const [name, { payload }] of entries) if (payload.grantId === grantId) entries.delete(name);
    },
  };
}

/**
 * Sessions of the provider itself are never kept: each authorization asks who it is, so a visitor can be ana in one
 * tab and carol in the next without logging out.
 */
function nothing(): Adapter {
  return {
    async upsert() {},
    async find() {
      return undefined;
    },
    async findByUid() {
      return undefined;
    },
    async findByUserCode() {
      return undefined;
    },
    async consume() {},
    async destroy() {},
    async revokeByGrantId() {},
  };
}
