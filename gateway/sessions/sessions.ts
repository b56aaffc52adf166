/**
 * Sessions: one principal, one connection, from the authorization or the first token until its end. A login at the
 * gateway has named its session; for a directly presented token, whoever creates the one state object of its key does.
 */
import { createSecretKey, hkdfSync, type KeyObject } from 'node:crypto';
import { atOnce } from '../at-once.ts';
import { auditObject } from '../audit.ts';
import { type Clock, isoMicros } from '../clock.ts';
import { GatewayError } from '../errors.ts';
import type { Principal } from '../identity/principal.ts';
import type { SessionStart } from '../recording/frame.ts';
import type { Recorder } from '../recording/recorder.ts';
import type { Strand } from '../recording/strand.ts';
import type { Store } from '../store/store.ts';
import { createActivity } from './activity.ts';
import { type Awaited, createAwaited } from './awaited.ts';
import { createClaims } from './claims.ts';
import type { Ends, SessionEnd } from './ends.ts';
import { createFingerprint } from './fingerprint.ts';

export interface Session {
  readonly id: string;
  readonly connection: string;
  /** As its newest token says it. A call acts as its own token says. */
  principal: Principal;
  readonly strand: Strand;
  readonly awaited: Awaited;
  /** Keyed fingerprint of a credential-bearing value; the key is this session's own. */
  fingerprint(value: string): string;
  /** Key of the witnesses of what came from upstream. */
  readonly witnessKey: KeyObject;
  /** Exchanges under way, each with the function that aborts it. */
  readonly exchanges: Set<{ abort(error: GatewayError): void }>;
  /** Digests of the configuration and the policy that were last recorded as in force. */
  configuration: string;
  policy: string;
  /** The access window that its last call came by; that of `session.start` at first. */
  window?: string;
  readonly opened: number;
  lastUsed: number;
  expires: number;
  /** Version of the upstream credential that is recorded as in use, and when that is durable. */
  credential?: { readonly version: string; readonly noted: Promise<void> };
  /** What the client last called itself. */
  client?: string;
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
  open(
    principal: Principal,
    start: (expires: string) => Promise<SessionStart['start']>,
    terms: SessionTerms,
  ): Promise<Session>;
  /** Ends the sessions whose time has come. */
  sweep(terms: SessionTerms): Promise<void>;
  /** Takes note of ends that another replica or an operator has written. */
  learn(found: readonly SessionEnd[]): void;
  /** Ends sessions, also those of this disk that nobody came back to: from now on no call enters them. */
  end(reason: string, of: (principal: { issuer: string; subject: string; email?: string }) => boolean): void;
  count(): number;
  /** Ids of the sessions that are open here and were opened by a login. */
  granted(): readonly string[];
  /** Whether another replica has served this session. Rejects where that can't be told. */
  isServedElsewhere(session: Session): Promise<boolean>;
  /** Exchanges under way in all sessions of a principal on this replica. */
  busy(principal: Principal): number;
  /** Aborts exchanges under way: all of them, or those of some sessions. */
  abort(error: GatewayError, of?: (session: Session) => boolean): void;
}

export interface SessionsDeps {
  readonly recorder: Recorder;
  readonly state: Store;
  readonly audit: Store;
  readonly ends: Ends;
  readonly clock: Clock;
  readonly witnessKey: Buffer;
  /** Why no new recording may begin, with this durability, if none may. */
  refuses?(durability: SessionStart['start']['durability']): GatewayError | undefined;
  /** Told when a session has ended: what is kept for it can go. */
  readonly onEnd?: (connection: string, session: string) => void;
}

/** Ends that are written side by side: each is three objects, and thousands of sessions may end with one group. */
const ENDS_AT_ONCE = 16;

/** A session that is open, or is being opened: it counts from the start, so that no burst goes over the limit. */
interface Opening {
  readonly principal: Principal;
  readonly session: Promise<Session>;
  /** Set once the session is there. */
  opened?: Session;
}

