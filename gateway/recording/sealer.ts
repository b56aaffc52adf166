/**
 * Sealing: journal → segments and entries → checkpoint, write-ahead in two steps (write-ahead.ts). One round at a time.
 *
 * The crash windows, in order:
 *   before the round is written   nothing happened; the journal still holds everything
 *   after it is written           the next start stores exactly these bytes under exactly these names
 *   after objects are stored      the same; "exists" means that they are there
 *   after the checkpoint is written   the same note is stored, though a clock or key might have changed meanwhile
 *   after the checkpoint is stored    state.json is behind by one round; storing it again changes nothing
 * Only then does state.json move, and only then may journal files go.
 */
import type { Clock } from '../clock.ts';
import { isoMicros } from '../clock.ts';
import { formatCheckpoint, signCheckpoint } from '../ledger/checkpoint.ts';
import { checkpointName } from '../ledger/names.ts';
import type { Signer } from '../ledger/signer.ts';
import { rootOf } from '../ledger/tree.ts';
import type { Store } from '../store/store.ts';
import type { Journal } from './journal.ts';
import { type BuiltRound, buildRound, sha256 } from './round.ts';
import type { Strand } from './strand.ts';
import type { LedgerState, Round, WriteAhead } from './write-ahead.ts';

export interface SealerEvents {
  /** A checkpoint is stored: everything before it is evidence. */
  checkpoint(info: { ledger: string; number: number; size: number; objects: number }): void;
  heartbeat(info: { ledger: string; clockOffset: number }): void;
  failed(error: Error): void;
}

export interface Sealer {
  /** A frame became durable: seal within `sealEvery` (a comment may wait longer). */
  notice(quiet: boolean): void;
  /** Seal at once; resolves when everything durable by now is under a stored checkpoint, or the attempt failed. */
  seal(): Promise<void>;
  heartbeat(): Promise<void>;
  /** Seals the rest and writes that the stop was orderly. */
  stop(): Promise<void>;
}

export interface SealerDeps {
  readonly journal: Journal;
  readonly writeAhead: WriteAhead;
  readonly store: Store;
  readonly signer: Signer;
  readonly clock: Clock;
  readonly strands: Map<string, Strand>;
  readonly sealEvery: number;
  readonly state: LedgerState;
  /** A round that was written and not finished before the last stop. */
  readonly unfinished?: Round;
  readonly events: SealerEvents;
}

const QUIET_MS = 60_000;
const MOST_BACKOFF_MS = 30_000;
const PARALLEL = 16;

/** The round is stored, its checkpoint is not signed. */
class SignerDownError extends Error {
  override readonly name = 'SignerDownError';
}

