/** What the commands of policies need besides files: patterns and statements are others' work. */
import type { Needs } from '../policy/decision.ts';
import type { CompilePattern } from '../policy/load.ts';
import type { Question, Readings } from '../policy/statement.ts';

export interface PolicyParts {
  readonly compilePattern: CompilePattern;
  read(questions: readonly Question[]): Promise<Readings>;
}

/** Each turn reads what the one before could not know of: a condition may ask about no more than these. */
const MOST_TURNS = 100;

/** Decides, or explains, until nothing more has to be read. */
export async function decideWhole<T extends object>(
  decide: (readings: Readings) => T | Needs,
  read: PolicyParts['read'],
): Promise<T> {
  let readings: Readings = new Map();
  for (let turn = 0; turn < MOST_TURNS; turn += 1) {
    const made = decide(readings);
    if (!('needs' in made)) return made;
    readings = new Map([...readings, ...(await read(made.needs))]);
  }
  throw new Error('The conditions never stop asking about statements.');
}
