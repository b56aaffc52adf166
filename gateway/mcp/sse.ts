import { GatewayError } from '../errors.ts';
import { COLON, CR, LF, SPACE } from './ascii.ts';

/**
 * A piece of an event stream. The bytes of all pieces, in order, are the stream. They may share memory with the chunk
 * that they came in.
 *
 * `event`: one event, from the first line of its block through the blank line that ends it. `data`, `id`, `event` and
 * `retry` are there when the block has such a field (HTML Living Standard, "Interpreting an event stream"); data is
 * joined by LF, and an event whose data is empty or absent is not dispatched by a reader (a priming event).
 * `incomplete`: the stream ended inside it, so that no reader dispatches it.
 *
 * `comment`: what stands between events: comment lines and blank lines, never a field.
 */
export interface SsePart {
  readonly kind: 'event' | 'comment';
  readonly bytes: Buffer;
  readonly data?: Buffer;
  readonly id?: string;
  readonly event?: string;
  readonly retry?: number;
  readonly incomplete?: true;
}

export interface SseSplitter {
  /** The parts that this chunk completes. Throws `response_too_large`, and from then on always. */
  push(chunk: Uint8Array): SsePart[];
  /** What is left when the stream has ended. */
  end(): SsePart[];
}

export const BOM: readonly number[] = [0xef, 0xbb, 0xbf];
const FIRST_CAPACITY = 4096;
/** `event` and `retry`. */
const LONGEST_NAME = 5;
const MAX_RETRY_DIGITS = 15;

/**
 * Splits an event stream at the boundaries of its events, byte for byte, whatever the chunks are.
 *
 * An event is given out with the byte that completes it. Where that is a CR at the end of a chunk, an LF that follows
 * belongs to the same line end, but waiting for it would hold the event until the next one: it begins the next part, a
 * comment. A comment line outside an event is given out when its line ends, not when a blank line follows, since
 * keep-alives come without one (2026-07-28, Streamable HTTP, "Receiving Messages").
 *
 * Takes linear time and holds at most `maxEventBytes` between chunks. A larger event throws
 * `GatewayError('response_too_large', 'outcome_withheld')`.
 */
export function createSseSplitter(options: { readonly maxEventBytes: number }): SseSplitter {
  const held = createHolder(options.maxEventBytes);
  let lineStart = true;
  let afterCr = false;
  /** A field of an event has begun, and its blank line has not come yet. */
  let inEvent = false;
  /** Bytes of a byte order mark seen at the very start of the stream; 3 when it is decided. */
  let bom = 0;
  let isFirst = true;
  let failed = false;

  function refuse(): never {
    failed = true;
    held.clear();
    throw new GatewayError('response_too_large', 'outcome_withheld');
  }

  /** Steps over a byte order mark, which may be split among chunks. Returns where the first line begins or goes on. */
  function skipBom(chunk: Buffer): number {
    let i = 0;
    while (bom < 3 && i < chunk.length) {
      if (chunk[i] === BOM[bom]) {
        bom++;
        i++;
        continue;
      }
      // The start of a mark that was none is the start of a field's name.
      if (bom > 0) {
        inEvent = true;
        lineStart = false;
      }
      bom = 3;
    }
    return i;
  }

  function part(kind: SsePart['kind'], bytes: Buffer): SsePart {
    const read = kind === 'event' ? readEvent(bytes, isFirst) : ({ kind, bytes } as const);
    isFirst = false;
    return read;
  }

  function push(input: Uint8Array): SsePart[] {
    if (failed) refuse();
    const chunk = Buffer.from(input.buffer, input.byteOffset, input.byteLength);
    const parts: SsePart[] = [];
    const length = chunk.length;
    /** Where the bytes that are not given out yet begin. */
    let start = 0;
    /** Behind the last line that can't belong to an event. */
    let between = 0;
    const giveComments = () => {
      if (between > start) parts.push(part('comment', held.take(chunk, start, between)));
      start = Math.max(start, between);
    };
    let i = skipBom(chunk);
    while (i < length) {
      const isRestOfLineEnd = afterCr && chunk[i] === LF;
      afterCr = false;
      if (isRestOfLineEnd) {
        i++;
        if (!inEvent) between = i;
        continue;
      }
      const isBlank = lineStart && (chunk[i] === LF || chunk[i] === CR);
      if (lineStart && !isBlank && !inEvent && chunk[i] !== COLON) {
        giveComments();
        inEvent = true;
      }
      i = lineEnd(chunk, i);
      lineStart = i < length;
      if (!lineStart) break;
      afterCr = chunk[i] === CR;
      i++;
      if (afterCr && chunk[i] === LF) {
        afterCr = false;
        i++;
      }
      if (isBlank && inEvent) {
        if (held.size + i - start > options.maxEventBytes) refuse();
        parts.push(part('event', held.take(chunk, start, i)));
        inEvent = false;
        start = i;
      }
      if (!inEvent) between = i;
    }
    if (!inEvent) giveComments();
    if (held.size + length - start > options.maxEventBytes) refuse();
    held.add(chunk, start, length);
    return parts;
  }

  function end(): SsePart[] {
    if (failed) refuse();
    if (held.size === 0) return [];
    const bytes = held.take(Buffer.alloc(0), 0, 0);
    return inEvent || bom < 3 ? [{ kind: 'event', bytes, incomplete: true }] : [{ kind: 'comment', bytes }];
  }

  return { push, end };
}

