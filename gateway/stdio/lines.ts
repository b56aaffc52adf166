/** Lines and events: what a stdio server reads and writes is lines, what an HTTP client reads is events. Pure. */
import { CR, LF, SPACE } from '../mcp/ascii.ts';
import { StdioFailure } from './failure.ts';

export interface LineSplitter {
  /** The lines that this chunk completes, without their ends, empty ones left out. Throws `line_limit`. */
  push(chunk: Buffer): Buffer[];
}

/** Splits at LF; a CR before it belongs to the line's end. Holds at most `limit` bytes of an unfinished line. */
export function createLineSplitter(limit: number): LineSplitter {
  let held: Buffer[] = [];
  let size = 0;

  function take(last: Buffer): Buffer {
    const line = held.length === 0 ? last : Buffer.concat([...held, last]);
    held = [];
    size = 0;
    return line.at(-1) === CR ? line.subarray(0, -1) : line;
  }

  return {
    push(chunk) {
      const lines: Buffer[] = [];
      let start = 0;
      for (let end = chunk.indexOf(LF); end >= 0; end = chunk.indexOf(LF, start)) {
        if (size + end - start > limit) throw new StdioFailure('line_limit');
        const line = take(chunk.subarray(start, end));
        if (line.length > 0) lines.push(line);
        start = end + 1;
      }
      if (start < chunk.length) held.push(chunk.subarray(start));
      size += chunk.length - start;
      if (size > limit) throw new StdioFailure('line_limit');
      return lines;
    },
  };
}

/**
 * A client's message as one line for the server. In strict JSON a raw LF or CR is white space between tokens, never
 * part of a string, so that a blank in its place changes nothing and no byte moves.
 */
export function toLine(message: Buffer): Buffer {
  const line = Buffer.alloc(message.length + 1);
  message.copy(line);
  for (let i = 0; i < message.length; i++) if (line[i] === LF || line[i] === CR) line[i] = SPACE;
  line[message.length] = LF;
  return line;
}

const OPENING = Buffer.from('event: message\ndata: ');
const NEXT_DATA = Buffer.from('\ndata: ');
const CLOSING = Buffer.from('\n\n');

/**
 * A server's line as one event, byte for byte. A CR would end the event's line (HTML Living Standard, "Parsing an event
 * stream"); in JSON it is white space between tokens, so it becomes the LF that a reader puts between two `data` lines.
 */
export function toEvent(line: Buffer): Buffer {
  const pieces: Buffer[] = [OPENING];
  let start = 0;
  for (let end = line.indexOf(CR); end >= 0; end = line.indexOf(CR, start)) {
    pieces.push(line.subarray(start, end), NEXT_DATA);
    start = end + 1;
  }
  return Buffer.concat([...pieces, line.subarray(start), CLOSING]);
}
