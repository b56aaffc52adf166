/**
 * What a start finds on its disk: the state that sealing left, and journal files behind it. A torn tail counts for
 * nothing (nobody was told that it was durable), and what is whole is folded into its strands. Nothing is changed or
 * removed here: where something acknowledged is broken, the start fails and the disk is as it was.
 */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { emptyFrontier } from '../ledger/tree.ts';
import { type Examined, examineJournal, type JournalFiles } from './examine.ts';
import { type FileSystem, nodeFileSystem } from './file-system.ts';
import { journalName, journalNumber } from './journal-file.ts';
import { LedgerTakenError } from './own-names.ts';
import type { LedgerState, Round, WriteAhead } from './write-ahead.ts';

/** What a disk holds: the state that sealing left, and behind it what the journal holds. */
export interface Found extends Examined {
  readonly state: LedgerState;
  readonly unfinished?: Round;
}

/** Since when nobody had this disk: since an orderly stop (milliseconds), or since its newest recorded frame at least. */
export type Pause =
  | { readonly kind: 'stopped'; readonly from: number }
  | { readonly kind: 'crash'; readonly last: string };

export interface Recovered extends Found {
  /** Absent on a new disk. */
  readonly pause?: Pause;
}

export interface RecoverOptions {
  /** The journal's folder. */
  readonly folder: string;
  readonly ledger: string;
  readonly key: Buffer;
  readonly writeAhead: WriteAhead;
  readonly fileSystem?: FileSystem;
  /** Also a disk whose ledger is closed: what was not stored yet can be. */
  readonly evenClosed?: true;
}

/** The disk is retired. */
class LedgerClosedError extends Error {
  override readonly name = 'LedgerClosedError';

  constructor(at: string) {
    super(
      `The ledger of this disk was closed at ${at}: the disk is retired. Give the gateway an empty folder as its data.`,
    );
  }
}

/** Something that was acknowledged once is broken or gone. */
class DamagedDiskError extends Error {
  override readonly name = 'DamagedDiskError';

  constructor(words: string) {
    super(`${words} Nothing was changed. Keep the disk; verbatim seal saves what is whole of it (docs/operations.md).`);
  }
}

/** What the disk holds, damaged or not. Changes nothing. */
export async function examineDisk(options: RecoverOptions): Promise<Found> {
  const { folder, ledger, key, writeAhead } = options;
  const stored = await writeAhead.readState();
  if (stored !== undefined && stored.ledger !== ledger) {
    throw new Error(`The state on this disk belongs to ledger ${stored.ledger}, the disk to ${ledger}.`);
  }
  const round = await writeAhead.readRound();
  const base = stored ?? newState(ledger);
  // A round older than the state was finished: only its file is left over.
  const unfinished = round !== undefined && round.after.nextEntries === base.nextEntries + 1 ? round : undefined;
  const current = unfinished?.after ?? base;
  const { sealed, strands } = current;
  const { loss } = current;
  const examined = await examineJournal(await filesIn(folder), {
    key,
    ledger,
    sealed,
    strands,
    // What an orderly stop left was damaged later.
    ...(base.end === undefined || loss !== undefined ? {} : { end: base.end }),
    ...(loss === undefined ? {} : { loss }),
  });
  return { ...examined, state: base, ...(unfinished === undefined ? {} : { unfinished }) };
}

export async function recover(options: RecoverOptions): Promise<Recovered> {
  const found = await examineDisk(options);
  if (found.state.taken !== undefined) throw new LedgerTakenError(found.state.taken);
  const { closed } = found.unfinished?.after ?? found.state;
  if (closed !== undefined && options.evenClosed !== true) throw new LedgerClosedError(closed);
  if (found.damage !== undefined) throw new DamagedDiskError(found.damage.words);
  await syncFiles(options.folder, found.found.keys(), options.fileSystem ?? nodeFileSystem);
  const { stopped } = found.state;
  if (stopped !== undefined) return { ...found, pause: { kind: 'stopped', from: stopped } };
  const last = found.strands
    .map((strand) => strand.last)
    .sort()
    .at(-1);
  return { ...found, ...(last === undefined ? {} : { pause: { kind: 'crash', last } }) };
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

async function filesIn(folder: string): Promise<JournalFiles> {
  const names = await readdir(folder);
  return {
    numbers: names.flatMap((name) => journalNumber(name) ?? []).sort((a, b) => a - b),
    size: async (number) => (await stat(pathOf(folder, number))).size,
    read: (number) => readFile(pathOf(folder, number)),
  };
}

function pathOf(folder: string, number: number): string {
  return join(folder, journalName(number));
}
