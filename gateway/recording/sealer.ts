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
 *
 * Recovery knows one round behind state.json and one note. So no round is written over one that state.json does not
 * know, and none while a signed note waits for the store: it would cover less than what is stored.
 */
import type { Clock } from '../clock.ts';
import { isoMicros } from '../clock.ts';
import { keysFrom } from '../ledger/keys.ts';
import { checkpointName } from '../ledger/names.ts';
import type { Store } from '../store/store.ts';
import type { Journal } from './journal.ts';
import { isAfter, type Position } from './journal-file.ts';
import { createLedgerSigning, SignerDownError, type Signers } from './ledger-signing.ts';
import { createOwnNames, LedgerTakenError } from './own-names.ts';
import { isNoSpace } from './reserve.ts';
import { type BuiltRound, begun, buildRound, ROUND_LIMIT, sha256 } from './round.ts';
import type { Strand } from './strand.ts';
import type { LedgerState, Round, SignedCheckpoint, WriteAhead } from './write-ahead.ts';

export interface SealerEvents {
  /** A checkpoint is stored: everything before it is evidence. */
  checkpoint(info: { ledger: string; number: number; size: number; objects: number }): void;
  heartbeat(info: { ledger: string; clockOffset: number }): void;
  /** All is stored; the key in force gave no signature, and checkpoints wait. */
  unsigned(info: { ledger: string; verifierKey: string; error: Error }): void;
  /** A stored checkpoint covers the announcement of this key: it signs from now on, and the one before has no more use. */
  keyChanged(info: { ledger: string; verifierKey: string; number: number }): void;
  /** Another owner stores under this ledger's names: nothing more is sealed here, now and after a restart. */
  taken(info: { ledger: string; object: string; error: Error }): void;
  failed(error: Error): void;
  /** A gap frame is durable. */
  gap?(): void;
}

export interface Sealer {
  /** A frame became durable: seal within `sealEvery` (a comment may wait longer). */
  notice(quiet: boolean): void;
  /** Seal at once; resolves when everything durable by now is under a stored checkpoint, or the attempt failed. */
  seal(): Promise<void>;
  /** A frame waits for the store: seal at once, but not over and over where the store or the signer is down. */
  hurry(): void;
  heartbeat(): Promise<void>;
  /** Announces the signer's key in the ledger, unless it is the ledger's already. */
  announceKey(): Promise<void>;
  /** The key that signs the next checkpoint, and the one that does so when all announcements are covered. */
  keys(): { readonly inForce: string; readonly announced: string };
  /** Seals everything and ends the ledger. Whoever calls it lets nothing be appended any more. */
  close(reason: string): Promise<void>;
  /** Whether everything that is durable is stored and under a stored checkpoint. */
  isSealed(): boolean;
  /** Whether the ledger is closed, under a stored checkpoint. */
  isClosed(): boolean;
  /** Whether the ledger was found to have another owner. */
  isTaken(): boolean;
  /** Seals what it can and writes that the stop was orderly. */
  stop(): Promise<void>;
}

export interface SealerDeps extends Signers {
  readonly journal: Journal;
  readonly writeAhead: WriteAhead;
  readonly store: Store;
  readonly clock: Clock;
  readonly strands: Map<string, Strand>;
  readonly sealEvery: number;
  readonly state: LedgerState;
  /** A round that was written and not finished before the last stop. */
  readonly unfinished?: Round;
  readonly events: SealerEvents;
  /** Whether anybody waits until a round is stored. */
  isAwaited(): boolean;
  /** A round is stored: everything up to its strands' `sealedThrough`. */
  stored(): void;
  /** Bytes of strands that a stored checkpoint covers: the journal has no more use for them. */
  taken?(bytes: ReadonlyMap<string, number>): void;
}

const QUIET_MS = 60_000;
const MOST_BACKOFF_MS = 30_000;
/** The same while calls wait for the store. */
const AWAITED_BACKOFF_MS = 500;
const PARALLEL = 16;
/** A round that finds no room on the disk is made smaller, down to this. */
const LEAST_ROUND = 64 * 1024;

