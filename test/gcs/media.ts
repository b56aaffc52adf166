import { gunzipSync } from 'node:zlib';
import { GcsError } from './error.ts';
import { etagOf, type StoredObject } from './object.ts';

export interface Media {
  readonly status: 200 | 206;
  readonly headers: Record<string, string>;
  readonly bytes: Buffer;
}

/** `alt=media`: the bytes, whole or one range of them, with the sums of the whole object. */
export function mediaOf(object: StoredObject, range: string | undefined, acceptEncoding: string | undefined): Media {
  const { attributes } = object;
  const stored = attributes.contentEncoding === 'gzip' ? 'gzip' : 'identity';
  const headers: Record<string, string> = {
    'content-type': attributes.contentType ?? 'application/octet-stream',
    'x-goog-generation': String(object.generation),
    'x-goog-metageneration': String(object.metageneration),
    'x-goog-storage-class': 'STANDARD',
    'x-goog-hash': [`crc32c=${object.crc32c}`, ...(object.md5 === undefined ? [] : [`md5=${object.md5}`])].join(','),
    'x-goog-stored-content-encoding': stored,
    'x-goog-stored-content-length': String(object.bytes.length),
    etag: etagOf(object),
  };
  if (stored === 'gzip' && !/\bgzip\b/.test(acceptEncoding ?? '')) {
    // Decompressive transcoding: the sums of the header stay those of the stored bytes.
    const warning = { warning: '214 UploadServer gunzipped', 'accept-ranges': 'none' };
    return { status: 200, headers: { ...headers, ...warning }, bytes: gunzipSync(object.bytes) };
  }
  if (stored === 'gzip') headers['content-encoding'] = 'gzip';
  const [from, to] = rangeOf(range, object.bytes.length) ?? [];
  if (from === undefined || to === undefined) return { status: 200, headers, bytes: object.bytes };
  headers['content-range'] = `bytes ${from}-${to}/${object.bytes.length}`;
  return { status: 206, headers, bytes: object.bytes.subarray(from, to + 1) };
}

/** One range of RFC 9110, section 14.1.2; what is none is passed over, what can't be met is 416. */
function rangeOf(range: string | undefined, size: number): [number, number] | undefined {
  const [, first, last] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(range ?? '') ?? [];
  if (first === undefined || last === undefined || (first === '' && last === '')) return undefined;
  const from = first === '' ? Math.max(0, size - Number(last)) : Number(first);
  const to = first === '' || last === '' ? size - 1 : Math.min(Number(last), size - 1);
  if (first !== '' && last !== '' && Number(last) < from) return undefined;
  if (from >= size) {
    throw new GcsError(416, 'requestedRangeNotSatisfiable', 'Request range not satisfiable', {
      headers: { 'content-range': `bytes */${size}` },
    });
  }
  return [from, to];
}
