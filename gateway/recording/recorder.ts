/**
 * The recorder: strands over one journal, sealed into one ledger. It knows frames and sessions' ids, not HTTP.
 */
import { join } from 'node:path';
import { uuidv7 } from 'uuidv7';
import { type Clock, dayOf, isoMicros } from '../clock.ts';
import { makeFolder } from '../durable-file.ts';
import type { Store } from '../store/store.ts';
import { finishAccepting } from './accept-loss.ts';
import type { StoreWait } from './bucket-strand.ts';
import { type FileSystem, nodeFileSystem } from './file-system.ts';
import type { RecordedPrincipal, SessionStart } from './frame.ts';
import { createJournal, type Journal } from './journal.ts';
import type { Signers } from './ledger-signing.ts';
import { type Recovered, recover } from './recover.ts';
import { giveForSealing, type Reserve } from './reserve.ts';
import { createSealer, type SealerEvents } from './sealer.ts';
import { createStrand, newStrandState, type Strand, type StrandState } from './strand.ts';
import { type Account, type Holder, principalName, type Unsealed } from './unsealed.ts';
import { createWriteAhead, type LedgerState, type WriteAhead } from './write-ahead.ts';

export interface Recorder {
  readonly ledger: string;
  /** The key that signs the next checkpoint, and the one that does so when all announcements are covered. */
  keys(): { readonly inForce: string; readonly announced: string };
  /** Announces the signer's key in the ledger; the checkpoint that covers it is the last by the key before. */
  announceKey(): Promise<void>;
  readonly journal: Journal;
  /** Strands that have not ended. */
  strands(): Iterable<Strand>;
  strand(session: string): Strand | undefined;
  /** Begins a strand; resolves when its `session.start` is durable. Its first segment is sealed right away. */
  begin(session: string, start: SessionStart['start']): Promise<Strand>;
  /** Ends a strand, with an `unknown` end for what is open in it; resolves when its `strand.end` is durable. */
  end(strand: Strand, reason: string): Promise<void>;
  /** Seals everything that is durable by now. */
  seal(): Promise<void>;
  /** Whether another owner stores under this ledger's names: what is recorded here can't become evidence. */
  isTaken(): boolean;
  heartbeat(): Promise<void>;
  /** Retires the disk: ends every strand, seals everything and closes the ledger. Nothing else may use the recorder then. */
  retire(reason: string): Promise<void>;
  /** Whether everything that is durable is stored and under a stored checkpoint. */
  isSealed(): boolean;
  /** Whether the ledger is closed, under a stored checkpoint. */
  isClosed(): boolean;
  /** The gap frames that this start wrote, since the last stop was a crash, or long ago. */
  readonly gaps: readonly Gap[];
  stop(): Promise<void>;
}

export interface RecorderOptions extends Signers {
  /** The disk's folder. */
  readonly path: string;
  readonly ledger: string;
  readonly journalKey: Buffer;
  readonly store: Store;
  readonly clock: Clock;
  /** Milliseconds. */
  readonly sealEvery: number;
  /** Milliseconds that a frame of a `bucket` strand waits for the store before it fails; 30 s where absent. */
  readonly storeWithin?: number;
  /** Bytes of `memory` strands that may wait for the journal; 64 MiB where absent. What comes beyond it is lost. */
  readonly memoryLimit?: number;
  readonly events: SealerEvents;
  readonly fileSystem?: FileSystem;
  readonly writeAhead?: WriteAhead;
  /** Also a disk whose ledger is closed: what was not stored yet can be. */
  readonly evenClosed?: true;
  readonly journalLimits?: { readonly fileLimit?: number; readonly recordLimit?: number };
  /** What the disk has for it, and who may use that. */
  readonly pressure?: RecorderPressure;
}

export interface RecorderPressure {
  readonly unsealed: Unsealed;
  readonly reserve: Pick<Reserve, 'give'>;
  upstreamOf(connection: string): string | undefined;
  /** The journal has no room for frames of this holder that nothing was promised for (`durability: memory`). */
  isFullFor(holder: Holder): boolean;
}

export interface Gap {
  readonly kind: 'crash' | 'detached' | 'loss';
  readonly session: string;
  readonly reason: string;
  readonly from: string;
  readonly to: string;
}

/**
 * An orderly stop that is over sooner than this leaves no gap frame: nothing is missing, calls were ended in words, and
 * an update that restarts every gateway would bury the gaps that matter under one a session. What is longer is a disk
 * without a gateway, and a reader of the session is told from when to when nothing could be recorded on it.
 */
