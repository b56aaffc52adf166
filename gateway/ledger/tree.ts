import { createHash } from 'node:crypto';
import { VerificationError } from './verification-error.ts';

/**
 * The Merkle tree of RFC 6962, section 2.1, kept as its right edge: enough to append and to know the root, in
 * O(log n) memory. Plain JSON, so that it can be stored beside the journal.
 */
export interface Frontier {
  /** Leaves in the tree. */
  readonly size: number;
  /** Hex roots of the complete subtrees on the right edge, largest first: one for each bit set in `size`. */
  readonly hashes: readonly string[];
}

const HASH = /^[0-9a-f]{64}$/;

/** Hash of a leaf: SHA-256 of 0x00 and the bytes. The prefix keeps a leaf from ever passing as an inner node. */
export function leafHash(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(Uint8Array.of(0)).update(bytes).digest();
}

function nodeHash(left: Uint8Array, right: Uint8Array): Buffer {
  return createHash('sha256').update(Uint8Array.of(1)).update(left).update(right).digest();
}

export function emptyFrontier(): Frontier {
  return { size: 0, hashes: [] };
}

/** The frontier with one more leaf; the given one is left as it is. `leaf` is a `leafHash`, 32 bytes. */
export function appendLeaf(frontier: Frontier, leaf: Uint8Array): Frontier {
  if (leaf.length !== 32) throw new RangeError('A leaf hash has 32 bytes.');
  if (frontier.size >= Number.MAX_SAFE_INTEGER) throw new RangeError('The tree is full.');
  const hashes = [...frontier.hashes];
  let last: Buffer = Buffer.from(leaf);
  // Every trailing one bit of the size is a complete subtree that the new leaf completes to the next power of two.
  // Division, not shifts: shifts would cut a size above 2^31.
  for (let rest = frontier.size; rest % 2 === 1; rest = (rest - 1) / 2) {
    const left = hashes.pop();
    if (left === undefined) throw new RangeError('A frontier holds one hash for each bit set in its size.');
    last = nodeHash(Buffer.from(left, 'hex'), last);
  }
  hashes.push(last.toString('hex'));
  return { size: frontier.size + 1, hashes };
}

/** The tree's root, 32 bytes; of an empty tree the SHA-256 of nothing. */
export function rootOf(frontier: Frontier): Buffer {
  if (frontier.hashes.length === 0) return createHash('sha256').digest();
  const edge: Buffer[] = frontier.hashes.map((hash) => Buffer.from(hash, 'hex'));
  return edge.reduceRight((right, left) => nodeHash(left, right));
}

function bitsSet(size: number): number {
  let count = 0;
  for (let rest = size; rest > 0; rest = Math.floor(rest / 2)) count += rest % 2;
  return count;
}

/** Reads back a stored frontier. Throws `VerificationError` `frontier_malformed` unless its hashes fit its size. */
export function parseFrontier(value: unknown): Frontier {
  if (typeof value === 'object' && value !== null && 'size' in value && 'hashes' in value) {
    const { size, hashes } = value;
    if (typeof size === 'number' && Number.isSafeInteger(size) && size >= 0 && Array.isArray(hashes)) {
      const checked = hashes.filter((hash): hash is string => typeof hash === 'string' && HASH.test(hash));
      if (checked.length === hashes.length && checked.length === bitsSet(size)) return { size, hashes: checked };
    }
  }
  throw new VerificationError(
    'frontier_malformed',
    'frontier',
    'The stored frontier is not one: its hashes do not fit.',
  );
}
