/**
 * The client-visible `Mcp-Session-Id`: the upstream's id, sealed for one session; and in the same way the address for
 * messages of a 2024-11-05 server. There is nothing to look up or to guess, and only the gateway's own keys open it: of
 * several the first seals, and those behind it still open.
 *
 * The same id is sealed to the same text, always: a server may repeat it on every answer, and clients compare (the Go SDK
 * ends its session over a different one). So the nonce is a keyed hash of what is sealed, as in RFC 8452's synthetic IVs:
 * two texts share one with a chance of 2^-96 a pair, and one text with itself tells nobody more than that it is the same.
 */
import { createCipheriv, createDecipheriv, createHmac } from 'node:crypto';

export type Unsealed =
  | { readonly kind: 'ours'; readonly upstream: string }
  /** Sealed by this gateway for somebody else: an attempt. */
  | { readonly kind: 'foreign'; readonly session: string }
  | { readonly kind: 'unknown' };

const PREFIX = 'v1.';
const NONCE = 12;
const TAG = 16;
const MOST_LENGTH = 8192;

/** What was sealed for one purpose opens for no other. */
export type SealedFor = 'mcp-session-id' | 'sse-endpoint' | 'approval';

/** `keys` has at least one. */
export function sealMcpSessionId(
  keys: readonly Buffer[],
  session: string,
  upstream: string,
  purpose: SealedFor = 'mcp-session-id',
): string {
  const [key] = keys;
  if (key === undefined) throw new Error('There is no key to seal with.');
  const text = JSON.stringify([session, upstream]);
  const nonce = createHmac('sha256', key).update(`nonce\0${purpose}\0${text}`).digest().subarray(0, NONCE);
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(aadOf(purpose));
  const body = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
  return PREFIX + Buffer.concat([nonce, body, cipher.getAuthTag()]).toString('base64url');
}

export function unsealMcpSessionId(
  keys: readonly Buffer[],
  session: string,
  sealed: string,
  purpose: SealedFor = 'mcp-session-id',
): Unsealed {
  if (!sealed.startsWith(PREFIX) || sealed.length > MOST_LENGTH) return { kind: 'unknown' };
  const bytes = Buffer.from(sealed.slice(PREFIX.length), 'base64url');
  if (bytes.length < NONCE + TAG) return { kind: 'unknown' };
  for (const key of keys) {
    const opened = open(key, bytes, purpose);
    if (opened === undefined) continue;
    const [owner, upstream] = opened;
    return owner === session ? { kind: 'ours', upstream } : { kind: 'foreign', session: owner };
  }
  return { kind: 'unknown' };
}

function open(key: Buffer, bytes: Buffer, purpose: SealedFor): [session: string, upstream: string] | undefined {
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, NONCE)).setAAD(aadOf(purpose));
    decipher.setAuthTag(bytes.subarray(-TAG));
    const body = Buffer.concat([decipher.update(bytes.subarray(NONCE, -TAG)), decipher.final()]);
    return JSON.parse(body.toString('utf8')) as [string, string];
  } catch {
    return undefined;
  }
}

/** Ids that were sealed before there were purposes have no additional data. */
function aadOf(purpose: SealedFor): Buffer {
  return Buffer.from(purpose === 'mcp-session-id' ? '' : purpose);
}
