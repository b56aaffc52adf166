/** A compiled condition: CEL over one message. condition-compile.ts makes it. */
import type { PolicyInput } from './decision.ts';
import type { Dialect, Question, Readings } from './statement.ts';

/**
 * `true`, `false`, or an error, which denies whatever the rule's effect is. `needs`: statements that were asked about and
 * have no reading yet; where there are any, the value means nothing.
 */
export type Evaluated =
  | { readonly value: boolean }
  | { readonly error: string }
  | { readonly needs: readonly Question[] };

export interface Condition {
  readonly source: string;
  /** Variables (and `sql`, `shell`) that it names: what of a message its value can depend on. */
  readonly reads: ReadonlySet<string>;
  evaluate(input: PolicyInput, context: { readonly readings: Readings; readonly dialect?: Dialect }): Evaluated;
  /** Its parts between `&&` at the top, to say which failed first. */
  readonly clauses: readonly { readonly source: string; readonly condition: Condition }[];
}
