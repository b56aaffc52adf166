/** A small disk of its own, for what happens when it is full: a tmpfs, where this user may mount one. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface SmallDisk {
  readonly path: string;
  /** Another program takes all that is left. */
  fill(): Promise<void>;
  /** It gives it back. */
  clear(): Promise<void>;
  unmount(): Promise<void>;
}

const MiB = 1024 ** 2;

/** Or why there is none. */
export function mountSmallDisk(mebibytes: number): SmallDisk | string {
  if (process.platform !== 'linux') return 'tmpfs is Linux’s';
  if (process.getuid?.() !== 0) return 'mounting a tmpfs needs root';
  const path = mkdtempSync(join(tmpdir(), 'verbatim-small-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m,mode=0700`, 'verbatim-test', path], {
      stdio: 'pipe',
    });
  } catch (error) {
    return `a tmpfs can not be mounted here: ${error instanceof Error ? error.message : error}`;
  }
  const filler = join(path, 'of-another-program');
  return {
    path,
    async fill() {
      const file = await open(filler, 'w');
      try {
        for (let size = MiB; size >= 4096; ) {
          const wrote = await file.write(Buffer.alloc(size)).catch((error: NodeJS.ErrnoException) => {
            if (error.code !== 'ENOSPC') throw error;
            return { bytesWritten: 0 };
          });
          if (wrote.bytesWritten < size) size /= 2;
        }
      } finally {
        await file.close();
      }
    },
    clear: () => rm(filler),
    async unmount() {
      execFileSync('umount', [path]);
      await rm(path, { recursive: true });
    },
  };
}
