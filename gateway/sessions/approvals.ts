/**
 * Approvals over one store that all replicas share. Every step is one create-if-absent object: a request is found by the
 * hash of its call, a person decides once each way, and who creates `used` makes the call.
 */
import { auditObject } from '../audit.ts';
import { GatewayError } from '../errors.ts';
import { createIds } from '../ids.ts';
import { keepNewest } from '../keep-newest.ts';
import type { Store } from '../store/store.ts';
import type { ApprovalRequest, ApprovalState, Approvals, BoundCall, PersonsDecision } from './approval.ts';
import { createHold, type Pause } from './approval-hold.ts';
import {
  type Asked,
  askedName,
  type Claimed,
  claimName,
  createApprovalObjects,
  type Decision,
  decisionName,
  usedName,
} from './approval-objects.ts';
import { approvalState } from './approval-state.ts';
import { hashOfCall, storedCall, termsOf } from './bound-call.ts';
import { checkFreshPerson, checkReason, isIn, nameOf, personOf, refused, whyNotApprove } from './decider.ts';
import { createInTurn } from './in-turn.ts';
import type { Outbox, Told } from './outbox.ts';
import { createSigning } from './signed.ts';
import { createWaiting, ownerOf } from './waiting.ts';

export interface ApprovalsDeps {
  readonly state: Store;
  readonly audit: Store;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Of 32 bytes, derived for approvals alone; the first signs, each verifies. */
  readonly keys: () => readonly Buffer[];
  readonly outbox: Outbox;
  /** Between two looks of a call that is held; a test's own where given. */
  readonly pause?: Pause;
}

/** Requests of one session that wait at once. Replicas that race may each let one more pass. */
const MOST_OF_SESSION = 20;
const MOST_LISTED = 200;
/** Requests that are looked at for a list. */
const MOST_LOOKED_AT = 2000;
const MOST_SETTLED = 10_000;
/** Milliseconds. */
const LATE = 60_000;

