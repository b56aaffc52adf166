/** Whether a row of samples is flat. */

export interface Sample {
  /** Seconds. */
  readonly at: number;
  readonly value: number;
}

/**
 * The median of the slopes between all pairs (Theil–Sen): up to 29 % of the samples may lie anywhere (a collection, a
 * burst) without moving it. In value per second; 0 where there are fewer than two.
 */
export function slopeOf(samples: readonly Sample[]): number {
  const slopes: number[] = [];
  // A thousand samples make half a million pairs: few enough.
  for (const [index, a] of samples.entries()) {
    for (const b of samples.slice(index + 1)) if (b.at !== a.at) slopes.push((b.value - a.value) / (b.at - a.at));
  }
  return medianOf(slopes);
}

export function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2;
}
