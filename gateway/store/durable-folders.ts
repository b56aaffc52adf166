import { dirname } from 'node:path';
import type { StoreFs } from './filesystem.ts';
import { StoreError } from './store-error.ts';

export interface DurableFolders {
  /** Makes a folder of the store and those above it, durably, unless this process has done so. */
  ensure(folder: string): Promise<void>;
  /** Makes what was linked into the folder durable. */
  sync(folder: string): Promise<void>;
  /** Forgets what was ensured. */
  forget(): void;
  /** The root without symbolic links. Throws `StoreError` `no_store` where there is none. */
  realRoot(): Promise<string>;
}

/** Folders that survive a power cut: `fsync(2)` of a file says nothing about the names that lead to it. */
export function createDurableFolders(root: string, fs: StoreFs): DurableFolders {
  // Promises, so that concurrent creates wait for one and the same mkdir and fsync.
  const ensured = new Map<string, Promise<void>>();

  function ensure(folder: string): Promise<void> {
    const known = ensured.get(folder);
    if (known !== undefined) return known;
    const making = folder === root ? makeRoot() : makeBelow(folder);
    ensured.set(folder, making);
    return making;
  }

  async function makeRoot(): Promise<void> {
    const first = await fs.mkdir(root, { recursive: true, mode: 0o700 });
    if (first === undefined) return;
    // Each folder made is a name in the one above it.
    for (let made = root; ; made = dirname(made)) {
      await sync(dirname(made));
      if (made === first || made === dirname(made)) return;
    }
  }

  async function makeBelow(folder: string): Promise<void> {
    await ensure(dirname(folder));
    try {
      await fs.mkdir(folder, { mode: 0o700 });
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    }
    await refuseLink(folder);
    // Even where it was there: who made it may have crashed, or be, before this fsync.
    await sync(dirname(folder));
  }

  /** A symbolic link in the store would let objects be created, and thus be lost, somewhere else. */
  async function refuseLink(folder: string): Promise<void> {
    const stat = await fs.lstat(folder);
    if (stat.isDirectory()) return;
    if (stat.isFile()) throw new StoreError('name_conflict', 'The name goes through an object.');
    throw new StoreError('unsafe_path', 'A folder of the store is a symbolic link, or no folder.');
  }

  async function sync(folder: string): Promise<void> {
    const handle = await fs.open(folder, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  }

  async function realRoot(): Promise<string> {
    try {
      return await fs.realpath(root);
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
        throw new StoreError('no_store', 'There is no store at this address: the folder does not exist.');
      }
      throw error;
    }
  }

  return { ensure, sync, forget: () => ensured.clear(), realRoot };
}
