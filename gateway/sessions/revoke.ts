/** Ends a session from outside, on every replica. The audit object comes first: nothing is revoked unrecorded. */
import { createEnds } from './ends.ts';
import { noteByOperator, type OperatorStores } from './standing-record.ts';

/** Rejects where that could not be recorded, or may not have happened. */
export async function revokeSession(
  stores: OperatorStores,
  asked: { readonly session: string; readonly actor: string; readonly reason: string },
): Promise<void> {
  const { session, actor, reason } = asked;
  await noteByOperator(stores, 'session.revoked', actor, reason, { session });
  await createEnds(stores)
    .write({ session, reason: 'revoked' }, true)
    .catch((cause: unknown) => {
      throw new Error(`That session ${session} is revoked is recorded, but it may go on: revoke it again.`, { cause });
    });
}