export function createApprovals(deps: ApprovalsDeps): Approvals {
  const { state, audit, now, outbox } = deps;
  const signing = createSigning(deps.keys);
  const objects = createApprovalObjects({ state, signing });
  const waiting = createWaiting({ state, now, prefix: 'approvals-waiting/' });
  const newId = createIds(now);
  const inTurn = createInTurn();
  /** Ids of requests that are pending no more, and never will be again. */
  const settledIds = new Map<string, true>();
  const hold = createHold({ stateOf: stateById, now, pause: deps.pause });

  async function stateOf(asked: Asked): Promise<ApprovalState> {
    const found = approvalState(asked, await objects.beside(asked.id), now());
    if (found.state !== 'pending') keepNewest(settledIds, asked.id, true, MOST_SETTLED);
    return found;
  }

  async function stateById(id: string): Promise<ApprovalState> {
    const asked = await objects.asked(id);
    return asked === undefined ? { state: 'void', id, why: 'unreadable' } : stateOf(asked);
  }

  async function askOnce(call: BoundCall, hash: string): Promise<ApprovalState> {
    let number = await objects.lastNumber(hash);
    if (number > 0) {
      const standing = await standingAt(hash, number);
      if (standing !== undefined) return standing;
    }
    await checkFlood(call.session);
    for (number++; ; number++) {
      const facts = claimOf(call, hash, number);
      if ((await objects.create(claimName(hash, number), facts)) === 'created') return announce(facts);
      const standing = await standingAt(hash, number);
      if (standing !== undefined) return standing;
    }
  }

  /** What an earlier request for the same call comes to; undefined where the call may be asked for anew. */
  async function standingAt(hash: string, number: number): Promise<ApprovalState | undefined> {
    const found = await objects.claimed(hash, number);
    if (found === undefined) return undefined;
    const beside = await objects.beside(found.id);
    // Its replica has stopped, or is just about to announce it: what is written twice is the same.
    if (!beside.announced && now() < found.expires) return announce(found);
    const then = approvalState(found, beside, now());
    if (then.state === 'pending' || then.state === 'approved') return then;
    // Who is denied does not ask again at once, and again.
    const isFinal = then.state === 'denied' || then.why === 'unreadable';
    return isFinal && now() < found.expires ? then : undefined;
  }

  function claimOf(call: BoundCall, hash: string, number: number): Claimed {
    const at = now();
    const id = newId();
    const expires = at + termsOf(call).pending;
    return { v: 1, id, code: signing.code(id), event: newId(), hash, number, at, expires, call: storedCall(call) };
  }

  async function announce(facts: Claimed): Promise<ApprovalState> {
    const { id, event, expires } = facts;
    const { params: _, ...call } = facts.call;
    // Ids of events tell when to look for them: one that comes so late gets another.
    const told = now() - facts.at < LATE ? event : newId();
    await Promise.all([
      outbox.put(told, askedName(id), toldOf(facts, 'approval.requested')),
      waiting.add({ id, owner: ownerOfSession(call.session) }, expires),
    ]);
    // Last: nobody decides what was not announced, and who finds it missing begins again.
    await objects.create(askedName(id), { ...facts, call });
    return stateById(id);
  }

  async function checkFlood(session: string): Promise<void> {
    const owner = ownerOfSession(session);
    let pending = 0;
    for (const { id } of (await waiting.list()).filter((one) => one.owner === owner)) {
      if ((await pendingAt(id)) !== undefined && ++pending >= MOST_OF_SESSION) {
        throw new GatewayError('too_many_waiting', 'not_forwarded', `This session has ${MOST_OF_SESSION}.`);
      }
    }
  }

  async function pendingAt(id: string): Promise<Asked | undefined> {
    if (settledIds.has(id)) return undefined;
    const asked = await objects.asked(id);
    return asked !== undefined && (await stateOf(asked)).state === 'pending' ? asked : undefined;
  }

  async function requestOf(asked: Asked): Promise<ApprovalRequest | undefined> {
    const { id, code, hash, number, at, expires } = asked;
    const claimed = await objects.claimed(hash, number);
    if (claimed?.id !== id) return undefined;
    return { id, code, at, expires, hash, call: claimed.call, state: await stateOf(asked) };
  }

  async function record(kind: string, actor: string, { id, hash, call }: Asked, details: object, reason?: string) {
    const { session, connection, method, name, principal } = call;
    const { issuer, subject } = principal;
    const object = auditObject(now() * 1000, {
      kind,
      actor,
      session,
      ...(reason === undefined ? {} : { reason }),
      details: { id, hash, connection, method, ...(name === undefined ? {} : { name }), issuer, subject, ...details },
    });
    await audit.create(object.name, object.bytes);
  }

  /** What the person decides, or what is so already because they had decided it. */
  async function decide(id: string, { by, authenticated, verdict, reason }: PersonsDecision): Promise<ApprovalState> {
    const asked = await objects.asked(id);
    if (asked === undefined) throw new GatewayError('not_found');
    checkFreshPerson(by, authenticated, now());
    const why = whyNotApprove(by, asked.call);
    if (why !== undefined) throw refused(why);
    if (reason !== undefined) checkReason(reason);
    const before = await stateOf(asked);
    checkOpen(before, verdict);
    const at = now();
    const decision: Decision = {
      v: 1,
      verdict,
      by: personOf(by),
      authenticated,
      at,
      ...(reason === undefined ? {} : { reason }),
    };
    const name = decisionName(id, decision);
    if ((await state.get(name)) !== undefined) return before;
    const rules = asked.call.rules.filter(({ approvers }) => isIn(by, approvers)).map(({ rule }) => rule);
    const details = { rules, decider: { issuer: by.issuer, subject: by.subject } };
    await record(verdict === 'approve' ? 'approval.approved' : 'approval.denied', nameOf(by), asked, details, reason);
    await outbox.put(newId(), name, { ...toldOf(asked, 'approval.decided'), verdict, by: nameOf(by) });
    await objects.create(name, decision);
    hold.wake(id);
    return stateOf(asked);
  }

  async function use(id: string, exchange: string): Promise<'ours' | 'used' | 'void'> {
    const asked = await objects.asked(id);
    if (asked === undefined) return 'void';
    const before = await stateOf(asked);
    if (before.state === 'void' && before.why === 'used') return 'used';
    if (before.state !== 'approved') return 'void';
    await record('approval.used', nameOf(asked.call.principal), asked, { exchange });
    if ((await objects.create(usedName(id), { v: 1, exchange, at: now() })) === 'exists') return 'used';
    // A denial that came in between: either its writer finds it used, or it is found here. Where both are, it is denied.
    const beside = await objects.beside(id);
    return approvalState(asked, { ...beside, used: false }, now()).state === 'approved' ? 'ours' : 'void';
  }

  return {
    ask(call) {
      const hash = hashOfCall(call);
      // In turn: what is counted and what is made of it must not change in between.
      return inTurn(call.session, () => askOnce(call, hash));
    },
    settled: hold.settled,
    use,
    async read(id) {
      const asked = await objects.asked(id);
      return asked === undefined ? undefined : requestOf(asked);
    },
    async waitingFor(person) {
      const found: ApprovalRequest[] = [];
      for (const { id } of (await waiting.list()).slice(0, MOST_LOOKED_AT)) {
        if (found.length >= MOST_LISTED) break;
        const asked = settledIds.has(id) ? undefined : await objects.asked(id);
        if (asked === undefined || whyNotApprove(person, asked.call) !== undefined) continue;
        const request = await requestOf(asked);
        if (request?.state.state === 'pending') found.push(request);
      }
      return found;
    },
    decide,
  };
}

function ownerOfSession(session: string): string {
  return ownerOf(['session', session]);
}

function checkOpen(found: ApprovalState, verdict: PersonsDecision['verdict']): void {
  if (found.state === 'pending') return;
  // Who sees a mistake takes it back, as long as nothing was made of it.
  if (found.state === 'approved') {
    if (verdict === 'deny') return;
    throw refused('This call is approved already.');
  }
  if (found.state === 'denied') throw refused(`This call was denied by ${found.by}.`);
  const words = {
    expired: 'Nobody decided it in time.',
    used: 'The call was made already.',
    unreadable: 'Its state is not as this gateway wrote it.',
  };
  throw refused(words[found.why]);
}

function toldOf({ id, code, hash, expires, call }: Asked, event: Told['event']): Told {
  const { connection, method, name } = call;
  const { groups: _, owner: __, ...principal } = call.principal;
  const tool = name === undefined ? {} : { tool: name };
  return { event, about: { kind: 'approval', id }, code, connection, principal, method, ...tool, hash, expires };
}
