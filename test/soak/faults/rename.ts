/** `rename(2)` that fails, for the files of one folder: what is written durably has no seam of its own for it. */
import promises from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';

export interface SickRename {
  /** The next `times` renames fail with EIO. */
  fail(times: number, persists: boolean): void;
  /** How many failed. */
  hits(): number;
  restore(): void;
}

export function sickenRename(folder: string): SickRename {
  const { rename } = promises;
  let left = 0;
  let persisting = false;
  let hits = 0;
  promises.rename = async (from, to) => {
    if (left === 0 || !String(to).startsWith(folder)) return rename(from, to);
    left--;
    hits++;
    if (persisting) await rename(from, to);
    throw Object.assign(new Error('EIO: rename'), { code: 'EIO' });
  };
  // The named imports of every module that has them.
  syncBuiltinESMExports();
  return {
    fail(times, persists) {
      left = times;
      persisting = persists;
    },
    hits: () => hits,
    restore() {
      promises.rename = rename;
      syncBuiltinESMExports();
    },
  };
}
