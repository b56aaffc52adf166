/** What `verbatim revoke --principal` writes and lists. */
import { uuidv7 } from 'uuidv7';
import { BLOCKS, type Block, blockFacts, blockKind, blockName, writeBlock } from './block.ts';
import { findStandings, listStandings } from './standing.ts';
import { liftStanding, type OperatorStores, putInForce } from './standing-record.ts';

/** Blocks a principal. Rejects where that could not be recorded, or may not be in force. */
export async function createBlock(stores: OperatorStores, asked: Omit<Block, 'id' | 'at'>): Promise<Block> {
  const made: Block = { ...asked, id: uuidv7(), at: stores.now() };
  const bytes = writeBlock(made);
  const { reason, actor, at: _, ...details } = blockFacts(made);
  await putInForce(stores, {
    kind: 'principal.blocked',
    actor: made.actor,
    reason: made.reason,
    details,
    name: blockName(made.id),
    bytes,
    failed: `Block ${made.id} is recorded but may not be in force: list the blocks, then revoke again.`,
  });
  return made;
}

/** Lifts a block, whether it can be read or not. Rejects where that could not be recorded, or may not have happened. */
export function liftBlock(
  stores: OperatorStores,
  asked: { readonly id: string; readonly actor: string; readonly reason: string },
): Promise<void> {
  const failed = `That block ${asked.id} is lifted is recorded, but it may still be in force: lift it again.`;
  return liftStanding(stores, { ...asked, kind: 'principal.unblocked', prefix: BLOCKS, failed });
}

/** The blocks in force, oldest first: whom a gateway that reads this store now keeps out. */
export function listBlocks({ state, now }: Pick<OperatorStores, 'state' | 'now'>): Promise<Block[]> {
  return listStandings({ state, now, kind: blockKind });
}

/** Ids that begin so and are not lifted. */
export function findBlocks({ state }: Pick<OperatorStores, 'state'>, beginning: string): Promise<string[]> {
  return findStandings(state, BLOCKS, beginning);
}
