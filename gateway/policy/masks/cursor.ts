import { BACKSLASH, LETTER_U } from '../../mcp/ascii.ts';

/** Steps through UTF-8 beside the text that it stands for: bytes on one side, UTF-16 units on the other. */
export interface Cursor {
  /** The byte where a unit of the text begins. Units must not go back from one call to the next. */
  byteOf(unit: number): number;
  /** The unit that begins at a byte. Bytes must not go back either. */
  unitOf(byte: number): number;
}

/**
 * `start` is where the text begins. `escaped`: the bytes are the inside of a JSON string, where an escape stands for one
 * unit. The bytes are valid UTF-8, and the escapes are whole.
 */
export function createCursor(bytes: Buffer, start: number, escaped: boolean): Cursor {
  let at = start;
  let unit = 0;

  function step(): void {
    const byte = bytes[at] as number;
    unit++;
    if (escaped && byte === BACKSLASH) at += bytes[at + 1] === LETTER_U ? 6 : 2;
    else if (byte < 0x80) at++;
    else if (byte < 0xe0) at += 2;
    else if (byte < 0xf0) at += 3;
    else {
      at += 4;
      unit++;
    }
  }

  return {
    byteOf(wanted) {
      while (unit < wanted) step();
      return at;
    },
    unitOf(wanted) {
      while (at < wanted) step();
      return unit;
    },
  };
}
