/**
 * Checkpoints: the signed heads of a ledger, as C2SP's tlog-checkpoint and signed-note specifications define them
 * (https://c2sp.org/tlog-checkpoint, https://c2sp.org/signed-note).
 *
 * What this file opens is a subset of what Go's `golang.org/x/mod/sumdb/note` opens: base64 is canonical, every
 * signature by our key must hold (not only the first), and the body has exactly three lines.
 */
import { createHash, createPublicKey, verify } from 'node:crypto';
import type { Signer } from './signer.ts';
import { VerificationError } from './verification-error.ts';

export interface Checkpoint {
  readonly ledger: string;
  /** Leaves in the tree. */
  readonly size: number;
  /** RFC 6962 root, 32 bytes. */
  readonly root: Buffer;
}

export interface VerifierKey {
  readonly name: string;
  /** First four bytes of SHA-256(name, newline, algorithm, key): which key a signature line claims. */
  readonly id: Buffer;
  /** Raw Ed25519 public key, 32 bytes. */
  readonly publicKey: Buffer;
}

const ED25519 = 1;
const ORIGIN = 'verbatim/';
const SIGNATURE_LINE = '\u2014 ';
/** A checkpoint takes some 250 bytes; witnesses may add lines, a hostile store may not add megabytes. */
const MAX_NOTE_BYTES = 64 * 1024;
const MAX_SIGNATURES = 100;
// signed-note: a key name is not empty and has neither Unicode spaces nor a plus. U+0085 is a space to Go, not to \s.
const KEY_NAME = /^[^\s+\u0000-\u001f\u007f\u0085]{1,255}$/u;
/** A ledger's id is also a segment of object names. */
const LEDGER = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;
// signed-note: no ASCII control character other than newline.
const FORBIDDEN_CONTROL = /[\u0000-\u0009\u000b-\u001f]/;

/** The name of every key of a ledger, which is the origin of its checkpoints too. Whoever holds one key is one ledger. */
export function keyNameOf(ledger: string): string {
  return `${ORIGIN}${ledger}`;
}

/** The text of a checkpoint's note: origin, size and root, a line each. Throws `RangeError` for what can't be one. */
export function formatCheckpoint({ ledger, size, root }: { ledger: string; size: number; root: Uint8Array }): string {
  if (!LEDGER.test(ledger))
    throw new RangeError('A ledger id has 1 to 128 letters, digits, dots, underscores, dashes.');
  if (!Number.isSafeInteger(size) || size < 0) throw new RangeError('A tree size is a whole number.');
  if (root.length !== 32) throw new RangeError('A root has 32 bytes.');
  return `${ORIGIN}${ledger}\n${size}\n${Buffer.from(root).toString('base64')}\n`;
}

/**
 * The whole signed note over a checkpoint's text. The answer of the signer is verified before it is used: a checkpoint
 * is created once and for ever, so a wrong one must not reach the store. Rejects with `checkpoint_signature` then, and
 * with what the signer rejects with.
 */
export async function signCheckpoint(text: string, signer: Signer): Promise<string> {
  const key = parseVerifierKey(signer.verifierKey);
  const bytes = Buffer.from(text, 'utf8');
  const signature = await signer.sign(bytes);
  if (key.name !== signer.name || !isSignature(key, bytes, signature)) {
    throw new VerificationError(
      'checkpoint_signature',
      'checkpoint',
      'The signer gave a signature that does not hold.',
    );
  }
  const note = `${text}\n${SIGNATURE_LINE}${key.name} ${Buffer.concat([key.id, signature]).toString('base64')}\n`;
  openCheckpoint(note, signer.verifierKey);
  return note;
}

/**
 * Opens a checkpoint's note with the key that must have signed it; signatures by other keys (witnesses) are ignored.
 * `object` names the note in errors. Throws `VerificationError`: `key_malformed`, `checkpoint_malformed`,
 * `checkpoint_signature`.
 */
export function openCheckpoint(note: string, verifierKey: string, object = 'checkpoint'): Checkpoint {
  return parseCheckpoint(openNote(note, parseVerifierKey(verifierKey), object), object);
}

