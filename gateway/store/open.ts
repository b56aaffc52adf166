import { createFilesystemStore } from './filesystem.ts';
import { createMemoryStore } from './memory.ts';
import type { Store } from './store.ts';
import { StoreError } from './store-error.ts';

/**
 * The store at an address: `file:///absolute/path`, or `memory:` (a new, empty one at each call).
 * Throws `StoreError` `unsupported` or `invalid_url`.
 */
export function openStore(url: string): Store {
  if (url === 'memory:') return createMemoryStore();
  if (url.startsWith('file:')) return createFilesystemStore(url);
  if (url.startsWith('gs://')) {
    throw new StoreError(
      'unsupported',
      'Stores in Google Cloud Storage (gs://…) come later. Write file:///absolute/path.',
    );
  }
  throw new StoreError('invalid_url', 'This is no address of a store. Write file:///absolute/path or memory:.');
}
