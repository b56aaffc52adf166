/**
 * Wall-clock time with microseconds. Node's `Date` has milliseconds, its monotonic clock has no date: the monotonic
 * clock is anchored to the date and re-anchored when the two drift apart by more than a millisecond (an NTP step).
 */
export interface Clock {
  /** Microseconds since the epoch. */
  micros(): number;
  /** Milliseconds since the epoch. */
  millis(): number;
  /** Milliseconds by which the wall clock moved against the monotonic clock since this clock was made. */
  offset(): number;
}

export function createClock(): Clock {
  const firstAnchor = Date.now() - performance.now();
  let anchor = firstAnchor;
  return {
    micros() {
      const monotonic = performance.now();
      const wall = Date.now();
      const drift = wall - (anchor + monotonic);
      if (drift > 1.5 || drift < -1.5) anchor = wall - monotonic;
      return Math.floor((anchor + monotonic) * 1000);
    },
    millis: () => Date.now(),
    offset: () => Date.now() - performance.now() - firstAnchor,
  };
}

let cachedSecond = -1;
let cachedPrefix = '';

/** `2026-11-22T18:04:05.123456Z` from microseconds since the epoch (the second's part is cached: this is on the hot path). */
export function isoMicros(micros: number): string {
  const second = Math.floor(micros / 1_000_000);
  if (second !== cachedSecond) {
    cachedSecond = second;
    cachedPrefix = new Date(second * 1000).toISOString().slice(0, 20);
  }
  return `${cachedPrefix}${String(micros - second * 1_000_000).padStart(6, '0')}Z`;
}

/** The UTC day of microseconds since the epoch, `2026-11-22`. */
export function dayOf(micros: number): string {
  return isoMicros(micros).slice(0, 10);
}
