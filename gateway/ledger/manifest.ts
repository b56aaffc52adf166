/**
 * A manifest is one line of a ledger's entries. Its exact bytes, without the newline, are the leaf of the Merkle tree.
 * Field order is the order in which they were written and is part of those bytes.
 */
import { z } from 'zod';
import { parseVerifierKey } from './checkpoint.ts';
import { VerificationError } from './verification-error.ts';

interface Base {
  readonly v: 1;
  /** When it was written, UTC. */
  readonly at: string;
}

export type SegmentManifest = Base & {
  readonly kind: 'segment';
  readonly object: string;
  readonly size: number;
  readonly sha256: string;
  readonly session: string;
  /** `seq` of the segment's first and last frame. */
  readonly first: number;
  readonly last: number;
};

export type Manifest =
  | SegmentManifest
  | (Base & {
      readonly kind: 'summary';
      readonly object: string;
      readonly size: number;
      readonly sha256: string;
      readonly session: string;
    })
  | (Base & {
      readonly kind: 'heartbeat';
      /** SHA-256 of the previous checkpoint's note, hex; absent on a ledger's first. */
      readonly previous?: string;
      /** Milliseconds by which the wall clock moved against the monotonic clock since start. */
      readonly clockOffset: number;
    })
  | (Base & {
      readonly kind: 'gap';
      /** Absent where the whole disk is meant: any session's frames may be missing. */
      readonly session?: string;
      readonly reason: string;
      readonly from: string;
      readonly to: string;
    })
  | (Base & {
      readonly kind: 'key';
      /** Signs every checkpoint after the first that covers this. */
      readonly verifierKey: string;
      /** The key before it, which signs that one. */
      readonly previous: string;
    })
  | (Base & {
      /** The disk was retired: the ledger ends here, and nothing comes after. */
      readonly kind: 'closed';
      readonly reason: string;
    });

/** One that names a stored object. */
export type ObjectManifest = Extract<Manifest, { object: string }>;

/** A kind that a later version wrote: kept and counted, not understood. `of` is the kind as written. */
export interface UnknownManifest {
  readonly kind: 'unknown';
  readonly of: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

const text = z.string().min(1).max(1024);
const time = z.string().regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$/);
const count = z.int().nonnegative();
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const base = { v: z.literal(1), at: time };
const object = text.regex(/^[^\u0000-\u001f\u007f]+$/);
const verifierKey = text.refine(isVerifierKey);

const SCHEMAS = {
  segment: z
    .looseObject({
      ...base,
      kind: z.literal('segment'),
      object,
      size: count,
      sha256,
      session: text,
      first: count,
      last: count,
    })
    .refine(({ first, last }) => first <= last),
  summary: z.looseObject({ ...base, kind: z.literal('summary'), object, size: count, sha256, session: text }),
  heartbeat: z.looseObject({
    ...base,
    kind: z.literal('heartbeat'),
    previous: sha256.exactOptional(),
    clockOffset: z.number(),
  }),
  gap: z.looseObject({
    ...base,
    kind: z.literal('gap'),
    session: text.exactOptional(),
    reason: text,
    from: time,
    to: time,
  }),
  key: z.looseObject({ ...base, kind: z.literal('key'), verifierKey, previous: verifierKey }),
  closed: z.looseObject({ ...base, kind: z.literal('closed'), reason: text }),
} satisfies Record<Manifest['kind'], z.ZodType<Manifest>>;

const FIELDS = {
  segment: ['v', 'kind', 'object', 'size', 'sha256', 'session', 'first', 'last', 'at'],
  summary: ['v', 'kind', 'object', 'size', 'sha256', 'session', 'at'],
  heartbeat: ['v', 'kind', 'previous', 'clockOffset', 'at'],
  gap: ['v', 'kind', 'session', 'reason', 'from', 'to', 'at'],
  key: ['v', 'kind', 'verifierKey', 'previous', 'at'],
  closed: ['v', 'kind', 'reason', 'at'],
} as const satisfies Record<Manifest['kind'], readonly string[]>;

/**
 * The line of a manifest, without newline, fields in the order of FIELDS whatever the order of the value.
 * Throws `manifest_malformed` for what `parseManifest` would refuse: a leaf is for ever.
 */
export function encodeManifest(manifest: Manifest): string {
  // An array as second argument selects and orders the fields.
  const line = JSON.stringify(manifest, [...FIELDS[manifest.kind]]);
  parseManifest(line);
  return line;
}

/**
 * Reads one line. Unknown kinds and unknown fields are kept; a known kind with a missing or wrong field throws
 * `VerificationError` `manifest_malformed`, as does what is no JSON object with a `kind`.
 */
export function parseManifest(line: string, object = 'manifest'): Manifest | UnknownManifest {
  const fields = parseObject(line);
  if (fields !== undefined && typeof fields.kind === 'string') {
    if (!isKnown(fields.kind)) return { kind: 'unknown', of: fields.kind, fields };
    const parsed = SCHEMAS[fields.kind].safeParse(fields);
    if (parsed.success) return parsed.data;
  }
  throw new VerificationError(
    'manifest_malformed',
    object,
    'A line is no manifest, or one with a missing or wrong field.',
  );
}

function isVerifierKey(value: string): boolean {
  try {
    parseVerifierKey(value);
    return true;
  } catch {
    return false;
  }
}

function isKnown(kind: string): kind is Manifest['kind'] {
  return Object.hasOwn(SCHEMAS, kind);
}

function parseObject(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    return isObject ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

/**
 * The lines of an entries object, without their newlines. Encoded as UTF-8 each is its leaf's exact bytes, which is
 * why what is not strict UTF-8 is refused and a byte order mark is kept. Throws `entries_malformed`.
 */
export function readEntries(bytes: Uint8Array, object = 'entries'): string[] {
  if (bytes.length === 0) return [];
  if (bytes.at(-1) !== 0x0a) throw new VerificationError('entries_malformed', object, 'The last line is not whole.');
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes.subarray(0, -1)).split('\n');
  } catch {
    throw new VerificationError('entries_malformed', object, 'The entries are not UTF-8.');
  }
}
