/** A gap for each kill that a strand went through, and none that no kill explains. */

export interface StrandLife {
  readonly session: string;
  /** Milliseconds. */
  readonly began: number;
  readonly ended: number;
  readonly gaps: readonly { readonly from: number; readonly to: number }[];
}

/** The gateway's clock and this process's may differ by so much. */
const MARGIN_MS = 5;

/** `killed`: when each kill was, ascending. Resolves what is wrong, in words. */
export function checkGaps(strand: StrandLife, killed: readonly number[]): string[] {
  const problems: string[] = [];
  const { began, ended, gaps } = strand;
  const isExplained = gaps.map(() => false);
  let first = 0;
  for (const at of killed) {
    if (at < began - MARGIN_MS || at > ended + MARGIN_MS) continue;
    // Kills and gaps are both in the order of time.
    for (let gap = gaps[first]; gap !== undefined && gap.to + MARGIN_MS < at; gap = gaps[first]) first++;
    const gap = gaps[first];
    const covers = gap !== undefined && gap.from - MARGIN_MS <= at;
    if (covers) isExplained[first] = true;
    else if (at > began + MARGIN_MS && at < ended - MARGIN_MS)
      problems.push(`Strand ${strand.session} has no gap for the kill at ${new Date(at).toISOString()}.`);
  }
  for (const [index, { from }] of gaps.entries()) {
    if (isExplained[index] !== true)
      problems.push(`Strand ${strand.session} has a gap from ${new Date(from).toISOString()} that no kill explains.`);
  }
  return problems;
}
