/** Requests for access: a person says why and how long, one of the connection's approvers decides, once. */
import { auditObject } from '../audit.ts';
import type { AccessConfig } from '../config-access.ts';
import { GatewayError } from '../errors.ts';
import type { Store } from '../store/store.ts';
import type { Person } from './approval.ts';
import { checkFreshPerson, checkReason, isIn, nameOf, personOf, refused, whyNotFor } from './decider.ts';
import { createInTurn } from './in-turn.ts';
import type { Outbox, Told } from './outbox.ts';
import type { Signing } from './signed.ts';
import { createWaiting, ownerOf } from './waiting.ts';
import type { AccessRequest, Windows } from './window.ts';
import {
  type AskedAccess,
  accessState,
  askedAccessName,
  type DecidedAccess,
  decidedAccessName,
  type StoredWindow,
  type WindowObjects,
  windowName,
} from './window-objects.ts';

export interface AccessDeps {
  readonly state: Store;
  readonly audit: Store;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly outbox: Outbox;
  /** How a connection is entered; undefined where there is none of that name. */
  readonly access: (connection: string) => AccessConfig | undefined;
}

/** Milliseconds after which a request is void if nobody decides. */
const PENDING = 24 * 3_600_000;
/** Requests of one person that wait at once. Replicas that race may each let one more pass. */
const MOST_OF_PERSON = 10;
const MOST_LISTED = 200;
const MOST_LOOKED_AT = 2000;

