/**
 * Requests that a server sent to its client (sampling, elicitation, roots, ping) and that await a response. A client's
 * response passes once, and only for one of these: nobody answers somebody else's elicitation, or the same one twice.
 * `"1"` is not `1`: the type of an id is part of it.
 *
 * The response may come to another replica. So each request is a state object, and taking it a second one beside it: of
 * all who want to pass a response for it one creates that.
 */

import { uuidv7 } from 'uuidv7';
import { hashOfParts } from '../hash-of-parts.ts';
import { stateFacts } from '../state-facts.ts';
import type { Store } from '../store/store.ts';

export interface Awaited {
  /**
   * Notes a server's request before it is released; resolves when every replica may know of it. `event` is the id of the
   * event that it came in: a stream that is resumed brings the same request again. Never rejects: where the state can't
   * be written the response is known here alone.
   */
  add(mcpSession: string | undefined, id: string | number, event?: string): Promise<void>;
  /**
   * Whether responses to all these ids are awaited; if so they are no longer, afterwards, on any replica. Rejects where
   * that can't be told.
   */
  take(mcpSession: string | undefined, ids: readonly (string | number)[]): Promise<boolean>;
}

/** One request. */
interface Asked {
  /** Of its state object, without `.json`. */
  readonly name: string;
  /** Other replicas may know of it. */
  readonly shared: boolean;
}

/** A session awaits at most this many by this replica's memory alone; the oldest is forgotten. */
const MOST = 1000;
/** Requests that other replicas are told of: as many as a hostile server can make durable in that time. */
const MOST_SHARED = 1000;
const SHARED_PER_MS = 600_000;

export function createAwaited(deps: {
  readonly state: Store;
  readonly session: string;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}): Awaited {
  const { state, session, now } = deps;
  /** By session and id, the oldest first. */
  const here = new Map<string, Asked[]>();
  let known = 0;
  let slot = 0;
  let sharedInSlot = 0;

  const keyOf = (mcpSession: string | undefined, id: string | number): string =>
    JSON.stringify([mcpSession ?? null, id]);
  const folderOf = (key: string): string => `awaited/${hashOfParts([session, key])}/`;

  function mayShare(): boolean {
    const current = Math.floor(now() / SHARED_PER_MS);
    if (current !== slot) sharedInSlot = 0;
    slot = current;
    return sharedInSlot++ < MOST_SHARED;
  }

  function remember(key: string, asked: Asked): void {
    const there = here.get(key) ?? [];
    if (there.some(({ name }) => name === asked.name)) return;
    // Last in the map: what was asked longest ago is forgotten first.
    here.delete(key);
    here.set(key, [...there, asked]);
    known++;
    if (known <= MOST) return;
    const [oldest = key] = here.keys();
    recall(oldest);
  }

  /** The oldest that is known here, which is so no longer. */
  function recall(key: string): Asked | undefined {
    const [first, ...others] = here.get(key) ?? [];
    if (first === undefined) return undefined;
    known--;
    if (others.length === 0) here.delete(key);
    else here.set(key, others);
    return first;
  }

  async function add(mcpSession: string | undefined, id: string | number, event?: string): Promise<void> {
    const key = keyOf(mcpSession, id);
    // A server without sessions may count its events, and its requests, alike in each of its streams.
    const isReplayable = event !== undefined && mcpSession !== undefined;
    const own = isReplayable ? `event-${hashOfParts([event]).slice(0, 32)}` : uuidv7();
    const asked = { name: folderOf(key) + own, shared: mayShare() };
    // At once: what answers it may come before the state has answered. Taking it asks the state all the same.
    remember(key, asked);
    if (!asked.shared) return;
    await state.create(`${asked.name}.json`, Buffer.from(JSON.stringify({ v: 1, at: now() }))).catch(() => {});
  }

  /** Whether it was this call that took it. */
  async function isTakenBy(name: string): Promise<boolean> {
    const by = uuidv7();
    const taken = `${name}.taken.json`;
    if ((await state.create(taken, Buffer.from(JSON.stringify({ v: 1, by })))) === 'created') return true;
    // An attempt that failed, and was tried again by the store, may have been stored all the same.
    const bytes = await state.get(taken);
    return bytes !== undefined && stateFacts<{ by?: string }>(bytes, taken).by === by;
  }

  async function takeKnown(key: string): Promise<boolean> {
    for (let asked = recall(key); asked !== undefined; asked = recall(key)) {
      if (!asked.shared) return true;
      try {
        if (await isTakenBy(asked.name)) return true;
      } catch (error) {
        // Not known whether it is taken: who comes again with the response finds out.
        remember(key, asked);
        throw error;
      }
    }
    return false;
  }

  async function takeElsewhere(key: string): Promise<boolean> {
    const asked = new Set<string>();
    for await (const name of state.list(folderOf(key))) {
      if (name.endsWith('.taken.json')) asked.delete(name.slice(0, -'.taken.json'.length));
      else asked.add(name.slice(0, -'.json'.length));
    }
    for (const name of asked) if (await isTakenBy(name)) return true;
    return false;
  }

  /** All or none: those that were taken may still be answered. */
  async function giveBack(mcpSession: string | undefined, ids: readonly (string | number)[]): Promise<void> {
    for (const id of ids) await add(mcpSession, id);
  }

  return {
    add,
    async take(mcpSession, ids) {
      const wanted = new Set(ids.map((id) => keyOf(mcpSession, id)));
      if (wanted.size < ids.length) return false;
      const taken: (string | number)[] = [];
      try {
        for (const id of ids) {
          const key = keyOf(mcpSession, id);
          if (!((await takeKnown(key)) || (await takeElsewhere(key)))) break;
          taken.push(id);
        }
        if (taken.length === ids.length) return true;
      } catch (error) {
        await giveBack(mcpSession, taken);
        throw error;
      }
      await giveBack(mcpSession, taken);
      return false;
    },
  };
}
