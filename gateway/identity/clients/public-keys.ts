/** Keys of a client that signs its requests (`private_key_jwt`): public and asymmetric ones alone. */
import { z } from 'zod';

const base64url = z.string().regex(/^[A-Za-z0-9_-]{1,2048}$/);
const text = z.string().min(1).max(256);
const common = { kid: text.optional(), alg: text.optional(), use: text.optional() };
// Of the private parts (RFC 7518, section 6) nothing is read: who publishes one has given the key away.
const absent = z.undefined().optional();
const key = z.discriminatedUnion('kty', [
  z.object({ ...common, kty: z.literal('EC'), crv: text, x: base64url, y: base64url, d: absent }),
  z.object({ ...common, kty: z.literal('OKP'), crv: text, x: base64url, d: absent }),
  z.object({ ...common, kty: z.literal('RSA'), n: base64url, e: base64url, d: absent }),
]);
const keySet = z.object({ keys: z.array(key).min(1).max(20) });

export type PublicKeys = z.output<typeof keySet>;

/** A JSON Web Key Set (RFC 7517, section 5), of known fields only. undefined where a key is secret or of another kind. */
export function readPublicKeys(value: unknown): PublicKeys | undefined {
  return keySet.safeParse(value).data;
}
