import { hashOfParts } from '../hash-of-parts.ts';

/** Who calls, as a checked token says it. */
export interface Principal {
  readonly kind: 'human' | 'agent';
  readonly issuer: string;
  readonly subject: string;
  readonly email?: string;
  readonly groups: readonly string[];
  /** The group that answers for an agent. */
  readonly owner?: string;
  /** Subject of whom an agent acts for, where its token proves it. */
  readonly onBehalfOf?: string;
  /** What else the issuer's mapping says of it, by name. */
  readonly attributes?: Readonly<Record<string, string>>;
  /** When the token ends, in seconds since the epoch. */
  readonly expires: number;
  /**
   * When the token was issued, in seconds since the epoch. Only of a token that is presented directly: one that was
   * issued after the end of its key's session opens the next. A session of a login ends for good.
   */
  readonly issuedAt?: number;
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
