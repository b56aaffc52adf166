import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import * as nodeFs from 'node:fs/promises';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { createDurableFolders } from './durable-folders.ts';
import { listFiles } from './list-files.ts';
import { parseName, parsePrefix } from './name.ts';
import type { Store } from './store.ts';
import { StoreError } from './store-error.ts';

/** What the store uses of `node:fs/promises`, so that a test can make one call fail. */
export type StoreFs = Pick<typeof nodeFs, 'link' | 'lstat' | 'mkdir' | 'open' | 'readdir' | 'realpath' | 'unlink'>;

/** Where bytes are until they are an object; in the root, as a link can't cross file systems. */
const TEMPORARY = '.tmp';
// Windows has none of these; there the check of the real path stands alone.
const READ_PLAIN_FILE = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);

/**
 * A store in a folder of a local file system, one file an object. Any number of processes may share it: `link(2)` is
 * the one atomic step that gives bytes a name, and it never replaces.
 *
 * `at` is `file:///absolute/path` or an absolute path as `root`; the folder is made by the first create. Objects are
 * read-only files of the owner (0400) in folders of the owner (0700). Throws `StoreError` `invalid_url`.
 */
export function createFilesystemStore(at: string | { root: string }, { fs = nodeFs }: { fs?: StoreFs } = {}): Store {
  const root = rootOf(at);
  const folders = createDurableFolders(root, fs);

  async function create(name: string, bytes: Uint8Array): Promise<'created' | 'exists'> {
    const segments = parseName(name);
    // Copied before the first await: the caller may reuse its buffer.
    const copy = Buffer.from(bytes);
    const path = join(root, ...segments);
    const folder = dirname(path);
    const temporary = join(root, TEMPORARY, randomBytes(16).toString('hex'));
    try {
      // Crash here or in any window before the link: an unnamed temporary is left, which no listing shows.
      await folders.ensure(join(root, TEMPORARY));
      await folders.ensure(folder);
      try {
        await writeTemporary(temporary, copy);
        const outcome = await linkOnce(temporary, path);
        // Crash between link and this fsync: the name may be lost or there, with whole bytes either way, and nobody was
        // told. `exists` needs it as much as `created`: the other creator may be in this very window, and the caller
        // takes `exists` for stored.
        await folders.sync(folder);
        return outcome;
      } finally {
        // Crash before this: the temporary is a second name of the same file, and no listing shows it.
        await fs.unlink(temporary).catch(() => undefined);
      }
    } catch (error) {
      // What was known of the folders may be what failed (one was removed): the next create looks again.
      folders.forget();
      throw asStoreError(error);
    }
  }

  async function writeTemporary(temporary: string, bytes: Buffer): Promise<void> {
    const file = await fs.open(temporary, 'wx', 0o600);
    try {
      await file.writeFile(bytes);
      await file.chmod(0o400);
      // Before the link, so that a name never leads to torn bytes.
      await file.sync();
    } finally {
      await file.close();
    }
  }

  async function linkOnce(temporary: string, path: string): Promise<'created' | 'exists'> {
    try {
      await fs.link(temporary, path);
      return 'created';
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error;
    }
    const [there, mine] = await Promise.all([fs.lstat(path), fs.lstat(temporary)]);
    // A network file system sends a `link` again whose answer was lost, and says EEXIST of what the first one made.
    if (there.isFile()) return there.ino === mine.ino && there.dev === mine.dev ? 'created' : 'exists';
    if (there.isDirectory()) throw new StoreError('name_conflict', 'The name is a folder of other objects.');
    throw new StoreError('unsafe_path', 'What has this name in the store is no plain file.');
  }

  async function get(name: string): Promise<Uint8Array | undefined> {
    const path = join(root, ...parseName(name));
    try {
      const realRoot = await folders.realRoot();
      // A link anywhere below the root could lead a reader out of it. Hard links and mounts need more rights than that.
      if ((await fs.realpath(path)) !== join(realRoot, ...parseName(name))) {
        throw new StoreError('unsafe_path', 'The way to this object goes through a symbolic link.');
      }
      const file = await fs.open(path, READ_PLAIN_FILE);
      try {
        const stat = await file.stat();
        if (stat.isDirectory()) return undefined;
        if (!stat.isFile()) throw new StoreError('unsafe_path', 'What has this name in the store is no plain file.');
        return await file.readFile();
      } finally {
        await file.close();
      }
    } catch (error) {
      if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return undefined;
      throw asStoreError(error);
    }
  }

  const list: Store['list'] = async function* (prefix, options = {}) {
    const { folders: segments, beginning } = parsePrefix(prefix);
    try {
      const realRoot = await folders.realRoot();
      yield* listFiles({ fs, root: realRoot, segments, beginning, ...options });
    } catch (error) {
      throw asStoreError(error);
    }
  };

  return { url: pathToFileURL(root).href, create, get, list };
}

function rootOf(at: string | { root: string }): string {
  const malformed = () =>
    new StoreError('invalid_url', 'This is no address of a filesystem store. Write file:///absolute/path.');
  if (typeof at !== 'string') {
    if (!isAbsolute(at.root) || at.root.includes('\0')) throw malformed();
    return resolve(at.root);
  }
  // `new URL` would make an absolute path of `file:relative`, and drop what follows `?` or `#`.
  if (!at.startsWith('file:///') || /[?#]/.test(at)) throw malformed();
  try {
    const path = fileURLToPath(at);
    if (!path.includes('\0')) return resolve(path);
  } catch {
    // Falls through: the words of `fileURLToPath` do not say how to write it.
  }
  throw malformed();
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}

function asStoreError(error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  if (codeOf(error) === 'ENOTDIR') {
    return new StoreError('name_conflict', 'The name goes through an object.', { cause: error });
  }
  const code = codeOf(error);
  const what = typeof code === 'string' ? ` (${code})` : '';
  return new StoreError('io', `The file system of the store failed${what}.`, { cause: error });
}
