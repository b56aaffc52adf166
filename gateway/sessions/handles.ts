/**
 * Whose handle is whose: a task id, an elicitation id or a request state works only in the session that was given it
 * first. Upstreams know one credential, so nothing but the gateway tells the callers behind it apart.
 *
 * One create-if-absent state object each, so that every replica knows it and no two sessions hold the same.
 */

import { hashOfParts } from '../hash-of-parts.ts';
import { keepNewest } from '../keep-newest.ts';
import type { Handle, Named } from '../mcp/handles.ts';
import { stateFacts } from '../state-facts.ts';
import type { Store } from '../store/store.ts';

export type Owner = 'ours' | 'foreign' | 'nobody';

interface Holder {
  readonly id: string;
  readonly connection: string;
}

export interface Given {
  /** `foreign` where another session has it. */
  readonly owner: Exclude<Owner, 'nobody'>;
  /** What was noted with it when it was given first. */
  readonly note?: unknown;
}

export interface Handles {
  /** Gives a handle to a session, with a note (JSON) for who serves it later; resolves when that is durable. */
  give(session: Holder, handle: Handle, note?: unknown): Promise<Given>;
  ownerOf(session: Holder, named: Named): Promise<Owner>;
  /** What was noted with a handle of this session's; `undefined` where nothing was, or it is not the session's. */
  noteOf(session: Holder, named: Named): Promise<unknown>;
}

interface Stored {
  readonly session: string;
  readonly note?: unknown;
}

/** Handles that were looked up lately; who has one never changes. */
const MOST_KNOWN = 50_000;

export function createHandles(deps: { state: Store; now: () => number }): Handles {
  const known = new Map<string, Stored>();

  function remember(name: string, stored: Stored): Stored {
    keepNewest(known, name, stored, MOST_KNOWN);
    return stored;
  }

  async function read(name: string): Promise<Stored | undefined> {
    const there = known.get(name);
    if (there !== undefined) return there;
    const bytes = await deps.state.get(name);
    if (bytes === undefined) return undefined;
    const { session, note } = stateFacts<Stored>(bytes, name);
    return remember(name, { session, note });
  }

  return {
    async give(session, handle, note) {
      const name = nameOf(session, handle);
      const facts = { v: 1, session: session.id, kind: handle.kind, at: deps.now(), note };
      if (known.get(name) === undefined) {
        const made = await deps.state.create(name, Buffer.from(JSON.stringify(facts)));
        if (made === 'created') remember(name, { session: session.id, note });
      }
      const stored = await read(name);
      return stored?.session === session.id ? { owner: 'ours', note: stored.note } : { owner: 'foreign' };
    },
    async ownerOf(session, { kind, value }) {
      if (value === undefined) return 'nobody';
      const stored = await read(nameOf(session, { kind, value }));
      if (stored === undefined) return 'nobody';
      return stored.session === session.id ? 'ours' : 'foreign';
    },
    async noteOf(session, { kind, value }) {
      const stored = value === undefined ? undefined : await read(nameOf(session, { kind, value }));
      return stored?.session === session.id ? stored.note : undefined;
    },
  };
}

/**
 * Task and elicitation ids are unique in a server, so the first session has them. A request state is whatever the server
 * wants back, the same words for everybody if it likes: each session that was given it may send it.
 */
function nameOf(session: Holder, { kind, value }: Handle): string {
  const parts = [session.connection, kind, value, ...(kind === 'requestState' ? [session.id] : [])];
  return `handles/${hashOfParts(parts)}.json`;
}
