import { createPrivateKey, createPublicKey, type KeyObject, sign } from 'node:crypto';
import { encodeVerifierKey } from './checkpoint.ts';
import { VerificationError } from './verification-error.ts';

/** Whatever holds a ledger's Ed25519 key: a local key here, a KMS elsewhere. */
export interface Signer {
  /** The key's name in a note's signature line. */
  readonly name: string;
  /** `name+hash+key`: what a reader needs, and Go's `sumdb/note` takes. */
  readonly verifierKey: string;
  /** The raw Ed25519 signature (64 bytes) over exactly these bytes. */
  sign(text: Uint8Array): Promise<Uint8Array>;
}

/**
 * A signer over a private key held in memory. `pkcs8Pem` is an unencrypted PKCS #8 PEM of an Ed25519 key.
 * Throws `VerificationError` `key_malformed`, without the key and without OpenSSL's reason, for anything else.
 */
export function createLocalSigner(name: string, pkcs8Pem: string): Signer {
  const key = readPrivateKey(pkcs8Pem);
  const { x } = createPublicKey(key).export({ format: 'jwk' });
  return {
    name,
    verifierKey: encodeVerifierKey(name, Buffer.from(x ?? '', 'base64url')),
    sign: async (text) => sign(null, text, key),
  };
}

function readPrivateKey(pkcs8Pem: string): KeyObject {
  let key: KeyObject | undefined;
  try {
    key = createPrivateKey({ key: pkcs8Pem, format: 'pem', type: 'pkcs8' });
  } catch {
    // Falls through: the reason could quote the input.
  }
  if (key?.asymmetricKeyType === 'ed25519') return key;
  throw new VerificationError('key_malformed', 'signing key', 'It is not an Ed25519 private key in PKCS #8 PEM.');
}
