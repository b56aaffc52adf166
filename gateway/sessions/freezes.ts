/**
 * The freezes in force, as a replica knows them: read from the state store every 2 s. What was read ends by its time or
 * by its tombstone, never by absence; when the store can't be read, `known` says so and calls fail closed.
 */

import type { Store } from '../store/store.ts';
import { StoreError } from '../store/store-error.ts';
import {
  compileScope,
  FREEZES,
  type FreezableCall,
  type Freeze,
  freezeName,
  readFreeze,
  readFreezeName,
} from './freeze.ts';

export interface FreezeChanges {
  readonly on: readonly Freeze[];
  readonly off: readonly { readonly freeze: Freeze; readonly how: 'expired' | 'lifted' }[];
  /** Why a freeze that is listed could not be read; what it covers is not known. Absent where all could be. */
  readonly failure?: unknown;
}

export interface Freezes {
  /**
   * The freeze that refuses a call, if one does: of several the one that lasts longest. A scope with a tool is about
   * `tools/call` alone, so for a stream (no messages) only the others are asked.
   */
  match(call: FreezableCall): Freeze | undefined;
  /** Whether all of the state could be read within the last 10 s; where not, calls fail closed. */
  known(): boolean;
  /**
   * Reads the state now; called every 2 s. Resolves with what took effect or ended, each told once. A freeze that can't
   * be read keeps no other from either: it is the `failure` beside them. Rejects where the state could not be listed;
   * nothing has changed then.
   */
  poll(): Promise<FreezeChanges>;
  /** Freezes in force. */
  count(): number;
}

/** Milliseconds. */
const KNOWN_FOR = 10_000;
/** Objects that are read at once. */
const READ_AT_ONCE = 16;

interface InForce {
  readonly freeze: Freeze;
  readonly covers: (call: FreezableCall) => boolean;
}

export function createFreezes({ state, now }: { state: Store; now: () => number }): Freezes {
  const inForce = new Map<string, InForce>();
  // Ids whose freeze has ended: their objects stay for as long as the store keeps them, and are not read again.
  let ended = new Set<string>();
  // What the reading under way has found; there is never more than one.
  let changes = noChanges();
  let readAt: number | undefined;
  let storeSeen = false;
  let reading: Promise<unknown> = Promise.resolve();

  async function read(): Promise<FreezeChanges> {
    const began = now();
    const { ids, lifted } = await listIds();
    for (const id of lifted) end(id, 'lifted');
    const unread = ids.filter((id) => !inForce.has(id) && !ended.has(id) && !lifted.has(id));
    // The newest first: an emergency must not wait behind what ended long ago and is new to this process alone.
    const failures = await takeAll(unread.reverse());
    for (const [id, { freeze }] of inForce) if (isOver(freeze)) end(id, 'expired');
    const listed = new Set(ids);
    ended = new Set([...ended].filter((id) => listed.has(id)));
    const found = changes;
    changes = noChanges();
    if (failures.length > 0) return { ...found, failure: failures[0] };
    readAt = began;
    return found;
  }

  async function listIds(): Promise<FreezeIds> {
    try {
      const listed = await listFreezeIds(state);
      storeSeen = true;
      return listed;
    } catch (error) {
      // Nobody has written to a new store yet. One that was there and is gone can't be read.
      if (!storeSeen && isNoStore(error)) return { ids: [], lifted: new Set() };
      throw error;
    }
  }

  /** Reads these freezes; one that fails keeps none of the others from taking effect. */
  async function takeAll(ids: readonly string[]): Promise<unknown[]> {
    const failures: unknown[] = [];
    for (let from = 0; from < ids.length; from += READ_AT_ONCE) {
      const taken = await Promise.allSettled(ids.slice(from, from + READ_AT_ONCE).map(take));
      for (const one of taken) if (one.status === 'rejected') failures.push(one.reason);
    }
    return failures;
  }

  async function take(id: string): Promise<void> {
    const bytes = await state.get(freezeName(id)).catch((cause: unknown) => {
      throw new Error(`The freeze ${freezeName(id)} can't be read.`, { cause });
    });
    // Removed since it was listed, by the store's lifecycle: over for long.
    if (bytes === undefined) return;
    const freeze = readFreeze(id, bytes);
    if (isOver(freeze)) {
      ended.add(id);
      return;
    }
    inForce.set(id, { freeze, covers: compileScope(freeze.scope) });
    changes.on.push(freeze);
  }

  function end(id: string, how: 'expired' | 'lifted'): void {
    const there = inForce.get(id);
    if (there === undefined) return;
    inForce.delete(id);
    ended.add(id);
    changes.off.push({ freeze: there.freeze, how });
  }

  function isOver({ expires }: Freeze): boolean {
    return expires !== undefined && expires <= now();
  }

  return {
    match(call) {
      let longest: Freeze | undefined;
      for (const { freeze, covers } of inForce.values()) {
        // Its time ends a freeze to the millisecond, not at the next reading.
        if (isOver(freeze) || !covers(call)) continue;
        if (longest === undefined || endOf(freeze) > endOf(longest)) longest = freeze;
      }
      return longest;
    },
    // A clock that was set back makes an old reading look new, or one from the future: neither is known.
    known: () => readAt !== undefined && Math.abs(now() - readAt) <= KNOWN_FOR,
    poll() {
      // Never two readings at once: the later one would report what the earlier one is about to.
      const next = reading.then(read, read);
      reading = next.catch(() => {});
      return next;
    },
    count: () => inForce.size,
  };
}

interface FreezeIds {
  /** Ascending, with those that have ended. */
  readonly ids: string[];
  readonly lifted: ReadonlySet<string>;
}

export async function listFreezeIds(state: Store): Promise<FreezeIds> {
  const ids: string[] = [];
  const lifted = new Set<string>();
  for await (const name of state.list(FREEZES)) {
    const named = readFreezeName(name);
    if (named?.lifted === true) lifted.add(named.id);
    else if (named !== undefined) ids.push(named.id);
  }
  return { ids, lifted };
}

export function isNoStore(error: unknown): boolean {
  return error instanceof StoreError && error.code === 'no_store';
}

function noChanges(): { on: Freeze[]; off: { freeze: Freeze; how: 'expired' | 'lifted' }[] } {
  return { on: [], off: [] };
}

function endOf({ expires }: Freeze): number {
  return expires ?? Number.POSITIVE_INFINITY;
}
