/**
 * Whose handle is whose: a task id, an elicitation id or a request state works only in the session that was given it
 * first. Upstreams know one credential, so nothing but the gateway tells the callers behind it apart.
 *
 * One create-if-absent state object each, so that every replica knows it and no two sessions hold the same.
 */
import { hashOfParts } from '../hash-of-parts.ts';
import type { Handle, Named } from '../mcp/handles.ts';
import type { Store } from '../store/store.ts';

export type Owner = 'ours' | 'foreign' | 'nobody';

interface Holder {
  readonly id: string;
  readonly connection: string;
}

export interface Handles {
  /** Gives a handle to a session; resolves when that is durable, `foreign` where another session has it. */
  give(session: Holder, handle: Handle): Promise<Exclude<Owner, 'nobody'>>;
  ownerOf(session: Holder, named: Named): Promise<Owner>;
}

/** Handles that were looked up lately; who has one never changes. */
const MOST_KNOWN = 50_000;

export function createHandles(deps: { state: Store; now: () => number }): Handles {
  const known = new Map<string, string>();

  function remember(name: string, session: string): void {
    if (known.size >= MOST_KNOWN) for (const oldest of known.keys()) return void known.delete(oldest);
    known.set(name, session);
  }

  async function read(name: string): Promise<string | undefined> {
    const there = known.get(name);
    if (there !== undefined) return there;
    const bytes = await deps.state.get(name);
    if (bytes === undefined) return undefined;
    const { session } = JSON.parse(Buffer.from(bytes).toString()) as { session: string };
    remember(name, session);
    return session;
  }

  return {
    async give(session, handle) {
      const name = nameOf(session, handle);
      const mine = Buffer.from(JSON.stringify({ v: 1, session: session.id, kind: handle.kind, at: deps.now() }));
      if (known.get(name) === undefined && (await deps.state.create(name, mine)) === 'created') {
        remember(name, session.id);
        return 'ours';
      }
      return (await read(name)) === session.id ? 'ours' : 'foreign';
    },
    async ownerOf(session, { kind, value }) {
      if (value === undefined) return 'nobody';
      const owner = await read(nameOf(session, { kind, value }));
      if (owner === undefined) return 'nobody';
      return owner === session.id ? 'ours' : 'foreign';
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
