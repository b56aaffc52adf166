/** The stream of what a server says of its own accord (GET), and what waits for one to open. */
import type { ClientStream } from './client-stream.ts';
import { StdioFailure } from './failure.ts';

const MOST_LINES = 256;
const MOST_BYTES = 1024 ** 2;

export interface ServerStream {
  /** Throws `stream_taken`. */
  open(make: () => ClientStream): ClientStream;
  stream(): ClientStream | undefined;
  /** Keeps a line for the next stream: a server may ask before its client listens. False where too much waits. */
  keep(line: Buffer): boolean;
  take(): Buffer[];
}

export function createServerStream(): ServerStream {
  let opened: ClientStream | undefined;
  let kept: Buffer[] = [];
  let bytes = 0;

  return {
    open(make) {
      if (opened?.isOpen) throw new StdioFailure('stream_taken');
      opened = make();
      return opened;
    },
    stream: () => (opened?.isOpen ? opened : undefined),
    keep(line) {
      if (kept.length >= MOST_LINES || bytes + line.length > MOST_BYTES) return false;
      // A copy: a line may share the memory of a larger chunk.
      kept.push(Buffer.from(line));
      bytes += line.length;
      return true;
    },
    take() {
      const taken = kept;
      kept = [];
      bytes = 0;
      return taken;
    },
  };
}
