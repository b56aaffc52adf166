/** Whether a rule is about a message: who, where, which method, which name. The condition is another question. */
import { compileGlob } from '../glob.ts';
import type { PolicyPrincipal } from './decision.ts';
import type { PrincipalMatch, Rule } from './rule.ts';
import type { Sort, Subject } from './subject.ts';

/** `unknown`: the message must name something of this sort, and does not say what in one way only. */
export type NameFit = 'fits' | 'other' | 'unknown';

/** A rule with its globs compiled. */
export interface PreparedRule {
  readonly rule: Rule;
  /** The first key of its principals that this one does not have. */
  missing(principal: PolicyPrincipal): keyof PrincipalMatch | undefined;
  hasMethod(method: string): boolean;
  fit(subject: Subject): NameFit;
  /** Whether it is about names of this sort: one that names none is about all. */
  isAbout(sort: Sort): boolean;
  readonly isNamed: boolean;
}

type Check = readonly [keyof PrincipalMatch, (principal: PolicyPrincipal) => boolean];

export function prepareRule(rule: Rule): PreparedRule {
  const { names } = rule;
  const checks = checksOf(rule.principals);
  const hasMethod = anyOf(rule.methods);
  const isNamed = names.tools !== undefined || names.prompts !== undefined || names.resources !== undefined;
  const matchers: Readonly<Record<Sort, ((name: string) => boolean) | undefined>> = {
    tools: names.tools && anyOf(names.tools),
    prompts: names.prompts && anyOf(names.prompts),
    resources: names.resources && anyOf(names.resources),
  };
  return {
    rule,
    isNamed,
    hasMethod,
    missing(principal) {
      for (const [key, has] of checks) if (!has(principal)) return key;
      return undefined;
    },
    isAbout: (sort) => !isNamed || matchers[sort] !== undefined,
    fit({ sort, name }) {
      if (!isNamed) return 'fits';
      const matches = sort === undefined ? undefined : matchers[sort];
      if (matches === undefined) return 'other';
      if (name === undefined) return 'unknown';
      return matches(name) ? 'fits' : 'other';
    },
  };
}

/** Values are compared to the letter: an e-mail address that is spelt otherwise is another. */
function checksOf(match: PrincipalMatch): readonly Check[] {
  const checks: Check[] = [];
  const one = (key: keyof PrincipalMatch, of: (principal: PolicyPrincipal) => string | undefined) => {
    const values = match[key];
    if (values === undefined) return;
    const known = new Set<string | undefined>(values);
    checks.push([key, (principal) => known.has(of(principal))]);
  };
  one('kinds', ({ kind }) => kind);
  one('subjects', ({ subject }) => subject);
  one('emails', ({ email }) => email);
  one('issuers', ({ issuer }) => issuer);
  one('clients', ({ clientId }) => clientId);
  one('owners', ({ owner }) => owner);
  if (match.groups !== undefined) {
    const groups = new Set(match.groups);
    checks.push(['groups', (principal) => principal.groups.some((group) => groups.has(group))]);
  }
  return checks;
}

export function anyOf(globs: readonly string[]): (text: string) => boolean {
  if (globs.includes('*')) return () => true;
  const literal = new Set(globs.filter((glob) => !glob.includes('*')));
  const patterns = globs.filter((glob) => glob.includes('*')).map(compileGlob);
  return (text) => literal.has(text) || patterns.some((matches) => matches(text));
}
