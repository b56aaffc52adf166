/**
 * Every key of the gateway's own authorization server, derived from one secret. The first secret signs and seals; those
 * behind it still verify and open, so that a secret is changed without a login being lost.
 */
import {
  createCipheriv,
  createDecipheriv,
  createECDH,
  createHmac,
  hkdfSync,
  randomBytes,
  timingSafeEqual,
} from 'node:crypto';
import type { JWK } from 'jose';

/** What is sealed for one purpose opens for no other. */
export type SealingPurpose =
  | 'client'
  | 'login'
  | 'ticket'
  | 'browser'
  | 'approver'
  | 'approver-code'
  | 'refreshed'
  | 'idp-refresh-token'
  | 'user-credential'
  | 'user-client';

export interface Keyring {
  /** ES256 private keys, the signing one first. `kid` is derived too. */
  readonly signingKeys: readonly JWK[];
  /** For cookie signatures, the signing one first. */
  readonly cookieKeys: readonly string[];
  /** Seals a text (AES-256-GCM, random nonce): base64url. `bound` is authenticated and has to be given again to open it. */
  seal(purpose: SealingPurpose, text: string, bound?: string): string;
  /** undefined for what no secret here has sealed for this purpose and `bound`. */
  open(purpose: SealingPurpose, sealed: string, bound?: string): string | undefined;
  /** A keyed hash, base64url, under the first secret. */
  mac(purpose: string, text: string): string;
  /** Whether `mac` was made of `text` under any of the secrets; in constant time. */
  verifyMac(purpose: string, text: string, mac: string): boolean;
  /** Keys of 32 bytes for another part of the gateway, one of each secret, in their order. */
  derive(purpose: string): readonly Buffer[];
}

/** For parts that only seal and open. */
export type Sealing = Pick<Keyring, 'seal' | 'open'>;

export const LEAST_SECRET_BYTES = 32;
const NONCE = 12;
const TAG = 16;
/** Order of P-256 (FIPS 186-5, appendix; SEC 2, section 2.4.2). */
const P256_ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;

/** `secrets`: at least one, each of 32 bytes or more. */
export function createKeyring(secrets: readonly Buffer[]): Keyring {
  if (secrets.length === 0 || secrets.some((secret) => secret.length < LEAST_SECRET_BYTES)) {
    throw new Error(`A keyring needs secrets of at least ${LEAST_SECRET_BYTES} bytes.`);
  }
  const derived = new Map<string, Buffer[]>();
  const keysFor = (purpose: string): Buffer[] => {
    let keys = derived.get(purpose);
    if (keys === undefined) {
      keys = secrets.map((secret) => Buffer.from(hkdfSync('sha256', secret, '', `verbatim/login/${purpose}`, 32)));
      derived.set(purpose, keys);
    }
    return keys;
  };
  const firstFor = (purpose: string): Buffer => keysFor(purpose)[0] as Buffer;
  const macOf = (key: Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest();

  return {
    signingKeys: secrets.map(signingKeyOf),
    cookieKeys: keysFor('cookies').map((key) => key.toString('base64url')),
    seal(purpose, text, bound = '') {
      const nonce = randomBytes(NONCE);
      const cipher = createCipheriv('aes-256-gcm', firstFor(`seal/${purpose}`), nonce).setAAD(Buffer.from(bound));
      const body = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
      return Buffer.concat([nonce, body, cipher.getAuthTag()]).toString('base64url');
    },
    open(purpose, sealed, bound = '') {
      const bytes = Buffer.from(sealed, 'base64url');
      if (bytes.length < NONCE + TAG) return undefined;
      for (const key of keysFor(`seal/${purpose}`)) {
        try {
          const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, NONCE)).setAAD(Buffer.from(bound));
          decipher.setAuthTag(bytes.subarray(-TAG));
          return decipher.update(bytes.subarray(NONCE, -TAG), undefined, 'utf8') + decipher.final('utf8');
        } catch {
          // Another secret's, or nobody's.
        }
      }
      return undefined;
    },
    mac: (purpose, text) => macOf(firstFor(`mac/${purpose}`), text).toString('base64url'),
    verifyMac(purpose, text, mac) {
      const given = Buffer.from(mac, 'base64url');
      return keysFor(`mac/${purpose}`)
        .map((key) => macOf(key, text))
        .some((made) => given.length === made.length && timingSafeEqual(given, made));
    },
    derive: (purpose) => keysFor(`derive/${purpose}`),
  };
}

/** FIPS 186-5, appendix A.2.1: 128 bits more than the order has make the remainder's bias negligible. */
function signingKeyOf(secret: Buffer): JWK {
  const wide = Buffer.from(hkdfSync('sha256', secret, '', 'verbatim/login/signing', 48));
  const scalar = (BigInt(`0x${wide.toString('hex')}`) % (P256_ORDER - 1n)) + 1n;
  const d = Buffer.from(scalar.toString(16).padStart(64, '0'), 'hex');
  const curve = createECDH('prime256v1');
  curve.setPrivateKey(d);
  const point = curve.getPublicKey();
  const kid = Buffer.from(hkdfSync('sha256', secret, '', 'verbatim/login/kid', 12)).toString('base64url');
  return {
    kty: 'EC',
    crv: 'P-256',
    x: point.subarray(1, 33).toString('base64url'),
    y: point.subarray(33, 65).toString('base64url'),
    d: d.toString('base64url'),
    kid,
    alg: 'ES256',
    use: 'sig',
  };
}
