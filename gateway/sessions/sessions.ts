/**
 * Sessions: one principal, one connection, from the first token until its end. In this version a session is opened by a
 * directly presented token: whoever creates the one state object of its key names the session, on any replica.
 */
import { createHmac, hkdfSync } from 'node:crypto';
import { uuidv7 } from 'uuidv7';
import { type Clock, dayOf, isoMicros } from '../clock.ts';
import { GatewayError } from '../errors.ts';
import type { Principal } from '../identity/principal.ts';
import type { SessionStart } from '../recording/frame.ts';
import type { Recorder } from '../recording/recorder.ts';
import type { Strand } from '../recording/strand.ts';
import type { Store } from '../store/store.ts';
import { type Awaited, createAwaited } from './awaited.ts';

export interface Session {
  readonly id: string;
  readonly connection: string;
  readonly principal: Principal;
  readonly strand: Strand;
  readonly awaited: Awaited;
  /** Keyed fingerprint of a credential-bearing value; the key is this session's own. */
  fingerprint(value: string): string;
  /** Key of the witnesses of what came from upstream. */
  readonly witnessKey: Buffer;
  /** Exchanges under way, each with the function that aborts it. */
  readonly exchanges: Set<{ abort(reason: string): void }>;
  /** Digest of the configuration that was last recorded as in force. */
  configuration: string;
  readonly opened: number;
  lastUsed: number;
  expires: number;
  /** Why it ends; set once, and from then on no call enters. */
  ended?: string;
}

interface SessionTerms {
  /** Milliseconds. */
  readonly idle: number;
  readonly longest: number;
  readonly sessionsPerPrincipal: number;
}

export interface Sessions {
  /** The session of this principal's token, opened where it is not yet. Throws `session_ended`, `too_many_sessions`. */
  open(principal: Principal, start: (expires: string) => SessionStart['start'], terms: SessionTerms): Promise<Session>;
  /** Ends the sessions whose time has come. */
  sweep(terms: SessionTerms): Promise<void>;
  count(): number;
  /** Aborts every exchange under way. */
  abortAll(reason: string): void;
}

export interface SessionsDeps {
  readonly recorder: Recorder;
  readonly state: Store;
  readonly audit: Store;
  readonly clock: Clock;
  readonly witnessKey: Buffer;
}

/** Written when a session is opened: `sessions/<session key>.json`. */
interface StoredSession {
  readonly session: string;
  readonly opened: number;
}

