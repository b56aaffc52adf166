import type { Store } from '../../../gateway/store/store.ts';

/** A store behind which another one can be put, for parts that are opened once and live long. */
export function switchable(first: Store): { store: Store; use(next: Store): void } {
  let current = first;
  return {
    use(next) {
      current = next;
    },
    store: {
      url: first.url,
      create: (name, bytes) => current.create(name, bytes),
      get: (name) => current.get(name),
      list: (prefix, options) => current.list(prefix, options),
    },
  };
}
