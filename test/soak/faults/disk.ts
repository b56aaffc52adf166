/** A disk that fails under the journal and under what sealing writes ahead. */
import { createFaultyFileSystem, type Fault } from '../../../gateway/recording/faults.ts';
import { createMemoryStore } from '../../../gateway/store/memory.ts';
import type { Findings } from './findings.ts';
import { sickenRename } from './rename.ts';
import { createTape } from './tape.ts';

const STEPS = ['open', 'writev', 'fdatasync', 'syncFolder', 'unlink'] as const;
/** Small, so that files are begun and removed all the time. */
const FILE_LIMIT = 8 * 1024;
const LOAD = { sessions: 4, rounds: 4 };

export interface DiskLoad {
  readonly passes: number;
  readonly codes: readonly Fault['code'][];
}

export async function soakDisk(folder: string, findings: Findings, { passes, codes }: DiskLoad): Promise<void> {
  const fs = createFaultyFileSystem();
  const rename = sickenRename(folder);
  const store = createMemoryStore();
  const tape = await createTape({ folder, store, fileSystem: fs, fileLimit: FILE_LIMIT });

  async function cell(name: string, strike: () => void, hits: () => number): Promise<void> {
    await tape.seal();
    const before = hits();
    // A session that can not begin records nothing: it is what has begun that must not be lost.
    await tape.record({ ...LOAD, begun: strike });
    findings.cell(`disk: ${name}`, hits() - before);
    fs.heal();
    fs.shortWrites(Number.POSITIVE_INFINITY);
    rename.fail(0, false);
  }

  /** As a power cut would: bytes and names that were never synced are gone. */
  async function cutPower(): Promise<void> {
    await tape.kill();
    await fs.cutPower();
  }

  try {
    for (let pass = 0; pass < passes; pass++) {
      for (const persists of [false, true]) {
        for (const step of STEPS) {
          for (const code of codes) {
            const fault: Fault = { code, persists };
            const name = `${step} fails with ${code}${persists ? ' and is done' : ''}`;
            // What comes once or twice in a cell strikes at once; writes come often, and not only the first may fail.
            const isRare = step !== 'writev' && step !== 'fdatasync';
            await cell(
              name,
              () => fs.fail(step, fault, isRare ? 1 : 2, isRare ? 0 : pass % 3),
              () => fs.failures(),
            );
          }
          if (step === 'fdatasync') await cutPower();
        }
        await cell(`rename fails${persists ? ' and is done' : ''}`, () => rename.fail(3, persists), rename.hits);
        await cutPower();
      }
      const writes = fs.calls.writev;
      await cell(
        'writes are short',
        () => fs.shortWrites(7),
        () => fs.calls.writev - writes,
      );
      await tape.kill();
    }
    await findings.prove('disk', tape, store);
  } finally {
    rename.restore();
    await tape.stop();
  }
}