export function createSessions(deps: SessionsDeps): Sessions {
  const { recorder, state, audit, clock } = deps;
  const byKey = new Map<string, Promise<Session>>();

  async function openSession(
    principal: Principal,
    start: (expires: string) => SessionStart['start'],
    terms: SessionTerms,
  ): Promise<Session> {
    const { session: id, opened } = await claim(principal.sessionKey);
    if ((await state.get(endedName(id))) !== undefined) throw new GatewayError('session_ended');
    const expires = Math.min(principal.expires * 1000, opened + terms.longest);
    const there = recorder.strand(id);
    const facts = start(isoMicros(expires * 1000));
    const strand = there ?? (await beginStrand(id, principal, facts));
    const witnessKey = Buffer.from(hkdfSync('sha256', deps.witnessKey, id, 'verbatim/session', 32));
    return {
      id,
      connection: facts.connection,
      principal,
      strand,
      awaited: createAwaited(),
      fingerprint: (value) =>
        `hmac-sha256:${createHmac('sha256', witnessKey).update(value).digest('hex').slice(0, 32)}`,
      witnessKey,
      exchanges: new Set(),
      configuration: there === undefined ? facts.configuration : '',
      opened,
      lastUsed: clock.millis(),
      expires,
    };
  }

  async function claim(key: string): Promise<StoredSession> {
    const name = `sessions/${key}.json`;
    const mine: StoredSession = { session: uuidv7(), opened: clock.millis() };
    if ((await state.create(name, Buffer.from(JSON.stringify(mine)))) === 'created') return mine;
    const bytes = await state.get(name);
    if (bytes === undefined) throw new Error(`State object ${name} exists and can't be read.`);
    return JSON.parse(Buffer.from(bytes).toString()) as StoredSession;
  }

  async function beginStrand(id: string, principal: Principal, start: SessionStart['start']): Promise<Strand> {
    await note('session.opened', id, principal.subject, { connection: start.connection, issuer: principal.issuer });
    return recorder.begin(id, start);
  }

  /** An audit object; created before the fact that it names takes effect. */
  async function note(kind: string, session: string, actor: string, details: Record<string, unknown>, reason?: string) {
    const at = isoMicros(clock.micros());
    const object = {
      v: 1,
      at,
      kind,
      actor,
      session,
      ledger: recorder.ledger,
      ...(reason === undefined ? {} : { reason }),
      details,
    };
    await audit.create(
      `audit/dt=${dayOf(clock.micros())}/${uuidv7()}.json`,
      Buffer.from(`${JSON.stringify(object)}\n`),
    );
  }

  async function end(id: string, strand: Strand, subject: string, reason: string): Promise<void> {
    // The tombstone first: once it is there no replica lets this session go on, whatever happens to the rest.
    await state.create(endedName(id), Buffer.from(JSON.stringify({ reason, at: clock.millis() })));
    await note('session.closed', id, subject, { connection: strand.connection }, reason);
    await recorder.end(strand, reason);
  }

  async function endSession(key: string, session: Session, reason: string): Promise<void> {
    session.ended = reason;
    for (const exchange of [...session.exchanges]) exchange.abort('session_ended');
    // Their last frames come before `strand.end`: an exchange leaves the set when its end is recorded, and the next
    // sweep goes on here.
    if (session.exchanges.size > 0) return;
    await end(session.id, session.strand, session.principal.subject, reason);
    byKey.delete(key);
  }

  function overdue(session: Session, terms: SessionTerms): string | undefined {
    const now = clock.millis();
    if (session.ended !== undefined) return session.ended;
    if (now >= session.expires) return 'expired';
    if (session.exchanges.size === 0 && now - session.lastUsed >= terms.idle) return 'idle';
    return undefined;
  }

  async function countOf(principal: Principal): Promise<number> {
    let count = 0;
    for (const opening of byKey.values()) {
      const session = await opening.catch(() => undefined);
      if (session?.principal.issuer === principal.issuer && session.principal.subject === principal.subject) count++;
    }
    return count;
  }

  return {
    async open(principal, start, terms) {
      const key = principal.sessionKey;
      let opening = byKey.get(key);
      if (opening === undefined) {
        if ((await countOf(principal)) >= terms.sessionsPerPrincipal) throw new GatewayError('too_many_sessions');
        opening = byKey.get(key) ?? openSession(principal, start, terms);
        byKey.set(key, opening);
        opening.catch(() => byKey.delete(key));
      }
      const session = await opening;
      // A renewed token of the same session carries it on: it ends at the latest expiry seen.
      const renewed = Math.min(principal.expires * 1000, session.opened + terms.longest);
      session.expires = Math.max(session.expires, renewed);
      if (overdue(session, terms) !== undefined) throw new GatewayError('session_ended');
      session.lastUsed = clock.millis();
      return session;
    },
    async sweep(terms) {
      const known = new Set<string>();
      for (const [key, opening] of [...byKey]) {
        const session = await opening.catch(() => undefined);
        if (session === undefined) continue;
        known.add(session.id);
        const reason = overdue(session, terms);
        if (reason !== undefined) await endSession(key, session, reason);
      }
      // Strands that this process found on its disk and whose session nobody came back to.
      for (const strand of [...recorder.strands()]) {
        const { expires, summary, endedAt } = strand.state;
        if (known.has(strand.session) || strand.session.startsWith('sys_') || endedAt !== undefined) continue;
        if (expires === undefined || Date.parse(expires) > clock.millis()) continue;
        await end(strand.session, strand, summary.principal?.subject ?? 'unknown', 'expired');
      }
    },
    count: () => byKey.size,
    abortAll(reason) {
      for (const opening of byKey.values()) {
        void opening.then(
          (session) => {
            for (const exchange of [...session.exchanges]) exchange.abort(reason);
          },
          () => {},
        );
      }
    },
  };
}

function endedName(session: string): string {
  return `ended/${session}.json`;
}
