/** Reading back what a journal holds: whole records up to a length that the writer gives, through descriptors of its own. */
import type { FileSystem } from './file-system.ts';
import { type Position, splitRecords } from './journal-file.ts';

export interface JournalReader {
  /** The lines from `from` on, at least one record of about `limit` bytes; none where `lengths` say that it ends there. */
  read(lengths: ReadonlyMap<number, number>, from: Position, limit: number): Promise<{ lines: Buffer[]; to: Position }>;
  close(file: number): Promise<void>;
  closeAll(): Promise<void>;
}

export function createJournalReader(fs: FileSystem, pathOf: (file: number) => string): JournalReader {
  // Never the writer's descriptors: a commit may close one of those while a read is under way.
  const open = new Map<number, number>();

  async function descriptorOf(file: number): Promise<number> {
    const there = open.get(file);
    if (there !== undefined) return there;
    const fd = await fs.open(pathOf(file), 'r');
    open.set(file, fd);
    return fd;
  }

  async function readWhole(fd: number, into: Buffer, position: number): Promise<void> {
    let done = 0;
    while (done < into.length) {
      const got = await fs.read(fd, into, done, into.length - done, position + done);
      if (got === 0) throw new Error('The journal ends before its length.');
      done += got;
    }
  }

  async function readFile(file: number, from: number, length: number, limit: number) {
    const fd = await descriptorOf(file);
    let want = Math.min(length - from, limit);
    for (;;) {
      const bytes = Buffer.allocUnsafe(want);
      await readWhole(fd, bytes, from);
      const { lines, used, needed } = splitRecords(bytes, from === 0);
      if (used > 0) return { lines, to: { file, offset: from + used } };
      if (needed <= want || from + needed > length) throw new Error(`Journal file ${file} is damaged at ${from}.`);
      want = needed;
    }
  }

  async function close(file: number): Promise<void> {
    const fd = open.get(file);
    open.delete(file);
    // Nothing was written through it.
    if (fd !== undefined) await fs.close(fd).catch(() => {});
  }

  return {
    async read(lengths, from, limit) {
      for (const file of [...lengths.keys()].sort((a, b) => a - b)) {
        const length = lengths.get(file) ?? 0;
        const offset = file === from.file ? from.offset : 0;
        if (file >= from.file && offset < length) return readFile(file, offset, length, limit);
      }
      return { lines: [], to: from };
    },
    close,
    async closeAll() {
      for (const file of [...open.keys()]) await close(file);
    },
  };
}
