/** What becomes of a request for approval, from what is stored: pure, so that every replica says the same. */
import type { ApprovalState } from './approval.ts';
import type { Asked, Beside, Decision } from './approval-objects.ts';
import { termsOf } from './bound-call.ts';
import { isIn, nameOf, whyNotApprove } from './decider.ts';

/** `now`: milliseconds since the epoch. What can't be read, or was decided by who may not, approves nothing. */
export function approvalState(asked: Asked, beside: Beside, now: number): ApprovalState {
  const { id, code, expires } = asked;
  if (beside.used) return { state: 'void', id, why: 'used' };
  if (beside.unreadable) return { state: 'void', id, why: 'unreadable' };
  const counted = beside.decisions.filter((one) => counts(asked, one));
  const denial = counted.find(({ verdict }) => verdict === 'deny');
  if (denial !== undefined) {
    const { by, reason } = denial;
    return { state: 'denied', id, by: nameOf(by), ...(reason === undefined ? {} : { reason }) };
  }
  const satisfied = satisfiedRules(asked, counted);
  if (satisfied === undefined) {
    return now < expires ? { state: 'pending', id, code, expires } : { state: 'void', id, why: 'expired' };
  }
  const until = Math.max(...satisfied.map(({ at }) => at)) + termsOf(asked.call).usable;
  if (now >= until) return { state: 'void', id, why: 'expired' };
  return { state: 'approved', id, by: satisfied.map(({ rule, by }) => ({ rule, subject: by.subject })), until };
}

/** Who decides was checked when the decision was signed; this costs little and leaves nothing to one place alone. */
function counts({ call, expires }: Asked, { by, at, verdict }: Decision): boolean {
  if (whyNotApprove(by, call) !== undefined) return false;
  return verdict === 'deny' || at < expires;
}

/** The first approval of each rule; undefined where one has none. */
function satisfiedRules({ call }: Asked, decisions: readonly Decision[]) {
  const oldestFirst = [...decisions].sort((one, other) => one.at - other.at);
  const satisfied: (Decision & { readonly rule: string })[] = [];
  for (const { rule, approvers } of call.rules) {
    const first = oldestFirst.find(({ by }) => isIn(by, approvers));
    if (first === undefined) return undefined;
    satisfied.push({ ...first, rule });
  }
  return satisfied;
}
