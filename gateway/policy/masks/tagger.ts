import { createHmac, createSecretKey, hkdfSync, type KeyObject } from 'node:crypto';
import type { Tagger } from './masked.ts';

/** Hexadecimal digits of a tag: enough to tell a session's values apart, too few to confirm a guess for certain. */
const SHOWN = 8;

/**
 * Tags and witnesses of one session, from the session's key. They have keys of their own (HKDF, RFC 5869), so that a tag,
 * which clients see, says nothing of the witness in the recording.
 */
export function createTagger(key: KeyObject): Tagger {
  const tagKey = derived(key, 'verbatim/mask-tag');
  const witnessKey = derived(key, 'verbatim/mask-witness');
  return {
    tag(detector, value) {
      // A detector's name holds no NUL, so no two pairs run into the same bytes.
      const tag = createHmac('sha256', tagKey).update(`${detector}\0`).update(value).digest('hex').slice(0, SHOWN);
      const hmac = createHmac('sha256', witnessKey).update(value).digest('hex');
      return { tag: `[${detector}:${tag}]`, hmac: `hmac-sha256:${hmac}` };
    },
  };
}

function derived(key: KeyObject, purpose: string): KeyObject {
  return createSecretKey(Buffer.from(hkdfSync('sha256', key, '', purpose, 32)));
}
