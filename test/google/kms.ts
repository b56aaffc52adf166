import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { crc32c } from '../../gateway/google-crc32c.ts';
import { GoogleError } from './answer.ts';
import type { Answering, Ground } from './google.ts';

export type KmsPermission = 'useToSign' | 'viewPublicKey';
/** What the next answers get wrong; `undefined` heals. */
export type KmsFault =
  | 'signature'
  | 'signature checksum'
  | 'data not verified'
  | 'another version'
  | 'key checksum'
  | 'another key';

export interface KmsDouble {
  /** Adds an enabled version to a key; returns its resource name. */
  add(key: string, algorithm?: 'EC_SIGN_ED25519' | 'EC_SIGN_P256_SHA256'): string;
  /** A destroyed version never comes back. */
  setState(version: string, state: 'ENABLED' | 'DISABLED' | 'DESTROYED'): void;
  /** What the gateway's identity may do with every key. */
  readonly granted: Set<KmsPermission>;
  fault(what: KmsFault | undefined): void;
  /** Texts that were signed, in order. */
  readonly signed: string[];
  readonly publicKey: Answering;
  readonly asymmetricSign: Answering;
}

interface Version {
  readonly algorithm: string;
  readonly privateKey: KeyObject;
  readonly pem: string;
  state: string;
}

const PREFIX = 'projects/verbatim/locations/europe-west1/keyRings/ledger/cryptoKeys';

/** https://cloud.google.com/kms/docs/reference/rest/v1/projects.locations.keyRings.cryptoKeys.cryptoKeyVersions */
export function createKmsDouble({ ownToken }: Ground): KmsDouble {
  const versions = new Map<string, Version>();
  const granted = new Set<KmsPermission>(['useToSign', 'viewPublicKey']);
  const signed: string[] = [];
  let fault: KmsFault | undefined;

  function find(request: Parameters<Answering>[0], url: URL, verb: RegExp, needs: KmsPermission) {
    if (request.headers.authorization !== `Bearer ${ownToken()}`) throw new GoogleError(401, 'UNAUTHENTICATED');
    // Whoever may not use a key does not learn whether it is there.
    if (!granted.has(needs)) throw new GoogleError(403, 'PERMISSION_DENIED');
    const name = url.pathname.replace(/^\/v1\//, '').replace(verb, '');
    const version = versions.get(name);
    if (version === undefined) throw new GoogleError(404, 'NOT_FOUND');
    if (version.state !== 'ENABLED') throw new GoogleError(400, 'FAILED_PRECONDITION');
    return { name: fault === 'another version' ? name.replace(/\d+$/, '99') : name, version };
  }

  return {
    granted,
    signed,
    fault(what) {
      fault = what;
    },
    add(key, algorithm = 'EC_SIGN_ED25519') {
      const number = [...versions.keys()].filter((name) => name.startsWith(`${PREFIX}/${key}/`)).length + 1;
      const { privateKey, publicKey } =
        algorithm === 'EC_SIGN_ED25519'
          ? generateKeyPairSync('ed25519')
          : generateKeyPairSync('ec', { namedCurve: 'P-256' });
      const pem = publicKey.export({ type: 'spki', format: 'pem' }).toString();
      const name = `${PREFIX}/${key}/cryptoKeyVersions/${number}`;
      versions.set(name, { algorithm, privateKey, pem, state: 'ENABLED' });
      return name;
    },
    setState(name, state) {
      const version = versions.get(name);
      if (version === undefined || version.state === 'DESTROYED') throw new Error('no such version');
      version.state = state;
    },
    publicKey(request, url) {
      if (request.method !== 'GET') throw new GoogleError(404, 'NOT_FOUND');
      const { name, version } = find(request, url, /\/publicKey$/, 'viewPublicKey');
      const pem =
        fault === 'another key'
          ? generateKeyPairSync('x25519').publicKey.export({ type: 'spki', format: 'pem' }).toString()
          : version.pem;
      const right = crc32c(Buffer.from(pem));
      const pemCrc32c = String(fault === 'key checksum' ? right ^ 1 : right);
      return { name, pem, pemCrc32c, algorithm: version.algorithm, protectionLevel: 'SOFTWARE' };
    },
    asymmetricSign(request, url, body) {
      if (request.method !== 'POST' || request.headers['content-type'] !== 'application/json') {
        throw new GoogleError(400, 'INVALID_ARGUMENT');
      }
      const { name, version } = find(request, url, /:asymmetricSign$/, 'useToSign');
      const { data, dataCrc32c, ...rest } = JSON.parse(body) as Record<string, unknown>;
      // Ed25519 signs the data itself: this version of the key takes no digest.
      if (typeof data !== 'string' || Object.keys(rest).length > 0) throw new GoogleError(400, 'INVALID_ARGUMENT');
      const bytes = Buffer.from(data, 'base64');
      if (bytes.toString('base64') !== data || bytes.length > 65_536) throw new GoogleError(400, 'INVALID_ARGUMENT');
      // 64-bit numbers are strings in JSON.
      if (dataCrc32c !== undefined && dataCrc32c !== String(crc32c(bytes))) {
        throw new GoogleError(400, 'INVALID_ARGUMENT');
      }
      const algorithm = version.algorithm === 'EC_SIGN_ED25519' ? null : 'sha256';
      const signature = sign(
        algorithm,
        fault === 'signature' ? Buffer.from('something else') : bytes,
        version.privateKey,
      );
      signed.push(bytes.toString());
      const right = crc32c(signature);
      return {
        name,
        signature: signature.toString('base64'),
        signatureCrc32c: String(fault === 'signature checksum' ? right ^ 1 : right),
        verifiedDataCrc32c: dataCrc32c !== undefined && fault !== 'data not verified',
        protectionLevel: 'SOFTWARE',
      };
    },
  };
}
