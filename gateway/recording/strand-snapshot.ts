/**
 * A strand as it was at one moment. The strand itself goes on changing while a round is written, and a summary that is
 * ahead of its `foldedThrough` would be folded into twice by recovery.
 *
 * Sealing writes down every open strand with every round. Most of thousands are idle: they are copied, and made text of,
 * once after each change.
 */
import type { StrandState } from './strand.ts';

interface Taken {
  readonly foldedThrough: number;
  readonly nextSegment: number;
  readonly sealedThrough: number;
  readonly carried: StrandState['carried'];
  readonly copy: StrandState;
}

const newest = new WeakMap<StrandState, Taken>();
/** The JSON of each snapshot, once it has been asked for. */
const texts = new WeakMap<StrandState, string | undefined>();

/** Nobody changes it. The same one is given again as long as nothing has been folded and no round has moved the strand. */
export function snapshotOf(state: StrandState): StrandState {
  const { foldedThrough, nextSegment, sealedThrough, carried } = state;
  const there = newest.get(state);
  if (
    there?.foldedThrough === foldedThrough &&
    there.nextSegment === nextSegment &&
    there.sealedThrough === sealedThrough &&
    there.carried === carried
  ) {
    return there.copy;
  }
  const copy = structuredClone(state);
  newest.set(state, { foldedThrough, nextSegment, sealedThrough, carried, copy });
  texts.set(copy, undefined);
  return copy;
}

export function textOf(state: StrandState): string {
  const there = texts.get(state);
  if (there !== undefined) return there;
  const text = JSON.stringify(state);
  // What is no snapshot may change.
  if (texts.has(state)) texts.set(state, text);
  return text;
}
