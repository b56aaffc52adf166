/** `\u0041` is six bytes for one. */
const LONGEST_ESCAPE = 6;
const FIRST_CAPACITY = 128;

/**
 * Holds the raw bytes of one JSON string or number that may come in pieces, within a bound. Nothing is kept until
 * `begin`; a token that grows over the bound is dropped as a whole.
 */
export interface Capture {
  /** Begins a token of at most `limit` bytes of UTF-8 once it is unescaped. */
  begin(limit: number): void;
  keep(bytes: Uint8Array, start: number, end: number): void;
  /** The token holds an escape. */
  escape(): void;
  /** Ends the token: its text, unescaped; `undefined` where none was begun or it was too long. */
  text(): string | undefined;
}

export function createCapture(): Capture {
  let buffer = Buffer.alloc(0);
  let size = 0;
  let limit = 0;
  let isOn = false;
  let isEscaped = false;

  return {
    begin(atMost) {
      limit = atMost;
      size = 0;
      isOn = true;
      isEscaped = false;
    },
    keep(bytes, start, end) {
      if (!isOn || end === start) return;
      const needed = size + end - start;
      if (needed > limit * LONGEST_ESCAPE) {
        isOn = false;
        return;
      }
      if (needed > buffer.length) {
        const larger = Buffer.allocUnsafe(Math.max(needed, FIRST_CAPACITY, buffer.length * 2));
        buffer.copy(larger, 0, 0, size);
        buffer = larger;
      }
      for (let i = start; i < end; i++) buffer[size++] = bytes[i] as number;
    },
    escape() {
      isEscaped = true;
    },
    text() {
      if (!isOn) return undefined;
      isOn = false;
      const raw = buffer.toString('utf8', 0, size);
      // The scanner has checked the escapes, so this parses.
      const text: string = isEscaped ? JSON.parse(`"${raw}"`) : raw;
      return Buffer.byteLength(text) <= limit ? text : undefined;
    },
  };
}