const DETACHED_MS = 60_000;
const REASONS = {
  crash: 'The gateway stopped without an orderly end; what it had acknowledged is here.',
  detached: 'The gateway was stopped in order, and its disk had nobody; what it had acknowledged is here.',
} as const;
const STORE_WITHIN_MS = 30_000;
const MEMORY_LIMIT = 64 * 1024 * 1024;

export async function openRecorder(options: RecorderOptions): Promise<Recorder> {
  const { clock, ledger } = options;
  const folder = join(options.path, 'journal');
  await makeFolder(folder);
  const { pressure } = options;
  const writeAhead =
    options.writeAhead ??
    createWriteAhead(options.path, async () => pressure !== undefined && giveForSealing(pressure.reserve));
  const disk = { folder, key: options.journalKey, fileSystem: options.fileSystem ?? nodeFileSystem };
  const evenClosed = options.evenClosed === undefined ? {} : { evenClosed: options.evenClosed };
  const recovered = await recover({ ...disk, ledger, writeAhead, ...evenClosed });
  const current = recovered.unfinished?.after ?? recovered.state;
  const { loss } = current;
  const uncoveredSince = uncoveredSinceOf(current);
  // Whoever accepted it may not have come to the end of setting it aside.
  if (loss !== undefined) await finishAccepting(options.path, loss);
  const journal = await createJournal({
    ...disk,
    found: recovered.found,
    sealed: current.sealed,
    now: () => clock.millis(),
    makeRoom: async () => (await pressure?.reserve.give('journal')) ?? false,
    ...(loss === undefined ? {} : { firstNumber: loss.next }),
    ...(recovered.oldest === undefined ? {} : { oldest: Date.parse(recovered.oldest) }),
    ...(uncoveredSince === undefined ? {} : { uncoveredSince }),
    ...(options.journalLimits ?? {}),
  });
  const strands = new Map<string, Strand>();
  const wait: StoreWait = {
    limit: options.storeWithin ?? STORE_WITHIN_MS,
    waiting: new Set(),
    seal: () => sealer.hurry(),
  };
  const memory = { left: options.memoryLimit ?? MEMORY_LIMIT };
  // This start is not an orderly stop any more; a crash from here on must be seen as one.
  const { stopped: _, end: _end, ...running } = recovered.state;
  const sealer = createSealer({
    journal,
    writeAhead,
    strands,
    clock,
    state: running,
    store: options.store,
    signer: options.signer,
    ...(options.firstKey === undefined ? {} : { firstKey: options.firstKey }),
    ...(options.formerSigner === undefined ? {} : { formerSigner: options.formerSigner }),
    sealEvery: options.sealEvery,
    events: options.events,
    taken: (bytes) => takeSealed(bytes),
    isAwaited: () => wait.waiting.size > 0,
    stored() {
      for (const strand of [...wait.waiting]) strand.stored();
    },
    ...(recovered.unfinished === undefined ? {} : { unfinished: recovered.unfinished }),
  });

  const accounts = new Map<string, Account>();

  function takeSealed(bytes: ReadonlyMap<string, number>): void {
    for (const [session, count] of bytes) accounts.get(session)?.take(count);
    // Of a strand that is over more may be stored, and wait for a later checkpoint.
    for (const [session, account] of accounts) {
      if (!strands.has(session) && account.isEmpty()) close(session, account);
    }
  }

  function close(session: string, account: Account): void {
    account.close();
    accounts.delete(session);
  }

  function adopt(state: StrandState, principal = state.summary.principal): Strand {
    const account = pressure?.unsealed.open(holderOf(state, principal, pressure));
    if (account !== undefined) accounts.set(state.session, account);
    const strand = createStrand(state, {
      journal,
      clock,
      ledger,
      onAppend: sealer.notice,
      wait,
      memory,
      ...(options.events.gap === undefined ? {} : { onGap: options.events.gap }),
      ...(account === undefined ? {} : { account, full: () => pressure?.isFullFor(account.holder) ?? false }),
    });
    strands.set(state.session, strand);
    return strand;
  }

  for (const state of recovered.strands) {
    adopt(state);
    accounts.get(state.session)?.add(recovered.unsealed.get(state.session) ?? 0);
  }
  await writeAhead.writeState(running);
  const pauses = gapsOf(recovered, clock.micros());
  const gaps = await closeWhatIsOpen([...strands.values()], pauses);
  if (strands.size > 0 || recovered.unfinished !== undefined) sealer.notice(false);

  return {
    ledger,
    keys: sealer.keys,
    announceKey: sealer.announceKey,
    journal,
    gaps,
    strands: () => strands.values(),
    strand: (session) => strands.get(session),
    async begin(session, start) {
      if (strands.has(session)) throw new Error(`Session ${session} has a strand on this disk already.`);
      const at = isoMicros(clock.micros());
      const strand = adopt(newStrandState({ session, ledger, day: dayOf(clock.micros()), start, at }), start.principal);
      try {
        await strand.commit({ type: 'session.start', start });
      } catch (error) {
        strands.delete(session);
        const account = accounts.get(session);
        if (account !== undefined) close(session, account);
        throw error;
      }
      void sealer.seal();
      return strand;
    },
    async end(strand, reason) {
      await Promise.all([...endOpen(strand), strand.note({ type: 'strand.end', reason })]);
    },
    seal: sealer.seal,
    isTaken: sealer.isTaken,
    isSealed: sealer.isSealed,
    isClosed: sealer.isClosed,
    async retire(reason) {
      const open = [...strands.values()].filter(({ state }) => state.endedAt === undefined);
      await Promise.all(
        open.flatMap((strand) => [...endOpen(strand), strand.note({ type: 'strand.end', reason: 'retired' })]),
      );
      await sealer.close(reason);
    },
    heartbeat: sealer.heartbeat,
    async stop() {
      try {
        await sealer.stop();
      } finally {
        // Strands that have ended are not in the map any more, and may wait all the same.
        for (const open of [...wait.waiting, ...strands.values()]) open.close();
        await journal.close();
      }
    },
  };
}

