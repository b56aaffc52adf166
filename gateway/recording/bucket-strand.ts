/**
 * `durability: bucket`: the frames of exchanges settle when the segment that holds them is stored, in the order in which
 * they were queued. What belongs to the session alone (its start, events, gaps, its end) settles when it is journalled,
 * ahead of what waits: no byte waits for it, and a session must be able to end while the store is down.
 *
 * What the store did not take within the limit fails, with all that waits behind it: nothing of it passes. Its frames
 * are in the journal and will be stored, so an event says which of them came to nothing, and an exchange whose request
 * is among them ends as not forwarded. Where the journal refuses to take that, it is said before the strand's next frame.
 */
import type { Acceptance, Settle, Write } from './acceptance.ts';
import type { FrameBody } from './frame.ts';
import { apart } from './journal.ts';

/** What the strands of a recorder that wait for the store share. */
export interface StoreWait {
  /** Milliseconds after which what waits fails. */
  readonly limit: number;
  /** Those for which something waits; each is told when a round is stored. */
  readonly waiting: Set<{ stored(): void; close(): void }>;
  /** A frame that waits is in the journal: seal it. */
  seal(): void;
}

const NOT_FORWARDED = { result: 'recording_unavailable', fate: 'not_forwarded', messages: [] } as const;

interface Waiting {
  /** Monotonic milliseconds. */
  readonly since: number;
  /** SSE comments and barriers only wait for what is before them. */
  readonly needsStore: boolean;
  /** Set on a frame that must be durable before its exchange is forwarded. */
  readonly unforwarded?: string;
  readonly settle: Settle | undefined;
  /** Absent for a barrier. */
  seq?: number;
  journalled: boolean;
  refused?: Error;
}

/** What the journal has yet to say: that these frames came to nothing, or how the exchange ended that is among them. */
interface Untold {
  readonly frames: readonly Waiting[];
  readonly exchange?: string;
}

export function createBucketAcceptance(deps: {
  write: Write;
  barrier: (settle: Settle) => void;
  /** `seq` up to which frames are in segments of stored rounds; asked when a round is stored. */
  sealedThrough: () => number;
  wait: StoreWait;
}): Acceptance {
  const { write, wait } = deps;
  let queue: Waiting[] = [];
  let storedThrough = -1;
  let timer: NodeJS.Timeout | undefined;
  let untold: Untold[] = [];
  const self = {
    stored() {
      storedThrough = deps.sealedThrough();
      release();
    },
    close: () => fail(new Error('The recorder has stopped; the store has not taken this frame yet.')),
  };

  function enqueue(entry: Waiting): void {
    queue.push(entry);
    wait.waiting.add(self);
    timer ??= setTimeout(expire, wait.limit);
  }

  function idle(): void {
    clearTimeout(timer);
    timer = undefined;
    wait.waiting.delete(self);
  }

  function release(): void {
    for (let head = queue[0]; head !== undefined && isOver(head); head = queue[0]) {
      queue.shift();
      const { settle, refused } = head;
      apart(() => settle?.(refused));
    }
    if (queue.length === 0) idle();
  }

  function isOver({ refused, journalled, needsStore, seq }: Waiting): boolean {
    if (refused !== undefined) return true;
    return journalled && (!needsStore || (seq ?? 0) <= storedThrough);
  }

  function expire(): void {
    timer = undefined;
    const oldest = queue[0];
    if (oldest === undefined) return;
    const left = oldest.since + wait.limit - performance.now();
    if (left > 0) timer = setTimeout(expire, Math.ceil(left));
    else fail(new Error(`The store has not taken this frame within ${wait.limit} ms.`));
  }

  function fail(error: Error): void {
    const failed = queue;
    queue = [];
    idle();
    noteWithheld(failed);
    for (const { settle } of failed) apart(() => settle?.(error));
  }

  function noteWithheld(failed: readonly Waiting[]): void {
    const frames = failed.filter(({ seq }) => seq !== undefined);
    if (frames.length === 0) return;
    tell({ frames });
    for (const exchange of new Set(frames.flatMap(({ unforwarded }) => unforwarded ?? []))) {
      tell({ frames: frames.filter(({ unforwarded }) => unforwarded === exchange), exchange });
    }
  }

  function tell({ frames, exchange }: Untold): void {
    const seqs = frames.flatMap(({ seq }) => seq ?? []);
    const body: FrameBody =
      exchange === undefined
        ? { type: 'event', event: { name: 'recording.withheld', first: seqs[0], last: seqs.at(-1) } }
        : { type: 'end', exchange, outcome: NOT_FORWARDED, abortedBy: 'gateway' };
    write(body, (error) => {
      if (error === undefined) return;
      // Commits are in order: what was to be told of is journalled by now, or its number is given again.
      const there = frames.filter(({ journalled }) => journalled);
      if (there.length > 0) untold.push({ frames: there, ...(exchange === undefined ? {} : { exchange }) });
    });
  }

  /** Before the strand's next frame. */
  function tellUntold(next: FrameBody): void {
    const told = untold;
    untold = [];
    for (const one of told) {
      // An exchange ends once.
      if (next.type === 'end' && next.exchange === one.exchange) continue;
      tell(one);
    }
  }

  function over(entry: Waiting, error: Error | undefined): void {
    if (error === undefined) entry.journalled = true;
    else entry.refused = error;
    if (error === undefined && entry.needsStore) wait.seal();
    release();
  }

  return {
    append(body, settle) {
      tellUntold(body);
      if (!('exchange' in body)) {
        write(body, settle);
        return;
      }
      const needsStore = !(body.type === 'data' && body.comment === true);
      const entry: Waiting = {
        since: performance.now(),
        needsStore,
        settle,
        journalled: false,
        ...unforwardedOf(body),
      };
      enqueue(entry);
      entry.seq = write(body, (error) => over(entry, error));
    },
    note(body, settle) {
      tellUntold(body);
      write(body, settle);
    },
    barrier(settle) {
      const entry: Waiting = { since: performance.now(), needsStore: false, settle, journalled: false };
      enqueue(entry);
      deps.barrier((error) => over(entry, error));
    },
    close: self.close,
  };
}

function unforwardedOf(body: FrameBody): { unforwarded?: string } {
  const fromClient = body.type === 'request' || (body.type === 'data' && body.from === 'client');
  return fromClient ? { unforwarded: body.exchange } : {};
}