export function createSessions(deps: SessionsDeps): Sessions {
  const { recorder, state, audit, clock, ends } = deps;
  const activity = createActivity({ state, now: () => clock.millis(), replica: recorder.ledger });
  const claims = createClaims({ state, ends, now: () => clock.millis() });
  /** Ended by another replica or an operator, with a strand on this disk that nobody has come back to. */
  const endedElsewhere = new Map<string, string>();
  /** Sessions of strands that nobody came back to here, with the expiry that another replica has seen. */
  const carriedOn = new Map<string, number>();
  const byKey = new Map<string, Opening>();
  const byPrincipal = new Map<string, Set<Opening>>();
  /** Ids of the sessions that are open: housekeeping asks for each strand whether its session is. */
  const openIds = new Set<string>();

  async function openSession(
    principal: Principal,
    start: (expires: string) => Promise<SessionStart['start']>,
    terms: SessionTerms,
  ): Promise<Session> {
    // A login has opened it already; a token that is presented directly opens it now.
    const { session: id, opened } = principal.grant ?? (await claims.claim(principal));
    if (principal.grant !== undefined && (await ends.reasonOf(id)) !== undefined) {
      throw new GatewayError('session_ended');
    }
    const expires = Math.min(principal.expires * 1000, opened + terms.longest);
    // Another replica may know an older token of this session alone.
    activity.renewed(id, expires);
    // Before its first call: what another replica may rely on that it alone knows must not have gone out here by then.
    await activity.begin(id);
    const there = recorder.strand(id);
    const facts = await start(isoMicros(expires * 1000));
    const strand = there ?? (await beginStrand(id, principal, facts));
    // A key object: a key as bytes is checked and copied anew by each HMAC, which costs more than the HMAC.
    const witnessKey = createSecretKey(Buffer.from(hkdfSync('sha256', deps.witnessKey, id, 'verbatim/session', 32)));
    return {
      id,
      connection: facts.connection,
      principal,
      strand,
      awaited: createAwaited({ state, session: id, now: () => clock.millis() }),
      fingerprint: createFingerprint(witnessKey),
      witnessKey,
      exchanges: new Set(),
      configuration: there === undefined ? facts.configuration : '',
      policy: there === undefined ? facts.policy : '',
      ...(there === undefined && facts.access !== undefined ? { window: facts.access.window } : {}),
      // The version that a strand of before the restart last named is not known here: it is named again.
      ...(there === undefined && facts.credential !== undefined
        ? { credential: { version: facts.credential, noted: Promise.resolve() } }
        : {}),
      opened,
      lastUsed: clock.millis(),
      expires,
    };
  }

  async function beginStrand(id: string, principal: Principal, start: SessionStart['start']): Promise<Strand> {
    const refused = deps.refuses?.(start.durability);
    if (refused !== undefined) throw refused;
    await note('session.opened', id, principal.subject, { connection: start.connection, issuer: principal.issuer });
    return recorder.begin(id, start);
  }

  /** An audit object; created before the fact that it names takes effect. */
  async function note(kind: string, session: string, actor: string, details: Record<string, unknown>, reason?: string) {
    const facts = {
      kind,
      actor,
      session,
      ledger: recorder.ledger,
      ...(reason === undefined ? {} : { reason }),
      details,
    };
    const { name, bytes } = auditObject(clock.micros(), facts);
    await audit.create(name, bytes);
  }

  async function end(id: string, strand: Strand, subject: string, reason: string): Promise<void> {
    // The tombstone first: once it is there no replica lets this session go on, whatever happens to the rest.
    await ends.write({ session: id, reason }, false);
    await note('session.closed', id, subject, { connection: strand.connection }, reason);
    await recorder.end(strand, reason);
    activity.forget(id);
    deps.onEnd?.(strand.connection, id);
  }

  async function endSession(key: string, session: Session, reason: string): Promise<void> {
    session.ended = reason;
    for (const exchange of [...session.exchanges]) exchange.abort(new GatewayError('session_ended'));
    // Their last frames come before `strand.end`: an exchange leaves the set when its end is recorded, and the next
    // sweep goes on here.
    if (session.exchanges.size > 0) return;
    await end(session.id, session.strand, session.principal.subject, reason);
    forget(key);
  }

  async function endIfOver(key: string, session: Session, terms: SessionTerms): Promise<void> {
    const reason = await over(session, terms);
    if (reason !== undefined) await endSession(key, session, reason);
  }

  /** Strands that this process found on its disk and whose session nobody came back to; why each of them is over. */
  function abandoned(): [Strand, string][] {
    const found: [Strand, string][] = [];
    for (const strand of recorder.strands()) {
      const { expires, endedAt } = strand.state;
      if (openIds.has(strand.session) || strand.session.startsWith('sys_') || endedAt !== undefined) continue;
      const isOver = expires !== undefined && Date.parse(expires) <= clock.millis();
      const reason = endedElsewhere.get(strand.session) ?? (isOver ? 'expired' : undefined);
      if (reason !== undefined) found.push([strand, reason]);
    }
    return found;
  }

  /** From now on no call enters; the sweep records the end once the last of those under way is recorded. */
  function close(session: Session, reason: string): void {
    if (session.ended !== undefined) return;
    session.ended = reason;
    for (const exchange of [...session.exchanges]) exchange.abort(new GatewayError('session_ended'));
  }

  /**
   * Also those that are being opened: that they had not ended was asked before this, and an end is told once. Closed
   * then before a call enters, or with it.
   */
  function closeThose(of: (session: Session) => boolean, reason: string): void {
    for (const { opened, session } of byKey.values()) {
      if (opened !== undefined) {
        if (of(opened)) close(opened, reason);
        continue;
      }
      session.then(
        (one) => {
          if (of(one)) close(one, reason);
        },
        () => {},
      );
    }
  }

  function overdue(session: Session, terms: SessionTerms): string | undefined {
    const now = clock.millis();
    if (session.ended !== undefined) return session.ended;
    if (now >= session.expires) return 'expired';
    if (session.exchanges.size === 0 && now - session.lastUsed >= terms.idle) return 'idle';
    return undefined;
  }

  /** As `overdue`; where it is over here alone it is not: another replica may serve it, or have seen a renewed token. */
  async function over(session: Session, terms: SessionTerms): Promise<string | undefined> {
    const reason = overdue(session, terms);
    if (session.ended !== undefined || (reason !== 'idle' && reason !== 'expired')) return reason;
    const { used, expires } = await activity.elsewhere(session.id);
    session.lastUsed = Math.max(session.lastUsed, used);
    session.expires = Math.max(session.expires, Math.min(expires, session.opened + terms.longest));
    return overdue(session, terms);
  }

  /** Whether a token that another replica has seen carries a session on that nobody came back to here. */
  async function isCarriedOn(session: string): Promise<boolean> {
    const known = carriedOn.get(session);
    if (known !== undefined && known > clock.millis()) return true;
    const { expires } = await activity.elsewhere(session);
    if (expires <= clock.millis()) return false;
    // Looked at once for each renewal, not in each round.
    carriedOn.set(session, expires);
    return true;
  }

  function openingsOf({ issuer, subject }: Principal): Set<Opening> {
    const name = JSON.stringify([issuer, subject]);
    let openings = byPrincipal.get(name);
    if (openings === undefined) {
      openings = new Set();
      byPrincipal.set(name, openings);
    }
    return openings;
  }

  function forget(key: string): void {
    const there = byKey.get(key);
    if (there === undefined) return;
    byKey.delete(key);
    if (there.opened !== undefined) openIds.delete(there.opened.id);
    const { issuer, subject } = there.principal;
    const openings = openingsOf(there.principal);
    openings.delete(there);
    if (openings.size === 0) byPrincipal.delete(JSON.stringify([issuer, subject]));
  }

  /** The session of a key, opened once for all who ask meanwhile. */
  function opening(
    principal: Principal,
    start: (expires: string) => Promise<SessionStart['start']>,
    terms: SessionTerms,
  ): Promise<Session> {
    const key = principal.sessionKey;
    const there = byKey.get(key);
    if (there !== undefined) return there.session;
    if (openingsOf(principal).size >= terms.sessionsPerPrincipal) throw new GatewayError('too_many_sessions');
    const made: Opening = { principal, session: openSession(principal, start, terms) };
    byKey.set(key, made);
    openingsOf(principal).add(made);
    made.session.then(
      (session) => {
        made.opened = session;
        openIds.add(session.id);
      },
      () => forget(key),
    );
    return made.session;
  }

  return {
    async open(principal, start, terms) {
      const session = await opening(principal, start, terms);
      // A renewed token of the same session carries it on: it ends at the latest expiry seen.
      const renewed = Math.min(principal.expires * 1000, session.opened + terms.longest);
      if (renewed > session.expires) {
        session.expires = renewed;
        activity.renewed(session.id, renewed);
      }
      if ((await over(session, terms)) !== undefined) throw new GatewayError('session_ended');
      session.lastUsed = clock.millis();
      activity.note(session.id);
      return session;
    },
    async sweep(terms) {
      const due: [string, Session][] = [];
      for (const [key, { opened }] of byKey) {
        if (opened === undefined) continue;
        // Also by a stream that nobody calls beside.
        if (opened.exchanges.size > 0) activity.note(opened.id);
        if (overdue(opened, terms) !== undefined) due.push([key, opened]);
      }
      // A store that fails one session's end must not keep the streams of the others open.
      const failures = [
        ...(await atOnce(due, ENDS_AT_ONCE, ([key, session]) => endIfOver(key, session, terms))),
        ...(await atOnce(abandoned(), ENDS_AT_ONCE, async ([strand, reason]) => {
          if (reason === 'expired' && (await isCarriedOn(strand.session))) return;
          await end(strand.session, strand, strand.state.summary.principal?.subject ?? 'unknown', reason);
          endedElsewhere.delete(strand.session);
          carriedOn.delete(strand.session);
        })),
      ];
      if (failures.length > 0) throw failures[0];
    },
    learn(found) {
      for (const { session, reason } of found) {
        closeThose(({ id }) => id === session, reason);
        if (recorder.strand(session) !== undefined && !openIds.has(session)) endedElsewhere.set(session, reason);
      }
    },
    end(reason, of) {
      closeThose(({ principal }) => of(principal), reason);
      for (const { session, state: kept } of recorder.strands()) {
        const { principal } = kept.summary;
        if (principal === undefined || kept.endedAt !== undefined || openIds.has(session) || !of(principal)) continue;
        endedElsewhere.set(session, reason);
      }
    },
    count: () => byKey.size,
    granted: () => [...byKey.values()].flatMap(({ principal }) => principal.grant?.session ?? []),
    isServedElsewhere: async ({ id }) => (await activity.elsewhere(id)).used > 0,
    busy(principal) {
      let busy = 0;
      for (const { opened } of openingsOf(principal)) busy += opened?.exchanges.size ?? 0;
      return busy;
    },
    abort(error, of = () => true) {
      // A session that is still being opened has no exchange yet: its first call asks whether it may go on.
      for (const { opened } of byKey.values()) {
        if (opened === undefined || !of(opened)) continue;
        for (const exchange of [...opened.exchanges]) exchange.abort(error);
      }
    },
  };
}
