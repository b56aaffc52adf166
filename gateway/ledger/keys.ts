/**
 * Which keys sign a ledger, one after the other. A `key` manifest announces the next one; the checkpoint that is the first
 * to cover it is the last by the key before, and so hands on the trust: who knows the first key needs no other.
 */
import { parseVerifierKey } from './checkpoint.ts';
import type { Manifest, UnknownManifest } from './manifest.ts';
import { VerificationError } from './verification-error.ts';

/** A key and where it was announced. */
export interface LedgerKey {
  readonly verifierKey: string;
  /** Index of the leaf that announces it; -1 for a ledger's first key. */
  readonly leaf: number;
}

/** The key that signs the next checkpoint, where `covered` leaves are under a stored one. */
export function keyInForce(keys: readonly LedgerKey[], covered: number): LedgerKey | undefined {
  return keys.findLast(({ leaf }) => leaf < covered);
}

/** Without those that will never sign again. */
export function keysFrom(keys: readonly LedgerKey[], covered: number): readonly LedgerKey[] {
  const now = keyInForce(keys, covered);
  return keys.filter((key) => key === now || key.leaf >= covered);
}

/**
 * The key in force once a checkpoint by `verifierKey` covers these manifests. Throws `key_chain` where one announces a
 * key in another's place, or a key of another name.
 */
export function followKeys(
  verifierKey: string,
  manifests: readonly (Manifest | UnknownManifest)[],
  object: string,
): string {
  let key = verifierKey;
  for (const manifest of manifests) {
    if (manifest.kind !== 'key') continue;
    const follows =
      manifest.previous === key && parseVerifierKey(manifest.verifierKey).name === parseVerifierKey(key).name;
    if (!follows) {
      throw new VerificationError('key_chain', object, 'A key is announced that does not follow the one in force.');
    }
    key = manifest.verifierKey;
  }
  return key;
}
