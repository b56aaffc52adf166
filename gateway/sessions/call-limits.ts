/**
 * `maxCalls` of rules: how often a session may call within a window of time. Each call takes a numbered slot, a
 * create-if-absent state object, so that replicas count together and none counts twice.
 */
import { hashOfParts } from '../hash-of-parts.ts';
import { keepNewest } from '../keep-newest.ts';
import type { Store } from '../store/store.ts';

export interface CallLimit {
  readonly rule: string;
  readonly count: number;
  /** Milliseconds. */
  readonly per: number;
}

export interface CallLimits {
  /** Takes a slot of each; `full` is the first that has none left. Rejects where the state can't be written. */
  take(session: string, limits: readonly CallLimit[]): Promise<{ readonly full: CallLimit | undefined }>;
}

/** Windows whose first free slot is remembered. */
const MOST_KNOWN = 10_000;

export function createCallLimits(deps: { state: Store; now: () => number }): CallLimits {
  const next = new Map<string, number>();

  async function takeOne(session: string, { rule, count, per }: CallLimit): Promise<boolean> {
    const prefix = `call-limits/${hashOfParts([session, rule, String(per)])}/${Math.floor(deps.now() / per)}/`;
    let slot = next.get(prefix) ?? (await takenIn(prefix));
    while (slot < count) {
      // Before the answer comes: calls that come at once must not all ask for the same one.
      keepNewest(next, prefix, slot + 1, MOST_KNOWN);
      if ((await deps.state.create(prefix + String(slot).padStart(10, '0'), TAKEN)) === 'created') return true;
      slot = Math.max(slot + 1, next.get(prefix) ?? 0);
    }
    return false;
  }

  /** How many other replicas have taken, or this one before it was started anew. */
  async function takenIn(prefix: string): Promise<number> {
    let taken = 0;
    for await (const name of deps.state.list(prefix)) taken = Math.max(taken, Number(name.slice(prefix.length)) + 1);
    return Math.max(taken, next.get(prefix) ?? 0);
  }

  return {
    async take(session, limits) {
      for (const limit of limits) if (!(await takeOne(session, limit))) return { full: limit };
      return { full: undefined };
    },
  };
}

const TAKEN = Buffer.from('{"v":1}\n');
