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
import { createJournalAge } from './journal-age.ts';
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
import { isNoSpace } from './reserve.ts';
import { writeWhole } from './write-whole.ts';

export interface Journal {
  /**
   * Queues lines (each ending in a newline) as one unit. `settle` is called once, in append order: without an error
   * when they are durable, with one when they are refused.
   */
  append(lines: Buffer, settle: (error?: Error) => void): void;
  /** Reads what is durable from `from` on: whole records, at least one, about `limit` bytes. */
  read(from: Position, limit: number): Promise<{ lines: Buffer[]; to: Position }>;
  /**
   * Everything before `to` is sealed: files that lie wholly before it are removed. Rejects where one could not be; it is
   * tried again at the next call.
   */
  sealed(to: Position): Promise<void>;
  /** The end of what is durable. */
  end(): Position;
  /** When the oldest line that is not sealed became durable; undefined where all is sealed. Milliseconds. */
  oldestUnsealed(): number | undefined;
  /** Bytes held on disk. */
  bytes(): number;
  /** Whether the last commit failed. */
  failed(): boolean;
  /** Told of each commit, with the seconds that it took. */
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
  /** The least number of a new file. */
  readonly firstNumber?: number;
  /** When the oldest found line that is not sealed was recorded, milliseconds; unknown where absent. */
  readonly oldest?: number;
  /** Since when the oldest line waits that is before `sealed` and not under a checkpoint; absent where there is none. */
  readonly uncoveredSince?: number;
  readonly now: () => number;
  readonly fileSystem?: FileSystem;
  /** Bytes; the format's own where absent. */
  readonly fileLimit?: number;
  readonly recordLimit?: number;
  /** The disk is full: resolves whether there may be room now. */
  readonly makeRoom?: () => Promise<boolean>;
}

export async function createJournal(options: JournalOptions): Promise<Journal> {
  const { folder, now, fileLimit = FILE_LIMIT, recordLimit = RECORD_LIMIT } = options;
  // Bytes as a key are checked and copied anew by each HMAC.
  const key = createSecretKey(options.key);
  const fs = options.fileSystem ?? nodeFileSystem;
  const lengths = new Map(options.found);
  const reader = createJournalReader(fs, journalPath);
  let nextNumber = Math.max(0, ...lengths.keys(), options.sealed.file, (options.firstNumber ?? 0) - 1) + 1;
  let sealedTo = options.sealed;
  let current: OpenFile | undefined;
  let queue: Waiting[] = [];
  let committing: Promise<void> | undefined;
  let failed = false;
  let closed = false;
  const listeners: ((seconds: number, lines: number) => void)[] = [];
  const age = createJournalAge();
  if (options.uncoveredSince !== undefined) age.add(sealedTo, options.uncoveredSince);
  for (const [file, length] of lengths) {
    const position = { file, offset: length };
    if (length > 0 && isAfter(position, sealedTo)) age.add(position, options.oldest ?? now());
  }

  async function openNext(): Promise<OpenFile> {
    const number = nextNumber++;
    const previous = lastFound();
    const header = encodeHeader(key, {
      v: HEADER_FIELDS.v,
      file: number,
      ...(previous === undefined ? {} : { previous: { file: previous.number, length: previous.length } }),
    });
    const fd = await fs.open(journalPath(number), 'wx+', 0o600);
    try {
      await writeWhole(fs, fd, [header.bytes], 0);
      await fs.fdatasync(fd);
      await fs.syncFolder(folder);
    } catch (error) {
      await fs.close(fd).catch(() => {});
      await fs.unlink(journalPath(number)).catch(() => {});
      throw error;
    }
    return { number, fd, length: header.bytes.length, chain: header.chain };
  }

  function lastFound(): { number: number; length: number } | undefined {
    const number = Math.max(-1, ...lengths.keys());
    return number < 0 ? undefined : { number, length: lengths.get(number) ?? 0 };
  }

  function journalPath(number: number): string {
    return `${folder}/${journalName(number)}`;
  }

  async function writeRecord(file: OpenFile, batch: Waiting[]): Promise<void> {
    const record = chainRecord(
      key,
      file.chain,
      batch.map((entry) => entry.lines),
    );
    await writeWhole(fs, file.fd, record.buffers, file.length);
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
    try {
      await commitToNext(batch);
    } catch (error) {
      if (!isNoSpace(error) || !(await makeRoom())) throw error;
      await commitToNext(batch);
    }
  }

  async function commitToNext(batch: Waiting[]): Promise<void> {
    const next = await openNext();
    const before = current;
    current = next;
    // What counts of the file before is durable, so that its close failing takes nothing away.
    if (before !== undefined) await fs.close(before.fd).catch(() => {});
    try {
      await writeRecord(next, batch);
    } catch (error) {
      await removeUnused(next);
      throw error;
    }
  }

  /**
   * A file whose first record was refused holds nothing. While a disk is full there would be one more with each attempt,
   * until they had taken the last block. Where a power cut brings it back no later file knows of it: the next file's
   * header is durable only with the folder's fsync, and that takes this removal along.
   */
  async function removeUnused(file: OpenFile): Promise<void> {
    current = undefined;
    await fs.close(file.fd).catch(() => {});
    // One that can not be removed stays, and the next file's header says that nothing of it counts.
    await fs.unlink(journalPath(file.number)).catch(() => lengths.set(file.number, file.length));
  }

  async function makeRoom(): Promise<boolean> {
    return (await options.makeRoom?.().catch(() => false)) ?? false;
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
      age.add(end(), now());
      settleAll(batch);
      const seconds = (performance.now() - started) / 1000;
      for (const listener of listeners) apart(() => listener(seconds, batch.length));
    }
    committing = undefined;
  }

  function settleAll(entries: readonly Waiting[], refusal?: Error): void {
    for (const entry of entries) apart(() => entry.settle(refusal));
  }

  /**
   * A file goes only as a whole, and one that is written to stays: a journal that is sealed to its end, and stopped
   * writing since it is full, would stay full. No commit is under way, so that nobody writes to it any more.
   */
  async function retire(to: Position): Promise<void> {
    if (current === undefined || committing !== undefined || current.length < fileLimit / 4) return;
    if (isAfter({ file: current.number, offset: current.length }, to)) return;
    const { fd } = current;
    current = undefined;
    await fs.close(fd).catch(() => {});
  }

  async function remove(file: number): Promise<void> {
    await reader.close(file);
    await fs.unlink(journalPath(file)).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    });
    lengths.delete(file);
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
      age.sealed(to);
      await retire(to);
      const failures: unknown[] = [];
      for (const [file, length] of [...lengths]) {
        if (file === current?.number || isAfter({ file, offset: length }, to)) continue;
        // One that can not be removed keeps none of the others.
        await remove(file).catch((error: unknown) => failures.push(error));
      }
      if (failures.length > 0) throw new Error('A sealed journal file could not be removed.', { cause: failures[0] });
    },
    oldestUnsealed: age.oldest,
    bytes() {
      let sum = 0;
      for (const length of lengths.values()) sum += length;
      return sum;
    },
    failed: () => failed,
    onCommit: (added) => void listeners.push(added),
    async close() {
      closed = true;
      await committing;
      await reader.closeAll();
      // What counts is durable: a close that fails takes nothing away.
      if (current !== undefined) await fs.close(current.fd).catch(() => {});
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
