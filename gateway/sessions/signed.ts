/**
 * State objects that decide something. Who can only write to the store must not be able to approve or to open: such an
 * object is two lines, its facts as canonical JSON and their HMAC-SHA256, which covers the object's name as well, so that
 * a copy under another name is none.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { canonicalJson } from '../canonical-json.ts';

export interface Signing {
  /** The bytes of a state object of this name. */
  sign(name: string, facts: object): Buffer;
  /** What this gateway, or another replica with one of the keys, has signed under this name; undefined for all else. */
  open<T>(name: string, bytes: Uint8Array): T | undefined;
  /** Eight characters that tell our page from another's, for a new request. */
  code(id: string): string;
}

const MAC_LINE = /^\{"mac":"([A-Za-z0-9_-]{43})"\}\n$/;
/** Crockford's base32: no I, L, O, U. */
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

/** `keys`: the first signs, each verifies; from a secret by HKDF, for this purpose alone. */
export function createSigning(keys: () => readonly Buffer[]): Signing {
  const macOf = (key: Buffer, name: string, facts: Uint8Array): Buffer =>
    // No name has a NUL, so nothing moves between name and facts.
    createHmac('sha256', key).update(`verbatim/signed-state/1\0${name}\0`).update(facts).digest();

  function firstKey(): Buffer {
    const [key] = keys();
    if (key === undefined) throw new Error('There is no key to sign state objects with.');
    return key;
  }

  return {
    sign(name, facts) {
      const line = Buffer.from(canonicalJson(facts));
      const mac = macOf(firstKey(), name, line).toString('base64url');
      return Buffer.concat([line, Buffer.from(`\n{"mac":"${mac}"}\n`)]);
    },
    open<T>(name: string, bytes: Uint8Array) {
      const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      const end = buffer.indexOf(0x0a);
      const [, written] = MAC_LINE.exec(end < 0 ? '' : buffer.toString('latin1', end + 1, end + 80)) ?? [];
      if (written === undefined) return undefined;
      const mac = Buffer.from(written, 'base64url');
      const facts = buffer.subarray(0, end);
      const isOurs = keys().some((one) => timingSafeEqual(macOf(one, name, facts), mac));
      // Only what is ours is parsed at all.
      return isOurs ? (JSON.parse(facts.toString()) as T) : undefined;
    },
    code(id) {
      const hash = createHmac('sha256', firstKey()).update(`verbatim/code/1\0${id}`).digest();
      const letters = Array.from(hash.subarray(0, 8), (byte) => ALPHABET[byte & 31]).join('');
      return `${letters.slice(0, 4)}-${letters.slice(4)}`;
    },
  };
}
