/** What came of things that may happen once. */
export interface Tally {
  /** They happened. */
  done: number;
  /** They did not, and nobody was told that they had: whoever began them begins again. */
  withheld: number;
  /** Somebody was told that they would, and they can not any more. */
  lost: number;
  /** They happened twice. */
  doubled: number;
}
