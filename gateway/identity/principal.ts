import { hashOfParts } from '../hash-of-parts.ts';

/** Who calls, as a checked token says it. */
export interface Principal {
  readonly kind: 'human' | 'agent';
  readonly issuer: string;
  readonly subject: string;
  readonly email?: string;
  readonly groups: readonly string[];
  /** When the token ends, in seconds since the epoch. */
  readonly expires: number;
  /** The session that this token opens or belongs to: `sessionKeyOf`, 64 hex digits. */
  readonly sessionKey: string;
  /** The session that the gateway's own authorization server opened; absent for a token that was presented directly. */
  readonly grant?: { readonly session: string; readonly opened: number };
  /** The OAuth client, where the token names one. */
  readonly clientId?: string;
}

/** The name of the session that a directly presented token opens (DESIGN.md, Words: session). */
export function sessionKeyOf(issuer: string, subject: string, connection: string, sessionClaim: string): string {
  return hashOfParts([issuer, subject, connection, sessionClaim]);
}