export function createSealer(deps: SealerDeps): Sealer {
  const { journal, writeAhead, store, clock, strands, events } = deps;
  const signing = createLedgerSigning(deps);
  const names = createOwnNames(store, deps.unfinished?.objects.map(({ name }) => name) ?? []);
  let state = deps.state;
  let unfinished = deps.unfinished;
  let timer: NodeJS.Timeout | undefined;
  let due = Number.POSITIVE_INFINITY;
  let failures = 0;
  let chain: Promise<void> = Promise.resolve();
  let queued: Promise<void> | undefined;
  /** state.json does not know yet of the last stored round or checkpoint. */
  let behind = false;
  let beat = false;
  let beaten: { clockOffset: number } | undefined;
  let announcing = false;
  let stopping = false;
  /** A stop was asked for; `stopping` once its last round begins. */
  let leaving = false;
  /** The stop leaves what is not stored to the next start. */
  let givenUp = false;
  let storedObjects = 0;
  /** Somebody asked for a checkpoint, not only for the store. */
  let asked = false;
  /** Until then a signer that gave no signature is left alone; monotonic milliseconds. */
  let signAgain = 0;
  let storeDown = false;
  let roundLimit = ROUND_LIMIT;
  /** Of the round under way; none of one that this start found. */
  let takenBytes: ReadonlyMap<string, number> = new Map();
  /**
   * Of rounds that are stored: their journal files stay until a checkpoint covers them, and so they stay their holder's.
   * Those that the note last asked for covers, and those after it. What an earlier process stored is in neither, and is
   * nobody's: a start counts what is in no round yet.
   */
  const noted = new Map<string, number>();
  const stored = new Map<string, number>();
  let taken = false;
  let closing: string | undefined;

  function schedule(afterMs: number): void {
    const at = performance.now() + afterMs;
    if (at >= due || stopping || taken) return;
    clearTimeout(timer);
    due = at;
    timer = setTimeout(() => {
      due = Number.POSITIVE_INFINITY;
      void (performance.now() < signAgain ? sealNext() : seal());
    }, afterMs);
  }

  async function seal(): Promise<void> {
    asked = true;
    await sealNext();
    // Rounds go on while a signature is waited for: it is taken between two of them, and covers what was there when it
    // was asked for.
    const goal = state.frontier.size;
    while (state.checkpointed < goal && !storeDown && !taken && !givenUp) {
      const answer = signing.answered();
      if (answer === undefined) return;
      await answer;
      asked = true;
      await sealNext();
    }
  }

  /** Coalesces: callers that come while a round runs share the next one. */
  function sealNext(): Promise<void> {
    queued ??= chain.then(async () => {
      queued = undefined;
      if (!givenUp) await sealOnce();
    });
    chain = queued;
    return queued;
  }

  async function sealOnce(): Promise<void> {
    if (taken) return;
    const goal = journal.end();
    // A checkpoint is for who seals, not for each frame that waits for the store.
    const mayAsk = asked;
    asked = false;
    try {
      if (unfinished === undefined) await storeWaiting();
      // While the signer is down segments and entries go on, and one later checkpoint covers them all.
      let unsigned: SignerDownError | undefined;
      for (let more = true; more; ) {
        more = (await round()) && (beat || announcing || isClosing() || isAfter(goal, state.sealed));
        unsigned ??= await tryCheckpoint(mayAsk);
      }
      storeDown = false;
      if (unsigned !== undefined) throw unsigned;
      if (isCovered()) {
        await removeSealed();
        failures = 0;
      } else if (signAgain > performance.now()) schedule(signAgain - performance.now());
    } catch (error) {
      if (error instanceof LedgerTakenError) return giveUp(error);
      failures++;
      storeDown = !(error instanceof SignerDownError);
      // A store that has just failed is not asked once more: whoever stops a gateway gives it so many seconds.
      givenUp ||= leaving && storeDown;
      report(error);
      const most = storeDown && deps.isAwaited() ? AWAITED_BACKOFF_MS : MOST_BACKOFF_MS;
      const wait = Math.min(most, 250 * 2 ** Math.min(failures, 10)) * (0.5 + Math.random() / 2);
      if (!storeDown) signAgain = performance.now() + wait;
      schedule(wait);
    }
  }

  /** Written down first: a start that tried this round again would take the other's bytes for its own. */
  async function giveUp(error: LedgerTakenError): Promise<void> {
    taken = true;
    clearTimeout(timer);
    state = { ...state, taken: error.object };
    events.taken({ ledger: state.ledger, object: error.object, error });
    await writeAhead.writeState(state).catch((cause: unknown) => report(cause));
  }

  function report(error: unknown): void {
    if (error instanceof SignerDownError) {
      events.unsigned({ ledger: state.ledger, verifierKey: error.verifierKey, error });
    } else events.failed(error instanceof Error ? error : new Error(String(error)));
  }

  /** All is evidence, whether its journal files can be removed or not. */
  async function removeSealed(): Promise<void> {
    try {
      await journal.sealed(state.sealed);
    } catch (error) {
      report(error);
      schedule(MOST_BACKOFF_MS);
    }
  }

  function tryCheckpoint(mayAsk: boolean): Promise<SignerDownError | undefined> {
    return nextCheckpoint(mayAsk).then(
      () => undefined,
      (error: unknown) => {
        if (error instanceof SignerDownError) return error;
        throw error;
      },
    );
  }

  /** Whether all that is stored is under a stored checkpoint. */
  function isCovered(): boolean {
    return state.frontier.size === state.checkpointed;
  }

  function isSealed(): boolean {
    return unfinished === undefined && isCovered() && journal.oldestUnsealed() === undefined;
  }

  /** Finishes the round under way, or makes and stores the next; resolves false where there was nothing to do. */
  async function round(): Promise<boolean> {
    if (unfinished !== undefined) {
      await storeRound(unfinished);
      return true;
    }
    if (behind) await keepState();
    if (state.closed !== undefined) return false;
    const heartbeat = beat ? { clockOffset: Math.round(clock.offset()) } : undefined;
    const key = keyToAnnounce();
    const built = await buildRound({
      limit: roundLimit,
      journal,
      state,
      strands,
      at: isoMicros(clock.micros()),
      now: clock.millis(),
      ...(heartbeat === undefined ? {} : { heartbeat }),
      ...(key === undefined ? {} : { key }),
      ...(closing === undefined ? {} : { close: closing }),
      last: stopping || closing !== undefined,
    });
    if (built === undefined) return false;
    const written: Round = { ...built.round, after: withUncovered(built.round.after) };
    if (built.round.objects.length === 0) {
      // Comments alone: their lines are kept in the state itself.
      await writeAhead.writeState(written.after);
      adopt(built);
      addAll(stored, built.taken);
      state = written.after;
      if (isCovered()) {
        giveBack(stored);
        await journal.sealed(state.sealed);
      }
      return true;
    }
    try {
      await writeAhead.writeRound(written);
    } catch (error) {
      const smaller = Math.max(LEAST_ROUND, Math.floor(sizeOf(built) / 4));
      // One record is the least that a round takes, and may be more than that: each attempt is smaller, or the last.
      if (!isNoSpace(error) || smaller >= roundLimit) throw error;
      // Nothing of it was stored, so that another may be made in its place. It frees what the next ones need.
      roundLimit = smaller;
      return true;
    }
    roundLimit = Math.min(ROUND_LIMIT, roundLimit * 2);
    adopt(built);
    unfinished = written;
    if (key !== undefined) announcing = false;
    takenBytes = built.taken;
    if (heartbeat !== undefined) {
      beat = false;
      beaten = heartbeat;
    }
    await storeRound(written);
    return true;
  }

  /** A restart goes on with the age that a line has which is stored and not under a checkpoint. */
  function withUncovered({ uncovered: _, ...rest }: LedgerState): LedgerState {
    const since = journal.oldestUnsealed();
    if (since === undefined || rest.frontier.size === rest.checkpointed) return rest;
    return { ...rest, uncovered: { since, nextCheckpoint: rest.nextCheckpoint } };
  }

  function isClosing(): boolean {
    return closing !== undefined && state.closed === undefined;
  }

  function keyToAnnounce(): { verifierKey: string; previous: string } | undefined {
    const { verifierKey } = deps.signer;
    const previous = signing.announced(state);
    if (verifierKey === previous) announcing = false;
    return announcing ? { verifierKey, previous } : undefined;
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
      await Promise.all(objects.slice(at, at + PARALLEL).map(names.create));
    }
    const entries = written.objects.at(-1);
    if (entries !== undefined) await names.create(entries);
    names.done();
    state = written.after;
    behind = true;
    unfinished = undefined;
    addAll(stored, takenBytes);
    takenBytes = new Map();
    storedObjects += written.objects.length;
    deps.stored();
    if (beaten !== undefined) events.heartbeat({ ledger: state.ledger, ...beaten });
    beaten = undefined;
  }

  /** Makes state.json say what `state` says: recovery has no more use for the round. */
  async function keepState(): Promise<void> {
    state = { ...state, strands: begun(strands) };
    await writeAhead.writeState(state);
    behind = false;
    await writeAhead.clearRound();
  }

  /** A note that was signed before and may not be stored: recovery knows one, so nothing goes before it. */
  async function storeWaiting(): Promise<void> {
    const waiting = await writeAhead.readCheckpoint();
    if (waiting?.number !== state.nextCheckpoint) return;
    // Its write may have failed and have left a note that can be read and is not durable.
    await writeAhead.confirm();
    await storeCheckpoint(waiting, { tried: true });
  }

  async function nextCheckpoint(mayAsk: boolean): Promise<void> {
    await storeWaiting();
    if (mayAsk) ask();
    const signed = await signing.take();
    if (signed === undefined) return;
    const { at, note } = signed;
    const checkpoint = { number: state.nextCheckpoint, size: at.frontier.size, note };
    await writeAhead.writeCheckpoint(checkpoint);
    await storeCheckpoint(checkpoint, { tried: false, through: at.sealed });
    // What was asked for beside this signature is not under it, and whoever asked waits for the next one.
    if (mayAsk) ask();
  }

  function ask(): void {
    if (isCovered() || !signing.ask(state)) return;
    // Where the note before this one was refused, this one covers what was its.
    addAll(noted, stored);
    stored.clear();
  }

  function giveBack(bytes: Map<string, number>): void {
    deps.taken?.(bytes);
    bytes.clear();
  }

  /**
   * `tried`: it was on this disk before, so that its name may be stored by this disk. `through` is as far as the journal is
   * under it.
   */
  async function storeCheckpoint(
    signed: SignedCheckpoint,
    { tried, through }: { readonly tried: boolean; readonly through?: Position },
  ): Promise<void> {
    const note = Buffer.from(signed.note);
    const name = checkpointName(state.ledger, signed.number);
    // Apart from the names of the round, which are done with while a note waits.
    await createOwnNames(store, tried ? [name] : []).create({ name, bytes: note });
    behind = true;
    const before = signing.inForce(state);
    state = withUncovered({
      ...state,
      keys: keysFrom(signing.keys(state), signed.size),
      checkpointed: signed.size,
      nextCheckpoint: signed.number + 1,
      lastCheckpoint: sha256(note),
    });
    await keepState();
    events.checkpoint({ ledger: state.ledger, number: signed.number, size: signed.size, objects: storedObjects });
    storedObjects = 0;
    const verifierKey = signing.inForce(state);
    if (verifierKey !== before) events.keyChanged({ ledger: state.ledger, verifierKey, number: signed.number });
    // What can not be removed is told, and tried again, when nothing is left to seal.
    const sealed = isCovered() ? state.sealed : through;
    if (sealed === undefined) return;
    giveBack(noted);
    if (isCovered()) giveBack(stored);
    await journal.sealed(sealed).catch(() => {});
  }

  return {
    notice: (quiet) => schedule(quiet ? QUIET_MS : deps.sealEvery * 0.8),
    seal,
    hurry() {
      // What comes once the stop has begun is for its own rounds: none may run beside the state that it writes last.
      if (stopping) return;
      if (storeDown) schedule(AWAITED_BACKOFF_MS);
      else void sealNext();
    },
    async heartbeat() {
      beat = true;
      await seal();
    },
    async announceKey() {
      announcing = true;
      await seal();
    },
    async close(reason) {
      closing = reason;
      await seal();
    },
    isSealed,
    isClosed: () => state.closed !== undefined && isCovered(),
    isTaken: () => taken,
    keys: () => ({ inForce: signing.inForce(state), announced: signing.announced(state) }),
    async stop() {
      leaving = true;
      await seal();
      stopping = true;
      clearTimeout(timer);
      // Also where there is nothing left to do: an attempt that is queued would go on beside whoever has the disk next.
      await seal();
      // A signature that somebody else waited for comes too late.
      givenUp = true;
      await chain;
      // Also where the store or the signer is down: what waits for them is on this disk, and nobody was cut off.
      // Where all is sealed nothing is left of the journal that was damaged, and the ledger has its gap.
      const { loss, ...rest } = state;
      const isTold = loss?.told === true && isSealed();
      const kept = loss === undefined || isTold ? {} : { loss };
      await writeAhead.writeState({ ...rest, ...kept, stopped: clock.millis(), end: journal.end() });
    },
  };
}

function addAll(to: Map<string, number>, bytes: ReadonlyMap<string, number>): void {
  for (const [session, count] of bytes) to.set(session, (to.get(session) ?? 0) + count);
}

function sizeOf({ taken }: BuiltRound): number {
  return [...taken.values()].reduce((sum, bytes) => sum + bytes, 0);
}
