/**
 * Accepting that a damaged journal has lost something. What is behind the damage is set aside, never removed, and counts
 * for nothing from then on; the loss is a gap in the ledger and in every strand that goes on.
 *
 * The crash windows, in order:
 *   before the loss is written    nothing happened
 *   after it is written           recovery passes over the files that are lost, wherever they lie
 *   while files are set aside     the same; what is left of them is set aside by `finishAccepting`
 */
import { copyFile, open, readdir, rename } from 'node:fs/promises';
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
  const { unfinished, state } = found;
  if (unfinished === undefined) await writeAhead.writeState(accepted(state));
  else await writeAhead.writeRound({ ...unfinished, after: accepted(unfinished.after) });
  return finishAccepting(path, loss);
}

/** Sets aside what is lost, as far as it is still in the journal. Resolves the folder that holds it. */
export async function finishAccepting(path: string, loss: Loss): Promise<string> {
  const journal = join(path, 'journal');
  const folder = join(path, 'lost', journalName(loss.next).replace('.journal', ''));
  await makeFolder(folder);
  for (const number of await numbersIn(journal)) {
    const [from, to] = [join(journal, journalName(number)), join(folder, journalName(number))];
    // What is before the damage goes on in the journal, until it is sealed.
    if (number === loss.at.file) await copyDurably(from, to);
    else if (number > loss.at.file && number < loss.next) await rename(from, to);
  }
  await syncFolder(folder);
  await syncFolder(journal);
  return folder;
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
