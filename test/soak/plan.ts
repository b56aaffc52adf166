/** How each gateway of a soak dies: at every step of a sealing round, at random moments, on its way up. */
import { type Death, STEPS, type Step, WHENS } from './death.ts';

/** Whether the death is settled before the gateway starts, or once it has served for a share of the usual time. */
export type Fate =
  | { readonly settled: 'at start'; readonly killAfterMs: number }
  | { readonly settled: 'at start'; readonly death: Death }
  | { readonly settled: 'serving'; readonly share: number; readonly death?: Death };

export interface Plan {
  next(mayDieStarting: boolean): Fate;
  /** A death that was ordered came. */
  came(death: Death): void;
  /** Deaths by step: before, during, after. */
  readonly steps: Readonly<Record<Step, number[]>>;
}

/** Steps of recovery and of a start's first round; some are never taken again. */
const AT_START: readonly Step[] = [
  'journal open',
  'journal write',
  'journal fdatasync',
  'journal folder sync',
  'journal unlink',
  'write state',
  'store summary',
];
const SERVING: readonly Step[] = STEPS.filter(
  (step) => !['journal open', 'journal folder sync', 'journal unlink', 'store summary'].includes(step),
);
/** Steps of every commit: one of the next so many is the last. */
const COMMON: readonly Step[] = ['journal write', 'journal fdatasync'];
const MOST_COMMITS = 50;
/** A start takes about so long. */
const START_MS = 400;

export function createPlan(random: () => number): Plan {
  const steps = Object.fromEntries(STEPS.map((step) => [step, WHENS.map(() => 0)])) as Record<Step, number[]>;

  /** One of the places that death came to least often. */
  function rarest(of: readonly Step[]): Pick<Death, 'step' | 'when'> {
    const all = of.flatMap((step) => WHENS.map((when, at) => ({ step, when, count: steps[step][at] ?? 0 })));
    const least = all.filter(({ count }) => count === Math.min(...all.map((one) => one.count)));
    return least[Math.floor(random() * least.length)] ?? { step: 'sign', when: 'before' };
  }

  function death(of: readonly Step[], commits: number): Death {
    const { step, when } = rarest(of);
    return { step, when, skip: COMMON.includes(step) ? Math.floor(random() * commits) : 0 };
  }

  return {
    steps,
    next(mayDieStarting) {
      if (mayDieStarting && random() < 0.3) {
        if (random() < 0.4) return { settled: 'at start', killAfterMs: random() * START_MS };
        return { settled: 'at start', death: death(AT_START, 3) };
      }
      const share = 2 * random();
      if (random() < 0.35) return { settled: 'serving', share };
      return { settled: 'serving', share, death: death(SERVING, MOST_COMMITS) };
    },
    came({ step, when }) {
      const at = WHENS.indexOf(when);
      steps[step][at] = (steps[step][at] ?? 0) + 1;
    },
  };
}
