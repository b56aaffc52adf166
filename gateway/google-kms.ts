/**
 * Key versions of Google Cloud KMS that sign Ed25519 (`EC_SIGN_ED25519`), by its REST API. Nothing that it answers is
 * believed before it was checked: a checkpoint is stored once and for ever.
 */
import { createPublicKey, verify } from 'node:crypto';
import { GatewayError } from './errors.ts';
import type { GoogleApi } from './google-api.ts';
import { crc32c } from './google-crc32c.ts';
import { encodeVerifierKey } from './ledger/checkpoint.ts';
import type { Signer } from './ledger/signer.ts';
import { CredentialFailure, loggableReason } from './proxy/credential-error.ts';

export interface KmsVersion {
  /** `projects/P/locations/L/keyRings/R/cryptoKeys/K/cryptoKeyVersions/N`. */
  readonly version: string;
  /** Raw Ed25519 key, 32 bytes. It never changes: a version has one key for ever. */
  readonly publicKey: Buffer;
}

/** Why there is no key or no signature, for a log and for who runs the gateway. Stable: alerts may name them. */
export type KmsCode =
  | 'permission_denied'
  | 'version_missing'
  | 'version_not_enabled'
  | 'algorithm_wrong'
  | 'answer_wrong'
  | 'unavailable';

/** In words that are ours, without anything that was signed. */
export class KmsError extends Error {
  override readonly name = 'KmsError';
  readonly code: KmsCode;

  constructor(code: KmsCode, version: string, words: string) {
    super(`${version}: ${words}`);
    this.code = code;
  }
}

/** What Google says of the request itself; all else may come from anybody between, and passes. */
const REFUSALS: Record<string, readonly [KmsCode, string]> = {
  PERMISSION_DENIED: [
    'permission_denied',
    'the gateway may not use it. Grant its service account roles/cloudkms.signer and roles/cloudkms.publicKeyViewer on the key, and enable cloudkms.googleapis.com',
  ],
  NOT_FOUND: ['version_missing', 'there is no such key version'],
  FAILED_PRECONDITION: ['version_not_enabled', 'it is disabled, destroyed or not ready. Enable it, or restore it'],
};

export interface GoogleKms {
  /** Throws `KmsError`. */
  publicKey(version: string): Promise<KmsVersion>;
  /** A signer under this name; its signatures have been verified when it gives them. It throws `KmsError`. */
  signer(name: string, key: KmsVersion): Signer;
}

/** Milliseconds. Sealing waits for a signature, and with it calls that wait for the store. */
const DEADLINE_MS = 5000;
const ALGORITHM = 'EC_SIGN_ED25519';

export function createGoogleKms(api: GoogleApi, deadline = DEADLINE_MS): GoogleKms {
  return {
    async publicKey(version) {
      const { name, algorithm, pem, pemCrc32c } = await ask(version, '/publicKey');
      const bad = (what: string) => new KmsError('answer_wrong', version, what);
      if (!isSameVersion(name, version)) throw bad('the answer names another version');
      if (algorithm !== ALGORITHM) throw new KmsError('algorithm_wrong', version, algorithmWords(algorithm));
      if (typeof pem !== 'string') throw bad('the answer has no key');
      if (String(pemCrc32c) !== String(crc32c(Buffer.from(pem)))) throw bad('the checksum of the key is wrong');
      const publicKey = rawKey(pem);
      if (publicKey === undefined) throw bad('the answer is no Ed25519 key');
      return { version, publicKey };
    },
    signer: (name, key) => ({
      name,
      verifierKey: encodeVerifierKey(name, key.publicKey),
      sign: (text) => sign(key, text),
    }),
  };

  async function ask(version: string, verb: string, body?: unknown): Promise<Record<string, unknown>> {
    try {
      return await api.call('kms', `/v1/${version}${verb}`, version, { body, signal: AbortSignal.timeout(deadline) });
    } catch (error) {
      throw refusal(version, error);
    }
  }

  /** https://cloud.google.com/kms/docs/data-integrity-guidelines, and the signature itself. */
  async function sign({ version, publicKey }: KmsVersion, text: Uint8Array): Promise<Uint8Array> {
    const body = { data: Buffer.from(text).toString('base64'), dataCrc32c: String(crc32c(text)) };
    const answer = await ask(version, ':asymmetricSign', body);
    const bad = (what: string) => new KmsError('answer_wrong', version, what);
    if (!isSameVersion(answer.name, version)) throw bad('the answer names another version');
    if (answer.verifiedDataCrc32c !== true) throw bad('it did not verify the checksum of what it signed');
    const signature = Buffer.from(typeof answer.signature === 'string' ? answer.signature : '', 'base64');
    if (String(answer.signatureCrc32c) !== String(crc32c(signature))) throw bad('the checksum is wrong');
    if (!isSignature(publicKey, text, signature)) throw bad('the signature does not hold');
    return signature;
  }
}

function refusal(version: string, error: unknown): KmsError {
  const cause = error instanceof GatewayError ? error.cause : undefined;
  const status = cause instanceof CredentialFailure ? cause.status : undefined;
  const [code, words] = REFUSALS[status ?? ''] ?? ['unavailable', undefined];
  return new KmsError(code, version, words ?? loggableReason(error).replace(`${version}: `, ''));
}

/** Google may answer with the project's number in the place of its id. */
function isSameVersion(name: unknown, asked: string): boolean {
  const rest = (one: string): string => one.replace(/^projects\/[^/]+\//, '');
  const [, project = ''] = typeof name === 'string' ? (/^projects\/([^/]+)\//.exec(name) ?? []) : [];
  return (
    typeof name === 'string' &&
    rest(name) === rest(asked) &&
    (asked.startsWith(`projects/${project}/`) || /^[0-9]+$/.test(project))
  );
}

function algorithmWords(algorithm: unknown): string {
  const known = typeof algorithm === 'string' && /^[A-Z][A-Z0-9_]{1,60}$/.test(algorithm) ? algorithm : 'not said';
  return `its algorithm is ${known}, checkpoints need ${ALGORITHM} (gcloud: --default-algorithm=ec-sign-ed25519)`;
}

function rawKey(pem: string): Buffer | undefined {
  try {
    const key = createPublicKey({ key: pem, format: 'pem', type: 'spki' });
    if (key.asymmetricKeyType !== 'ed25519') return undefined;
    return Buffer.from(key.export({ format: 'jwk' }).x ?? '', 'base64url');
  } catch {
    return undefined;
  }
}

function isSignature(publicKey: Buffer, text: Uint8Array, signature: Buffer): boolean {
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: publicKey.toString('base64url') };
  return signature.length === 64 && verify(null, text, createPublicKey({ key: jwk, format: 'jwk' }), signature);
}
