import { createHash } from 'node:crypto';

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
  /** The OAuth client, where the token names one. */
  readonly clientId?: string;
}

/**
 * The name of the session that a directly presented token opens (DESIGN.md, Words: session).
 *
 * Each part is preceded by its length in bytes, so that no two different quadruples hash the same bytes.
 */
export function sessionKeyOf(issuer: string, subject: string, connection: string, sessionClaim: string): string {
  const hash = createHash('sha256');
  for (const part of [issuer, subject, connection, sessionClaim]) {
    const bytes = Buffer.from(part, 'utf8');
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    hash.update(length).update(bytes);
  }
  return hash.digest('hex');
}
