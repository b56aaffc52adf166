/**
 * Small files that must survive a power cut: written whole under another name, synced, renamed, and the folder synced.
 * The order is the one of SQLite's and LMDB's atomic commits: a rename may reach the disk before the data that it names
 * unless the data was synced first, and is itself not durable before its folder is.
 */
import { randomUUID } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';

const TEMPORARY = '.tmp';

export async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Replaces or creates `path` atomically and durably. Mode 0600: these files hold keys and recorded data. */
export async function writeDurably(path: string, chunks: readonly Uint8Array[]): Promise<void> {
  const temporary = `${path}.${randomUUID()}${TEMPORARY}`;
  try {
    const handle = await open(temporary, 'wx', 0o600);
    try {
      for (const chunk of chunks) await handle.writeFile(chunk);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
  } catch (error) {
    // What is left of it goes at the next start; the first error is the one that says what to do.
    await rm(temporary, { force: true }).catch(() => {});
    throw error;
  }
  await syncFolder(dirname(path));
}

/** Removes what writes left that a crash cut off. Nobody else may be writing in the folder. */
export async function removeTemporaries(folder: string): Promise<void> {
  for (const name of await readdir(folder)) if (name.endsWith(TEMPORARY)) await rm(join(folder, name));
}

export async function readIfThere(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Creates the folder (0700), and those above it, where they are missing, durably. */
export async function makeFolder(path: string): Promise<void> {
  const first = await mkdir(path, { recursive: true, mode: 0o700 });
  if (first === undefined) {
    // A crash may have come between its making and the sync. What may be used and not listed is somebody else's.
    await syncFolder(dirname(resolve(path))).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EACCES') throw error;
    });
    return;
  }
  // Each new folder is a name in the one above it.
  for (let made = resolve(path); made !== dirname(resolve(first)); made = dirname(made))
    await syncFolder(dirname(made));
}
