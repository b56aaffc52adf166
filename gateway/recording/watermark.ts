/**
 * How full the journal is: over what it may take, and over what its disk has left (others fill that too). Pure.
 *
 * The shares are constants: what has to stay free behind each mark follows from what a gateway still writes once it is
 * met (ADR 24), and nobody who sets one of them alone would get what they mean. The limit is the operator's.
 */

/** What is refused: nothing, nothing yet, new sessions, calls, and last what upstreams still answer. */
export const MARKS = ['none', 'warn', 'sessions', 'calls', 'answers'] as const;
export type Mark = (typeof MARKS)[number];

export interface Fill {
  /** Bytes that the journal holds. */
  readonly used: number;
  /** Bytes that it may hold. */
  readonly limit: number;
  /** Bytes that its disk has left for it, and has in all. */
  readonly free: number;
  readonly total: number;
}

const MiB = 1024 ** 2;

interface Threshold {
  /** Share of the limit. */
  readonly used: number;
  /** Bytes that are left, but no more than this share of the disk. */
  readonly free: number;
  readonly share: number;
}

const THRESHOLDS: readonly Threshold[] = [
  { used: 0, free: Number.POSITIVE_INFINITY, share: Number.POSITIVE_INFINITY },
  { used: 0.7, free: 1024 * MiB, share: 0.2 },
  { used: 0.85, free: 512 * MiB, share: 0.1 },
  { used: 0.95, free: 256 * MiB, share: 0.05 },
  { used: 1, free: 128 * MiB, share: 0.025 },
];
/** A mark is left only well below it, so that one call more or less changes nothing. */
const BACK = { used: 0.05, free: 1.25 };

/** The mark that holds now, where `before` did. A mark is met at once. */
export function markOf(before: Mark, fill: Fill): Mark {
  const met = MARKS.findLastIndex((_, level) => isMet(fill, level, { used: 0, free: 1 }));
  const kept = MARKS.findLastIndex((_, level) => isMet(fill, level, BACK));
  return MARKS[Math.max(met, Math.min(MARKS.indexOf(before), kept))] ?? 'answers';
}

function isMet({ used, limit, free, total }: Fill, level: number, back: { used: number; free: number }): boolean {
  const mark = THRESHOLDS[level];
  if (mark === undefined) return false;
  if (level === 0) return true;
  return used >= limit * (mark.used - back.used) || free <= back.free * Math.min(mark.free, total * mark.share);
}

export function isAtLeast(mark: Mark, least: Mark): boolean {
  return MARKS.indexOf(mark) >= MARKS.indexOf(least);
}

/**
 * What the journal may hold as its disk is now: the limit, or less, so that both kinds of a mark are one scale. At least
 * one byte.
 */
export function capacityOf({ used, limit, free, total }: Fill): number {
  const calls = THRESHOLDS[MARKS.indexOf('calls')];
  if (calls === undefined) return limit;
  const left = Math.max(0, free - Math.min(calls.free, total * calls.share));
  return Math.max(1, Math.min(limit, (used + left) / calls.used));
}
