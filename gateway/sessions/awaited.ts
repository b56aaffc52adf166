/**
 * Requests that a server sent to its client (sampling, elicitation, roots, ping) and that await a response. A client's
 * response passes once, and only for one of these: nobody answers somebody else's elicitation, or the same one twice.
 * `"1"` is not `1`: the type of an id is part of it.
 */
export interface Awaited {
  /** Notes a server's request before it is released. */
  add(mcpSession: string | undefined, id: string | number): void;
  /** Whether responses to all these ids are awaited; if so they are no longer, afterwards. */
  take(mcpSession: string | undefined, ids: readonly (string | number)[]): boolean;
}

/** A session awaits at most this many; the oldest is forgotten, so that a hostile server can't fill the memory. */
const MOST = 1000;

export function createAwaited(): Awaited {
  const keys = new Set<string>();
  const keyOf = (mcpSession: string | undefined, id: string | number): string =>
    JSON.stringify([mcpSession ?? null, id]);
  return {
    add(mcpSession, id) {
      const key = keyOf(mcpSession, id);
      keys.delete(key);
      keys.add(key);
      if (keys.size > MOST) for (const oldest of keys) return void keys.delete(oldest);
    },
    take(mcpSession, ids) {
      const wanted = new Set(ids.map((id) => keyOf(mcpSession, id)));
      if (wanted.size < ids.length || ![...wanted].every((key) => keys.has(key))) return false;
      for (const key of wanted) keys.delete(key);
      return true;
    },
  };
}
