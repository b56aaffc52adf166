/**
 * What `verbatim freeze` writes. The audit object comes first, always: a freeze is never in force, and never lifted,
 * unrecorded. Where the second step fails, the record says more than happened, and the operator is told to look.
 */
import { uuidv7 } from 'uuidv7';
import { auditObject } from '../audit.ts';
import type { Store } from '../store/store.ts';
import { type Freeze, freezeFacts, freezeName, liftedName, writeFreeze } from './freeze.ts';
import { createFreezes, isNoStore, listFreezeIds } from './freezes.ts';

export interface FreezeStores {
  readonly state: Store;
  readonly audit: Store;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** Freezes. Rejects where the freeze could not be recorded, or may not be in force. */
export async function createFreeze(stores: FreezeStores, asked: Omit<Freeze, 'id' | 'at'>): Promise<Freeze> {
  const made: Freeze = { ...asked, id: uuidv7(), at: stores.now() };
  const bytes = writeFreeze(made);
  const { reason, actor, at: _, ...details } = freezeFacts(made);
  await noteByOperator(stores, 'freeze.created', made.actor, made.reason, details);
  await once(stores.state, freezeName(made.id), bytes).catch((cause: unknown) => {
    throw new Error(`Freeze ${made.id} is recorded but may not be in force: list the freezes, then freeze again.`, {
      cause,
    });
  });
  return made;
}

/** Lifts a freeze, whether it can be read or not. Rejects where that could not be recorded, or may not have happened. */
export async function liftFreeze(
  stores: FreezeStores,
  asked: { readonly id: string; readonly actor: string; readonly reason: string },
): Promise<void> {
  const { id, actor, reason } = asked;
  const at = stores.now();
  await noteByOperator(stores, 'freeze.lifted', actor, reason, { id });
  // `exists`: somebody else lifted it meanwhile, which is what was asked for.
  await stores.state
    .create(liftedName(id), Buffer.from(`${JSON.stringify({ at, actor, reason })}\n`))
    .catch((cause: unknown) => {
      throw new Error(`That freeze ${id} is lifted is recorded, but it may still be in force: lift it again.`, {
        cause,
      });
    });
}

/** The freezes in force, oldest first: what a gateway that reads this store now refuses. */
export async function listFreezes(stores: Pick<FreezeStores, 'state' | 'now'>): Promise<Freeze[]> {
  const { on, failure } = await createFreezes(stores).poll();
  // A list that leaves one out would say that nothing else is frozen.
  if (failure !== undefined) throw failure;
  return [...on].sort((one, other) => (one.id < other.id ? -1 : 1));
}

/** Ids, in force or expired, that begin so and are not lifted. */
export async function findFreezes({ state }: Pick<FreezeStores, 'state'>, beginning: string): Promise<string[]> {
  try {
    const { ids, lifted } = await listFreezeIds(state);
    return ids.filter((id) => id.startsWith(beginning) && !lifted.has(id));
  } catch (error) {
    if (isNoStore(error)) return [];
    throw error;
  }
}

/** An audit object of what an operator does; created before it takes effect. */
export async function noteByOperator(
  { audit, now }: Pick<FreezeStores, 'audit' | 'now'>,
  kind: string,
  actor: string,
  reason: string,
  details: Record<string, unknown>,
): Promise<void> {
  const { name, bytes } = auditObject(now() * 1000, { kind, actor, reason, details });
  await once(audit, name, bytes);
}

/** The name is new: if it is there, it is somebody else's, and these bytes are not stored. */
async function once(store: Store, name: string, bytes: Uint8Array): Promise<void> {
  if ((await store.create(name, bytes)) === 'exists') throw new Error(`${name} is there already.`);
}
