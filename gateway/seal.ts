/**
 * Sealing by hand what is on a disk that no gateway uses: composed as the gateway is, without anything that serves.
 * Everything that is opened is closed.
 */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { auditObject } from './audit.ts';
import { type Clock, createClock } from './clock.ts';
import type { Config } from './config.ts';
import { type Disk, openUsedDisk } from './disk.ts';
import { createGoogleApi } from './google-api.ts';
import { createGoogleKms } from './google-kms.ts';
import { entriesName } from './ledger/names.ts';
import { keptSigning, openLedgerKeys } from './ledger-keys.ts';
import { acceptLoss, finishAccepting } from './recording/accept-loss.ts';
import type { Damage } from './recording/examine.ts';
import { journalNumber, type Position } from './recording/journal-file.ts';
import { LedgerTakenError } from './recording/own-names.ts';
import { openRecorder, type Recorder } from './recording/recorder.ts';
import { examineDisk, type Found } from './recording/recover.ts';
import { giveForSealing, leftReserve } from './recording/reserve.ts';
import { createUnsealed } from './recording/unsealed.ts';
import { createWriteAhead } from './recording/write-ahead.ts';
import type { Store } from './store/store.ts';
import { StoreError } from './store/store-error.ts';

/** What is on a disk, and what sealing it would do. */
export interface DiskReport {
  readonly ledger: string;
  /** Frames that are in no stored segment, by strand, and whether the strand goes on. */
  readonly strands: readonly { readonly session: string; readonly frames: number; readonly open: boolean }[];
  /** Objects that were written beside the journal and may not be stored. */
  readonly objects: number;
  /** Manifests that are stored and under no checkpoint. */
  readonly uncovered: number;
  /** Time of the newest frame. */
  readonly newest?: string;
  readonly closed?: string;
  readonly damage?: Damage & { readonly bytes: number };
  /** A loss that was accepted and is not yet in the ledger. */
  readonly accepted: boolean;
}

export interface SealOutcome {
  /** Everything is stored and under a stored checkpoint. */
  readonly sealed: boolean;
  readonly closed: boolean;
  readonly objects: number;
  /** Why sealing failed, the last one last. */
  readonly failures: readonly Error[];
  readonly gaps: Recorder['gaps'];
  /** Where what is lost was set aside. */
  readonly lost?: string;
}

export interface SealableDisk {
  readonly report: DiskReport;
  /** Whether there is nothing to do but, where that is wanted, to close the ledger. */
  readonly isSealed: boolean;
  seal(options: SealOptions): Promise<SealOutcome>;
  release(): Promise<void>;
}

export interface SealOptions {
  readonly store: Store;
  /** Needed to accept a loss, and to close the ledger. */
  readonly audit?: Store;
  readonly signing: Config['signing'];
  readonly google: Config['google'];
  readonly acceptLoss: boolean;
  /** Closes the ledger for this reason. */
  readonly retire?: string;
}

/** The store does not hold what this disk has stored before: it is another one. */
export class WrongStoreError extends Error {
  override readonly name = 'WrongStoreError';
}

/** Locks the disk and looks at it; changes nothing. Rejects while a gateway has it. */
export async function openSealableDisk(path: string): Promise<SealableDisk> {
  const disk = await openUsedDisk(path);
  try {
    const writeAhead = createWriteAhead(disk.path);
    const journal = { folder: join(disk.path, 'journal'), ledger: disk.ledger, key: disk.keys.journal, writeAhead };
    const found = await examineDisk(journal);
    if (found.state.taken !== undefined) throw new LedgerTakenError(found.state.taken);
    const report = await reportOf(disk, found);
    return {
      report,
      isSealed:
        report.strands.length === 0 && report.objects === 0 && report.uncovered === 0 && report.damage === undefined,
      seal: (options) => sealDisk(disk, found, options),
      release: disk.release,
    };
  } catch (error) {
    await disk.release();
    throw error;
  }
}

async function reportOf(disk: Disk, found: Found): Promise<DiskReport> {
  const { damage, unfinished, state } = found;
  const after = unfinished?.after ?? state;
  // A round under way may not be stored: what is in it counts as not sealed.
  const stored = new Map(state.strands.map(({ session, sealedThrough }) => [session, sealedThrough]));
  const strands = found.strands
    .map(({ session, foldedThrough, endedAt }) => ({
      session,
      frames: foldedThrough - (stored.get(session) ?? -1),
      open: endedAt === undefined,
    }))
    .filter(({ frames }) => frames > 0);
  const newest = found.strands
    .map(({ last }) => last)
    .sort()
    .at(-1);
  return {
    ledger: disk.ledger,
    strands,
    objects: unfinished?.objects.length ?? 0,
    uncovered: state.frontier.size - state.checkpointed,
    ...(newest === undefined ? {} : { newest }),
    ...(after.closed === undefined ? {} : { closed: after.closed }),
    ...(damage === undefined
      ? {}
      : { damage: { ...damage, bytes: await bytesBehind(damage.at, join(disk.path, 'journal')) } }),
    accepted: after.loss !== undefined && after.loss.told !== true,
  };
}