/** The text of a signed note, checked as signed-note says and by this key. */
export function openNote(note: string, key: VerifierKey, object = 'note'): string {
  const malformed = (words: string) => new VerificationError('checkpoint_malformed', object, words);
  if (note.length > MAX_NOTE_BYTES || Buffer.byteLength(note) > MAX_NOTE_BYTES)
    throw malformed('The note is too long.');
  if (!note.isWellFormed() || FORBIDDEN_CONTROL.test(note)) throw malformed('The note holds forbidden characters.');
  // The text may hold empty lines, so the last one splits.
  const split = note.lastIndexOf('\n\n');
  if (split < 0 || !note.endsWith('\n') || split + 2 === note.length) throw malformed('The note has no signatures.');
  const text = note.slice(0, split + 1);
  const lines = note.slice(split + 2, -1).split('\n');
  if (lines.length > MAX_SIGNATURES) throw malformed('The note has too many signatures.');

  let signed = false;
  for (const line of lines) {
    const found = parseSignatureLine(line);
    if (found === undefined) throw malformed('A signature line is malformed.');
    if (found.name !== key.name || !found.id.equals(key.id)) continue;
    if (!isSignature(key, Buffer.from(text, 'utf8'), found.signature)) {
      throw new VerificationError('checkpoint_signature', object, 'The signature by the key does not hold.');
    }
    signed = true;
  }
  if (!signed) throw new VerificationError('checkpoint_signature', object, 'The note is not signed by the key.');
  return text;
}

function parseSignatureLine(line: string): { name: string; id: Buffer; signature: Buffer } | undefined {
  if (!line.startsWith(SIGNATURE_LINE)) return undefined;
  const space = line.indexOf(' ', SIGNATURE_LINE.length);
  if (space < 0) return undefined;
  const name = line.slice(SIGNATURE_LINE.length, space);
  const blob = decodeBase64(line.slice(space + 1));
  if (!KEY_NAME.test(name) || blob === undefined || blob.length < 5) return undefined;
  return { name, id: blob.subarray(0, 4), signature: blob.subarray(4) };
}

function parseCheckpoint(text: string, object: string): Checkpoint {
  // The text ends in a newline, so the fourth piece is what follows the last line: nothing.
  const [origin = '', decimal = '', base64 = '', rest] = text.split('\n', 5);
  const ledger = origin.slice(ORIGIN.length);
  const size = /^(0|[1-9][0-9]{0,15})$/.test(decimal) ? Number(decimal) : Number.NaN;
  const root = decodeBase64(base64);
  const threeLines = text === `${origin}\n${decimal}\n${base64}\n` && rest === '';
  if (!threeLines || !origin.startsWith(ORIGIN) || !LEDGER.test(ledger) || !Number.isSafeInteger(size)) {
    throw new VerificationError('checkpoint_malformed', object, 'The note is signed but is no checkpoint of a ledger.');
  }
  if (root?.length !== 32) {
    throw new VerificationError('checkpoint_malformed', object, 'The checkpoint holds no root of 32 bytes.');
  }
  return { ledger, size, root };
}

/** `name+hash+key`, as signed-note says. `publicKey` is the raw Ed25519 key, 32 bytes. */
export function encodeVerifierKey(name: string, publicKey: Uint8Array): string {
  if (!KEY_NAME.test(name) || !name.isWellFormed() || publicKey.length !== 32) throw malformedKey();
  return `${name}+${keyId(name, publicKey).toString('hex')}+${typed(publicKey).toString('base64')}`;
}

/** Throws `VerificationError` `key_malformed` unless it is an Ed25519 verifier key whose hash fits. */
export function parseVerifierKey(verifierKey: string): VerifierKey {
  // base64 may hold a plus, a name and a hash may not: the first two split.
  const [name = '', hash = ''] = verifierKey.split('+', 2);
  const key = decodeBase64(verifierKey.slice(name.length + hash.length + 2));
  if (!KEY_NAME.test(name) || !name.isWellFormed() || key?.length !== 33 || key[0] !== ED25519) throw malformedKey();
  const publicKey = key.subarray(1);
  const id = keyId(name, publicKey);
  if (hash !== id.toString('hex')) throw malformedKey();
  return { name, id, publicKey };
}

function malformedKey(): VerificationError {
  return new VerificationError('key_malformed', 'verifier key', 'It is not an Ed25519 verifier key name+hash+key.');
}

function typed(publicKey: Uint8Array): Buffer {
  return Buffer.concat([Uint8Array.of(ED25519), publicKey]);
}

function keyId(name: string, publicKey: Uint8Array): Buffer {
  return createHash('sha256').update(`${name}\n`).update(typed(publicKey)).digest().subarray(0, 4);
}

function isSignature(key: VerifierKey, bytes: Uint8Array, signature: Uint8Array): boolean {
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: key.publicKey.toString('base64url') };
  return signature.length === 64 && verify(null, bytes, createPublicKey({ key: jwk, format: 'jwk' }), signature);
}

/** Canonical, padded base64 or nothing: a second spelling of the same bytes would be an unnoticed change. */
function decodeBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? bytes : undefined;
}
