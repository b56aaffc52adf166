import { createHash } from 'node:crypto';
import { crc32, inflateRawSync } from 'node:zlib';
import { type Checkpoint, keyNameOf, openCheckpoint, parseVerifierKey } from './checkpoint.ts';
import { followKeys } from './keys.ts';
import { type Manifest, parseManifest, readEntries, type SegmentManifest, type UnknownManifest } from './manifest.ts';
import { checkpointName, entriesName } from './names.ts';
import { appendLeaf, emptyFrontier, leafHash, rootOf } from './tree.ts';
import { VerificationError } from './verification-error.ts';

/** What a segment may inflate to, in bytes. */
const MAX_INFLATED = 1024 ** 3;
const HEADER = 10;
const TRAILER = 8;

export interface LedgerVerifier {
  /** Takes entries object `number` (0, 1, …); its leaves are pending until a checkpoint covers them. */
  entries(number: number, bytes: Uint8Array): void;
  /**
   * Takes checkpoint `number` (0, 1, …) once the entries that it covers were taken. Returns it with the manifests that
   * it is the first to cover, in leaf order.
   */
  checkpoint(number: number, bytes: Uint8Array): Checkpoint & { manifests: readonly (Manifest | UnknownManifest)[] };
  /** Leaves under the newest checkpoint. */
  readonly size: number;
  /** Leaves after it: stored, not yet evidence. */
  readonly pending: number;
  /** The key that the next checkpoint must be signed with. */
  readonly verifierKey: string;
  /** All manifests under the newest checkpoint, in leaf order. */
  manifests(): IterableIterator<Manifest | UnknownManifest>;
}

/**
 * Verifies one ledger from its beginning, fed with its objects in order: entries 0, 1, … and checkpoints 0, 1, …, each
 * checkpoint after the entries that it covers (feeding all entries first will do). Entries may go beyond the newest
 * checkpoint, one checkpoint may cover several entries objects, and a checkpoint need not end where one of them ends.
 * `verifierKey` is the ledger's first; from there it follows the keys that the ledger itself announces. A key that is
 * named for another ledger is refused at once (`checkpoint_origin`): whoever holds it could sign this one otherwise.
 *
 * Both methods throw `VerificationError` and then leave the verifier as it was: a refused object never counts, so the
 * next number is refused as a gap. It keeps every manifest in memory.
 */
export function createLedgerVerifier({ ledger, verifierKey }: { ledger: string; verifierKey: string }): LedgerVerifier {
  if (parseVerifierKey(verifierKey).name !== keyNameOf(ledger)) {
    throw new VerificationError('checkpoint_origin', checkpointName(ledger, 0), 'The key is that of another ledger.');
  }
  let frontier = emptyFrontier();
  // In leaf order; the first `frontier.size` of them are under a checkpoint.
  const leaves: Buffer[] = [];
  const manifests: (Manifest | UnknownManifest)[] = [];
  let nextEntries = 0;
  let nextCheckpoint = 0;
  let key = verifierKey;
  // SHA-256 of the newest two checkpoints' notes, newest first; undefined stands for "none yet".
  let newest: readonly [string | undefined, string | undefined] = [undefined, undefined];

  return {
    entries(number, bytes) {
      const object = entriesName(ledger, number);
      if (number !== nextEntries) {
        throw new VerificationError('entries_gap', object, `Entries ${nextEntries} should come next.`);
      }
      const lines = readEntries(bytes, object);
      // All are parsed before the first is kept, so that a refused object leaves nothing behind.
      const added = lines.map((line) => parseManifest(line, object));
      for (const manifest of added) manifests.push(manifest);
      for (const line of lines) leaves.push(leafHash(Buffer.from(line, 'utf8')));
      nextEntries += 1;
    },

    checkpoint(number, bytes) {
      const object = checkpointName(ledger, number);
      if (number !== nextCheckpoint) {
        throw new VerificationError('checkpoint_gap', object, `Checkpoint ${nextCheckpoint} should come next.`);
      }
      const checkpoint = openCheckpoint(decodeNote(bytes, object), key, object);
      checkPlace(checkpoint, object);
      let grown = frontier;
      for (const leaf of leaves.slice(frontier.size, checkpoint.size)) grown = appendLeaf(grown, leaf);
      if (!rootOf(grown).equals(checkpoint.root)) {
        throw new VerificationError('checkpoint_root', object, 'Its root is not that of the entries.');
      }
      const added = manifests.slice(frontier.size, checkpoint.size);
      checkHeartbeats(added, newest, object);
      const next = followKeys(key, added, object);

      frontier = grown;
      key = next;
      newest = [createHash('sha256').update(bytes).digest('hex'), newest[0]];
      nextCheckpoint += 1;
      return { ...checkpoint, manifests: added };
    },

    get size() {
      return frontier.size;
    },
    get pending() {
      return leaves.length - frontier.size;
    },
    get verifierKey() {
      return key;
    },
    manifests: () => manifests.slice(0, frontier.size).values(),
  };

  function checkPlace(checkpoint: Checkpoint, object: string): void {
    if (checkpoint.ledger !== ledger) {
      throw new VerificationError('checkpoint_origin', object, 'It is a checkpoint of another ledger.');
    }
    if (checkpoint.size < frontier.size) {
      throw new VerificationError('checkpoint_shrunk', object, 'Its tree is smaller than that of the one before.');
    }
    if (checkpoint.size > leaves.length) {
      throw new VerificationError('entries_missing', object, 'It covers more manifests than the entries hold.');
    }
  }
}

