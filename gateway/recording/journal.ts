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
import { createSecretKey } from 'node:crypto';
import { type FileSystem, nodeFileSystem } from './file-system.ts';
import {
  chainRecord,
  encodeHeader,
  FILE_LIMIT,
  HEADER_FIELDS,
  isAfter,
  journalName,
  type Position,
  RECORD_LIMIT,
} from './journal-file.ts';
import { createJournalReader } from './journal-reader.ts';

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
  /** When the oldest found line that is not sealed was recorded, milliseconds; unknown where absent. */
  readonly oldest?: number;
  readonly now: () => number;
  readonly fileSystem?: FileSystem;
  /** Bytes; the format's own where absent. */
  readonly fileLimit?: number;
  readonly recordLimit?: number;
}

export async function createJournal(options: JournalOptions): Promise<Journal> {
  const { folder, now, fileLimit = FILE_LIMIT, recordLimit = RECORD_LIMIT } = options;
  // Bytes as a key are checked and copied anew by each HMAC.
  const key = createSecretKey(options.key);
  const fs = options.fileSystem ?? nodeFileSystem;
  const lengths = new Map(options.found);
  const reader = createJournalReader(fs, journalPath);
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
    const position = { file, offset: length };
    if (length > 0 && isAfter(position, sealedTo)) marks.push({ position, at: options.oldest ?? now() });
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

  async function commit(batch: Waiting[]): Promise<void> {
    if (current !== undefined && current.length < fileLimit && !failed) {
      try {
        return await writeRecord(current, batch);
      } catch {
        // Poisoned: its length stays as it was before this commit, and the next file's header repeats it for recovery.
      }
    }
    const before = current;
    current = await openNext();
    // What counts of the file before is durable, so that its close failing takes nothing away.
    if (before !== undefined) await fs.close(before.fd).catch(() => {});
    await writeRecord(current, batch);
  }

  function takeBatch(): Waiting[] {
    let bytes = 0;
    let count = 0;
    while (count < queue.length && (count === 0 || bytes + (queue[count]?.lines.length ?? 0) <= recordLimit)) {
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
        settleAll(batch);
        continue;
      }
      const refusal = await commit(batch).then(
        () => undefined,
        (error: unknown) => (error instanceof Error ? error : new Error(String(error))),
      );
      failed = refusal !== undefined;
      if (refusal !== undefined) {
        // Lines that queued up behind carry sequence numbers after the refused ones: they are refused with them.
        const refused = [...batch, ...queue];
        queue = [];
        settleAll(refused, refusal);
        continue;
      }
      // Readers see the lines in the same turn in which they are settled: what sealing reads has been folded.
      if (current !== undefined) lengths.set(current.number, current.length);
      mark();
      settleAll(batch);
      apart(() => listener((performance.now() - started) / 1000, batch.length));
    }
    committing = undefined;
  }

  function settleAll(entries: readonly Waiting[], refusal?: Error): void {
    for (const entry of entries) apart(() => entry.settle(refusal));
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
    read: (from, limit) => reader.read(lengths, from, limit),
    end,
    async sealed(to) {
      sealedTo = to;
      while (marks[0] !== undefined && !isAfter(marks[0].position, to)) marks.shift();
      for (const [file, length] of [...lengths]) {
        if (file === current?.number || isAfter({ file, offset: length }, to)) continue;
        await reader.close(file);
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
      await reader.closeAll();
      if (current !== undefined) await fs.close(current.fd);
      current = undefined;
    },
  };
}

/** Calls back. What the callback throws changes nothing of what is durable, nor what others are told: it surfaces alone. */
export function apart(callback: () => void): void {
  try {
    callback();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
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
