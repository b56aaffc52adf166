/**
 * Which sessions have ended, for every replica. An end is a tombstone: `ended/<session>.json` says so for good, and a
 * second one under the minute in which it was written is what running replicas look for.
 */
import { stateFacts } from '../state-facts.ts';
import type { Store } from '../store/store.ts';

export interface SessionEnd {
  readonly session: string;
  readonly reason: string;
}

export interface Ends {
  /**
   * Resolves when the session can't be opened again. `everywhere`: replicas that serve it end it too. An end by time is
   * each replica's own: another may have seen a later call, or a renewed token.
   */
  write(end: SessionEnd, everywhere: boolean): Promise<void>;
  /** Why a session has ended; `undefined` where it has not. */
  reasonOf(session: string): Promise<string | undefined>;
  /** How and when (milliseconds since the epoch) a session has ended; `undefined` where it has not. */
  of(session: string): Promise<(SessionEnd & { readonly at: number }) | undefined>;
  /** Ends that were written for every replica since the last look. Called every 2 s. */
  poll(): Promise<readonly SessionEnd[]>;
  /** Whether the state could be read within the last 10 s; where not, calls fail closed. */
  known(): boolean;
}

interface Written extends SessionEnd {
  /** Milliseconds since the epoch. */
  readonly at: number;
}

const MINUTE = 60_000;
/** Milliseconds. */
const KNOWN_FOR = 10_000;
/** The first look goes back this far: what ended before was asked about when the session was opened. */
const FIRST_LOOK = 10 * MINUTE;

export function createEnds({ state, now }: { state: Store; now: () => number }): Ends {
  let readAt: number | undefined;
  /** Minutes that were looked at, with what was found in them: an object is read once. */
  let seen = new Map<string, Set<string>>();

  async function read(name: string): Promise<Written | undefined> {
    const bytes = await state.get(name);
    return bytes === undefined ? undefined : stateFacts<Written>(bytes, name);
  }

  return {
    async write(end, everywhere) {
      const bytes = Buffer.from(JSON.stringify({ v: 1, ...end, at: now() }));
      // The minute's first: after a crash in between a replica that found it writes the other as well.
      if (everywhere) await state.create(`${minuteOf(now())}${end.session}.json`, bytes);
      await state.create(`ended/${end.session}.json`, bytes);
    },
    async reasonOf(session) {
      return (await read(`ended/${session}.json`))?.reason;
    },
    of: (session) => read(`ended/${session}.json`),
    async poll() {
      const began = now();
      const found: SessionEnd[] = [];
      const looked = new Map<string, Set<string>>();
      // A minute more on both sides: replicas' clocks are not the same.
      const first = (readAt ?? began - FIRST_LOOK) - MINUTE;
      for (let at = first; at <= began + MINUTE; at += MINUTE) {
        const minute = minuteOf(at);
        const known = seen.get(minute) ?? new Set<string>();
        looked.set(minute, known);
        for await (const name of state.list(minute)) {
          if (known.has(name)) continue;
          const end = await read(name);
          if (end !== undefined) found.push({ session: end.session, reason: end.reason });
          known.add(name);
        }
      }
      seen = looked;
      readAt = began;
      return found;
    },
    known: () => readAt !== undefined && now() - readAt <= KNOWN_FOR,
  };
}

/** `ended/2026-11-22T18-04/`: no colon, which some file systems refuse. */
function minuteOf(milliseconds: number): string {
  return `ended/${new Date(milliseconds).toISOString().slice(0, 16).replace(':', '-')}/`;
}
