/** Why a decision is as it is: each rule, and what of it failed first. */

import { createPolicy } from './decide.ts';
import type { Decision, Needs, PolicyInput } from './decision.ts';
import { anyOf, prepareRule } from './match.ts';
import type { PolicySet } from './policy-set.ts';
import type { Effect, PrincipalMatch, Rule } from './rule.ts';
import type { Dialect, Readings } from './statement.ts';
import { LISTS, subjectOf } from './subject.ts';

export type RuleOutcome =
  | { readonly outcome: 'matched' }
  /** Its condition could not be decided, so it denies. */
  | { readonly outcome: 'error'; readonly error: string; readonly clause: string }
  | { readonly outcome: 'connection' | 'method' | 'name' }
  | { readonly outcome: 'principals'; readonly key: keyof PrincipalMatch }
  /** The first clause that is not true, or the whole condition. */
  | { readonly outcome: 'condition'; readonly clause: string };

export type ExplainedRule = {
  readonly rule: string;
  readonly file: string;
  readonly line: number;
  readonly effect: Effect;
  readonly mode: Rule['mode'];
} & RuleOutcome;

export interface Explanation {
  readonly decision: Decision;
  readonly rules: readonly ExplainedRule[];
}

/** Like `decide`, with each rule's part in it. Explain again with what it needs. */
export function explain(
  set: PolicySet,
  input: PolicyInput,
  readings: Readings,
  dialect?: Dialect,
): Explanation | Needs {
  const decision = createPolicy(set).decide(input, readings, dialect);
  if ('needs' in decision) return decision;
  const known = { readings, ...(dialect === undefined ? {} : { dialect }) };
  const rules = set.rules.map((rule): ExplainedRule => {
    const { name, file, line, effect, mode } = rule;
    return { rule: name, file, line, effect, mode, ...outcomeOf(rule, input, known) };
  });
  return { decision, rules };
}

type Known = { readonly readings: Readings; readonly dialect?: Dialect };

function outcomeOf(rule: Rule, input: PolicyInput, known: Known): RuleOutcome {
  if (!anyOf(rule.connections)(input.connection)) return { outcome: 'connection' };
  const prepared = prepareRule(rule);
  const key = prepared.missing(input.principal);
  if (key !== undefined) return { outcome: 'principals', key };
  const { method = '' } = input.message;
  const listed = LISTS.get(method);
  if (listed !== undefined) {
    const isMeant = !prepared.isNamed && prepared.hasMethod(method);
    const couldUse = rule.effect !== 'deny' && listed.uses.some(prepared.hasMethod);
    if (!isMeant && !couldUse) return { outcome: prepared.isNamed ? 'name' : 'method' };
    if (!isMeant && !prepared.isAbout(listed.sort)) return { outcome: 'name' };
    return { outcome: 'matched' };
  }
  if (!prepared.hasMethod(method)) return { outcome: 'method' };
  const fit = prepared.fit(subjectOf(input.message));
  if (fit === 'other' || (fit === 'unknown' && rule.effect === 'allow')) return { outcome: 'name' };
  return rule.condition === undefined ? { outcome: 'matched' } : outcomeOfCondition(rule.condition, input, known);
}

function outcomeOfCondition(condition: NonNullable<Rule['condition']>, input: PolicyInput, known: Known): RuleOutcome {
  const value = condition.evaluate(input, known);
  if ('value' in value && value.value) return { outcome: 'matched' };
  const clause = condition.clauses.find((one) => {
    const part = one.condition.evaluate(input, known);
    return !('value' in part) || !part.value;
  });
  if ('error' in value) {
    return { outcome: 'error', error: value.error, clause: clause?.source ?? condition.source };
  }
  return { outcome: 'condition', clause: clause?.source ?? condition.source };
}
