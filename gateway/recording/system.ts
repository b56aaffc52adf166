/**
 * The system strand: what belongs to no session. A new one each process start and UTC day. Refusals of callers that are
 * not known yet are one event per address, reason and minute, with a count, so that a flood fills no disk.
 */
import { type Clock, dayOf } from '../clock.ts';
import type { SessionStart } from './frame.ts';
import { newSystemSession, type Recorder } from './recorder.ts';
import type { Strand } from './strand.ts';

export interface SystemStrand {
  /** Records an event; resolves when it is durable. */
  event(name: string, details?: Record<string, unknown>): Promise<void>;
  /** Counts a refusal that belongs to no session. */
  refused(facts: Refused): void;
  /** Begins a new strand where the day has changed, and writes counts that are due. Called every few seconds. */
  turn(): Promise<void>;
  close(reason: string): Promise<void>;
}

interface Refused {
  readonly address: string;
  readonly reason: string;
  readonly connection?: string;
  readonly detail?: string;
}

interface Counted {
  readonly facts: Refused;
  readonly minute: number;
  count: number;
}

/** Distinct address-and-reason pairs a minute; beyond it addresses are counted together. */
const MOST_COUNTED = 1000;

export async function openSystemStrand(
  recorder: Recorder,
  clock: Clock,
  start: () => SessionStart['start'],
  /** Told of each refusal event, with how many it stands for. */
  told: (facts: Refused, count: number) => void,
): Promise<SystemStrand> {
  let strand: Strand = await recorder.begin(newSystemSession(), start());
  let day = dayOf(clock.micros());
  // Strands of days that are over and whose `strand.end` is not durable yet.
  const before: Strand[] = [];
  const counts = new Map<string, Counted>();

  async function flush(until: number): Promise<void> {
    for (const [key, counted] of counts) {
      if (counted.minute >= until) continue;
      counts.delete(key);
      if (counted.count === 0) continue;
      told(counted.facts, counted.count);
      try {
        await strand.commit({ type: 'event', event: { name: 'refused', ...counted.facts, count: counted.count } });
      } catch (error) {
        countAgain(key, counted, counted.count);
        throw error;
      }
    }
  }

  /** What could not be recorded is counted until it can. */
  function countAgain(key: string, counted: Counted, count: number): void {
    const there = counts.get(key);
    if (there === undefined) counts.set(key, { ...counted, count });
    else there.count += count;
  }

  return {
    // Last: no detail, whoever gave it, says which event it is.
    event: (name, details = {}) => strand.commit({ type: 'event', event: { ...details, name } }),
    refused(facts) {
      const minute = Math.floor(clock.millis() / 60_000);
      const full = counts.size >= MOST_COUNTED;
      const kept = full ? { ...facts, address: 'several' } : facts;
      const key = JSON.stringify([kept.address, kept.reason, kept.connection, minute]);
      const there = counts.get(key);
      if (there !== undefined) {
        there.count++;
        return;
      }
      const counted = { facts: kept, minute, count: 0 };
      counts.set(key, counted);
      told(kept, 1);
      // The first of its minute is recorded at once; the rest of the minute follows as a count.
      strand.append({ type: 'event', event: { name: 'refused', ...kept, count: 1 } }, (error) => {
        if (error !== undefined) countAgain(key, counted, 1);
      });
    },
    async turn() {
      await flush(Math.floor(clock.millis() / 60_000));
      const today = dayOf(clock.micros());
      if (today !== day) {
        const next = await recorder.begin(newSystemSession(), start());
        before.push(strand);
        strand = next;
        day = today;
      }
      for (const ended of [...before]) {
        await recorder.end(ended, 'day');
        before.splice(before.indexOf(ended), 1);
      }
    },
    async close(reason) {
      try {
        await flush(Number.POSITIVE_INFINITY);
      } finally {
        for (const ended of before) await recorder.end(ended, 'day');
        await recorder.end(strand, reason);
      }
    },
  };
}
