/** A small disk that another program fills while the store is down, and what becomes of it once the store is back. */
import { openReserve } from '../../../gateway/recording/reserve.ts';
import { createUnsealed } from '../../../gateway/recording/unsealed.ts';
import { createWriteAhead } from '../../../gateway/recording/write-ahead.ts';
import { createMemoryStore } from '../../../gateway/store/memory.ts';
import type { Store } from '../../../gateway/store/store.ts';
import { StoreError } from '../../../gateway/store/store-error.ts';
import { mountSmallDisk, type SmallDisk } from '../../small-disk.ts';
import type { Findings } from './findings.ts';
import { switchable } from './switchable.ts';
import { createTape } from './tape.ts';

const MIB = 1024 ** 2;
/** What is reserved of it twice, as a gateway does on a disk of this size. */
const RESERVE = MIB;
const DISK_MIB = 12;
/** Noise in each answer: so many fill it soon. */
const BYTES = 48 * 1024;
const MOST_ROUNDS = 200;

/** Resolves why not, where there can be no such disk here. */
export async function soakFullDisk(findings: Findings, passes: number): Promise<string | undefined> {
  const disk = mountSmallDisk(DISK_MIB);
  if (typeof disk === 'string') return `A full disk: ${disk}.`;
  try {
    await fill(disk, findings, passes).catch((e) => {
      console.error(e);
      process.exit(1);
    });
  } finally {
    await disk.unmount();
  }
  return undefined;
}

async function fill(disk: SmallDisk, findings: Findings, passes: number): Promise<void> {
  const { path } = disk;
  const stored = createMemoryStore();
  const { store, use } = switchable(stored);
  const down: Store = {
    ...stored,
    create: () => Promise.reject(new StoreError('unavailable', 'The store is down.')),
  };
  const reserve = await openReserve(path, RESERVE);
  const tape = await createTape({
    folder: path,
    store,
    fileLimit: MIB,
    pressure: { unsealed: createUnsealed(), reserve, upstreamOf: () => undefined, isFullFor: () => false },
    writeAhead: () => createWriteAhead(path, () => reserve.give('sealing')),
  });
  for (let pass = 0; pass < passes; pass++) {
    await reserve.take();
    use(down);
    for (let round = 0; round < 8; round++) {
      await tape.record({ sessions: 3, rounds: 1, bytes: BYTES, seals: 1 });
    }
    const before = tape.told();
    await disk.fill();
    for (let round = 0; round < MOST_ROUNDS && tape.told().refused === before.refused; round++) {
      await tape.record({ sessions: 3, rounds: 1, bytes: BYTES, seals: 1 });
    }
    // Killed and started again while it is full.
    if (pass % 2 === 1) await tape.kill();
    await tape.record({ sessions: 2, rounds: 1, bytes: BYTES, seals: 1 });
    findings.cell('disk: full', tape.told().refused - before.refused);
    use(stored);
    // What is sealed leaves the disk, and is all the room that there is.
    if (!(await tape.seal())) findings.wrong('disk: what waited on a full disk was never sealed.');
    const after = tape.told();
    await tape.record({ sessions: 3, rounds: 2 });
    if (tape.told().refused > after.refused) findings.wrong('disk: it refuses, and everything is sealed.');
    await disk.clear();
  }
  await findings.prove('disk: full', tape, stored);
  await tape.stop();
}
