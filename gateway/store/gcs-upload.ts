/**
 * One object in one request: metadata and media as the two parts of a body (RFC 2387), which is one buffer, so that each
 * attempt sends the same bytes. A resumable session would take two requests at least, and leave what is not finalised
 * where no listing shows it and no retention protects it; what is stored here is a whole buffer anyway, whatever its size.
 */

/** The key of the custom metadata that says which call created an object. */
export const CREATION = 'verbatim-creation';

/** By the end of a name. Never an encoding: Google would inflate what it serves (`Content-Encoding: gzip`). */
const TYPES: readonly (readonly [end: string, type: string])[] = [
  ['.gz', 'application/gzip'],
  ['.json', 'application/json'],
  ['.ndjson', 'application/x-ndjson'],
];

export function upload(made: {
  readonly bucket: string;
  readonly name: string;
  readonly bytes: Buffer;
  readonly crc32c: string;
  readonly creation: string;
}): { path: string; post: { type: string; body: Buffer } } {
  const { bucket, name, bytes, crc32c, creation } = made;
  const contentType = TYPES.find(([end]) => name.endsWith(end))?.[1] ?? 'application/octet-stream';
  // Google refuses bytes that have another sum. The name stands in the address alone.
  const metadata = JSON.stringify({ contentType, crc32c, metadata: { [CREATION]: creation } });
  // Drawn for this call: nothing in the bytes can end the part.
  const boundary = `verbatim-${creation}`;
  const head = `--${boundary}\r\ncontent-type: application/json; charset=utf-8\r\n\r\n${metadata}\r\n--${boundary}\r\ncontent-type: ${contentType}\r\n\r\n`;
  // Generation 0 is "there is none": create, or leave what is there.
  const query = `uploadType=multipart&ifGenerationMatch=0&fields=crc32c&name=${encodeURIComponent(name)}`;
  return {
    path: `/upload/storage/v1/b/${bucket}/o?${query}`,
    post: {
      type: `multipart/related; boundary=${boundary}`,
      body: Buffer.concat([Buffer.from(head), bytes, Buffer.from(`\r\n--${boundary}--\r\n`)]),
    },
  };
}
