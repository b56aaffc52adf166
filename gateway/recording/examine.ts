/**
 * What a journal holds behind where sealing stands: the longest prefix that is whole, folded into its strands, and the
 * first thing that was acknowledged once and is broken or gone. Decides on bytes alone; nothing is changed.
 */
import { createSecretKey } from 'node:crypto';
import { dayOf } from '../clock.ts';
import type { Frame } from './frame.ts';
import { type CheckedFile, checkJournalFile, isAfter, type Position, readRecords } from './journal-file.ts';
import { foldIntoState, newStrandState, type StrandState } from './strand.ts';

/** Journal files by number, in ascending order. One is read at a time: a backlog may be larger than memory. */
export interface JournalFiles {
  readonly numbers: readonly number[];
  size(number: number): Promise<number>;
  read(number: number): Promise<Buffer>;
}

export interface Examined {
  /** Files by number, with the length that counts. */
  readonly found: ReadonlyMap<number, number>;
  readonly strands: readonly StrandState[];
  /** Time of the oldest frame that is in no round yet. */
  readonly oldest?: string;
  /** Bytes of frames that are in no round yet, by session. */
  readonly unsealed: ReadonlyMap<string, number>;
  /** The file of the newest commit that is in no round yet. */
  readonly newestFile?: number;
  readonly damage?: Damage;
}

export interface Damage {
  /** What is before this position is whole. */
  readonly at: Position;
  readonly words: string;
}

export interface Known {
  readonly key: Buffer;
  readonly ledger: string;
  /** Where sealing stands, and the strands as they were known last. */
  readonly sealed: Position;
  readonly strands: readonly StrandState[];
  /** Where an orderly stop left the journal's end. */
  readonly end?: Position;
  /** Damage that was accepted: the journal counts up to `at`, and goes on with the file `next`. */
  readonly loss?: { readonly at: Position; readonly next: number };
}

export async function examineJournal(files: JournalFiles, known: Known): Promise<Examined> {
  const { found, damage: broken } = await findWhole(files, known);
  const folded = await foldJournal(files, found, known);
  const damage = folded.damage ?? broken ?? missingEnd(found, known) ?? missingFrames(found, folded.reached, known);
  return {
    found,
    strands: [...folded.strands.values()].map((state) => takeBack(state, folded.reached.get(state.session))),
    ...(folded.oldest === undefined ? {} : { oldest: folded.oldest }),
    unsealed: folded.unsealed,
    ...(folded.newestFile === undefined ? {} : { newestFile: folded.newestFile }),
    ...(damage === undefined ? {} : { damage }),
  };
}

async function findWhole(
  files: JournalFiles,
  { key, sealed, loss }: Known,
): Promise<{ found: Map<number, number>; damage?: Damage }> {
  // Bytes as a key are checked and copied anew by each HMAC.
  const chained = createSecretKey(key);
  const found = new Map<number, number>();
  const checked = new Map<number, CheckedFile>();
  for (const number of files.numbers) {
    if (loss !== undefined && number > loss.at.file && number < loss.next) continue;
    // All of it is in stored segments; it is kept only until a checkpoint is over them.
    if (number < sealed.file) found.set(number, await files.size(number));
    else {
      const from = number === sealed.file ? sealed.offset : 0;
      checked.set(number, checkJournalFile(chained, await files.read(number), number, from));
    }
  }
  // Behind its limit lies what was refused after a failed fsync, or cut off by an earlier start.
  const limits = new Map<number, number>();
  for (const { previous } of checked.values()) if (previous !== undefined) limits.set(previous.file, previous.length);
  if (loss !== undefined) limits.set(loss.at.file, loss.at.offset);
  let end: Position = sealed;
  for (const [number, { length, damaged, previous }] of checked) {
    if (previous !== undefined && isAfter({ file: previous.file, offset: previous.length }, sealed)) {
      if (!checked.has(previous.file)) {
        return { found, damage: { at: end, words: `Journal file ${previous.file} is missing.` } };
      }
    }
    const limit = limits.get(number);
    const whole = Math.max(length, number === sealed.file ? sealed.offset : 0);
    if (length < Math.max(limit ?? 0, number === sealed.file ? sealed.offset : 0) || (damaged && limit === undefined)) {
      found.set(number, whole);
      const words = `Journal file ${number} is damaged behind byte ${length}.`;
      return { found, damage: { at: { file: number, offset: whole }, words } };
    }
    found.set(number, limit ?? length);
    end = { file: number, offset: limit ?? length };
  }
  return { found };
}

interface Folded {
  readonly strands: ReadonlyMap<string, StrandState>;
  /** `seq` up to which the frames of a strand are there: in segments, carried, or in the journal. */
  readonly reached: ReadonlyMap<string, number>;
  readonly unsealed: ReadonlyMap<string, number>;
  readonly oldest?: string;
  readonly newestFile?: number;
  readonly damage?: Damage;
}

