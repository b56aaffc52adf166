/**
 * Accepting that a damaged journal has lost something. What is behind the damage is set aside, never removed, and counts
 * for nothing from then on; the loss is a gap in the ledger and in every strand that goes on.
 *
 * The crash windows, in order:
 *   before the loss is written    nothing happened, but for a copy of the damaged file
 *   after it is written           recovery passes over the files that are lost, wherever they lie
 *   while files are set aside     the same; what is left of them is set aside by `finishAccepting`
 * Sealing removes journal files by their numbers, the lost ones too. So no recorder opens before `finishAccepting`.
 */
import { copyFile, open, readdir, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isoMicros } from '../clock.ts';
import { makeFolder, syncFolder } from '../durable-file.ts';
import type { Damage } from './examine.ts';
import { journalName, journalNumber } from './journal-file.ts';
import type { Found } from './recover.ts';
import type { LedgerState, Loss, WriteAhead } from './write-ahead.ts';

const REASON =
  'The disk of this ledger was damaged. What was whole of it is here; what is missing was accepted as lost.';

/** Resolves the folder that holds what was set aside. */
export async function acceptLoss(options: {
  /** The disk's folder. */
  readonly path: string;
  readonly found: Found & { readonly damage: Damage };
  readonly writeAhead: WriteAhead;
  /** Microseconds. */
  readonly now: number;
}): Promise<string> {
  const { path, found, writeAhead, now } = options;
  const numbers = await numbersIn(join(path, 'journal'));
  const { at } = found.damage;
  const loss: Loss = {
    at,
    next: Math.max(at.file, ...numbers) + 1,
    reason: REASON,
    from: newest(found) ?? madeAt(found.state.ledger),
    to: isoMicros(now),
  };
  // Strands as they were found: what was known of frames that are lost must not be missed again.
  const accepted = (state: LedgerState): LedgerState => {
    const { end: _, ...rest } = state;
    return { ...rest, strands: found.strands, loss };
  };
  // Before the loss is written: what needs room on the disk, or fails in another way, changes nothing then.
  if (numbers.includes(at.file)) await inWords(path, loss, (folder) => copyLost(path, folder, at.file));
  const { unfinished, state } = found;
  if (unfinished === undefined) await writeAhead.writeState(accepted(state));
  else await writeAhead.writeRound({ ...unfinished, after: accepted(unfinished.after) });
  return finishAccepting(path, loss);
}

/** Sets aside what is lost, as far as it is still in the journal. Resolves the folder that holds it. */
export function finishAccepting(path: string, loss: Loss): Promise<string> {
  return inWords(path, loss, async (folder) => {
    const journal = join(path, 'journal');
    for (const number of await numbersIn(journal)) {
      // What is before the damage goes on in the journal, until it is sealed.
      if (number === loss.at.file) {
        // A copy under its name is whole, and is not made again: the disk may be full by now.
        if (!(await isThere(join(folder, journalName(number))))) await copyLost(path, folder, number);
      } else if (number > loss.at.file && number < loss.next) {
        await rename(join(journal, journalName(number)), join(folder, journalName(number)));
      }
    }
    await syncFolder(folder);
    await syncFolder(journal);
  });
}

async function inWords(path: string, loss: Loss, setAside: (folder: string) => Promise<void>): Promise<string> {
  const folder = join(path, 'lost', journalName(loss.next).replace('.journal', ''));
  try {
    await makeFolder(folder);
    await setAside(folder);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`What was accepted as lost can't be set aside in ${folder}. Nothing of it was removed. ${why}`, {
      cause,
    });
  }
  return folder;
}

async function copyLost(path: string, folder: string, number: number): Promise<void> {
  const to = join(folder, journalName(number));
  const unfinished = `${to}.tmp`;
  await copyDurably(join(path, 'journal', journalName(number)), unfinished);
  await rename(unfinished, to);
  await syncFolder(folder);
}

async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

async function numbersIn(journal: string): Promise<number[]> {
  return (await readdir(journal)).flatMap((name) => journalNumber(name) ?? []);
}

async function copyDurably(from: string, to: string): Promise<void> {
  await copyFile(from, to);
  const handle = await open(to, 'r+');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** A ledger's id is a UUIDv7, made with its disk: its first 48 bits are milliseconds. Nothing is older. */
function madeAt(ledger: string): string {
  return isoMicros(Number.parseInt(ledger.replace('-', '').slice(0, 12), 16) * 1000);
}

/** Commits are in the order of time over all strands: what is lost is younger than the newest that is there. */
function newest({ strands }: Found): string | undefined {
  return strands
    .map(({ last }) => last)
    .sort()
    .at(-1);
}
