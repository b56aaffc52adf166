/**
 * `durability: memory`: a frame is accepted at once, in order and without a promise. It goes the same way as any other,
 * and where that fails the calls go on: the frames are lost, and a gap says from when to when before the next frame that
 * the journal takes. A lost `session.start` is written again first, since nothing may be stored before it.
 */

import { type Clock, isoMicros } from '../clock.ts';
import type { Acceptance, Settle, Write } from './acceptance.ts';
import type { FrameBody, Piece } from './frame.ts';

export const MEMORY_LOST = 'memory_lost';

/** Bytes that may wait for the journal, shared by all such strands of a recorder: nothing else holds an upstream back. */
export interface MemoryBudget {
  left: number;
}

/** What a frame without a body is counted as. */
const FRAME_BYTES = 1024;

export function createMemoryAcceptance(deps: {
  write: Write;
  clock: Clock;
  budget: MemoryBudget;
  /** The journal has no room left for what nothing was promised for. */
  full: () => boolean;
}): Acceptance {
  const { write, clock, budget, full } = deps;
  let lostStart: FrameBody | undefined;
  /** Time of the oldest frame that was lost and that no gap on its way to the journal tells of. */
  let lostFrom: string | undefined;

  function lose(body: FrameBody, at: string): void {
    if (body.type === 'session.start') {
      lostStart = body;
      return;
    }
    const from = body.type === 'gap' ? body.gap.from : at;
    if (lostFrom === undefined || from < lostFrom) lostFrom = from;
  }

  function put(body: FrameBody, settle?: Settle): void {
    const size = sizeOf(body);
    budget.left -= size;
    write(body, (error, at) => {
      budget.left += size;
      if (error !== undefined) lose(body, at);
      settle?.(error);
    });
  }

  /** What was lost is told before anything else. */
  function putLost(): void {
    const [start, from] = [lostStart, lostFrom];
    lostStart = undefined;
    lostFrom = undefined;
    if (start !== undefined) put(start);
    if (from !== undefined) put({ type: 'gap', gap: { reason: MEMORY_LOST, from, to: isoMicros(clock.micros()) } });
  }

  return {
    append(body, settle) {
      if (settle !== undefined) queueMicrotask(settle);
      if (sizeOf(body) > budget.left || full()) {
        lose(body, isoMicros(clock.micros()));
        return;
      }
      putLost();
      put(body);
    },
    note(body, settle) {
      putLost();
      put(body, settle);
    },
    barrier: (settle) => queueMicrotask(settle),
    close: putLost,
  };
}

function sizeOf(body: FrameBody): number {
  const piece = body.type === 'request' ? body.body : body.type === 'data' ? body : undefined;
  return FRAME_BYTES + (piece === undefined ? 0 : lengthOf(piece));
}

function lengthOf(piece: Piece): number {
  return 'text' in piece ? piece.text.length : piece.base64.length;
}
