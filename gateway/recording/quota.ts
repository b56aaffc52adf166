/**
 * Who is refused alone while the journal fills. Each holder (a principal, a connection, an upstream) has a reserved
 * share. Beyond its own share a holder may take what nobody else's share needs; within it, it is served as long as
 * anybody is. Below the warn mark nobody is limited: the shares are held back from what lies behind it. Pure.
 */

/** Of the capacity: all reserved shares of one kind together. What is below the warn mark (0.7) is nobody's. */
const RESERVED = 0.2;
/**
 * Calls of a holder that is over its share are refused from here on, counting what is reserved for others as taken: not
 * beyond the mark at which sessions end, or those who took the most would keep those out who have not come yet.
 */
const CALLS = 0.85;
/** The same for what is still answered to calls that went out before. */
const ANSWERS = 0.9;

export interface Holding {
  /** Bytes that the journal holds, and may hold. */
  readonly used: number;
  readonly capacity: number;
  /** Bytes of this holder that are not sealed. */
  readonly own: number;
  /** The same of the others of its kind. */
  readonly others: readonly number[];
  /** How many of its kind there may be: a share is reserved for those that hold nothing yet, too. */
  readonly holders: number;
}

/** What this holder may no longer do. */
export function overQuota({ used, capacity, own, others, holders }: Holding): 'nothing' | 'calls' | 'answers' {
  const count = Math.max(holders, others.length + 1);
  const share = (capacity * RESERVED) / count;
  if (own < share) return 'nothing';
  const absent = (count - 1 - others.length) * share;
  const reserved = others.reduce((sum, held) => sum + Math.max(0, share - held), absent);
  if (reserved === 0) return 'nothing';
  if (used + reserved >= capacity * ANSWERS) return 'answers';
  return used + reserved >= capacity * CALLS ? 'calls' : 'nothing';
}
