/**
 * What a start finds on its disk: the state that sealing left, and journal files behind it. A torn tail counts for
 * nothing (nobody was told that it was durable), and what is whole is folded into its strands. Nothing is changed or
 * removed here: where something acknowledged is broken, the start fails and the disk is as it was.
 */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { dayOf } from '../clock.ts';
import { emptyFrontier } from '../ledger/tree.ts';
import { type FileSystem, nodeFileSystem } from './file-system.ts';
import type { Frame } from './frame.ts';
import {
  type CheckedFile,
  checkJournalFile,
  isAfter,
  journalName,
  journalNumber,
  type Position,
  splitRecords,
} from './journal-file.ts';
import { foldIntoState, newStrandState, type StrandState } from './strand.ts';
import type { LedgerState, Round, WriteAhead } from './write-ahead.ts';

export interface Recovered {
  readonly state: LedgerState;
  readonly unfinished?: Round;
  readonly strands: readonly StrandState[];
  /** Journal files by number, with the length that counts. */
  readonly found: ReadonlyMap<number, number>;
  /** Time of the oldest frame that is in no round yet. */
  readonly oldest?: string;
  /** Set unless the last stop was orderly or this is a new disk. `last` is the time of the newest recorded frame. */
  readonly crash?: { readonly last: string };
}

export interface RecoverOptions {
  /** The journal's folder. */
  readonly folder: string;
  readonly ledger: string;
  readonly key: Buffer;
  readonly writeAhead: WriteAhead;
  readonly fileSystem?: FileSystem;
}

/** Something that was acknowledged once is broken or gone. */
class DamagedDiskError extends Error {
  override readonly name = 'DamagedDiskError';

  constructor(words: string) {
    super(`${words} Nothing was changed. Keep the disk and see docs/operations.md.`);
  }
}

export async function recover(options: RecoverOptions): Promise<Recovered> {
  const { folder, ledger, key, writeAhead, fileSystem = nodeFileSystem } = options;
  const stored = await writeAhead.readState();
  if (stored !== undefined && stored.ledger !== ledger) {
    throw new Error(`The state on this disk belongs to ledger ${stored.ledger}, the disk to ${ledger}.`);
  }
  const round = await writeAhead.readRound();
  const base = stored ?? newState(ledger);
  // A round older than the state was finished: only its file is left over.
  const unfinished = round !== undefined && round.after.nextEntries === base.nextEntries + 1 ? round : undefined;
  const { sealed, strands: known } = unfinished?.after ?? base;
  const found = await findFiles(folder, key, sealed);
  await syncFiles(folder, found.keys(), fileSystem);
  const strands = new Map(known.map((strand) => [strand.session, structuredClone(strand)]));
  const oldest = await foldJournal(folder, found, sealed, strands, ledger);
  const last = [...strands.values()].reduce((newest, strand) => (strand.last > newest ? strand.last : newest), '');
  const crashed = stored?.stopped === undefined && last !== '';
  return {
    state: base,
    ...(unfinished === undefined ? {} : { unfinished }),
    strands: [...strands.values()],
    found,
    ...(oldest === undefined ? {} : { oldest }),
    ...(crashed ? { crash: { last } } : {}),
  };
}

function newState(ledger: string): LedgerState {
  return {
    v: 1,
    ledger,
    sealed: { file: 0, offset: 0 },
    nextEntries: 0,
    nextCheckpoint: 0,
    frontier: emptyFrontier(),
    checkpointed: 0,
    strands: [],
  };
}

async function findFiles(folder: string, key: Buffer, sealed: Position): Promise<Map<number, number>> {
  const names = await readdir(folder);
  const numbers = names.flatMap((name) => journalNumber(name) ?? []).sort((a, b) => a - b);
  const found = new Map<number, number>();
  const checked = new Map<number, CheckedFile>();
  for (const number of numbers) {
    // All of it is in stored segments; it is kept only until a checkpoint is over them.
    if (number < sealed.file) found.set(number, (await stat(pathOf(folder, number))).size);
    else checked.set(number, checkJournalFile(key, await readFile(pathOf(folder, number)), number));
  }
  const limits = new Map<number, number>();
  for (const { previous } of checked.values()) if (previous !== undefined) limits.set(previous.file, previous.length);
  for (const [number, { length, damaged }] of checked) {
    // Behind the limit lies what was refused after a failed fsync.
    const limit = limits.get(number);
    const needed = Math.max(limit ?? 0, number === sealed.file ? sealed.offset : 0);
    if (length < needed || (damaged && limit === undefined)) {
      throw new DamagedDiskError(`Journal file ${number} is damaged behind byte ${length}.`);
    }
    found.set(number, limit ?? length);
  }
  for (const [file, length] of limits) {
    if (isAfter({ file, offset: length }, sealed) && !checked.has(file)) {
      throw new DamagedDiskError(`Journal file ${file} is missing.`);
    }
  }
  return found;
}

/**
 * A killed process leaves commits that are whole in the page cache and perhaps nowhere else. What is about to be built
 * on must be on the disk first, under names that are on the disk.
 */
async function syncFiles(folder: string, numbers: Iterable<number>, fs: FileSystem): Promise<void> {
  for (const number of numbers) {
    const fd = await fs.open(pathOf(folder, number), 'r+');
    try {
      await fs.fdatasync(fd);
    } finally {
      await fs.close(fd);
    }
  }
  await fs.syncFolder(folder);
}

/** Resolves the time of the first frame behind `sealed`. */
async function foldJournal(
  folder: string,
  found: ReadonlyMap<number, number>,
  sealed: Position,
  strands: Map<string, StrandState>,
  ledger: string,
): Promise<string | undefined> {
  let first: string | undefined;
  for (const [number, length] of found) {
    const from = number === sealed.file ? sealed.offset : 0;
    if (number < sealed.file || from >= length) continue;
    const bytes = (await readFile(pathOf(folder, number))).subarray(from, length);
    for (const line of splitRecords(bytes, from === 0).lines) {
      const frame = JSON.parse(line.toString()) as Frame;
      const state = strandOf(frame, strands, ledger);
      if (frame.seq > state.foldedThrough + 1) {
        const words = `goes on at frame ${frame.seq}, expected ${state.foldedThrough + 1}`;
        throw new DamagedDiskError(`Strand ${frame.strand} ${words}: journal files are missing.`);
      }
      foldIntoState(state, frame);
      first ??= frame.at;
    }
  }
  return first;
}

function strandOf(frame: Frame, strands: Map<string, StrandState>, ledger: string): StrandState {
  const there = strands.get(frame.session);
  if (there !== undefined) return there;
  if (frame.type !== 'session.start')
    throw new DamagedDiskError(`The journal holds frames of the unknown strand ${frame.strand}.`);
  const day = dayOf(Date.parse(frame.at) * 1000);
  const made = newStrandState({ session: frame.session, ledger, day, start: frame.start, at: frame.at });
  strands.set(frame.session, made);
  return made;
}

function pathOf(folder: string, number: number): string {
  return join(folder, journalName(number));
}
