/**
 * What a start finds on its disk: the state that sealing left, and journal files behind it. Torn tails are cut to the
 * last whole commit (nobody was told that the torn one was durable), and what is whole is folded into its strands.
 */
import { readdir, readFile, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { dayOf } from '../clock.ts';
import { emptyFrontier } from '../ledger/tree.ts';
import type { Frame } from './frame.ts';
import { checkJournalFile, journalNumber, type Position, splitRecords } from './journal-file.ts';
import { foldIntoState, newStrandState, type StrandState } from './strand.ts';
import type { LedgerState, Round, WriteAhead } from './write-ahead.ts';

export interface Recovered {
  readonly state: LedgerState;
  readonly unfinished?: Round;
  readonly strands: readonly StrandState[];
  readonly found: ReadonlyMap<number, number>;
  /** Set unless the last stop was orderly or this is a new disk. `last` is the time of the newest recorded frame. */
  readonly crash?: { readonly last: string };
  readonly cutBytes: number;
}

export async function recover(options: {
  folder: string;
  ledger: string;
  key: Buffer;
  writeAhead: WriteAhead;
}): Promise<Recovered> {
  const { folder, ledger, key, writeAhead } = options;
  const stored = await writeAhead.readState();
  if (stored !== undefined && stored.ledger !== ledger) {
    throw new Error(`The state on this disk belongs to ledger ${stored.ledger}, the disk to ${ledger}.`);
  }
  const round = await writeAhead.readRound();
  const base = stored ?? newState(ledger);
  // A round older than the state was finished: only its file is left over.
  const unfinished = round !== undefined && round.after.nextEntries === base.nextEntries + 1 ? round : undefined;
  const state =
    unfinished === undefined ? base : { ...base, strands: unfinished.after.strands, sealed: unfinished.after.sealed };
  const { found, cutBytes } = await checkFiles(folder, key, state.sealed);
  const strands = new Map(state.strands.map((strand) => [strand.session, structuredClone(strand)]));
  const last = await foldJournal(folder, found, state.sealed, strands, ledger);
  const newest =
    last ??
    [...strands.values()]
      .map((strand) => strand.summary.started)
      .sort()
      .at(-1);
  const crashed = stored?.stopped === undefined && (stored !== undefined || last !== undefined);
  return {
    state: { ...base, sealed: base.sealed },
    ...(unfinished === undefined ? {} : { unfinished }),
    strands: [...strands.values()],
    found,
    cutBytes,
    ...(crashed && newest !== undefined ? { crash: { last: newest } } : {}),
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

async function checkFiles(folder: string, key: Buffer, sealed: Position) {
  const names = await readdir(folder);
  const numbers = names.flatMap((name) => journalNumber(name) ?? []).sort((a, b) => a - b);
  const found = new Map<number, number>();
  let cutBytes = 0;
  const limits = new Map<number, number>();
  const sizes = new Map<number, number>();
  for (const number of numbers) {
    const bytes = await readFile(pathOf(folder, number));
    const checked = checkJournalFile(key, bytes, number);
    sizes.set(number, bytes.length);
    found.set(number, checked.length);
    if (checked.previous !== undefined) limits.set(checked.previous.file, checked.previous.length);
  }
  for (const [number, length] of found) {
    const limit = limits.get(number);
    // Behind the limit lies what was refused after a failed fsync; a file broken before its limit lost acknowledged lines.
    if (limit !== undefined && length < limit) {
      throw new Error(
        `Journal file ${number} is damaged: ${length} of ${limit} acknowledged bytes are whole. Keep the disk and see docs/operations.md.`,
      );
    }
    if (number === sealed.file && length < sealed.offset) {
      throw new Error(
        `Journal file ${number} is shorter than what was sealed from it. Keep the disk and see docs/operations.md.`,
      );
    }
    const valid = Math.min(length, limit ?? length);
    found.set(number, valid);
    const size = sizes.get(number) ?? valid;
    if (size > valid) {
      cutBytes += size - valid;
      await truncate(pathOf(folder, number), valid);
    }
  }
  return { found, cutBytes };
}

async function foldJournal(
  folder: string,
  found: ReadonlyMap<number, number>,
  sealed: Position,
  strands: Map<string, StrandState>,
  ledger: string,
): Promise<string | undefined> {
  let last: string | undefined;
  for (const [number, length] of found) {
    const from = number === sealed.file ? sealed.offset : 0;
    if (number < sealed.file || from >= length) continue;
    const bytes = (await readFile(pathOf(folder, number))).subarray(from, length);
    for (const line of splitRecords(bytes, from === 0).lines) {
      const frame = JSON.parse(line.toString()) as Frame;
      foldIntoState(strandOf(frame, strands, ledger), frame);
      if (last === undefined || frame.at > last) last = frame.at;
    }
  }
  return last;
}

function strandOf(frame: Frame, strands: Map<string, StrandState>, ledger: string): StrandState {
  const there = strands.get(frame.session);
  if (there !== undefined) return there;
  if (frame.type !== 'session.start')
    throw new Error(`The journal holds frames of the unknown strand ${frame.session}.`);
  const day = dayOf(Date.parse(frame.at) * 1000);
  const made = newStrandState({ session: frame.session, ledger, day, start: frame.start, at: frame.at });
  strands.set(frame.session, made);
  return made;
}

function pathOf(folder: string, number: number): string {
  return join(folder, `${String(number).padStart(10, '0')}.journal`);
}
