/** Trying again: with full jitter, as late as the other side asks, and never beyond a budget. */
import type { StoreError } from './store-error.ts';

export interface Retrying {
  /** Milliseconds within which a call's attempts begin; the one under way is let finish. */
  readonly budget: number;
  /** Milliseconds, monotonic. */
  now(): number;
  wait(milliseconds: number): Promise<void>;
  /** From 0 up to 1. */
  random(): number;
}

/** How an attempt ended. */
export type Ended<T> =
  | { readonly kind: 'done'; readonly value: T }
  | { readonly kind: 'failed'; readonly error: StoreError }
  /** It may go better the next time; `after`: milliseconds that the other side asks for. */
  | { readonly kind: 'again'; readonly error: StoreError; readonly after?: number | undefined };

const FIRST_MS = 100;
const MOST_MS = 5_000;
/**
 * What one answer's `Retry-After` holds back at most, however much it asks. It holds for all calls of its kind, and those
 * that come meanwhile may be refused without an attempt: one answer, or a proxy's mistake, must not be an outage here.
 */
const MOST_ASKED_MS = 15_000;

/**
 * One for all calls of a kind: when the other side asks for time, the calls that come meanwhile give it too. A call rejects
 * with the last attempt's error where none was done within the budget, at once where it would have to wait for longer.
 */
export function createRetry({ budget, now, wait, random }: Retrying) {
  let asked: { until: number; error: StoreError } | undefined;

  return async <T>(attempt: () => Promise<Ended<T>>): Promise<T> => {
    const end = now() + budget;
    let error: StoreError | undefined;
    for (let attempts = 0; ; attempts++) {
      // Full jitter: those whom one outage has held back do not come back all at once
      // (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
      const backoff = attempts === 0 ? 0 : random() * Math.min(MOST_MS, FIRST_MS * 2 ** attempts);
      const pause = Math.max(backoff, (asked?.until ?? 0) - now());
      const last = error ?? asked?.error;
      if (last !== undefined && now() + pause >= end) throw last;
      if (pause > 0) await wait(pause);
      const ended = await attempt();
      if (ended.kind === 'done') {
        // It serves again, whatever it asked for before.
        asked = undefined;
        return ended.value;
      }
      if (ended.kind === 'failed') throw ended.error;
      error = ended.error;
      if (ended.after !== undefined) asked = { until: now() + Math.min(ended.after, MOST_ASKED_MS), error };
    }
  };
}

/** `Retry-After` (RFC 9110, section 10.2.3) in milliseconds: seconds, or a date. */
export function retryAfter(header: string | undefined, now: number): number | undefined {
  if (header === undefined) return undefined;
  if (/^\d{1,6}$/.test(header)) return Number(header) * 1000;
  const at = Date.parse(header);
  return Number.isNaN(at) ? undefined : Math.max(0, at - now);
}
