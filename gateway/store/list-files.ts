import { join } from 'node:path';
import type { StoreFs } from './filesystem.ts';
import { compareNames, isName } from './name.ts';

export interface Listing {
  readonly fs: StoreFs;
  /** Absolute and without symbolic links. */
  readonly root: string;
  /** The prefix: whole segments, already checked, and the beginning of the next. */
  readonly segments: readonly string[];
  readonly beginning: string;
  readonly delimiter?: '/';
  readonly startAfter?: string;
}

interface Entry {
  /** A name; of a folder with the `/` at its end, because that is what its place in byte order depends on. */
  readonly name: string;
  readonly isFolder: boolean;
}

/**
 * Names of files in byte order of the whole name. A walk in the order of file names would be wrong: `a-b` and `a.b`
 * come before `a/b`, `a0` after it, so a folder takes its place as `a/`.
 */
export async function* listFiles(listing: Listing): AsyncGenerator<string> {
  const { segments, beginning } = listing;
  // The way down to the prefix must be folders, not links, as everywhere below it.
  for (let depth = 0; depth < segments.length; depth++) {
    const above = segments.slice(0, depth);
    const entries = await readFolder(listing, above, segments[depth] ?? '');
    const wanted = `${segments.slice(0, depth + 1).join('/')}/`;
    if (!entries.some(({ name, isFolder }) => isFolder && name === wanted)) return;
  }
  for (const entry of await readFolder(listing, segments, beginning)) {
    if (listing.delimiter === undefined || !entry.isFolder) yield* walk(listing, entry);
    else if (isAfter(entry.name, listing.startAfter) && (await holdsObject(listing, entry))) yield entry.name;
  }
}

async function* walk(listing: Listing, entry: Entry): AsyncGenerator<string> {
  const { startAfter } = listing;
  if (!entry.isFolder) {
    if (isAfter(entry.name, startAfter)) yield entry.name;
    return;
  }
  // Everything in the folder begins with its name: it is all before `startAfter`, unless that leads into it.
  if (!isAfter(entry.name, startAfter) && !startAfter?.startsWith(entry.name)) return;
  for (const inner of await readFolder(listing, entry.name.slice(0, -1).split('/'), '')) yield* walk(listing, inner);
}

/** A crash may leave folders without objects, which no object store would list. */
async function holdsObject({ fs, root }: Listing, entry: Entry): Promise<boolean> {
  const whole = { fs, root, segments: [], beginning: '' };
  for await (const _ of walk(whole, entry)) return true;
  return false;
}

function isAfter(name: string, startAfter: string | undefined): boolean {
  return startAfter === undefined || compareNames(name, startAfter) > 0;
}

async function readFolder({ fs, root }: Listing, segments: readonly string[], beginning: string): Promise<Entry[]> {
  const entries: Entry[] = [];
  for (const dirent of await readDirents(fs, join(root, ...segments))) {
    const name = [...segments, dirent.name].join('/');
    // Temporaries, links, sockets and names that the store would not create are none of its objects.
    if (!dirent.name.startsWith(beginning) || !isName(name)) continue;
    if (dirent.isDirectory()) entries.push({ name: `${name}/`, isFolder: true });
    else if (dirent.isFile()) entries.push({ name, isFolder: false });
  }
  return entries.sort((a, b) => compareNames(a.name, b.name));
}

async function readDirents(fs: StoreFs, folder: string) {
  try {
    return await fs.readdir(folder, { withFileTypes: true });
  } catch (error) {
    // Removed since its name was read, by whoever may remove what its retention has released.
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  }
}
