/** What a child writes to stderr, as log lines: cut, counted and slowed down, so that no child can flood the log. */
import { LF } from '../mcp/ascii.ts';

const LONGEST = 8 * 1024;
const LINES_A_SECOND = 100;
const SECOND = 1000;

export interface StderrLog {
  push(chunk: Buffer): void;
  /** Writes what is left, and how much was dropped. */
  end(): void;
}

/** `line` gets at most 100 lines a second, each of at most 8 KiB; `dropped` then how many more there were. */
export function createStderrLog(to: {
  line(text: string): void;
  dropped(lines: number): void;
  /** Milliseconds that only grow. */
  now(): number;
}): StderrLog {
  let held: Buffer[] = [];
  let size = 0;
  let since = to.now();
  let written = 0;
  let dropped = 0;

  function hold(piece: Buffer): void {
    const kept = piece.subarray(0, Math.max(0, LONGEST - size));
    // A copy: a piece shares the memory of its whole chunk.
    if (kept.length > 0) held.push(Buffer.from(kept));
    size += kept.length;
  }

  function tellDropped(): void {
    if (dropped > 0) to.dropped(dropped);
    dropped = 0;
  }

  function give(): void {
    if (to.now() - since >= SECOND) {
      tellDropped();
      since = to.now();
      written = 0;
    }
    const text = Buffer.concat(held).toString('utf8').trimEnd();
    held = [];
    size = 0;
    if (text === '') return;
    if (written >= LINES_A_SECOND) dropped++;
    else {
      written++;
      to.line(text);
    }
  }

  return {
    push(chunk) {
      let start = 0;
      for (let end = chunk.indexOf(LF); end >= 0; end = chunk.indexOf(LF, start)) {
        hold(chunk.subarray(start, end));
        give();
        start = end + 1;
      }
      hold(chunk.subarray(start));
    },
    end() {
      give();
      tellDropped();
    },
  };
}