/**
 * A heartbeat names the newest checkpoint that was stored when it was written. That is the one before the first that
 * covers it, or, where that one was signed already but not stored yet, the one before that. Numbers are not signed, so
 * this is what notices a checkpoint that was taken out and its successors renumbered.
 */
function checkHeartbeats(
  manifests: readonly (Manifest | UnknownManifest)[],
  newest: readonly (string | undefined)[],
  object: string,
): void {
  for (const manifest of manifests) {
    if (manifest.kind === 'heartbeat' && !newest.includes(manifest.previous)) {
      throw new VerificationError(
        'heartbeat_chain',
        object,
        'A heartbeat does not name the checkpoint before this one.',
      );
    }
  }
}

function decodeNote(bytes: Uint8Array, object: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new VerificationError('checkpoint_malformed', object, 'The note is not UTF-8.');
  }
}

/**
 * Verifies a segment's bytes against its manifest and returns its lines, without newlines, in order.
 *
 * Size and hash come first, so that nothing unverified is inflated. Throws `VerificationError` with a `segment_…` code.
 * `maxInflated` is the cap in bytes, 1 GiB by default.
 */
export function verifySegment(
  manifest: SegmentManifest,
  bytes: Uint8Array,
  { maxInflated = MAX_INFLATED }: { maxInflated?: number } = {},
): { lines: string[] } {
  const object = manifest.object;
  if (bytes.length !== manifest.size) {
    throw new VerificationError('segment_size', object, 'It has another size than its manifest says.');
  }
  if (createHash('sha256').update(bytes).digest('hex') !== manifest.sha256) {
    throw new VerificationError('segment_hash', object, 'Its bytes are not those of its manifest.');
  }
  const lines = splitLines(inflateOneMember(bytes, maxInflated, object), object);
  checkFrames(lines, manifest);
  return { lines };
}

/**
 * RFC 1952, strictly one member with the plain header. Node's gunzip would go on with further members and overlook what
 * follows them, and readers differ in that: two readers could see two recordings.
 */
function inflateOneMember(bytes: Uint8Array, maxInflated: number, object: string): Buffer {
  const malformed = () => new VerificationError('segment_gzip', object, 'It is not exactly one gzip member.');
  const [id1, id2, method, flags] = bytes;
  if (bytes.length < HEADER + TRAILER || id1 !== 0x1f || id2 !== 0x8b || method !== 8 || flags !== 0) throw malformed();
  const { inflated, read } = inflate(bytes.subarray(HEADER, -TRAILER), maxInflated, object);
  const trailer = Buffer.from(bytes.subarray(-TRAILER));
  const whole =
    read === bytes.length - HEADER - TRAILER &&
    trailer.readUInt32LE(0) === crc32(inflated) &&
    trailer.readUInt32LE(4) === inflated.length % 2 ** 32;
  if (!whole) throw malformed();
  return inflated;
}

function inflate(deflated: Uint8Array, maxInflated: number, object: string): { inflated: Buffer; read: number } {
  try {
    // `info` makes Node return the engine too, which knows where the deflate stream ended; the types do not say so.
    const { buffer, engine } = inflateRawSync(deflated, { maxOutputLength: maxInflated, info: true }) as unknown as {
      buffer: Buffer;
      engine: { bytesWritten: number };
    };
    return { inflated: buffer, read: engine.bytesWritten };
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE') {
      throw new VerificationError('segment_too_large', object, `It inflates to more than ${maxInflated} bytes.`);
    }
    throw new VerificationError('segment_gzip', object, 'It is not exactly one gzip member.');
  }
}

/** Line by line, as one string of the whole could be longer than V8 allows. */
function splitLines(inflated: Buffer, object: string): string[] {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  const lines: string[] = [];
  for (let start = 0; start < inflated.length; ) {
    const end = inflated.indexOf(0x0a, start);
    if (end < 0) throw new VerificationError('segment_lines', object, 'Its last line is not whole.');
    try {
      lines.push(decoder.decode(inflated.subarray(start, end)));
    } catch {
      throw new VerificationError('segment_lines', object, `Line ${lines.length + 1} is not UTF-8.`);
    }
    start = end + 1;
  }
  return lines;
}

function checkFrames(lines: readonly string[], { object, session, first, last }: SegmentManifest): void {
  if (lines.length !== last - first + 1) {
    throw new VerificationError('segment_seq', object, `It holds ${lines.length} frames, not ${first} to ${last}.`);
  }
  for (const [index, line] of lines.entries()) {
    const frame = parseFrame(line);
    if (frame === undefined) {
      throw new VerificationError('segment_lines', object, `Line ${index + 1} is not a JSON object.`);
    }
    if (frame.session !== session) {
      throw new VerificationError('segment_session', object, `Line ${index + 1} belongs to another session.`);
    }
    if (frame.seq !== first + index) {
      throw new VerificationError('segment_seq', object, `Line ${index + 1} is not frame ${first + index}.`);
    }
  }
}

function parseFrame(line: string): { session?: unknown; seq?: unknown } | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
