/**
 * The journal: a replica's durable, append-only log of frames that are not yet sealed.
 *
 * Appends that arrive while a commit is under way form the next one (group commit): one write, one fdatasync, one keyed
 * hash. A line is durable when its commit's fdatasync has returned, and only then is its callback called.
 *
 * A failed write or fsync poisons the file: the kernel may have marked the pages clean, so a retry on that descriptor
 * would lie (Rebello et al., USENIX ATC '20). The commit is rewritten once to a new file, whose header says up to where
 * the poisoned one counts; if that fails too, every line that waits is refused and nothing of it was released.
 */
import { type FileSystem, nodeFileSystem } from './file-system.ts';
import {
  chainRecord,
  encodeHeader,
  FILE_LIMIT,
  HEADER_FIELDS,
  journalName,
  type Position,
  RECORD_LIMIT,
  splitRecords,
} from './journal-file.ts';

export interface Journal {
  /**
   * Queues lines (each ending in a newline) as one unit. `settle` is called once, in append order: without an error
   * when they are durable, with one when they are refused.
   */
  append(lines: Buffer, settle: (error?: Error) => void): void;
  /** Reads what is durable from `from` on: whole records, at least one, about `limit` bytes. */
  read(from: Position, limit: number): Promise<{ lines: Buffer[]; to: Position }>;
  /** Everything before `to` is sealed: files that lie wholly before it are removed. */
  sealed(to: Position): Promise<void>;
  /** The end of what is durable. */
  end(): Position;
  /** When the oldest line that is not sealed became durable; undefined where all is sealed. Milliseconds. */
  oldestUnsealed(): number | undefined;
  /** Bytes held on disk. */
  bytes(): number;
  /** Whether the last commit failed. */
  failed(): boolean;
  /** Seconds that commits took, for a metric. */
  onCommit(listener: (seconds: number, lines: number) => void): void;
  close(): Promise<void>;
}

interface OpenFile {
  readonly number: number;
  readonly fd: number;
  length: number;
  chain: Buffer;
}

interface Waiting {
  readonly lines: Buffer;
  readonly settle: (error?: Error) => void;
}

export interface JournalOptions {
  readonly folder: string;
  readonly key: Buffer;
  /** Files found by recovery: number to valid length. New lines go to a new file after them. */
  readonly found: ReadonlyMap<number, number>;
  /** Where sealing stands. */
  readonly sealed: Position;
  readonly now: () => number;
  readonly fileSystem?: FileSystem;
}

