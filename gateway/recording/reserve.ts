/**
 * Bytes of the disk that are taken from the start and given back when it is full, so that what has begun can be brought
 * to its end: the answers and ends of calls that went out, and the round that sealing writes before it frees anything.
 * Two files, so that a flood of answers can not use up what sealing needs; sealing may use both.
 *
 * Given back is for everybody: another program may be faster. That window is as short as one write.
 */
import { randomFillSync } from 'node:crypto';
import { stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { syncFolder, writeDurably } from '../durable-file.ts';

export type ReserveFor = 'journal' | 'sealing';

export interface Reserve {
  /** Gives the file back to the disk; resolves false where it was given back before. */
  give(what: ReserveFor): Promise<boolean>;
  /** Takes what is missing, one file after another. Rejects where there is no room. */
  take(): Promise<void>;
  /** Bytes that are held. */
  bytes(): number;
  isWhole(): boolean;
}

const CHUNK = 1024 ** 2;

function pathIn(folder: string, what: ReserveFor): string {
  return join(folder, `reserve.${what}`);
}

export async function openReserve(folder: string, size: number): Promise<Reserve> {
  const held: Record<ReserveFor, number> = { journal: 0, sealing: 0 };
  let taking: Promise<void> = Promise.resolve();

  async function takeOne(what: ReserveFor): Promise<void> {
    if (held[what] > 0) return;
    // Not zeros: file systems that compress would keep none of them.
    const chunk = randomFillSync(Buffer.allocUnsafe(Math.min(CHUNK, size)));
    await writeDurably(
      pathIn(folder, what),
      Array.from({ length: Math.ceil(size / chunk.length) }, () => chunk),
    );
    held[what] = size;
  }

  for (const what of ['journal', 'sealing'] as const) {
    const there = await stat(pathIn(folder, what)).catch(() => undefined);
    // Of another size it is taken anew; a whole one is kept, also where there would be no room for it now.
    if (there !== undefined && there.size >= size && there.size <= 2 * size) held[what] = there.size;
  }

  return {
    async give(what) {
      await taking.catch(() => {});
      if (held[what] === 0) return false;
      held[what] = 0;
      await giveFile(folder, what);
      return true;
    },
    take() {
      taking = taking
        .catch(() => {})
        .then(async () => {
          for (const what of ['sealing', 'journal'] as const) await takeOne(what);
        });
      return taking;
    },
    bytes: () => held.journal + held.sealing,
    isWhole: () => held.journal > 0 && held.sealing > 0,
  };
}

async function giveFile(folder: string, what: ReserveFor): Promise<void> {
  await unlink(pathIn(folder, what));
  // Some file systems lend freed blocks again only once the removal is on the disk.
  await syncFolder(folder);
}

/** What a gateway that is gone has left of it: given back where it lies, and never taken again. */
export function leftReserve(folder: string): Pick<Reserve, 'give'> {
  return {
    give: (what) =>
      giveFile(folder, what).then(
        () => true,
        (error: NodeJS.ErrnoException) => {
          if (error.code !== 'ENOENT') throw error;
          return false;
        },
      ),
  };
}

/** Sealing makes room for everything else: it may use what is held back for the journal, too. */
export async function giveForSealing({ give }: Pick<Reserve, 'give'>): Promise<boolean> {
  return (await give('sealing').catch(() => false)) || give('journal');
}

export function isNoSpace(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return code === 'ENOSPC' || code === 'EDQUOT';
}
