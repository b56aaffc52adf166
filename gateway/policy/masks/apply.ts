import { type Edit, spliceBytes } from '../../mcp/splice.ts';
import type { Masked, MaskSpan } from './masked.ts';

/** A value's bytes, and what stands in their place. */
export interface MaskEdit extends Edit {
  readonly detector: string;
  readonly hmac: string;
}

/** Makes the edits, in whatever order they come; the very same buffer where there are none. */
export function applyEdits(bytes: Buffer, edits: readonly MaskEdit[]): Masked {
  const ordered = edits.toSorted((left, right) => left.start - right.start);
  let shift = 0;
  const spans = ordered.map(({ start, end, replacement, detector, hmac }): MaskSpan => {
    const span = { at: start + shift, length: replacement.length, detector, hmac };
    shift += replacement.length - (end - start);
    return span;
  });
  return { bytes: spliceBytes(bytes, ordered), spans };
}
