/** A real recorder on a disk of its own that is killed, opened again and made to record, while what it stands on fails. */
import { randomBytes, randomUUID } from 'node:crypto';
import { uuidv7 } from 'uuidv7';
import type { Signer } from '../../../gateway/ledger/signer.ts';
import type { FileSystem } from '../../../gateway/recording/file-system.ts';
import type { Frame } from '../../../gateway/recording/frame.ts';
import { configurationName, policyName } from '../../../gateway/recording/objects.ts';
import { openRecordings } from '../../../gateway/recording/read.ts';
import type { Verification } from '../../../gateway/recording/read-verify.ts';
import type { RecorderPressure } from '../../../gateway/recording/recorder.ts';
import type { Strand } from '../../../gateway/recording/strand.ts';
import {
  CONFIGURATION,
  openTestRecorder,
  POLICY,
  SIGNER,
  START,
  type TestRecorder,
} from '../../../gateway/recording/test-recorder.ts';
import type { WriteAhead } from '../../../gateway/recording/write-ahead.ts';
import type { Store } from '../../../gateway/store/store.ts';
import { type Compared, createTold } from './told.ts';

export interface Tape {
  /**
   * New sessions, so many rounds of one exchange each, sealed after each round. `bytes` of noise in each answer; `seals`
   * attempts at sealing a round, where it can not get through. `begun` is called once the sessions have begun. Where
   * acknowledgements may never come they are not `awaited`.
   */
  record(load: {
    sessions: number;
    rounds: number;
    bytes?: number;
    seals?: number;
    awaited?: boolean;
    begun?: () => void;
  }): Promise<void>;
  /** As SIGKILL would, in the middle of an exchange and of a round; what records next opens the same disk again. */
  kill(): Promise<void>;
  stop(): Promise<void>;
  /** Checkpoints that were stored so far, over all starts. */
  checkpoints(): number;
  /** Everything durable is under a stored checkpoint; false where that did not come to be. */
  seal(attempts?: number): Promise<boolean>;
  /** Sealing has stopped for good: another owner stores under this disk's names. */
  isTaken(): boolean;
  /** What was told so far, by what it was. */
  told(): { readonly acknowledged: number; readonly refused: number };
  /** Proves and reads all that `store` holds, as `verbatim verify` does. */
  check(store: Store): Promise<{ verification: Verification; compared: Compared; unreadable: readonly string[] }>;
}

export interface TapeOptions {
  readonly folder: string;
  readonly store: Store;
  readonly signer?: Signer;
  readonly fileSystem?: FileSystem;
  readonly fileLimit?: number;
  readonly pressure?: RecorderPressure;
  readonly writeAhead?: () => WriteAhead;
}

/** A fault ends at last; a seal that never gets through is a finding, not an endless loop. */
const MOST_SEALS = 100;

export async function createTape(options: TapeOptions): Promise<Tape> {
  const { folder, store, signer = SIGNER, fileSystem, fileLimit, pressure, writeAhead } = options;
  const told = createTold();
  let recorder: TestRecorder | undefined;
  let stored = 0;
  for (const [name, bytes] of [
    [configurationName(START.configuration), CONFIGURATION],
    [policyName(START.policy), POLICY],
  ] as const) {
    await store.create(name, bytes);
  }

  /** A disk that fails while it is opened is opened again: it must have lost nothing. */
  async function opened(): Promise<TestRecorder> {
    for (let tries = 0; recorder === undefined; tries++) {
      try {
        recorder = await openTestRecorder({
          folder,
          store,
          signer,
          ...(fileSystem === undefined ? {} : { fileSystem }),
          ...(fileLimit === undefined ? {} : { fileLimit }),
          ...(pressure === undefined ? {} : { pressure }),
          ...(writeAhead === undefined ? {} : { writeAhead }),
        });
      } catch (error) {
        if (tries >= MOST_SEALS) throw error;
      }
    }
    return recorder;
  }

  async function seal(attempts = MOST_SEALS): Promise<boolean> {
    const { seal, journal } = await opened();
    for (let tries = 0; tries < attempts; tries++) {
      await seal();
      if (journal.oldestUnsealed() === undefined) return true;
    }
    return false;
  }

  async function close(how: 'stop' | 'kill'): Promise<void> {
    stored += recorder?.checkpoints.length ?? 0;
    const closing = recorder;
    recorder = undefined;
    await closing?.[how]();
  }

  /** A strand whose end is refused goes on. */
  const end = (recording: TestRecorder, strand: Strand): Promise<void> =>
    recording.end(strand, 'over').catch(() => undefined);

  return {
    async record({ sessions, rounds, bytes = 0, seals, awaited = true, begun: whenBegun }) {
      const recording = await opened();
      // Those of the start before go on for a while, and end here.
      await Promise.all([...recording.strands()].map((strand) => end(recording, strand)));
      const strands = await Promise.all(
        Array.from({ length: sessions }, (_, index) =>
          // Every fourth waits for the store with each frame.
          recording
            .begin(uuidv7(), { ...START, durability: index % 4 === 3 ? 'bucket' : 'disk' })
            .catch(() => undefined),
        ),
      );
      const begun = strands.filter((strand) => strand !== undefined);
      whenBegun?.();
      for (let round = 0; round < rounds; round++) {
        const noise = randomBytes(bytes).toString('base64');
        const answers = begun.map((strand) => told.exchange(strand, uuidv7(), `${randomUUID()}${noise}`));
        if (!(await seal(seals)) && seals === undefined)
          throw new Error(`A round was never sealed: ${recording.failures.at(-1)}`);
        if (awaited) await Promise.all(answers);
      }
      await Promise.all(begun.map((strand, index) => (index % 2 === 0 ? end(recording, strand) : undefined)));
    },
    async kill() {
      const killed = recorder;
      const open = [...(killed?.strands() ?? [])].filter(({ state }) => state.endedAt === undefined);
      const answers = open.map((strand) => told.exchange(strand, uuidv7(), randomUUID()));
      const sealing = killed?.seal();
      await Promise.race([sealing, ...answers]);
      told.deaf();
      await close('kill');
    },
    stop: () => close('stop'),
    seal,
    isTaken: () => recorder?.isTaken() ?? false,
    told: told.counts,
    checkpoints: () => stored + (recorder?.checkpoints.length ?? 0),

    async check(readable) {
      const recordings = openRecordings(readable);
      const verification = await recordings.verifyAll({ verifierKeys: [signer.verifierKey], now: Date.now() });
      const unreadable: string[] = [];
      async function* frames(): AsyncGenerator<Frame> {
        for await (const { session } of recordings.sessions()) {
          for await (const item of recordings.frames(session)) {
            if (item.kind === 'frame') yield item.frame;
            else unreadable.push(item.kind === 'problem' ? `${item.problem.code} ${item.problem.object}` : item.object);
          }
        }
      }
      return { compared: await told.compare(frames()), verification, unreadable };
    },
  };
}