export function createSealer(deps: SealerDeps): Sealer {
  const { journal, writeAhead, store, signer, clock, strands, events } = deps;
  let state = deps.state;
  let unfinished = deps.unfinished;
  let timer: NodeJS.Timeout | undefined;
  let due = Number.POSITIVE_INFINITY;
  let failures = 0;
  let chain: Promise<void> = Promise.resolve();
  let queued: Promise<void> | undefined;
  let beat = false;
  let stopping = false;
  let storedObjects = 0;

  function schedule(afterMs: number): void {
    const at = performance.now() + afterMs;
    if (at >= due || stopping) return;
    clearTimeout(timer);
    due = at;
    timer = setTimeout(() => {
      due = Number.POSITIVE_INFINITY;
      void seal();
    }, afterMs);
  }

  /** Coalesces: callers that come while a round runs share the next one. */
  function seal(): Promise<void> {
    queued ??= chain.then(async () => {
      queued = undefined;
      await sealOnce();
    });
    chain = queued;
    return queued;
  }

  async function sealOnce(): Promise<void> {
    const goal = journal.end();
    // While the signer is down segments and entries go on, and one later checkpoint covers them all.
    let unsigned: SignerDownError | undefined;
    try {
      for (let more = true; more; ) {
        const stored = await round();
        const { sealed } = state;
        more = stored && (sealed.file < goal.file || (sealed.file === goal.file && sealed.offset < goal.offset));
        if (state.frontier.size === state.checkpointed || unsigned !== undefined) continue;
        unsigned = await storeCheckpoint().then(
          () => undefined,
          (error: unknown) => {
            if (error instanceof SignerDownError) return error;
            throw error;
          },
        );
      }
      if (unsigned !== undefined) throw unsigned;
      failures = 0;
    } catch (error) {
      failures++;
      events.failed(error instanceof Error ? error : new Error(String(error)));
      schedule(Math.min(MOST_BACKOFF_MS, 250 * 2 ** Math.min(failures, 10)) * (0.5 + Math.random() / 2));
    }
  }

  /** Finishes the round under way, or makes and stores the next; resolves false where there was nothing to do. */
  async function round(): Promise<boolean> {
    if (unfinished !== undefined) {
      await storeRound(unfinished);
      return true;
    }
    const heartbeat = beat ? { clockOffset: Math.round(clock.offset()) } : undefined;
    const built = await buildRound({
      journal,
      state,
      strands,
      at: isoMicros(clock.micros()),
      now: clock.millis(),
      ...(heartbeat === undefined ? {} : { heartbeat }),
      last: stopping,
    });
    beat = false;
    if (built === undefined) return false;
    if (built.round.objects.length === 0) {
      // Comments alone: their lines are kept in the state itself.
      await writeAhead.writeState(built.round.after);
      adopt(built);
      state = built.round.after;
      await journal.sealed(state.sealed);
      return true;
    }
    await writeAhead.writeRound(built.round);
    adopt(built);
    unfinished = built.round;
    await storeRound(built.round);
    if (heartbeat !== undefined) events.heartbeat({ ledger: state.ledger, ...heartbeat });
    return true;
  }

  /** The round is on this disk: its segments count as made, whatever happens to their upload. */
  function adopt(built: BuiltRound): void {
    for (const move of built.moves) {
      const strand = strands.get(move.session);
      if (strand === undefined) continue;
      strand.state.nextSegment = move.nextSegment;
      strand.state.sealedThrough = move.sealedThrough;
      if (move.carried === undefined) delete strand.state.carried;
      else strand.state.carried = move.carried;
      if (move.done) strands.delete(move.session);
    }
  }

  async function storeRound(written: Round): Promise<void> {
    // Entries name the segments: they go last, so that no reader meets a manifest without its object.
    const objects = written.objects.slice(0, -1);
    for (let at = 0; at < objects.length; at += PARALLEL) {
      await Promise.all(objects.slice(at, at + PARALLEL).map(({ name, bytes }) => store.create(name, bytes)));
    }
    const entries = written.objects.at(-1);
    if (entries !== undefined) await store.create(entries.name, entries.bytes);
    state = { ...written.after, strands: currentStrands() };
    unfinished = undefined;
    storedObjects += written.objects.length;
  }

  function currentStrands(): LedgerState['strands'] {
    return [...strands.values()].map((strand) => strand.state);
  }

  async function storeCheckpoint(): Promise<void> {
    const signed = (await writtenCheckpoint()) ?? (await signNext());
    await store.create(checkpointName(state.ledger, signed.number), Buffer.from(signed.note));
    state = {
      ...state,
      checkpointed: signed.size,
      nextCheckpoint: signed.number + 1,
      lastCheckpoint: sha256(Buffer.from(signed.note)),
      strands: currentStrands(),
    };
    await writeAhead.writeState(state);
    await journal.sealed(state.sealed);
    await writeAhead.clearRound();
    events.checkpoint({ ledger: state.ledger, number: signed.number, size: signed.size, objects: storedObjects });
    storedObjects = 0;
  }

  async function writtenCheckpoint() {
    const written = await writeAhead.readCheckpoint();
    return written?.number === state.nextCheckpoint ? written : undefined;
  }

  async function signNext() {
    const { size } = state.frontier;
    let note: string;
    try {
      note = await signCheckpoint(
        formatCheckpoint({ ledger: state.ledger, size, root: rootOf(state.frontier) }),
        signer,
      );
    } catch (error) {
      // The signer is down: entries go on, one later checkpoint covers them all. The round itself is stored.
      await writeAhead.writeState(state);
      await writeAhead.clearRound();
      throw new SignerDownError('The checkpoint could not be signed.', { cause: error });
    }
    const signed = { number: state.nextCheckpoint, size, note };
    await writeAhead.writeCheckpoint(signed);
    return signed;
  }

  return {
    notice: (quiet) => schedule(quiet ? QUIET_MS : deps.sealEvery * 0.8),
    seal,
    async heartbeat() {
      beat = true;
      await seal();
    },
    async stop() {
      await seal();
      stopping = true;
      clearTimeout(timer);
      await seal();
      if (failures === 0) await writeAhead.writeState({ ...state, stopped: clock.millis() });
    },
  };
}
