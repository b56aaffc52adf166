import { createFilesystemStore } from './filesystem.ts';
import { createGcsStore } from './gcs.ts';
import { createMemoryStore } from './memory.ts';
import type { Store } from './store.ts';
import { StoreError } from './store-error.ts';

/**
 * The store at an address: `file:///absolute/path`, `gs://BUCKET`, or `memory:` (a new, empty one at each call).
 * Throws `StoreError` `invalid_url`.
 */
export function openStore(url: string): Store {
  if (url === 'memory:') return createMemoryStore();
  if (url.startsWith('file:')) return createFilesystemStore(url);
  if (url.startsWith('gs:')) return createGcsStore(url);
  throw new StoreError(
    'invalid_url',
    'This is no address of a store. Write file:///absolute/path, gs://BUCKET or memory:.',
  );
}
