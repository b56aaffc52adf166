import { createHash } from 'node:crypto';
import { crc32c } from '../../gateway/google-crc32c.ts';
import { conditionNotMet, invalid } from './error.ts';

/** What a caller says of an object beside its bytes. */
export interface Attributes {
  readonly contentType?: string;
  readonly contentEncoding?: string;
  readonly contentDisposition?: string;
  readonly contentLanguage?: string;
  readonly cacheControl?: string;
  readonly customTime?: string;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly temporaryHold?: boolean;
  readonly eventBasedHold?: boolean;
}

/** One version of one object; never changed, only replaced. */
export interface StoredObject {
  readonly name: string;
  readonly bytes: Buffer;
  /** Microseconds since 1970, as the real service's are, and never the same twice. */
  readonly generation: bigint;
  readonly metageneration: number;
  readonly attributes: Attributes;
  /** Base64, as the API writes them. A composed object has no MD5. */
  readonly crc32c: string;
  readonly md5: string | undefined;
  readonly componentCount: number | undefined;
  readonly created: number;
  readonly updated: number;
  /** Since when its retention counts: its creation, or the release of its event-based hold. */
  readonly retainedFrom: number;
}

export function crc32cOf(bytes: Uint8Array): string {
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc32c(bytes));
  return sum.toString('base64');
}

export const md5Of = (bytes: Uint8Array): string => createHash('md5').update(bytes).digest('base64');

/** Refuses bytes that are not those of which the caller gave the sums. */
export function checkSums(bytes: Uint8Array, stated: { crc32c?: string | undefined; md5?: string | undefined }): void {
  const actual = { crc32c: crc32cOf(bytes), md5: md5Of(bytes) };
  for (const kind of ['crc32c', 'md5'] as const) {
    const said = stated[kind];
    if (said !== undefined && said !== actual[kind]) {
      const label = kind === 'md5' ? 'MD5 hash' : 'CRC32C';
      throw invalid(`Provided ${label} "${said}" doesn't match calculated ${label} "${actual[kind]}".`);
    }
  }
}

/** `crc32c=…,md5=…` of the header `X-Goog-Hash`. */
export function statedSums(header: string | undefined): { crc32c?: string; md5?: string } {
  const found: { crc32c?: string; md5?: string } = {};
  for (const part of (header ?? '').split(',')) {
    const [, kind, value] = /^\s*(crc32c|md5)=(\S+)\s*$/.exec(part) ?? [];
    if (kind === 'crc32c' && value !== undefined) found.crc32c = value;
    if (kind === 'md5' && value !== undefined) found.md5 = value;
  }
  return found;
}

/** The four conditions on generation and metageneration. Generation 0 stands for "there is no live object". */
export function checkPreconditions(found: StoredObject | undefined, query: URLSearchParams, prefix = ''): void {
  const asked = (name: string): bigint | undefined => {
    const parameter = prefix === '' ? `if${name}` : `if${prefix}${name}`;
    const text = query.get(parameter);
    if (text === null) return undefined;
    if (!/^-?\d{1,19}$/.test(text)) throw invalid(`Invalid long value: '${text}'.`, parameter);
    return BigInt(text);
  };
  const generation = found?.generation ?? 0n;
  const metageneration = found === undefined ? undefined : BigInt(found.metageneration);
  const match = asked('GenerationMatch');
  const notMatch = asked('GenerationNotMatch');
  const metaMatch = asked('MetagenerationMatch');
  const metaNotMatch = asked('MetagenerationNotMatch');
  if (match !== undefined && match !== generation) throw conditionNotMet();
  if (notMatch !== undefined && notMatch === generation) throw conditionNotMet();
  if (metaMatch !== undefined && metaMatch !== metageneration) throw conditionNotMet();
  if (metaNotMatch !== undefined && metaNotMatch === metageneration) throw conditionNotMet();
}

/** An object's ETag is a protocol buffer of generation and metageneration, in base64. */
export function etagOf(object: Pick<StoredObject, 'generation' | 'metageneration'>): string {
  return Buffer.from([0x08, ...varint(object.generation), 0x10, ...varint(BigInt(object.metageneration))]).toString(
    'base64',
  );
}

function varint(value: bigint): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest >>= 7n) {
    if (rest < 0x80n) return [...bytes, Number(rest)];
    bytes.push(Number(rest & 0x7fn) | 0x80);
  }
}

const iso = (time: number): string => new Date(time).toISOString();

/** The object as `storage#object`. */
export function resourceOf(
  object: StoredObject,
  place: { base: string; bucket: string; retainedUntil: number | undefined },
): Record<string, unknown> {
  const { name, generation, attributes } = object;
  const path = `b/${place.bucket}/o/${encodeURIComponent(name)}`;
  const { contentType, temporaryHold, eventBasedHold, ...said } = attributes;
  return {
    kind: 'storage#object',
    id: `${place.bucket}/${name}/${generation}`,
    selfLink: `${place.base}/storage/v1/${path}`,
    mediaLink: `${place.base}/download/storage/v1/${path}?generation=${generation}&alt=media`,
    name,
    bucket: place.bucket,
    generation: String(generation),
    metageneration: String(object.metageneration),
    ...(contentType === undefined ? {} : { contentType }),
    storageClass: 'STANDARD',
    size: String(object.bytes.length),
    ...(object.md5 === undefined ? {} : { md5Hash: object.md5 }),
    crc32c: object.crc32c,
    etag: etagOf(object),
    ...(object.componentCount === undefined ? {} : { componentCount: object.componentCount }),
    ...said,
    ...(temporaryHold === undefined ? {} : { temporaryHold }),
    ...(eventBasedHold === undefined ? {} : { eventBasedHold }),
    ...(place.retainedUntil === undefined ? {} : { retentionExpirationTime: iso(place.retainedUntil) }),
    timeCreated: iso(object.created),
    updated: iso(object.updated),
    timeStorageClassUpdated: iso(object.created),
    timeFinalized: iso(object.created),
  };
}
