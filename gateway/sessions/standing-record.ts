/**
 * What a command writes of freezes and blocks. The audit object comes first, always: nothing is in force, and nothing is
 * lifted, unrecorded. Where the second step fails, the record says more than happened, and the operator is told to look.
 */
import { auditObject } from '../audit.ts';
import type { Store } from '../store/store.ts';
import { liftedStandingName } from './standing.ts';

export interface OperatorStores {
  readonly state: Store;
  readonly audit: Store;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** Who does it, and why. */
interface ByOperator {
  readonly actor: string;
  readonly reason: string;
}

/** Rejects with `failed` where it is recorded but may not be in force. */
export async function putInForce(
  stores: OperatorStores,
  made: ByOperator & {
    readonly kind: string;
    readonly details: Record<string, unknown>;
    readonly name: string;
    readonly bytes: Uint8Array;
    readonly failed: string;
  },
): Promise<void> {
  await noteByOperator(stores, made.kind, made.actor, made.reason, made.details);
  await once(stores.state, made.name, made.bytes).catch((cause: unknown) => {
    throw new Error(made.failed, { cause });
  });
}

/** Lifts one, whether it can be read or not. Rejects with `failed` where it is recorded but may not have happened. */
export async function liftStanding(
  stores: OperatorStores,
  asked: ByOperator & {
    readonly kind: string;
    readonly prefix: string;
    readonly id: string;
    readonly failed: string;
  },
): Promise<void> {
  const { prefix, id, kind, actor, reason, failed } = asked;
  const at = stores.now();
  await noteByOperator(stores, kind, actor, reason, { id });
  // `exists`: somebody else lifted it meanwhile, which is what was asked for.
  await stores.state
    .create(liftedStandingName(prefix, id), Buffer.from(`${JSON.stringify({ at, actor, reason })}\n`))
    .catch((cause: unknown) => {
      throw new Error(failed, { cause });
    });
}

/** An audit object of what an operator does; created before it takes effect. */
export async function noteByOperator(
  { audit, now }: Pick<OperatorStores, 'audit' | 'now'>,
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