export function createAccessRequests(
  deps: AccessDeps & { readonly objects: WindowObjects; readonly signing: Signing; readonly newId: () => string },
) {
  const { state, audit, now, outbox, objects, signing, newId } = deps;
  const waiting = createWaiting({ state, now, prefix: 'access-requests-waiting/' });
  const inTurn = createInTurn();

  async function request({ person, connection, reason, duration }: Parameters<Windows['request']>[0]) {
    const terms = justInTimeOf(deps, connection);
    if (terms === undefined) throw refused('Access to this connection is not given on request.');
    checkReason(reason);
    checkDuration(duration, terms.longest);
    const owner = ownerOf(['person', person.issuer, person.subject]);
    return inTurn(owner, async () => {
      await checkFlood(owner);
      const at = now();
      const id = newId();
      const asked: AskedAccess = {
        v: 1,
        id,
        code: signing.code(id),
        person: personOf(person),
        connection,
        reason,
        duration,
        at,
        expires: at + PENDING,
      };
      await waiting.add({ id, owner }, asked.expires);
      await outbox.put(newId(), askedAccessName(id), toldOfAccess(asked, 'access.requested'));
      await objects.create(askedAccessName(id), asked);
      return shown(asked);
    });
  }

  async function checkFlood(owner: string): Promise<void> {
    let pending = 0;
    for (const { id } of (await waiting.list()).filter((one) => one.owner === owner)) {
      const asked = await objects.asked(id);
      if (asked === undefined || (await objects.decided(id)) !== undefined) continue;
      if (++pending >= MOST_OF_PERSON) {
        throw new GatewayError('too_many_waiting', 'not_forwarded', `You have ${MOST_OF_PERSON}.`);
      }
    }
  }

  async function decide(id: string, decision: Parameters<Windows['decide']>[1]): Promise<AccessRequest> {
    const { by, authenticated, verdict, reason } = decision;
    const asked = await objects.asked(id);
    if (asked === undefined) throw new GatewayError('not_found');
    checkFreshPerson(by, authenticated, now());
    const why = whyNot(by, asked);
    if (why !== undefined) throw refused(why);
    if (reason !== undefined) checkReason(reason);
    const before = await shown(asked);
    if (before.state !== 'pending')
      throw refused(`This request is ${before.state === 'void' ? 'over' : before.state} already.`);
    const at = now();
    const window = verdict === 'approve' ? { window: newId() } : {};
    const decided: DecidedAccess = {
      v: 1,
      verdict,
      by: personOf(by),
      authenticated,
      at,
      ...(reason === undefined ? {} : { reason }),
      ...window,
    };
    await record(asked, decided);
    const told = { ...toldOfAccess(asked, 'access.decided'), verdict, by: nameOf(by) };
    await outbox.put(newId(), decidedAccessName(id), told);
    if ((await objects.create(decidedAccessName(id), decided)) === 'exists') {
      throw refused('Somebody else has decided this request meanwhile.');
    }
    return shown(asked);
  }

  function whyNot(by: Person, { person, connection }: AskedAccess): string | undefined {
    const own = whyNotFor(by, person);
    if (own !== undefined) return own;
    if (isIn(by, justInTimeOf(deps, connection)?.approvers ?? [])) return undefined;
    return 'You are in none of the groups that approve access to this connection.';
  }

  async function record({ id, person, connection, duration, reason: why }: AskedAccess, decided: DecidedAccess) {
    const { verdict, by, at, reason, window } = decided;
    const opens = window === undefined ? {} : { window, expires: new Date(at + duration).toISOString() };
    const object = auditObject(now() * 1000, {
      kind: verdict === 'approve' ? 'access.approved' : 'access.denied',
      actor: nameOf(by),
      ...(reason === undefined ? {} : { reason }),
      details: { id, connection, issuer: person.issuer, subject: person.subject, asked: why, duration, ...opens },
    });
    await audit.create(object.name, object.bytes);
  }

  /** The request as it stands. An approval whose replica stopped before its window was there gets it now. */
  async function shown(asked: AskedAccess): Promise<AccessRequest> {
    const decided = await objects.decided(asked.id);
    const time = now();
    const is = accessState(asked, decided, time);
    const { v: _, ...facts } = asked;
    if (is !== 'approved' || decided === undefined || decided === 'unreadable') return { ...facts, state: is };
    const window = windowOf(asked, decided);
    if (time < window.expires && (await objects.window(window.id)) === undefined) {
      await objects.create(windowName(window.id), window);
    }
    return { ...facts, state: is, window: window.id };
  }

  return {
    request,
    decide,
    async read(id: string): Promise<AccessRequest | undefined> {
      const asked = await objects.asked(id);
      return asked === undefined ? undefined : shown(asked);
    },
    /** The person's own and those that they may decide, decided or not, as long as they could be; the newest first. */
    async list(person: Person): Promise<AccessRequest[]> {
      const found: AccessRequest[] = [];
      for (const { id } of (await waiting.list()).slice(0, MOST_LOOKED_AT)) {
        if (found.length >= MOST_LISTED) break;
        const asked = await objects.asked(id);
        if (asked === undefined) continue;
        const isOwn = asked.person.issuer === person.issuer && asked.person.subject === person.subject;
        const mayDecide = person.kind === 'human' && whyNot(person, asked) === undefined;
        if (isOwn || mayDecide) found.push(await shown(asked));
      }
      return found;
    },
  };
}

export function justInTimeOf({ access }: Pick<AccessDeps, 'access'>, connection: string) {
  const how = access(connection);
  return how === undefined || how === 'standing' ? undefined : how.justInTime;
}

/** Milliseconds. */
export function checkDuration(duration: number, longest: number): void {
  if (Number.isSafeInteger(duration) && duration > 0 && duration <= longest) return;
  throw refused(`Ask for more than nothing and at most ${Math.floor(longest / 60_000)} minutes.`);
}

function windowOf(asked: AskedAccess, { by, at, window }: DecidedAccess): StoredWindow {
  const { issuer, subject, email } = asked.person;
  return {
    v: 1,
    id: String(window),
    kind: 'justInTime',
    holder: asked.person.kind,
    issuer,
    subject,
    ...(email === undefined ? {} : { email }),
    connection: asked.connection,
    reason: asked.reason,
    approvedBy: nameOf(by),
    from: at,
    expires: at + asked.duration,
  };
}

function toldOfAccess({ id, code, person, connection, expires }: AskedAccess, event: Told['event']): Told {
  const { groups: _, owner: __, ...principal } = person;
  return { event, about: { kind: 'access', id }, code, connection, principal, expires };
}
