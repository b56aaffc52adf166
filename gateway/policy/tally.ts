/** What the matching rules of one message say, and the decision that is made of it. */
import type { Evaluated } from './condition.ts';
import type { Decision } from './decision.ts';
import type { Detector } from './masks/detector.ts';
import type { Effect, Rule } from './rule.ts';
import { type Question, questionKey } from './statement.ts';

interface Side {
  readonly deny: Rule[];
  readonly approve: Rule[];
  readonly allow: Rule[];
  /** Rules whose condition failed, which denies whatever their effect is. */
  readonly erred: { readonly rule: Rule; readonly error: string }[];
}

export interface Tally {
  readonly enforce: Side;
  readonly shadow: Side;
  readonly needs: Map<string, Question>;
}

export function createTally(): Tally {
  const side = (): Side => ({ deny: [], approve: [], allow: [], erred: [] });
  return { enforce: side(), shadow: side(), needs: new Map() };
}

/** `value`: what the rule's condition is; a rule without one is true. */
export function count(tally: Tally, rule: Rule, value: Evaluated): void {
  if ('needs' in value) {
    for (const question of value.needs) tally.needs.set(questionKey(question), question);
  } else if ('error' in value) tally[rule.mode].erred.push({ rule, error: value.error });
  else if (value.value) tally[rule.mode][rule.effect].push(rule);
}

/**
 * Deny beats approve beats allow. `otherwise`: the names of what allows it where no rule does. `hidden`: what requests are
 * masked with where nothing passes: they are recorded all the same.
 */
export function decisionOf(
  { enforce, shadow }: Tally,
  { otherwise, hidden }: { readonly otherwise?: string; readonly hidden: readonly Detector[] },
): Decision {
  const would = shadowOf(shadow);
  const more = would === undefined ? {} : { shadow: would };
  const denied = [...enforce.deny, ...enforce.erred.map(({ rule }) => rule)];
  if (denied.length > 0) return { ...denial(namesOf(denied), wordsOf(enforce), hidden), ...more };
  const passing = [...enforce.approve, ...enforce.allow];
  const made = {
    masks: distinct(passing.flatMap(({ masks }) => masks)),
    maskRequests: distinct(passing.flatMap(({ maskRequests }) => maskRequests)),
    replaceBlobs: [...new Set(passing.flatMap(({ replaceBlobs }) => replaceBlobs))],
    limits: passing.flatMap(({ name, limits }) =>
      Object.keys(limits).length === 0 ? [] : [{ rule: name, ...limits }],
    ),
    screens: passing.flatMap(({ name, screen }) => (screen === undefined ? [] : [{ rule: name, ...screen }])),
    ...more,
  };
  if (enforce.approve.length > 0) {
    const rules = namesOf(enforce.approve);
    const approvals = enforce.approve.flatMap(({ name, approval }) =>
      approval === undefined ? [] : [{ rule: name, ...approval }],
    );
    return { effect: 'approve', rules, words: `${theRules(rules)} this to be approved first.`, ...made, approvals };
  }
  if (enforce.allow.length > 0) {
    const rules = namesOf(enforce.allow);
    return { effect: 'allow', rules, words: `Allowed by ${rules.join(', ')}.`, ...made, approvals: [] };
  }
  if (otherwise !== undefined) {
    return { effect: 'allow', rules: [otherwise], words: `Allowed by ${otherwise}.`, ...made, approvals: [] };
  }
  return { ...denial([], 'No rule allows this.', hidden), ...more };
}

export function denial(rules: readonly string[], words: string, hidden: readonly Detector[]): Decision {
  const none = { masks: [], replaceBlobs: [], limits: [], approvals: [], screens: [] };
  return { effect: 'deny', rules, words, ...none, maskRequests: hidden };
}

export function distinct(detectors: readonly Detector[]): readonly Detector[] {
  if (detectors.length < 2) return detectors;
  return [...new Map(detectors.map((detector) => [detector.name, detector])).values()];
}

/** In the order of the files, so that equal decisions have equal words. */
function namesOf(rules: readonly Rule[]): string[] {
  return rules.map(({ name }) => name);
}

function theRules(names: readonly string[]): string {
  return names.length === 1 ? `The rule ${names[0]} wants` : `The rules ${names.join(', ')} want`;
}

function wordsOf({ deny, erred }: Side): string {
  const names = namesOf(deny);
  const denies =
    names.length === 1 ? [`The rule ${names[0]} denies this.`] : [`The rules ${names.join(', ')} deny this.`];
  const errors = erred.map(
    ({ rule, error }) => `The condition of the rule ${rule.name} can not be decided (${error}), so it denies this.`,
  );
  return [...(names.length === 0 ? [] : denies), ...errors].join(' ');
}

function shadowOf(side: Side): Decision['shadow'] {
  const denied = [...side.deny, ...side.erred.map(({ rule }) => rule)];
  const winner: readonly [Effect, readonly Rule[]] =
    denied.length > 0 ? ['deny', denied] : side.approve.length > 0 ? ['approve', side.approve] : ['allow', side.allow];
  const [effect, rules] = winner;
  return rules.length === 0 ? undefined : { effect, rules: namesOf(rules) };
}
