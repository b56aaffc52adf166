/**
 * Which event ids were given to which session on this replica. An upstream that resumes a stream by `Last-Event-ID` may
 * keep one event store for all its callers; it does not know whose id it is.
 */
import { createHash } from 'node:crypto';

/** The newest ids of a session that are kept, and of the upstream's sessions that one was given in. */
const MOST = 5000;
const MOST_UPSTREAM = 8;
/** What a server may count in each stream anew; longer ids are its own choice and meet nowhere by chance. */
const COUNTED = /^\d{1,9}$/;

/** Where an id was given, and where it comes back: the upstream's own session id, absent where it issues none. */
interface Stream {
  readonly connection: string;
  readonly session: string;
  readonly upstream: string | undefined;
}

export interface EventIds {
  /** Notes an id before its event is released. */
  note(stream: Stream, id: string): void;
  /**
   * Whether a session may resume behind this id. `alone`: where this replica alone has served it, it may not; another one may
   * have given it the same number, as counters do.
   */
  mayResume(stream: Stream, id: string): 'yes' | 'no' | 'alone';
  forget(connection: string, session: string): void;
}

export function createEventIds(): EventIds {
  /** By connection and session: each id with the upstream's sessions in which it was given. */
  const byConnection = new Map<string, Map<string, Map<string, Set<string | undefined>>>>();

  function idsOf({ connection, session }: Stream): Map<string, Set<string | undefined>> {
    const sessions = byConnection.get(connection) ?? new Map<string, Map<string, Set<string | undefined>>>();
    byConnection.set(connection, sessions);
    const ids = sessions.get(session) ?? new Map<string, Set<string | undefined>>();
    sessions.set(session, ids);
    return ids;
  }

  return {
    note(stream, id) {
      const ids = idsOf(stream);
      const key = keyOf(id);
      const given = ids.get(key) ?? new Set();
      if (given.size < MOST_UPSTREAM) given.add(stream.upstream);
      ids.set(key, given);
      if (ids.size > MOST) for (const oldest of ids.keys()) return void ids.delete(oldest);
    },
    mayResume({ connection, session, upstream }, lastEventId) {
      const id = keyOf(lastEventId);
      const sessions = byConnection.get(connection);
      // Also where the upstream issues no session id: then only the replica that gave the id knows.
      if (sessions?.get(session)?.get(id)?.has(upstream) === true) return 'yes';
      if (upstream === undefined) return 'no';
      // Counters repeat among streams, so what both were given passes. What only another session was given never does.
      // What this replica has not seen may be another replica's: the upstream's session, which is this one's, vouches.
      if (sessions?.get(session)?.has(id) === true) return 'yes';
      for (const ids of sessions?.values() ?? []) if (ids.has(id)) return COUNTED.test(id) ? 'alone' : 'no';
      return 'yes';
    },
    forget: (connection, session) => void byConnection.get(connection)?.delete(session),
  };
}

/** An id is as long as its server likes. */
function keyOf(id: string): string {
  return id.length <= 64 ? id : `sha256 ${createHash('sha256').update(id).digest('base64url')}`;
}