export function lineEnd(bytes: Buffer, start: number): number {
  let i = start;
  while (i < bytes.length && bytes[i] !== LF && bytes[i] !== CR) i++;
  return i;
}

/** Bytes that wait for the rest of their event. Doubling keeps the copying linear, however small the chunks are. */
function createHolder(limit: number) {
  let buffer = Buffer.alloc(0);
  let size = 0;

  function add(chunk: Buffer, start: number, end: number): void {
    const needed = size + end - start;
    if (end === start) return;
    if (needed > buffer.length) {
      const capacity = Math.max(needed, Math.min(limit, Math.max(FIRST_CAPACITY, buffer.length * 2)));
      const larger = Buffer.allocUnsafeSlow(capacity);
      buffer.copy(larger, 0, 0, size);
      buffer = larger;
    }
    chunk.copy(buffer, size, start, end);
    size = needed;
  }

  function clear(): void {
    buffer = Buffer.alloc(0);
    size = 0;
  }

  return {
    get size(): number {
      return size;
    },
    add,
    clear,
    /** What was held, followed by this piece of the chunk; then nothing is held. */
    take(chunk: Buffer, start: number, end: number): Buffer {
      if (size === 0) return chunk.subarray(start, end);
      add(chunk, start, end);
      const bytes = buffer.subarray(0, size);
      clear();
      return bytes;
    },
  };
}

/** Reads the fields of a block that ends with its blank line. A byte order mark counts at the stream's start only. */
function readEvent(bytes: Buffer, isFirst: boolean): SsePart {
  /** Start and end of each data value, in turn: an event may have millions of lines. */
  const data: number[] = [];
  const fields: { id?: string; event?: string; retry?: number } = {};
  let i = isFirst && BOM.every((byte, index) => bytes[index] === byte) ? BOM.length : 0;
  while (i < bytes.length) {
    const end = lineEnd(bytes, i);
    const colon = colonOf(bytes, i, end);
    const name = bytes.toString('latin1', i, colon);
    const value = colon < end ? colon + (bytes[colon + 1] === SPACE ? 2 : 1) : end;
    // CR LF: the LF reads as one more blank line, and a blank line inside the block means nothing.
    i = end + 1;
    if (name === 'data') data.push(value, end);
    else if (name === 'event') fields.event = bytes.toString('utf8', value, end);
    else if (name === 'id' && !bytes.subarray(value, end).includes(0)) fields.id = bytes.toString('utf8', value, end);
    else if (name === 'retry' && end - value <= MAX_RETRY_DIGITS) {
      const digits = bytes.toString('latin1', value, end);
      if (/^[0-9]+$/.test(digits)) fields.retry = Number(digits);
    }
  }
  return data.length === 0
    ? { kind: 'event', bytes, ...fields }
    : { kind: 'event', bytes, data: joinLines(bytes, data), ...fields };
}

/** Where a line's colon is, or its end; further than a known name is long, it doesn't matter. */
export function colonOf(bytes: Buffer, start: number, end: number): number {
  const last = Math.min(end, start + LONGEST_NAME + 1);
  let i = start;
  while (i < last && bytes[i] !== COLON) i++;
  return i;
}

function joinLines(bytes: Buffer, ranges: readonly number[]): Buffer {
  const [start = 0, end = 0] = ranges;
  if (ranges.length === 2) return bytes.subarray(start, end);
  const joined = Buffer.allocUnsafe(bytes.length);
  let at = 0;
  for (let i = 0; i < ranges.length; i += 2) {
    if (i > 0) joined[at++] = LF;
    at += bytes.copy(joined, at, ranges[i], ranges[i + 1]);
  }
  return joined.subarray(0, at);
}

/** The same event with other data: `data` is one line. Every other line of it stays as it was. */
export function withData(event: Buffer, data: string): Buffer {
  const kept: Buffer[] = [];
  let replaced = false;
  for (let i = 0; i < event.length; ) {
    let end = lineEnd(event, i);
    const isData = event.toString('latin1', i, colonOf(event, i, end)) === 'data';
    end += event[end] === CR && event[end + 1] === LF ? 2 : 1;
    if (!isData) kept.push(event.subarray(i, end));
    else if (!replaced) kept.push(Buffer.from(`data: ${data}\n`));
    replaced ||= isData;
    i = end;
  }
  return Buffer.concat(kept);
}
