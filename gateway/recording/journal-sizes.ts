/** Sizes that follow from how much the journal may hold, so that a small disk gets small steps. Pure. */
import { FILE_LIMIT, RECORD_LIMIT } from './journal-file.ts';

const MiB = 1024 ** 2;

export interface JournalSizes {
  /** A file goes only as a whole, so it is a small part of all. */
  readonly fileLimit: number;
  /** A record is read into memory, and into a round, as a whole. */
  readonly recordLimit: number;
  /** Of each of the two reserved files. */
  readonly reserve: number;
}

export function journalSizes(limit: number, diskTotal: number): JournalSizes {
  const capacity = Math.min(limit, diskTotal);
  const reserve = between(MiB, capacity / 64, 16 * MiB);
  return {
    fileLimit: between(MiB, capacity / 64, FILE_LIMIT),
    recordLimit: between(MiB / 4, reserve / 4, RECORD_LIMIT),
    reserve,
  };
}

function between(least: number, value: number, most: number): number {
  return Math.floor(Math.min(most, Math.max(least, value)));
}
