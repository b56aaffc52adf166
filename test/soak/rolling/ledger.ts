/** What the clients of a rolling update know: what they sent, what came back, and whether it may have failed. */
import type { Fleet } from './fleet.ts';

/** A request that came back whole, or a stream as far as it came: what has to be in the recording. */
export interface Known {
  /** The request's own value of the header `x-soak`, or its body. */
  readonly mark: string;
  readonly received: Buffer;
  readonly state: 'whole' | 'cut';
}

export interface Ledger {
  readonly known: readonly Known[];
  readonly counts: Readonly<Record<Counted, number>>;
  /** What should not have failed, in words; the first ones of many. */
  readonly failures: readonly string[];
  note(known: Known): void;
  count(what: Counted): void;
  /** A failure: of a replica that was killed meanwhile it is none. `origin`: which had it, `since`: when it began. */
  failed(words: string, at: { readonly origin: string | undefined; readonly since: number }): void;
}

export type Counted =
  | 'acknowledged'
  | 'cut'
  | 'failed'
  | 'streams'
  | 'events'
  | 'resumed'
  | 'conversations'
  | 'logins'
  | 'refreshes';

const MOST_FAILURES = 50;

export function createLedger(fleet: Pick<Fleet, 'departures'>): Ledger {
  const known: Known[] = [];
  const failures: string[] = [];
  const counts: Record<Counted, number> = {
    acknowledged: 0,
    cut: 0,
    failed: 0,
    streams: 0,
    events: 0,
    resumed: 0,
    conversations: 0,
    logins: 0,
    refreshes: 0,
  };
  return {
    known,
    counts,
    failures,
    note: (one) => void known.push(one),
    count(what) {
      counts[what]++;
    },
    failed(words, { origin, since }) {
      const killed = fleet.departures.some(
        (one) => one.how === 'crash' && (origin ?? one.origin) === one.origin && (one.until ?? Infinity) > since,
      );
      counts[killed ? 'cut' : 'failed']++;
      if (!killed && failures.length < MOST_FAILURES) failures.push(`${Math.round(since)} ${origin ?? '-'} ${words}`);
    },
  };
}
