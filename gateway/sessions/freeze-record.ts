/** What `verbatim freeze` writes and lists. */
import { uuidv7 } from 'uuidv7';
import { FREEZES, type Freeze, freezeFacts, freezeKind, freezeName, writeFreeze } from './freeze.ts';
import { findStandings, listStandings } from './standing.ts';
import { liftStanding, type OperatorStores, putInForce } from './standing-record.ts';

/** Freezes. Rejects where the freeze could not be recorded, or may not be in force. */
export async function createFreeze(stores: OperatorStores, asked: Omit<Freeze, 'id' | 'at'>): Promise<Freeze> {
  const made: Freeze = { ...asked, id: uuidv7(), at: stores.now() };
  const bytes = writeFreeze(made);
  const { reason, actor, at: _, ...details } = freezeFacts(made);
  await putInForce(stores, {
    kind: 'freeze.created',
    actor: made.actor,
    reason: made.reason,
    details,
    name: freezeName(made.id),
    bytes,
    failed: `Freeze ${made.id} is recorded but may not be in force: list the freezes, then freeze again.`,
  });
  return made;
}

/** Lifts a freeze, whether it can be read or not. Rejects where that could not be recorded, or may not have happened. */
export function liftFreeze(
  stores: OperatorStores,
  asked: { readonly id: string; readonly actor: string; readonly reason: string },
): Promise<void> {
  const failed = `That freeze ${asked.id} is lifted is recorded, but it may still be in force: lift it again.`;
  return liftStanding(stores, { ...asked, kind: 'freeze.lifted', prefix: FREEZES, failed });
}

/** The freezes in force, oldest first: what a gateway that reads this store now refuses. */
export function listFreezes({ state, now }: Pick<OperatorStores, 'state' | 'now'>): Promise<Freeze[]> {
  return listStandings({ state, now, kind: freezeKind });
}

/** Ids, in force or expired, that begin so and are not lifted. */
export function findFreezes({ state }: Pick<OperatorStores, 'state'>, beginning: string): Promise<string[]> {
  return findStandings(state, FREEZES, beginning);
}
