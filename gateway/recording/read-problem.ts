/** What is wrong with a recording, named so that a person can look at the object and a test can name the code. */
import { VerificationError } from '../ledger/verification-error.ts';

export interface Problem {
  /** Stable: the codes of ledger/verify.ts and those that the readers add. */
  readonly code: string;
  /** The stored object that is missing or wrong. */
  readonly object: string;
  readonly words: string;
}

/** A failed check of the ledger as a problem; anything else (a store that can't be read) is thrown on. */
export function problemOf(error: unknown): Problem {
  if (error instanceof VerificationError) return { code: error.code, object: error.object, words: error.words };
  throw error;
}
