import { isUtf8 } from 'node:buffer';
import { applyEdits, type MaskEdit } from './apply.ts';
import { createCursor } from './cursor.ts';
import { MaskError, type Masked } from './masked.ts';
import { createSeeker, type SeekOptions } from './seek.ts';

/**
 * Masks a text as it stands; one that is JSON by its literals, as in a string of a message. Where nothing is found the
 * bytes are the very same buffer. Takes linear time. Throws MaskError, also where the bytes are not UTF-8.
 */
export function maskText(bytes: Buffer, options: SeekOptions): Masked {
  checkEncoding(bytes);
  return applyEdits(bytes, textEdits(bytes, options));
}

/** ASCII in UTF-16 is UTF-8 as well, with a NUL beside every letter. Throws MaskError. */
export function checkEncoding(bytes: Buffer): void {
  if (!isUtf8(bytes) || bytes.includes(0)) throw new MaskError('It is not text in UTF-8.');
}

/** What maskText changes. The bytes are UTF-8. Throws MaskError. */
export function textEdits(bytes: Buffer, options: SeekOptions): MaskEdit[] {
  const cursor = createCursor(bytes, 0, false);
  return createSeeker(options)
    .text(bytes.toString('utf8'))
    .map(({ start, end, replacement, detector, hmac }) => ({
      start: cursor.byteOf(start),
      end: cursor.byteOf(end),
      replacement: Buffer.from(replacement),
      detector,
      hmac,
    }));
}
