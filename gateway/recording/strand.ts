/**
 * A strand: what this disk's ledger holds of one session. It numbers frames without holes and folds what became durable
 * into its summary. Numbers that a failed commit refused are given again.
 */
import { type Clock, isoMicros } from '../clock.ts';
import type { Acceptance, Durability, Settle, Write } from './acceptance.ts';
import { createBucketAcceptance, type StoreWait } from './bucket-strand.ts';
import { FORMAT_VERSION, type Frame, type FrameBody, type SessionStart } from './frame.ts';
import type { Journal } from './journal.ts';
import { createMemoryAcceptance, type MemoryBudget } from './memory-strand.ts';
import { emptySummary, foldFrame, type StrandSummary } from './summary.ts';
import type { Account } from './unsealed.ts';

/** A strand as the write-ahead state keeps it. */
export interface StrandState {
  readonly session: string;
  readonly connection: string;
  /** Day of the session's start, UTC: the partition of all its segments. */
  readonly day: string;
  /** When its frames settle, fixed by its start; `disk` where absent, in what older versions wrote. */
  readonly durability?: Durability;
  /** Number of the next segment. */
  nextSegment: number;
  /** `seq` up to which frames are in stored or write-ahead segments; -1 before the first. */
  sealedThrough: number;
  /** `seq` up to which `summary` and `open` have been folded. */
  foldedThrough: number;
  /** Time of the newest folded frame. */
  last: string;
  summary: StrandSummary;
  /** Exchanges that were recorded as begun and not as ended. */
  open: string[];
  expires?: string;
  /** Lines that wait for a real frame (SSE comments), and since when (milliseconds). */
  carried?: { lines: string[]; since: number };
  /** `seq` of the `strand.end` frame. */
  endedAt?: number;
}

export interface Strand {
  readonly session: string;
  readonly connection: string;
  readonly state: StrandState;
  /**
   * Queues a frame. `settle` is called when it is durable, or with the error that refused it; frames of exchanges settle
   * in the order in which they were queued. What durable means is the strand's durability: its journal's commit has
   * returned (`disk`), the segment that holds it is stored (`bucket`), it was accepted (`memory`).
   */
  append(body: FrameBody, settle?: Settle): void;
  /** Called when everything queued so far is durable (or refused), without a frame of its own. */
  barrier(settle: Settle): void;
  /** Queues a frame; resolves when it is durable. */
  commit(body: FrameBody): Promise<void>;
  /** Queues a frame that no byte waits for; resolves when it is in the journal, whatever the durability. */
  note(body: FrameBody): Promise<void>;
  /** The recorder stops: what still waits for the store fails, what memory lost is told. */
  close(): void;
}

export interface StrandDeps {
  readonly journal: Journal;
  readonly clock: Clock;
  readonly ledger: string;
  readonly onAppend: (quiet: boolean) => void;
  readonly wait: StoreWait;
  readonly memory: MemoryBudget;
  /** To whom its bytes are counted. */
  readonly account?: Account;
  /** `memory` strands: the journal has no room for what promises nothing. */
  readonly full?: () => boolean;
  /** A gap frame is durable. */
  readonly onGap?: () => void;
}

export function newStrandState(frame: {
  session: string;
  ledger: string;
  day: string;
  start: SessionStart['start'];
  at: string;
}): StrandState {
  const connection = frame.start.connection;
  return {
    session: frame.session,
    connection,
    day: frame.day,
    durability: frame.start.durability,
    nextSegment: 0,
    sealedThrough: -1,
    foldedThrough: -1,
    last: frame.at,
    summary: emptySummary({ session: frame.session, ledger: frame.ledger, connection, at: frame.at }),
    open: [],
    ...(frame.start.expires === undefined ? {} : { expires: frame.start.expires }),
  };
}

/** Folds a durable frame into the state; used when it becomes durable and again by recovery. */
export function foldIntoState(state: StrandState, frame: Frame): void {
  if (frame.seq <= state.foldedThrough) return;
  state.foldedThrough = frame.seq;
  state.last = frame.at;
  foldFrame(state.summary, frame);
  if (frame.type === 'request') state.open.push(frame.exchange);
  else if (frame.type === 'end') state.open = state.open.filter((exchange) => exchange !== frame.exchange);
  else if (frame.type === 'strand.end') state.endedAt = frame.seq;
}

const NOTHING = Buffer.alloc(0);

export function createStrand(state: StrandState, deps: StrandDeps): Strand {
  const { journal, clock, account } = deps;
  let next = Math.max(state.foldedThrough, state.sealedThrough) + 1;
  const prefix = `{"v":${FORMAT_VERSION},"session":"${state.session}","strand":"${state.session}.${deps.ledger}","seq":`;

  let ended = state.endedAt !== undefined;
  // A refused commit takes along everything that waits, so the first refusal gives all those numbers back at once. What
  // is appended from then on, perhaps by the callback of that very refusal, is numbered anew and keeps its numbers.
  let numbering = 0;

  const write: Write = (body, written) => {
    const seq = next++;
    const at = isoMicros(clock.micros());
    if (ended) {
      next = seq;
      written?.(new Error(`Strand ${state.summary.strand} has ended.`), at);
      return seq;
    }
    ended = body.type === 'strand.end';
    const numbered = numbering;
    // The common fields by hand: they are the same on every frame of the strand, and this is the hot path.
    const line = Buffer.from(`${prefix}${seq},"at":"${at}",${JSON.stringify(body).slice(1)}\n`);
    account?.add(line.length);
    journal.append(line, (error) => {
      if (error === undefined) {
        foldIntoState(state, { ...body, seq, at } as Frame);
        deps.onAppend(body.type === 'data' && body.comment === true);
        if (body.type === 'gap') deps.onGap?.();
      } else {
        account?.take(line.length);
        if (numbered === numbering) {
          numbering++;
          next = seq;
          ended = state.endedAt !== undefined;
        }
      }
      written?.(error, at);
    });
    return seq;
  };

  const acceptance = createAcceptance(state, deps, write);

  function append(body: FrameBody, settle?: Settle): void {
    if (ended) settle?.(new Error(`Strand ${state.summary.strand} has ended.`));
    else acceptance.append(body, settle);
  }

  return {
    session: state.session,
    connection: state.connection,
    state,
    append,
    barrier: acceptance.barrier,
    commit: (body) => settled((settle) => append(body, settle)),
    note: (body) => settled((settle) => acceptance.note(body, settle)),
    close: acceptance.close,
  };
}

function createAcceptance(state: StrandState, deps: StrandDeps, write: Write): Acceptance {
  const { journal, clock, wait, memory, full = () => false } = deps;
  const barrier = (settle: Settle): void => journal.append(NOTHING, settle);
  switch (state.durability ?? 'disk') {
    case 'disk':
      return { append: write, note: write, barrier, close() {} };
    case 'bucket':
      return createBucketAcceptance({ write, barrier, sealedThrough: () => state.sealedThrough, wait });
    case 'memory':
      return createMemoryAcceptance({ write, clock, budget: memory, full });
  }
}

function settled(queue: (settle: Settle) => void): Promise<void> {
  return new Promise((done, fail) => queue((error) => (error === undefined ? done() : fail(error))));
}
