/**
 * What operators put in force until it expires or is lifted: freezes and blocks. Each is a state object that is only
 * ever created, with a second one as its tombstone, and every replica reads them every 2 s. What was read ends by its
 * time or by its tombstone, never by absence; when the store can't be read, `known` says so and calls fail closed.
 */
import type { Store } from '../store/store.ts';
import { StoreError } from '../store/store-error.ts';

export interface Standing {
  readonly id: string;
  /** Milliseconds since the epoch; absent where it is in force until it is lifted. */
  readonly expires?: number;
}

/** Where one kind of them is stored, and how it is read. What can't be understood is read as the widest of its kind. */
export interface StandingKind<T extends Standing> {
  /** `freezes/` */
  readonly prefix: string;
  read(id: string, bytes: Uint8Array): T;
}

export interface StandingChanges<T extends Standing> {
  readonly on: readonly T[];
  readonly off: readonly { readonly it: T; readonly how: 'expired' | 'lifted' }[];
  /** Why one that is listed could not be read; what it covers is not known. Absent where all could be. */
  readonly failure?: unknown;
}

export interface Standings<T extends Standing> {
  /** Those in force; its time ends one to the millisecond, not at the next reading. */
  inForce(): Iterable<T>;
  /** Whether all of the state could be read within the last 10 s; where not, calls fail closed. */
  known(): boolean;
  /**
   * Reads the state now; called every 2 s. Resolves with what took effect or ended, each told once. One that can't be
   * read keeps no other from either: it is the `failure` beside them. Rejects where the state could not be listed;
   * nothing has changed then.
   */
  poll(): Promise<StandingChanges<T>>;
  count(): number;
}

const OBJECT = '.json';
const LIFTED = '.lifted.json';
/** Milliseconds. */
const KNOWN_FOR = 10_000;
/** Objects that are read at once. */
const READ_AT_ONCE = 16;

export function standingName(prefix: string, id: string): string {
  return `${prefix}${id}${OBJECT}`;
}

export function liftedStandingName(prefix: string, id: string): string {
  return `${prefix}${id}${LIFTED}`;
}

/** What a state object's name says it is; `undefined` for what no command here writes. */
export function readStandingName(prefix: string, name: string): { id: string; lifted: boolean } | undefined {
  const rest = name.slice(prefix.length);
  if (rest.endsWith(LIFTED)) return { id: rest.slice(0, -LIFTED.length), lifted: true };
  return rest.endsWith(OBJECT) ? { id: rest.slice(0, -OBJECT.length), lifted: false } : undefined;
}

export function createStandings<T extends Standing>(deps: {
  state: Store;
  now: () => number;
  kind: StandingKind<T>;
}): Standings<T> {
  const { state, now, kind } = deps;
  const there = new Map<string, T>();
  // Ids of what has ended: their objects stay for as long as the store keeps them, and are not read again.
  let ended = new Set<string>();
  // What the reading under way has found; there is never more than one.
  let changes = noChanges<T>();
  let readAt: number | undefined;
  let storeSeen = false;
  let reading: Promise<unknown> = Promise.resolve();

  async function read(): Promise<StandingChanges<T>> {
    const began = now();
    const { ids, lifted } = await listIds();
    for (const id of lifted) end(id, 'lifted');
    const unread = ids.filter((id) => !there.has(id) && !ended.has(id) && !lifted.has(id));
    // The newest first: an emergency must not wait behind what ended long ago and is new to this process alone.
    const failures = await takeAll(unread.reverse());
    for (const [id, it] of there) if (isOver(it)) end(id, 'expired');
    const listed = new Set(ids);
    ended = new Set([...ended].filter((id) => listed.has(id)));
    const found = changes;
    changes = noChanges();
    if (failures.length > 0) return { ...found, failure: failures[0] };
    readAt = began;
    return found;
  }

  async function listIds(): Promise<StandingIds> {
    try {
      const listed = await listStandingIds(state, kind.prefix);
      storeSeen = true;
      return listed;
    } catch (error) {
      // Nobody has written to a new store yet. One that was there and is gone can't be read.
      if (!storeSeen && isNoStore(error)) return { ids: [], lifted: new Set() };
      throw error;
    }
  }

  /** Reads these; one that fails keeps none of the others from taking effect. */
  async function takeAll(ids: readonly string[]): Promise<unknown[]> {
    const failures: unknown[] = [];
    for (let from = 0; from < ids.length; from += READ_AT_ONCE) {
      const taken = await Promise.allSettled(ids.slice(from, from + READ_AT_ONCE).map(take));
      for (const one of taken) if (one.status === 'rejected') failures.push(one.reason);
    }
    return failures;
  }

  async function take(id: string): Promise<void> {
    const name = standingName(kind.prefix, id);
    const bytes = await state.get(name).catch((cause: unknown) => {
      throw new Error(`${name} can't be read.`, { cause });
    });
    // Removed since it was listed, by the store's lifecycle: over for long.
    if (bytes === undefined) return;
    const it = kind.read(id, bytes);
    if (isOver(it)) {
      ended.add(id);
      return;
    }
    there.set(id, it);
    changes.on.push(it);
  }

  function end(id: string, how: 'expired' | 'lifted'): void {
    const it = there.get(id);
    if (it === undefined) return;
    there.delete(id);
    ended.add(id);
    changes.off.push({ it, how });
  }

  function isOver({ expires }: Standing): boolean {
    return expires !== undefined && expires <= now();
  }

  return {
    *inForce() {
      for (const it of there.values()) if (!isOver(it)) yield it;
    },
    // A clock that was set back makes an old reading look new, or one from the future: neither is known.
    known: () => readAt !== undefined && Math.abs(now() - readAt) <= KNOWN_FOR,
    poll() {
      // Never two readings at once: the later one would report what the earlier one is about to.
      const next = reading.then(read, read);
      reading = next.catch(() => {});
      return next;
    },
    count: () => there.size,
  };
}

interface StandingIds {
  /** Ascending, with those that have ended. */
  readonly ids: string[];
  readonly lifted: ReadonlySet<string>;
}

async function listStandingIds(state: Store, prefix: string): Promise<StandingIds> {
  const ids: string[] = [];
  const lifted = new Set<string>();
  for await (const name of state.list(prefix)) {
    const named = readStandingName(prefix, name);
    if (named?.lifted === true) lifted.add(named.id);
    else if (named !== undefined) ids.push(named.id);
  }
  return { ids, lifted };
}

/** Ids, in force or expired, that begin so and are not lifted. */
export async function findStandings(state: Store, prefix: string, beginning: string): Promise<string[]> {
  try {
    const { ids, lifted } = await listStandingIds(state, prefix);
    return ids.filter((id) => id.startsWith(beginning) && !lifted.has(id));
  } catch (error) {
    if (isNoStore(error)) return [];
    throw error;
  }
}

/** Those in force, oldest first: what a gateway that reads this store goes by now. */
export async function listStandings<T extends Standing>(deps: {
  state: Store;
  now: () => number;
  kind: StandingKind<T>;
}): Promise<T[]> {
  const { on, failure } = await createStandings(deps).poll();
  // A list that leaves one out would say that there is nothing else.
  if (failure !== undefined) throw failure;
  return [...on].sort((one, other) => (one.id < other.id ? -1 : 1));
}

/** Whether nobody has ever written to that store. */
export function isNoStore(error: unknown): boolean {
  return error instanceof StoreError && error.code === 'no_store';
}

function noChanges<T extends Standing>(): { on: T[]; off: { it: T; how: 'expired' | 'lifted' }[] } {
  return { on: [], off: [] };
}
