/** Access windows as a replica knows them, and what people do with them. */
import { auditObject } from '../audit.ts';
import { GatewayError } from '../errors.ts';
import { createIds } from '../ids.ts';
import type { Log } from '../log.ts';
import { type AccessDeps, checkDuration, createAccessRequests, justInTimeOf } from './access-requests.ts';
import type { Person } from './approval.ts';
import { checkFreshPerson, checkReason, isIn, isSamePerson, nameOf, refused } from './decider.ts';
import type { Told } from './outbox.ts';
import { createSigning } from './signed.ts';
import { createStandings, liftedStandingName } from './standing.ts';
import { liftStanding } from './standing-record.ts';
import type { Window, Windows } from './window.ts';
import {
  createWindowObjects,
  reviewName,
  type StoredWindow,
  WINDOWS,
  type WindowReview,
  windowKind,
  windowName,
} from './window-objects.ts';

export interface WindowsDeps extends AccessDeps {
  /** Of 32 bytes, derived for access windows alone; the first signs, each verifies. */
  readonly keys: () => readonly Buffer[];
  readonly log: Pick<Log, 'warn'>;
}

const MOST_LISTED = 200;
const MOST_LOOKED_AT = 2000;

export function createWindows(deps: WindowsDeps): Windows {
  const { state, audit, now, outbox, log } = deps;
  const signing = createSigning(deps.keys);
  const objects = createWindowObjects({ state, signing });
  const standings = createStandings({ state, now, kind: windowKind(signing) });
  const newId = createIds(now);
  const requests = createAccessRequests({ ...deps, objects, signing, newId });
  /** What was seen to open and end, and is not told yet. */
  let unsaid: Pick<Awaited<ReturnType<Windows['poll']>>, 'opened' | 'ended'> = { opened: [], ended: [] };

  async function look(): Promise<{ readonly failure?: unknown }> {
    const { on, off, ...failure } = await standings.poll();
    unsaid = {
      opened: [...unsaid.opened, ...on.map((window) => asWindow(window, 'open'))],
      ended: [...unsaid.ended, ...off.map(({ it, how }) => asWindow(it, how === 'lifted' ? 'revoked' : 'ended'))],
    };
    return failure;
  }

  /** Who was just let in calls at once: here it holds now, elsewhere with the next look. */
  async function lookNow<T>(done: T): Promise<T> {
    await look().catch(() => {});
    return done;
  }

  function breakGlassOf(connection: string) {
    const how = deps.access(connection);
    return how === undefined || how === 'standing' ? undefined : how.breakGlass;
  }

  /** Groups whose members watch over a connection's windows. */
  function watchersOf(connection: string): readonly string[] {
    return [...(justInTimeOf(deps, connection)?.approvers ?? []), ...(breakGlassOf(connection)?.reviewers ?? [])];
  }

  async function record(kind: string, by: Person, reason: string, window: StoredWindow): Promise<void> {
    const { id, connection, issuer, subject, expires } = window;
    const details = { id, connection, issuer, subject, expires: new Date(expires).toISOString() };
    const object = auditObject(now() * 1000, { kind, actor: nameOf(by), reason, details });
    await audit.create(object.name, object.bytes);
  }

  function toldOf(window: StoredWindow, event: Told['event'], by?: Person): Told {
    const { id, holder, connection, issuer, subject, email, expires } = window;
    const principal = { kind: holder, issuer, subject, ...(email === undefined ? {} : { email }) } as const;
    const code = signing.code(id);
    const told = { event, about: { kind: 'window', id }, code, connection, principal, expires } as const;
    return by === undefined ? told : { ...told, by: nameOf(by) };
  }

  async function breakGlass(asked: Parameters<Windows['breakGlass']>[0]): Promise<Window> {
    const { person, authenticated, connection, reason, duration } = asked;
    const terms = breakGlassOf(connection);
    checkFreshPerson(person, authenticated, now());
    if (terms === undefined || !isIn(person, terms.groups)) {
      throw refused('You are in none of the groups that may open this connection in an emergency.');
    }
    checkReason(reason);
    checkDuration(duration, terms.longest);
    const { issuer, subject, email } = person;
    const from = now();
    const window: StoredWindow = {
      v: 1,
      id: newId(),
      kind: 'breakGlass',
      holder: person.kind,
      issuer,
      subject,
      ...(email === undefined ? {} : { email }),
      connection,
      reason,
      from,
      expires: from + duration,
    };
    await record('break_glass.opened', person, reason, window);
    await outbox.put(newId(), windowName(window.id), toldOf(window, 'breakGlass.opened'));
    await objects.create(windowName(window.id), window);
    const { id, expires } = window;
    log.warn(
      { event: 'break_glass_opened', id, connection, issuer, subject, expires: new Date(expires).toISOString() },
      `break glass: ${connection}`,
    );
    return shown(window);
  }

  async function revoke(id: string, { person, reason }: Parameters<Windows['revoke']>[1]): Promise<void> {
    const window = await existing(id);
    const mayRevoke = isOwn(person, window) || (person.kind === 'human' && isIn(person, watchersOf(window.connection)));
    if (!mayRevoke) throw refused('Only who has this window, and who approves or reviews such, ends it.');
    checkReason(reason);
    const { state: is } = await shown(window);
    if (is !== 'open') throw refused(`This window is ${is} already.`);
    await outbox.put(newId(), liftedStandingName(WINDOWS, id), toldOf(window, 'access.revoked', person));
    await liftStanding(deps, {
      kind: 'access.revoked',
      prefix: WINDOWS,
      id,
      actor: nameOf(person),
      reason,
      failed: `That window ${id} is revoked is recorded, but it may still be open: revoke it again.`,
    });
  }

  async function review(id: string, { person, authenticated, words }: Parameters<Windows['review']>[1]): Promise<void> {
    const window = await existing(id);
    checkFreshPerson(person, authenticated, now());
    if (window.kind !== 'breakGlass') throw refused('Only windows of break glass are reviewed.');
    if (isSamePerson(person, window)) throw refused('Nobody reviews their own window.');
    if (!isIn(person, breakGlassOf(window.connection)?.reviewers ?? [])) {
      throw refused("You are in none of the groups that review this connection's windows.");
    }
    checkReason(words, 'A review');
    if ((await objects.review(id)) !== undefined) throw refused('This window is reviewed already.');
    const made: WindowReview = { by: nameOf(person), at: now(), words };
    await record('access.reviewed', person, words, window);
    await outbox.put(newId(), reviewName(id), toldOf(window, 'access.reviewed', person));
    if ((await objects.create(reviewName(id), made)) === 'exists') throw refused('This window is reviewed already.');
  }

  async function existing(id: string): Promise<StoredWindow> {
    const window = await objects.window(id);
    if (window === undefined) throw new GatewayError('not_found');
    return window;
  }

  async function shown(window: StoredWindow): Promise<Window> {
    const isRevoked = await objects.isRevoked(window.id);
    const review = window.kind === 'breakGlass' ? ((await objects.review(window.id)) ?? 'due') : undefined;
    return asWindow(window, isRevoked ? 'revoked' : window.expires <= now() ? 'ended' : 'open', review);
  }

  async function listWindows(person: Person): Promise<Window[]> {
    const found: Window[] = [];
    for (const id of (await objects.ids()).slice(0, MOST_LOOKED_AT)) {
      if (found.length >= MOST_LISTED) break;
      const window = await objects.window(id);
      if (window === undefined) continue;
      const watches = person.kind === 'human' && isIn(person, watchersOf(window.connection));
      if (isOwn(person, window) || watches) found.push(await shown(window));
    }
    return found;
  }

  return {
    async poll() {
      const failure = await look();
      const said = unsaid;
      unsaid = { opened: [], ended: [] };
      return { ...said, ...failure };
    },
    known: standings.known,
    openFor(who, connection) {
      let last: StoredWindow | undefined;
      for (const window of standings.inForce()) {
        if (window.connection !== connection || !isOwn(who, window)) continue;
        if (last === undefined || window.expires > last.expires) last = window;
      }
      return last === undefined ? undefined : asWindow(last, 'open');
    },
    request: requests.request,
    decide: async (id, decision) => lookNow(await requests.decide(id, decision)),
    breakGlass: async (asked) => lookNow(await breakGlass(asked)),
    revoke: async (id, by) => lookNow(await revoke(id, by)),
    review,
    readRequest: requests.read,
    async readWindow(id) {
      const window = await objects.window(id);
      return window === undefined ? undefined : shown(window);
    },
    list: async (person) => ({ requests: await requests.list(person), windows: await listWindows(person) }),
  };
}

function isOwn({ issuer, subject }: Pick<Person, 'issuer' | 'subject'>, window: StoredWindow): boolean {
  return window.issuer === issuer && window.subject === subject;
}

function asWindow(stored: StoredWindow, state: Window['state'], review?: Window['review']): Window {
  const { v: _, holder: __, ...window } = stored;
  if (stored.kind !== 'breakGlass') return { ...window, state };
  return { ...window, state, review: review ?? 'due' };
}
