/** Names in the order of their UTF-8 bytes, which is neither that of UTF-16 nor that of a locale. */
export interface Names {
  add(name: string): void;
  remove(name: string): void;
  /** From the first name at or behind `from` on. What is added meanwhile may or may not be seen. */
  from(from: string): Iterable<string>;
}

/** One character a byte, so that JavaScript's own comparison is the one of bytes. */
export const byteKey = (name: string): string => Buffer.from(name, 'utf8').toString('latin1');

export function createNames(): Names {
  const keys: string[] = [];

  function position(key: string): number {
    let low = 0;
    let high = keys.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((keys[middle] ?? '') < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  return {
    add(name) {
      const key = byteKey(name);
      const at = position(key);
      if (keys[at] !== key) keys.splice(at, 0, key);
    },
    remove(name) {
      const key = byteKey(name);
      const at = position(key);
      if (keys[at] === key) keys.splice(at, 1);
    },
    *from(from) {
      for (let at = position(byteKey(from)); at < keys.length; at++) {
        yield Buffer.from(keys[at] ?? '', 'latin1').toString('utf8');
      }
    },
  };
}