export async function createJournal(options: JournalOptions): Promise<Journal> {
  const { folder, key, now } = options;
  const fs = options.fileSystem ?? nodeFileSystem;
  const lengths = new Map(options.found);
  const readers = new Map<number, number>();
  let nextNumber = Math.max(0, ...lengths.keys(), options.sealed.file) + 1;
  let sealedTo = options.sealed;
  let current: OpenFile | undefined;
  let queue: Waiting[] = [];
  let committing: Promise<void> | undefined;
  let failed = false;
  let closed = false;
  let listener: (seconds: number, lines: number) => void = () => {};
  // At most one mark a second: from which position on lines are younger than `at`.
  const marks: { position: Position; at: number }[] = [];
  for (const [file, length] of lengths) {
    if (file > sealedTo.file || (file === sealedTo.file && length > sealedTo.offset)) {
      marks.push({ position: { file, offset: length }, at: now() });
    }
  }

  async function openNext(): Promise<OpenFile> {
    const number = nextNumber++;
    const previous = current ?? lastFound();
    const header = encodeHeader(key, {
      v: HEADER_FIELDS.v,
      file: number,
      ...(previous === undefined ? {} : { previous: { file: previous.number, length: previous.length } }),
    });
    const fd = await fs.open(journalPath(number), 'wx+', 0o600);
    try {
      await writeWhole(fd, [header.bytes], 0);
      await fs.fdatasync(fd);
      await fs.syncFolder(folder);
    } catch (error) {
      await fs.close(fd).catch(() => {});
      await fs.unlink(journalPath(number)).catch(() => {});
      throw error;
    }
    lengths.set(number, header.bytes.length);
    return { number, fd, length: header.bytes.length, chain: header.chain };
  }

  function lastFound(): { number: number; length: number } | undefined {
    const number = Math.max(-1, ...lengths.keys());
    return number < 0 ? undefined : { number, length: lengths.get(number) ?? 0 };
  }

  function journalPath(number: number): string {
    return `${folder}/${journalName(number)}`;
  }

  async function writeWhole(fd: number, buffers: Buffer[], position: number): Promise<void> {
    let rest = buffers;
    let at = position;
    while (rest.length > 0) {
      const written = await fs.writev(fd, rest, at);
      if (written <= 0) throw new Error('The journal wrote nothing.');
      at += written;
      rest = dropBytes(rest, written);
    }
  }

  async function writeRecord(file: OpenFile, batch: Waiting[]): Promise<void> {
    const record = chainRecord(
      key,
      file.chain,
      batch.map((entry) => entry.lines),
    );
    await writeWhole(file.fd, record.buffers, file.length);
    await fs.fdatasync(file.fd);
    file.length += record.length;
    file.chain = record.chain;
  }

  async function poison(file: OpenFile): Promise<void> {
    // Its valid length stays as it was before the failed commit; the next file's header repeats it for recovery.
    await fs.close(file.fd).catch(() => {});
  }

  async function commit(batch: Waiting[]): Promise<void> {
    let poisoned = false;
    if (current !== undefined && current.length < FILE_LIMIT && !failed) {
      try {
        return await writeRecord(current, batch);
      } catch {
        poisoned = true;
      }
    }
    const next = await openNext();
    if (current !== undefined) {
      if (poisoned || failed) await poison(current);
      else await fs.close(current.fd);
    }
    current = next;
    await writeRecord(current, batch);
  }

  function takeBatch(): Waiting[] {
    let bytes = 0;
    let count = 0;
    while (count < queue.length && (count === 0 || bytes + (queue[count]?.lines.length ?? 0) <= RECORD_LIMIT)) {
      bytes += queue[count]?.lines.length ?? 0;
      count++;
    }
    const batch = count === queue.length ? queue : queue.slice(0, count);
    queue = count === queue.length ? [] : queue.slice(count);
    return batch;
  }

  async function commitAll(): Promise<void> {
    while (queue.length > 0) {
      const batch = takeBatch();
      const started = performance.now();
      if (batch.every((entry) => entry.lines.length === 0)) {
        // Barriers alone: everything before them is durable already, since commits are one after another.
        for (const entry of batch) entry.settle();
        continue;
      }
      try {
        await commit(batch);
        failed = false;
        listener((performance.now() - started) / 1000, batch.length);
        settleDurable(batch);
      } catch (error) {
        failed = true;
        // Lines that queued up behind carry sequence numbers after the refused ones: they are refused with them.
        const refused = [...batch, ...queue];
        queue = [];
        const cause = error instanceof Error ? error : new Error(String(error));
        for (const entry of refused) entry.settle(cause);
      }
    }
    committing = undefined;
  }

  /** Readers see the lines in the same turn in which they are settled: what sealing reads has been folded. */
  function settleDurable(batch: Waiting[]): void {
    if (current !== undefined) lengths.set(current.number, current.length);
    mark();
    for (const entry of batch) entry.settle();
  }

  function mark(): void {
    const last = marks.at(-1);
    const at = now();
    const position = end();
    if (last !== undefined && at - last.at < 1000) last.position = position;
    else marks.push({ position, at });
  }

  function end(): Position {
    const last = lastFound();
    return last === undefined ? sealedTo : { file: last.number, offset: last.length };
  }

  async function readerOf(file: number): Promise<number> {
    // Never the writer's descriptor: a commit may close that one while a read is under way.
    const there = readers.get(file);
    if (there !== undefined) return there;
    const fd = await fs.open(journalPath(file), 'r');
    readers.set(file, fd);
    return fd;
  }

  async function read(from: Position, limit: number): Promise<{ lines: Buffer[]; to: Position }> {
    const files = [...lengths.keys()].sort((a, b) => a - b);
    for (const file of files) {
      const length = lengths.get(file) ?? 0;
      const offset = file === from.file ? from.offset : 0;
      if (file < from.file || offset >= length) continue;
      const fd = await readerOf(file);
      let want = Math.min(length - offset, limit);
      for (;;) {
        const bytes = Buffer.allocUnsafe(want);
        await readWhole(fd, bytes, offset);
        const { lines, used, needed } = splitRecords(bytes, offset === 0);
        if (used > 0) return { lines, to: { file, offset: offset + used } };
        if (needed <= want || offset + needed > length)
          throw new Error(`Journal file ${file} is damaged at ${offset}.`);
        want = needed;
      }
    }
    return { lines: [], to: from };
  }

  async function readWhole(fd: number, into: Buffer, position: number): Promise<void> {
    let done = 0;
    while (done < into.length) {
      const got = await fs.read(fd, into, done, into.length - done, position + done);
      if (got === 0) throw new Error('The journal ends before its length.');
      done += got;
    }
  }

  return {
    append(lines, settle) {
      if (closed) {
        settle(new Error('The journal is closed.'));
        return;
      }
      queue.push({ lines, settle });
      // All that the current tick appends goes into one commit.
      committing ??= Promise.resolve().then(commitAll);
    },
    read,
    end,
    async sealed(to) {
      sealedTo = to;
      while (marks[0] !== undefined && !isAfter(marks[0].position, to)) marks.shift();
      for (const [file, length] of [...lengths]) {
        const whole = file < to.file || (file === to.file && to.offset >= length && file !== current?.number);
        if (!whole || file === current?.number) continue;
        const reader = readers.get(file);
        readers.delete(file);
        if (reader !== undefined) await fs.close(reader);
        await fs.unlink(journalPath(file));
        lengths.delete(file);
      }
    },
    oldestUnsealed: () => marks[0]?.at,
    bytes: () => [...lengths.values()].reduce((sum, length) => sum + length, 0),
    failed: () => failed,
    onCommit(added) {
      listener = added;
    },
    async close() {
      closed = true;
      await committing;
      for (const fd of readers.values()) await fs.close(fd);
      if (current !== undefined) await fs.close(current.fd);
      current = undefined;
    },
  };
}

/** Whether `a` lies after `b`. */
function isAfter(a: Position, b: Position): boolean {
  return a.file > b.file || (a.file === b.file && a.offset > b.offset);
}

function dropBytes(buffers: Buffer[], count: number): Buffer[] {
  let left = count;
  let index = 0;
  for (const buffer of buffers) {
    if (left < buffer.length) break;
    left -= buffer.length;
    index++;
  }
  const rest = buffers.slice(index);
  if (left > 0 && rest[0] !== undefined) rest[0] = rest[0].subarray(left);
  return rest;
}
