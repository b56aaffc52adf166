/** Keyed fingerprints: what a recording holds in the place of a credential. */
import { createHmac, type KeyObject } from 'node:crypto';

/** Fingerprints of the values that a session sends again and again (its token) are kept. */
const MOST_FINGERPRINTS = 16;

export function createFingerprint(key: KeyObject): (value: string) => string {
  const known = new Map<string, string>();
  return (value) => {
    let fingerprint = known.get(value);
    if (fingerprint === undefined) {
      fingerprint = `hmac-sha256:${createHmac('sha256', key).update(value).digest('hex').slice(0, 32)}`;
      if (known.size >= MOST_FINGERPRINTS) known.clear();
      known.set(value, fingerprint);
    }
    return fingerprint;
  };
}
