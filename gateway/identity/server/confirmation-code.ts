import { createHash } from 'node:crypto';

/** Without vowels, 0, 1 and what is taken for another: nothing is spelled, nothing misread. */
const ALPHABET = 'BCDFGHJKLMNPQRSTVWXZ23456789';

/** What a terminal and the page that it opened both show: of the PKCE challenge that the terminal drew. */
export function confirmationCode(challenge: string): string {
  const bytes = createHash('sha256').update(`verbatim/confirmation ${challenge}`).digest();
  const letters = [...bytes.subarray(0, 8)].map((byte) => ALPHABET[byte % ALPHABET.length]).join('');
  return `${letters.slice(0, 4)}-${letters.slice(4)}`;
}
