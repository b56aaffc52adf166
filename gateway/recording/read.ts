/** Reading recordings back: the one way for the command line, the console, exports and replay. */
import type { Store } from '../store/store.ts';
import { type FollowOptions, followLedgers } from './read-follow.ts';
import { createStoreIndex } from './read-index.ts';
import { isSystem } from './read-name.ts';
import type { Problem } from './read-problem.ts';
import { describeSession, listSessions, type SessionFilter, type SessionInfo } from './read-sessions.ts';
import { type ReadItem, readSession } from './read-strand.ts';
import { type Verification, type VerifyOptions, verifyStore } from './read-verify.ts';

export interface Recordings {
  /** Newest first. What is wrong with a session's objects is in its `problems`. */
  sessions(filter?: SessionFilter): AsyncIterable<SessionInfo>;
  /** One session, or `undefined` where no ledger knows it. */
  session(session: string): Promise<SessionInfo | undefined>;
  /** Ids that begin so, in ascending order, at most 20. System strands only where the prefix asks for them. */
  find(prefix: string): Promise<string[]>;
  /**
   * A session's frames that are under a checkpoint, each from a segment whose bytes are those of its manifest, with
   * problems where something is missing or wrong. Strands are merged by exchange, then time. Frames of unknown types
   * come as `unknown`; nothing is left out in silence.
   */
  frames(session: string): AsyncIterable<ReadItem>;
  /** New frames as checkpoints cover them, until the signal aborts. */
  follow(options: FollowOptions): AsyncIterable<ReadItem>;
  /** Proves the whole store. */
  verifyAll(options: Omit<VerifyOptions, 'audit'>): Promise<Verification>;
  /** What was wrong with the ledgers as far as they were read. */
  problems(): Promise<readonly Problem[]>;
}

const MOST_FOUND = 20;

/**
 * `audit` holds the openings of ledgers; without it, `verifyAll` needs keys. `uncovered` also reads what is stored and
 * under no checkpoint yet, as it is now: what a lost disk left behind. It is checked against its manifests, which nobody
 * has signed.
 */
export function openRecordings(
  store: Store,
  { audit, uncovered = false }: { audit?: Store; uncovered?: boolean } = {},
): Recordings {
  const { index, refresh } = createStoreIndex(store, { uncovered });
  return {
    async *sessions(filter = {}) {
      await refresh();
      yield* listSessions(store, index, filter);
    },
    async session(session) {
      await refresh();
      return describeSession(store, index, session);
    },
    async find(prefix) {
      await refresh();
      const found = new Set<string>();
      for (const { session } of index.strands.values()) {
        if (session.startsWith(prefix) && isSystem(session) === isSystem(prefix)) found.add(session);
      }
      return [...found].sort().slice(0, MOST_FOUND);
    },
    async *frames(session) {
      await refresh();
      yield* readSession(store, index.strandsOf(session));
    },
    follow: (options) => followLedgers(store, options),
    verifyAll: (options) => verifyStore(store, audit === undefined ? options : { ...options, audit }),
    problems: refresh,
  };
}
