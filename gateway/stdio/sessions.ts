/** All children of a host: who may use which, how many there may be, and that none outlives its host. */
import { randomBytes } from 'node:crypto';
import type { Log } from '../log.ts';
import type { Program } from './child.ts';
import { StdioFailure } from './failure.ts';
import { killGroup, residentBytes } from './processes.ts';
import { createSession, type Session } from './session.ts';

export interface SessionLimits {
  /** Children at once, those that are still ending included. */
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
  /** A child for a new legacy session. Throws `too_many_children`, `not_started` and `shutting_down`. */
  open(owner: string | undefined): Session;
  /** The session of an Mcp-Session-Id. Throws `session_needed`, and `session_unknown` for one of another owner too. */
  find(id: string | undefined, owner: string | undefined): Session;
  /** The child of all stateless requests of this owner. Throws as `open`. */
  stateless(owner: string): Session;
  /** Ends what takes too much memory. */
  checkMemory(): Promise<void>;
  /** Ends all, and resolves when their processes are gone. */
  close(): Promise<void>;
  /** Kills all at once, for a process that is about to exit. */
  kill(): void;
}

export function createSessions(program: Program, limits: SessionLimits, log: Log): Sessions {
  /** Children whose processes are not gone yet. */
  const running = new Set<Session>();
  const legacy = new Map<string, { readonly session: Session; readonly owner: string | undefined }>();
  const stateless = new Map<string, Session>();
  let started = 0;
  let stopping = false;

  function start(era: 'legacy' | 'modern', owner: string | undefined, id?: string): Session {
    if (stopping) throw new StdioFailure('shutting_down');
    if (running.size >= limits.children) throw new StdioFailure('too_many_children');
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
    running.add(session);
    own.info({ event: 'stdio_child_started', pid: session.child.pid, era }, 'A server was started.');
    void session.child.gone.then((all) => {
      running.delete(session);
      if (!all) own.error({ event: 'stdio_child_survives', pid: session.child.pid }, 'Processes could not be ended.');
    });
    return session;
  }

  return {
    open(owner) {
      const id = randomBytes(16).toString('hex');
      const session = start('legacy', owner, id);
      legacy.set(id, { session, owner });
      return session;
    },
    find(id, owner) {
      if (id === undefined) throw new StdioFailure('session_needed');
      const found = legacy.get(id);
      if (found === undefined || found.owner !== owner) throw new StdioFailure('session_unknown');
      return found.session;
    },
    stateless(owner) {
      const session = stateless.get(owner) ?? start('modern', owner);
      stateless.set(owner, session);
      return session;
    },
    async checkMemory() {
      const byPid = new Map([...running].flatMap((one) => (one.child.pid === undefined ? [] : [[one.child.pid, one]])));
      for (const [pid, bytes] of await residentBytes(new Set(byPid.keys()))) {
        if (bytes > limits.memory) byPid.get(pid)?.end(new StdioFailure('memory_limit'));
      }
    },
    async close() {
      stopping = true;
      for (const session of running) session.end(new StdioFailure('host_stopped'));
      await Promise.all([...running].map(({ child }) => child.gone));
    },
    kill() {
      for (const { child } of running) if (child.pid !== undefined) killGroup(child.pid);
    },
  };
}
