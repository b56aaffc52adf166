import { createHash } from 'node:crypto';

/** SHA-256 in hex. Each part is preceded by its length in bytes, so that no two lists of parts hash the same bytes. */
export function hashOfParts(parts: readonly string[]): string {
  const hash = createHash('sha256');
  for (const part of parts) {
    const bytes = Buffer.from(part, 'utf8');
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    hash.update(length).update(bytes);
  }
  return hash.digest('hex');
}
