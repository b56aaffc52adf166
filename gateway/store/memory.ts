import { compareNames, parseName, parsePrefix, rollUp } from './name.ts';
import type { Store } from './store.ts';
import { StoreError } from './store-error.ts';

/** A store that lives and dies with the process: for tests, and `durability: memory`. */
export function createMemoryStore(): Store {
  const objects = new Map<string, Uint8Array>();
  const folders = new Set<string>();

  return {
    url: 'memory:',

    async create(name, bytes) {
      const segments = parseName(name);
      const parents = segments.slice(1).map((_, depth) => segments.slice(0, depth + 1).join('/'));
      // A file system can't hold both `a` and `a/b`, so no store does.
      if (folders.has(name) || parents.some((parent) => objects.has(parent))) {
        throw new StoreError('name_conflict', 'The name is a folder of other objects, or goes through an object.');
      }
      if (objects.has(name)) return 'exists';
      objects.set(name, Uint8Array.from(bytes));
      for (const parent of parents) folders.add(parent);
      return 'created';
    },

    async get(name) {
      parseName(name);
      const bytes = objects.get(name);
      return bytes && Uint8Array.from(bytes);
    },

    async *list(prefix, { delimiter, startAfter } = {}) {
      parsePrefix(prefix);
      let last = startAfter;
      const names = [...objects.keys()].filter((name) => name.startsWith(prefix));
      for (const name of names.sort(compareNames)) {
        const shown = delimiter === undefined ? name : rollUp(name, prefix);
        if (last !== undefined && compareNames(shown, last) <= 0) continue;
        last = shown;
        yield shown;
      }
    },
  };
}