/** Folds what was found, up to a frame that can't follow those before it: from there on nothing counts as found. */
async function foldJournal(files: JournalFiles, found: Map<number, number>, known: Known): Promise<Folded> {
  const { sealed, ledger } = known;
  const strands = new Map(known.strands.map((strand) => [strand.session, structuredClone(strand)]));
  const reached = new Map(
    known.strands.map((strand) => [strand.session, strand.sealedThrough + (strand.carried?.lines.length ?? 0)]),
  );
  const unsealed = new Map<string, number>();
  let oldest: string | undefined;
  let newestFile: number | undefined;
  const folded = (damage?: Damage): Folded => ({
    strands,
    reached,
    unsealed,
    ...(oldest === undefined ? {} : { oldest }),
    ...(newestFile === undefined ? {} : { newestFile }),
    ...(damage === undefined ? {} : { damage }),
  });
  for (const [number, length] of [...found]) {
    const from = number === sealed.file ? sealed.offset : 0;
    if (number < sealed.file || from >= length) continue;
    const bytes = (await files.read(number)).subarray(0, length);
    for (const { at, lines } of readRecords(bytes, from)) {
      const frames = lines.map((line) => JSON.parse(line.toString()) as Frame);
      const words = whyNotNext(frames, reached);
      if (words !== undefined) {
        for (const later of [...found.keys()]) if (later > number) found.delete(later);
        found.set(number, at);
        return folded({ at: { file: number, offset: at }, words });
      }
      newestFile = number;
      for (const [index, frame] of frames.entries()) {
        unsealed.set(frame.session, (unsealed.get(frame.session) ?? 0) + (lines[index]?.length ?? 0));
        reached.set(frame.session, frame.seq);
        foldIntoState(strandOf(frame, strands, ledger), frame);
        oldest ??= frame.at;
      }
    }
  }
  return folded();
}

/** Why a commit can't follow what was found before it; `undefined` where it does. */
function whyNotNext(frames: readonly Frame[], reached: ReadonlyMap<string, number>): string | undefined {
  const next = new Map<string, number>();
  for (const frame of frames) {
    const before = next.get(frame.session) ?? reached.get(frame.session);
    if (before === undefined && frame.type !== 'session.start')
      return `The journal holds frames of the unknown strand ${frame.strand}.`;
    const expected = (before ?? -1) + 1;
    if (frame.seq !== expected)
      return `Strand ${frame.strand} goes on at frame ${frame.seq}, expected ${expected}: journal files are missing.`;
    next.set(frame.session, frame.seq);
  }
  return undefined;
}

function missingEnd(found: ReadonlyMap<number, number>, { end, sealed }: Known): Damage | undefined {
  if (end === undefined) return undefined;
  const at = endOf(found, sealed);
  if (!isAfter(end, at)) return undefined;
  return { at, words: `Journal file ${end.file} was written up to byte ${end.offset}, and is not there so far.` };
}

/** The state knows of frames that were durable and are in neither a segment nor the journal. */
function missingFrames(
  found: ReadonlyMap<number, number>,
  reached: ReadonlyMap<string, number>,
  known: Known,
): Damage | undefined {
  const short = known.strands.find(({ session, foldedThrough }) => (reached.get(session) ?? -1) < foldedThrough);
  if (short === undefined) return undefined;
  const words = `Strand ${short.summary.strand} ends at frame ${reached.get(short.session) ?? -1}, expected ${short.foldedThrough}: journal files are missing.`;
  return { at: endOf(found, known.sealed), words };
}

function endOf(found: ReadonlyMap<number, number>, sealed: Position): Position {
  let end = sealed;
  for (const [file, offset] of found) if (isAfter({ file, offset }, end)) end = { file, offset };
  return end;
}

/**
 * A strand of which the state knows more than is there goes on behind what is there. What the lost frames counted stays
 * counted, since they were acknowledged; how many frames there are is what readers check.
 */
function takeBack(state: StrandState, through: number | undefined): StrandState {
  if (through === undefined || through >= state.foldedThrough) return state;
  const { endedAt: _, ...rest } = state;
  const { ended: _ended, reason: _reason, ...summary } = state.summary;
  return { ...rest, foldedThrough: through, summary: { ...summary, frames: through + 1 } };
}

function strandOf(frame: Frame, strands: Map<string, StrandState>, ledger: string): StrandState {
  const there = strands.get(frame.session);
  if (there !== undefined) return there;
  if (frame.type !== 'session.start') throw new Error(`Strand ${frame.strand} has no start.`);
  const day = dayOf(Date.parse(frame.at) * 1000);
  const made = newStrandState({ session: frame.session, ledger, day, start: frame.start, at: frame.at });
  strands.set(frame.session, made);
  return made;
}
