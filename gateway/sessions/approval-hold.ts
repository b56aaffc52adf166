/** Calls that are held until a person has decided: they look at the state, at once where the decision was made here. */
import { setTimeout as pauseFor } from 'node:timers/promises';
import type { ApprovalState } from './approval.ts';

/** Waits so long, or until the signal aborts; never rejects. */
export type Pause = (milliseconds: number, signal: AbortSignal) => Promise<void>;

/** Milliseconds between two looks. */
const LOOK_EVERY = 1000;

export function createHold(deps: {
  readonly stateOf: (id: string) => Promise<ApprovalState>;
  readonly now: () => number;
  readonly pause?: Pause | undefined;
}) {
  const { stateOf, now, pause = pauseUntil } = deps;
  const held = new Map<string, Set<() => void>>();

  async function look(id: string, signal: AbortSignal): Promise<ApprovalState | undefined> {
    const woken = new AbortController();
    const wake = () => woken.abort();
    const others = held.get(id) ?? new Set();
    // Before the look: a decision that falls in between wakes it.
    held.set(id, others.add(wake));
    try {
      const found = await stateOf(id);
      if (found.state !== 'pending' || signal.aborted) return found;
      const left = Math.max(1, Math.min(LOOK_EVERY, found.expires - now()));
      await pause(left, AbortSignal.any([signal, woken.signal]));
      return undefined;
    } finally {
      others.delete(wake);
      if (others.size === 0) held.delete(id);
    }
  }

  return {
    async settled(id: string, signal: AbortSignal): Promise<ApprovalState> {
      for (;;) {
        const found = await look(id, signal);
        if (found !== undefined) return found;
      }
    },
    wake(id: string): void {
      for (const wake of held.get(id) ?? []) wake();
    },
  };
}

function pauseUntil(milliseconds: number, signal: AbortSignal): Promise<void> {
  return pauseFor(milliseconds, undefined, { signal }).catch(() => {});
}
