import { z } from 'zod';
import { GcsError, invalid } from './error.ts';
import type { Attributes } from './object.ts';

const metadataShape = z
  .object({
    name: z.string(),
    contentType: z.string(),
    contentEncoding: z.string(),
    contentDisposition: z.string(),
    contentLanguage: z.string(),
    cacheControl: z.string(),
    customTime: z.iso.datetime({ offset: true }),
    metadata: z.record(z.string(), z.string()),
    temporaryHold: z.boolean(),
    eventBasedHold: z.boolean(),
    crc32c: z.string(),
    md5Hash: z.string(),
  })
  .partial();

/** What an upload says of its object. Members that this double does not know are passed over, as the real one does. */
export interface Stated {
  readonly name: string | undefined;
  readonly crc32c: string | undefined;
  readonly md5: string | undefined;
  readonly attributes: Attributes;
}

export function parseStated(json: string, contentType: string | undefined): Stated {
  let read: unknown;
  try {
    read = json.trim() === '' ? {} : JSON.parse(json);
  } catch {
    throw new GcsError(400, 'parseError', 'Parse Error');
  }
  const parsed = metadataShape.safeParse(read);
  if (!parsed.success) throw invalid('Invalid value in the object metadata.');
  const { name, crc32c, md5Hash: md5, ...said } = parsed.data;
  const type = said.contentType ?? contentType;
  const attributes = { ...said, ...(type === undefined ? {} : { contentType: type }) };
  // A member that is absent and one that is `undefined` are the same in JSON; the parser leaves none of the latter.
  return { name, crc32c, md5, attributes: attributes as Attributes };
}

/** RFC 2387 as the API takes it: exactly two parts, the metadata and the media. */
export function parseMultipart(contentType: string, body: Buffer): { stated: Stated; media: Buffer } {
  const [, quoted, plain] = /^multipart\/related\s*;.*?boundary=(?:"([^"]+)"|([^\s;]+))/i.exec(contentType) ?? [];
  const boundary = quoted ?? plain;
  if (boundary === undefined) throw invalid('Missing multipart boundary in the Content-Type header.');
  const parts = partsOf(body, boundary);
  const [first, second] = parts;
  if (first === undefined || second === undefined || parts.length !== 2) {
    throw invalid('Multipart body must have exactly two parts.');
  }
  return { stated: parseStated(first.bytes.toString('utf8'), second.type), media: second.bytes };
}

function partsOf(body: Buffer, boundary: string): { type: string | undefined; bytes: Buffer }[] {
  const delimiter = Buffer.from(`\r\n--${boundary}`);
  // The first delimiter may stand at the very beginning, without a line before it.
  const whole = Buffer.concat([Buffer.from('\r\n'), body]);
  const parts: { type: string | undefined; bytes: Buffer }[] = [];
  let at = whole.indexOf(delimiter);
  while (at !== -1) {
    const start = at + delimiter.length;
    if (whole.toString('latin1', start, start + 2) === '--') return parts;
    const next = whole.indexOf(delimiter, start);
    const headersEnd = whole.indexOf('\r\n\r\n', start);
    if (next === -1 || headersEnd === -1 || headersEnd > next) break;
    const headers = whole.toString('latin1', start, headersEnd);
    const type = /^content-type:\s*(.+?)\s*$/im.exec(headers)?.[1];
    parts.push({ type, bytes: whole.subarray(headersEnd + 4, next) });
    at = next;
  }
  throw invalid('Multipart body has no closing boundary.');
}