function uncoveredSinceOf({ uncovered, nextCheckpoint, checkpointed, frontier }: LedgerState): number | undefined {
  const isOver = frontier.size === checkpointed || uncovered?.nextCheckpoint !== nextCheckpoint;
  return isOver ? undefined : uncovered?.since;
}

/** A system strand is nobody's: what it says of others must not be counted to them. */
function holderOf(
  { session, connection }: StrandState,
  principal: RecordedPrincipal | undefined,
  pressure: RecorderPressure,
): Holder {
  if (session.startsWith('sys_')) return {};
  const upstream = pressure.upstreamOf(connection);
  return {
    connection,
    ...(principal === undefined ? {} : { principal: principalName(principal) }),
    ...(upstream === undefined ? {} : { upstream }),
  };
}

export function newSystemSession(): string {
  return `sys_${uuidv7()}`;
}

/**
 * An exchange that has no end gets one, `unknown`, since its answer may or may not have come; and a gap says from when to
 * when this disk had nobody. A system strand belongs to one process: it ends here.
 */
async function closeWhatIsOpen(strands: Strand[], pauses: readonly Pausing[]): Promise<Gap[]> {
  const commits: Promise<void>[] = [];
  const gaps: Gap[] = [];
  for (const strand of strands) {
    if (strand.state.endedAt !== undefined) continue;
    commits.push(...endOpen(strand));
    for (const pause of pauses) {
      const { reason, from, to } = pause;
      commits.push(strand.note({ type: 'gap', gap: { reason, from, to } }));
      gaps.push({ session: strand.session, ...pause });
    }
    if (strand.session.startsWith('sys_')) commits.push(strand.note({ type: 'strand.end', reason: 'restart' }));
  }
  await Promise.all(commits);
  return gaps;
}

type Pausing = Omit<Gap, 'session'>;

function gapsOf(recovered: Recovered, micros: number): Pausing[] {
  const gaps: Pausing[] = [];
  const { loss, sealed } = recovered.unfinished?.after ?? recovered.state;
  // Said in the first commit after the loss: where there is one, it has been said.
  if (loss !== undefined && Math.max(recovered.newestFile ?? 0, sealed.file) < loss.next) {
    const { reason, from, to } = loss;
    gaps.push({ kind: 'loss', reason, from, to });
  }
  const { pause } = recovered;
  if (pause === undefined) return gaps;
  const to = isoMicros(micros);
  if (pause.kind === 'crash') gaps.push({ kind: 'crash', reason: REASONS.crash, from: pause.last, to });
  else if (micros / 1000 - pause.from >= DETACHED_MS) {
    gaps.push({ kind: 'detached', reason: REASONS.detached, from: isoMicros(pause.from * 1000), to });
  }
  return gaps;
}

/** An exchange whose end could not be recorded (its commit was refused) gets one before its strand ends. */
function endOpen(strand: Strand): Promise<void>[] {
  return strand.state.open.map((exchange) =>
    strand.note({
      type: 'end',
      exchange,
      outcome: { result: 'unknown', fate: 'outcome_withheld', messages: [] },
      abortedBy: 'gateway',
    }),
  );
}
