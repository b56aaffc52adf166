/** All children of a host: who may use which, how many there may be, and that none outlives its host. */
import { randomBytes } from 'node:crypto';
import type { Log } from '../log.ts';
import type { Program } from './child.ts';
import { StdioFailure } from './failure.ts';
import { killGroup, residentBytes } from './processes.ts';
import { createSession, type Session } from './session.ts';

export interface SessionLimits {
  /** Children at once, those that are still ending included. One owner has at most a quarter of them, or one. */
  readonly children: number;
  /** Milliseconds without a request, after which a child is ended. */
  readonly idle: number;
  /** Milliseconds that a child may take to say something. */
  readonly startLimit: number;
  /** Resident bytes of a child with all its processes. */
  readonly memory: number;
}

/** `owner` is the Verbatim session of the identity header; `undefined` where the host stands behind no gateway. */
export interface Sessions {
  /**
   * A child for a new legacy session. Where all places are taken, the child that has been idle for longest ends, and
   * this waits for its processes to. Rejects with `too_many_children`, `not_started` and `shutting_down`.
   */
  open(owner: string | undefined): Promise<Session>;
  /** The session of an Mcp-Session-Id. Throws `session_needed`, and `session_unknown` for one of another owner too. */
  find(id: string | undefined, owner: string | undefined): Session;
  /** The child of all stateless requests of this owner. Rejects as `open`. */
  stateless(owner: string): Promise<Session>;
  /** Ends what takes too much memory. */
  checkMemory(): Promise<void>;
  /** Ends all, and resolves when their processes are gone. */
  close(): Promise<void>;
  /** Kills all at once, for a process that is about to exit. */
  kill(): void;
}

/** Taken from when a child is wanted until its processes are gone. */
interface Place {
  readonly owner: string | undefined;
  session?: Session;
}

export function createSessions(program: Program, limits: SessionLimits, log: Log): Sessions {
  const places = new Set<Place>();
  const legacy = new Map<string, { readonly session: Session; readonly owner: string | undefined }>();
  const stateless = new Map<string, Session>();
  /** Those that wait for a place: requests that come meanwhile share what one of them gets. */
  const starting = new Map<string, Promise<Session>>();
  const share = Math.max(1, Math.floor(limits.children / 4));
  let started = 0;
  let stopping = false;

  const running = (): Session[] => [...places].flatMap(({ session }) => (session === undefined ? [] : [session]));

  async function start(era: 'legacy' | 'modern', owner: string | undefined, id?: string): Promise<Session> {
    const place = await takePlace(owner);
    try {
      if (stopping) throw new StdioFailure('shutting_down');
      return startIn(place, era, id);
    } catch (error) {
      places.delete(place);
      throw error;
    }
  }

  /** Who waits counts from the start: no burst of one owner's gets more than its share, or ends more than it needs. */
  async function takePlace(owner: string | undefined): Promise<Place> {
    if (stopping) throw new StdioFailure('shutting_down');
    if ([...places].filter((one) => one.owner === owner).length >= share) {
      const whose = owner === undefined ? 'All callers without --gateway' : 'One session';
      throw new StdioFailure('too_many_children', `${whose} may have ${share} of them.`);
    }
    const place: Place = { owner };
    if (places.size < limits.children) {
      places.add(place);
      return place;
    }
    const idle = longestIdle();
    if (idle === undefined) throw new StdioFailure('too_many_children');
    places.add(place);
    idle.end(new StdioFailure('displaced'));
    // Until then both are counted, so that nobody else takes what becomes free.
    await idle.child.gone;
    return place;
  }

  function longestIdle(): Session | undefined {
    let longest: Session | undefined;
    let since = Number.POSITIVE_INFINITY;
    for (const session of running()) {
      const idleSince = session.idleSince();
      if (idleSince === undefined || idleSince >= since) continue;
      longest = session;
      since = idleSince;
    }
    return longest;
  }

  function startIn(place: Place, era: 'legacy' | 'modern', id: string | undefined): Session {
    const { owner } = place;
    started++;
    const facts = { child: started, ...(owner === undefined ? {} : { session: owner }) };
    const own = log.child(facts);
    const session = createSession({
      era,
      ...(id === undefined ? {} : { id }),
      program,
      idle: limits.idle,
      startLimit: limits.startLimit,
      log: own,
      onEnd() {
        if (id !== undefined) legacy.delete(id);
        if (owner !== undefined && stateless.get(owner) === session) stateless.delete(owner);
      },
    });
    place.session = session;
    if (id !== undefined) legacy.set(id, { session, owner });
    else if (owner !== undefined) stateless.set(owner, session);
    own.info({ event: 'stdio_child_started', pid: session.child.pid, era }, 'A server was started.');
    void session.child.gone.then((all) => {
      places.delete(place);
      if (!all) own.error({ event: 'stdio_child_survives', pid: session.child.pid }, 'Processes could not be ended.');
    });
    return session;
  }

  return {
    open: (owner) => start('legacy', owner, randomBytes(16).toString('hex')),
    find(id, owner) {
      if (id === undefined) throw new StdioFailure('session_needed');
      const found = legacy.get(id);
      if (found === undefined || found.owner !== owner) throw new StdioFailure('session_unknown');
      return found.session;
    },
    async stateless(owner) {
      const there = stateless.get(owner) ?? starting.get(owner);
      if (there !== undefined) return there;
      const begun = start('modern', owner).finally(() => starting.delete(owner));
      starting.set(owner, begun);
      return begun;
    },
    async checkMemory() {
      const byPid = new Map(running().flatMap((one) => (one.child.pid === undefined ? [] : [[one.child.pid, one]])));
      for (const [pid, bytes] of await residentBytes(new Set(byPid.keys()))) {
        if (bytes > limits.memory) byPid.get(pid)?.end(new StdioFailure('memory_limit'));
      }
    },
    async close() {
      stopping = true;
      for (const session of running()) session.end(new StdioFailure('host_stopped'));
      await Promise.all(running().map(({ child }) => child.gone));
    },
    kill() {
      for (const { child } of running()) if (child.pid !== undefined) killGroup(child.pid);
    },
  };
}
