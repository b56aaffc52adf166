/** The last thing that went wrong for a person on a connection, in words: for the person's own page. */
import { keepNewest } from '../../keep-newest.ts';
import type { Store } from '../../store/store.ts';

export interface LastError {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly words: string;
  readonly reference?: string;
}

export interface LastErrors {
  /** Never throws, and is never waited for: it is a help, not a record. `person` is an account id (grants.ts). */
  note(person: string, connection: string, error: Omit<LastError, 'at'>): void;
  /** Within the last day. */
  last(person: string, connection: string): Promise<LastError | undefined>;
}

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
/** At most one a minute for each person and connection is kept, so that a client that fails in a loop fills no store. */
const EVERY = 60_000;
const MOST_NOTED = 10_000;

export function createLastErrors({ state, now }: { state: Store; now: () => number }): LastErrors {
  const noted = new Map<string, number>();
  const hourOf = (at: number): string => new Date(at).toISOString().slice(0, 13);
  const prefixOf = (person: string, connection: string): string => `last-errors/${person}/${connection}/`;

  return {
    note(person, connection, error) {
      const at = now();
      const prefix = prefixOf(person, connection);
      if (at - (noted.get(prefix) ?? 0) < EVERY) return;
      keepNewest(noted, prefix, at, MOST_NOTED);
      const bytes = Buffer.from(JSON.stringify({ at, ...error }));
      state.create(`${prefix}${hourOf(at)}/${at}.json`, bytes).catch(() => {});
    },
    async last(person, connection) {
      let name: string | undefined;
      const prefix = prefixOf(person, connection);
      // Times of the same number of digits sort as they are.
      for await (const one of state.list(prefix, { startAfter: `${prefix}${hourOf(now() - DAY)}` })) name = one;
      const bytes = name === undefined ? undefined : await state.get(name);
      if (bytes === undefined) return undefined;
      const found = JSON.parse(Buffer.from(bytes).toString()) as LastError;
      // The listing begins with a whole hour.
      return found.at < now() - DAY ? undefined : found;
    },
  };
}
