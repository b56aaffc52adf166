/**
 * The client-visible `Mcp-Session-Id`: the upstream's id, sealed for one session. There is nothing to look up or to
 * guess, and only the disk's own key opens it. AES-256-GCM; 12 random bytes of nonce are safe far beyond the
 * number of sessions a key will see (NIST SP 800-38D: 2^32).
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';

export type Unsealed =
  | { readonly kind: 'ours'; readonly upstream: string }
  /** Sealed by this gateway for somebody else: an attempt. */
  | { readonly kind: 'foreign'; readonly session: string }
  | { readonly kind: 'unknown' };

const PREFIX = 'v1.';
const NONCE = 12;
const TAG = 16;
const MOST_LENGTH = 4096;

export function sealMcpSessionId(key: Buffer, session: string, upstream: string): string {
  const nonce = randomBytes(NONCE);
  const cipher = createCipheriv('aes-256-gcm', key, nonce);
  const body = Buffer.concat([cipher.update(JSON.stringify([session, upstream]), 'utf8'), cipher.final()]);
  return PREFIX + Buffer.concat([nonce, body, cipher.getAuthTag()]).toString('base64url');
}

export function unsealMcpSessionId(key: Buffer, session: string, sealed: string): Unsealed {
  if (!sealed.startsWith(PREFIX) || sealed.length > MOST_LENGTH) return { kind: 'unknown' };
  const bytes = Buffer.from(sealed.slice(PREFIX.length), 'base64url');
  if (bytes.length < NONCE + TAG) return { kind: 'unknown' };
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, NONCE));
    decipher.setAuthTag(bytes.subarray(-TAG));
    const body = Buffer.concat([decipher.update(bytes.subarray(NONCE, -TAG)), decipher.final()]);
    const [owner, upstream] = JSON.parse(body.toString('utf8')) as [string, string];
    return owner === session ? { kind: 'ours', upstream } : { kind: 'foreign', session: owner };
  } catch {
    return { kind: 'unknown' };
  }
}
