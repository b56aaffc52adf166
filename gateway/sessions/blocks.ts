/** The blocks in force, as a replica knows them. */
import type { Principal } from '../identity/principal.ts';
import type { Store } from '../store/store.ts';
import { type Block, blockKind, covers } from './block.ts';
import { createStandings, type Standings } from './standing.ts';

export interface Blocks extends Omit<Standings<Block>, 'inForce'> {
  /** The block that keeps a principal out, if one does: one that names it, rather than one that can't be read. */
  match(principal: Pick<Principal, 'issuer' | 'subject' | 'email'>): Block | undefined;
}

export function createBlocks({ state, now }: { state: Store; now: () => number }): Blocks {
  const standings = createStandings({ state, now, kind: blockKind });
  return {
    match(principal) {
      let unreadable: Block | undefined;
      for (const block of standings.inForce()) {
        if ('all' in block.who) unreadable = block;
        else if (covers(block, principal)) return block;
      }
      return unreadable;
    },
    poll: standings.poll,
    known: standings.known,
    count: standings.count,
  };
}
