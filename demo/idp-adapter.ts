import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import type { Adapter, AdapterPayload } from 'oidc-provider';

/** Enough for a demo; beyond it the oldest entry goes, so that a flood of logins can't fill the memory. */
const MOST_ENTRIES = 2_000;

interface Entry {
  readonly payload: AdapterPayload;
  readonly expires: number;
}

/** What outlives a restart where there is a file for it. */
const LASTING = ['Grant', 'RefreshToken'];

/**
 * Where the demo's identity provider keeps its interactions, grants and codes: this process, until it ends; grants and
 * refresh tokens in `file` too, where there is one.
 *
 * `alreadyUsed` makes the error that a second use of a one-time object ends in.
 */
export function createAdapters(alreadyUsed: () => Error, file?: string): (model: string) => Adapter {
  const entries = file === undefined ? new Map<string, Entry>() : readEntries(file);
  return (model) => {
    if (model === 'Session') return nothing();
    const adapter = inMemory(model, entries, alreadyUsed);
    return file !== undefined && LASTING.includes(model) ? written(adapter, entries, file) : adapter;
  };
}

function readEntries(file: string): Map<string, Entry> {
  try {
    return new Map(JSON.parse(readFileSync(file, 'utf8')) as [string, Entry][]);
  } catch {
    // None yet, or one that can't be read: everybody logs in again.
    return new Map();
  }
}

/** Writes the file after each change: whole, beside the one before, so that a crash leaves one of the two. */
function written(adapter: Adapter, entries: Map<string, Entry>, file: string): Adapter {
  const write = (): void => {
    const lasting = [...entries].filter(([name]) => LASTING.some((model) => name.startsWith(`${model}:`)));
    writeFileSync(`${file}.new`, JSON.stringify(lasting), { mode: 0o600 });
    renameSync(`${file}.new`, file);
  };
  return {
    ...adapter,
    async upsert(id, payload, expiresIn) {
      await adapter.upsert(id, payload, expiresIn);
      write();
    },
    async consume(id) {
      await adapter.consume(id);
      write();
    },
    async destroy(id) {
      await adapter.destroy(id);
      write();
    },
    async revokeByGrantId(grantId) {
      await adapter.revokeByGrantId(grantId);
      write();
    },
  };
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
