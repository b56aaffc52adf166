/**
 * What waits for a decision, found without reading what does not any more: an empty state object each, whose name begins
 * with the time at which it is void. The names are hints: what they name is signed, they are not.
 */
import { hashOfParts } from '../hash-of-parts.ts';
import type { Store } from '../store/store.ts';
import { isNoStore } from './standing.ts';

export interface WaitingEntry {
  readonly id: string;
  /** `ownerOf` who asked. */
  readonly owner: string;
}

export interface Waiting {
  add(entry: WaitingEntry, expires: number): Promise<void>;
  /** Those that are not void by their time, the newest first. */
  list(): Promise<WaitingEntry[]>;
}

const NAME = /^\d{15}\.([0-9a-f-]{36})\.([0-9a-f]{32})$/;

export function ownerOf(parts: readonly string[]): string {
  return hashOfParts(parts).slice(0, 32);
}

/** `prefix` ends in `/`. */
export function createWaiting({ state, now, prefix }: { state: Store; now: () => number; prefix: string }): Waiting {
  const beginning = (time: number): string => `${prefix}${String(Math.max(0, time)).padStart(15, '0')}`;
  return {
    async add({ id, owner }, expires) {
      await state.create(`${beginning(expires)}.${id}.${owner}`, Buffer.from('{}\n'));
    },
    async list() {
      const found: WaitingEntry[] = [];
      try {
        for await (const name of state.list(prefix, { startAfter: `${beginning(now())}/` })) {
          const [, id, owner] = NAME.exec(name.slice(prefix.length)) ?? [];
          if (id !== undefined && owner !== undefined) found.push({ id, owner });
        }
      } catch (error) {
        if (!isNoStore(error)) throw error;
      }
      return found.sort((one, other) => (one.id < other.id ? 1 : -1));
    },
  };
}
