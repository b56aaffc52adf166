/** The freezes in force, as a replica knows them. */
import type { Store } from '../store/store.ts';
import { compileScope, FREEZES, type FreezableCall, type Freeze, readFreeze } from './freeze.ts';
import { createStandings, type Standings } from './standing.ts';

export interface FreezeChanges {
  readonly on: readonly Freeze[];
  readonly off: readonly { readonly freeze: Freeze; readonly how: 'expired' | 'lifted' }[];
  /** Why a freeze that is listed could not be read; what it covers is not known. Absent where all could be. */
  readonly failure?: unknown;
}

export interface Freezes extends Pick<Standings<Freeze>, 'known' | 'count'> {
  /**
   * The freeze that refuses a call, if one does: of several the one that lasts longest. A scope with a tool is about
   * `tools/call` alone, so for a stream (no messages) only the others are asked.
   */
  match(call: FreezableCall): Freeze | undefined;
  /** As `Standings.poll`. */
  poll(): Promise<FreezeChanges>;
}

export function createFreezes({ state, now }: { state: Store; now: () => number }): Freezes {
  // Asked on every call, so what can be prepared is.
  const covers = new WeakMap<Freeze, (call: FreezableCall) => boolean>();
  const standings = createStandings({
    state,
    now,
    kind: {
      prefix: FREEZES,
      read(id, bytes) {
        const freeze = readFreeze(id, bytes);
        covers.set(freeze, compileScope(freeze.scope));
        return freeze;
      },
    },
  });

  return {
    match(call) {
      let longest: Freeze | undefined;
      for (const freeze of standings.inForce()) {
        if (covers.get(freeze)?.(call) === false) continue;
        if (longest === undefined || endOf(freeze) > endOf(longest)) longest = freeze;
      }
      return longest;
    },
    async poll() {
      const { off, ...changes } = await standings.poll();
      return { ...changes, off: off.map(({ it, how }) => ({ freeze: it, how })) };
    },
    known: standings.known,
    count: standings.count,
  };
}

function endOf({ expires }: Freeze): number {
  return expires ?? Number.POSITIVE_INFINITY;
}
