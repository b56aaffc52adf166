/**
 * A power cut behind a kill: what the journal wrote and had not synced may be gone, in whole sectors and in any order; a
 * file whose folder was not synced may be gone, or be back. SIGKILL alone says nothing of fsync, as the page cache
 * outlives it. What is written by rename (state, round, checkpoint) and the store are left as they are.
 */
import {
  closeSync,
  existsSync,
  fstatSync,
  ftruncateSync,
  linkSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { type FileSystem, nodeFileSystem } from '../../gateway/recording/file-system.ts';

/** One line of a life's log. `gone`: unlinked, and to be found under another name. */
const note = z.union([
  z.object({ made: z.string() }),
  z.object({ synced: z.string(), length: z.int() }),
  z.object({ named: z.string() }),
  z.object({ gone: z.string(), kept: z.string() }),
]);
type Note = z.infer<typeof note>;

const SECTOR = 512;

/** In the gateway: notes each thing that became durable before the journal is told of it. */
export function createPowerLog(log: string): FileSystem {
  const logFd = openSync(log, 'w');
  const paths = new Map<number, string>();
  let unlinked = 0;
  const say = (said: Note): void => void writeSync(logFd, `${JSON.stringify(said)}\n`);
  return {
    ...nodeFileSystem,
    async open(path, flags, mode) {
      const fd = await nodeFileSystem.open(path, flags, mode);
      paths.set(fd, path);
      if (flags.startsWith('wx')) say({ made: path });
      return fd;
    },
    async fdatasync(fd) {
      // What is written while it runs may be synced or not.
      const { size } = fstatSync(fd);
      await nodeFileSystem.fdatasync(fd);
      say({ synced: paths.get(fd) ?? '', length: size });
    },
    async syncFolder(path) {
      await nodeFileSystem.syncFolder(path);
      say({ named: path });
    },
    async unlink(path) {
      const kept = `${log}.${unlinked++}`;
      linkSync(path, kept);
      say({ gone: path, kept });
      await nodeFileSystem.unlink(path);
    },
  };
}

/** What is in the folder now is on the disk for good: called before a life. */
export function sizesIn(folder: string): Map<string, number> {
  if (!existsSync(folder)) return new Map();
  return new Map(readdirSync(folder).map((name) => [join(folder, name), statSync(join(folder, name)).size]));
}

/** Cuts the power of a life that has ended: `before` is what its folder held when it began. Whether anything was taken. */
export function cutPower(log: string, folder: string, before: Map<string, number>, random: () => number): boolean {
  const synced = new Map(before);
  const unnamed = new Set<string>();
  let gone: { gone: string; kept: string }[] = [];
  const final: string[] = [];
  for (const said of readNotes(log)) {
    if ('made' in said) unnamed.add(said.made);
    else if ('synced' in said) synced.set(said.synced, said.length);
    else if ('gone' in said) gone.push(said);
    else {
      for (const path of [...unnamed]) if (dirname(path) === said.named) unnamed.delete(path);
      final.push(...gone.map(({ kept }) => kept));
      gone = [];
    }
  }
  let taken = false;
  for (const { gone: path, kept } of gone) {
    if (random() < 0.5 && !existsSync(path)) {
      renameSync(kept, path);
      taken = true;
    } else final.push(kept);
  }
  for (const kept of final) rmSync(kept, { force: true });
  for (const [path, size] of sizesIn(folder)) {
    if (unnamed.has(path) && random() < 0.5) {
      rmSync(path);
      taken = true;
    } else if (tear(path, synced.get(path) ?? 0, size, random)) taken = true;
  }
  return taken;
}

/** Of what is behind the synced length some sectors are empty, and some are missing at the end. */
function tear(path: string, synced: number, size: number, random: () => number): boolean {
  if (size <= synced) return false;
  const fd = openSync(path, 'r+');
  try {
    const end = random() < 0.3 ? synced : synced + Math.ceil(random() * (size - synced));
    ftruncateSync(fd, end);
    if (random() < 0.5) return true;
    for (let at = synced; at < end; at = (Math.floor(at / SECTOR) + 1) * SECTOR) {
      const length = Math.min(end, (Math.floor(at / SECTOR) + 1) * SECTOR) - at;
      if (random() < 0.3) writeSync(fd, Buffer.alloc(length), 0, length, at);
    }
    return true;
  } finally {
    closeSync(fd);
  }
}

function* readNotes(log: string): Generator<Note> {
  if (!existsSync(log)) return;
  for (const line of readFileSync(log, 'utf8').split('\n')) {
    // Its last line may be cut off: then nobody was told of it.
    if (line.endsWith('}')) yield note.parse(JSON.parse(line));
  }
}