/** Bytes of journal files that come after this position. */
async function bytesBehind(at: Position, journal: string): Promise<number> {
  let bytes = 0;
  for (const name of await readdir(journal)) {
    const number = journalNumber(name);
    if (number === undefined || number < at.file) continue;
    const { size } = await stat(join(journal, name));
    bytes += number === at.file ? Math.max(0, size - at.offset) : size;
  }
  return bytes;
}

async function sealDisk(disk: Disk, found: Found, options: SealOptions): Promise<SealOutcome> {
  const { store, audit, retire } = options;
  const clock = createClock();
  const reserve = leftReserve(disk.path);
  const writeAhead = createWriteAhead(disk.path, () => giveForSealing(reserve));
  await mustBeItsStore(found, store);
  const { damage } = found;
  const { loss } = found.unfinished?.after ?? found.state;
  let lost: string | undefined;
  if (damage !== undefined) {
    if (!options.acceptLoss) throw new Error(damage.words);
    await note(audit, clock, 'ledger.loss_accepted', disk, { words: damage.words });
    lost = await acceptLoss({ path: disk.path, found: { ...found, damage }, writeAhead, now: clock.micros() });
  } else if (loss !== undefined) lost = await finishAccepting(disk.path, loss);

  const kms = createGoogleKms(createGoogleApi({ google: options.google }));
  const signing = options.signing ?? (await keptSigning(disk.path));
  const { signer, firstKey, formerSigner } = await openLedgerKeys({ disk, signing, kms });
  const failures: Error[] = [];
  let objects = 0;
  const recorder = await openRecorder({
    path: disk.path,
    ledger: disk.ledger,
    journalKey: disk.keys.journal,
    signer,
    firstKey,
    formerSigner,
    store,
    clock,
    sealEvery: LATER,
    evenClosed: true,
    // The disk may be full: what the gateway held back for that is for this, too.
    pressure: { unsealed: createUnsealed(), reserve, upstreamOf: () => undefined, isFullFor: () => false },
    events: {
      checkpoint: (info) => {
        objects += info.objects;
      },
      heartbeat() {},
      keyChanged() {},
      unsigned: ({ error }) => void failures.push(error),
      taken: ({ error }) => void failures.push(error),
      failed: (error) => void failures.push(error),
    },
  });
  try {
    if (retire !== undefined && !recorder.isClosed()) {
      // Before it takes effect; a command that is given twice may tell twice of it.
      await note(audit, clock, 'ledger.closed', disk, { reason: retire });
      await recorder.retire(retire);
    } else await recorder.seal();
  } finally {
    await recorder.stop();
  }
  return {
    sealed: recorder.isSealed(),
    closed: recorder.isClosed(),
    objects,
    failures,
    gaps: recorder.gaps,
    ...(lost === undefined ? {} : { lost }),
  };
}

/** No round comes by itself: each is asked for. */
const LATER = 3_600_000;

/**
 * A ledger in two stores is none: where this disk has stored entries before, they have to be there. Whoever may only
 * create is not asked.
 */
async function mustBeItsStore({ state }: Found, store: Store): Promise<void> {
  if (state.nextEntries === 0) return;
  const name = entriesName(state.ledger, state.nextEntries - 1);
  try {
    if ((await store.get(name)) !== undefined) return;
  } catch (error) {
    if (error instanceof StoreError && error.code === 'permission_denied') return;
    if (!(error instanceof StoreError && error.code === 'no_store')) throw error;
  }
  throw new WrongStoreError(`${store.url} has no ${name}, which this disk has stored: its ledger is in another store.`);
}

async function note(
  audit: Store | undefined,
  clock: Clock,
  kind: string,
  { ledger }: Disk,
  details: Record<string, unknown>,
): Promise<void> {
  if (audit === undefined) throw new Error('There is no audit store.');
  const { name, bytes } = auditObject(clock.micros(), { kind, actor: 'operator', ledger, details });
  await audit.create(name, bytes);
}
