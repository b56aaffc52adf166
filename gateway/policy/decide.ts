/**
 * Decisions: what the rules say of one message. Pure, and without order: deny beats approve beats allow, what matching
 * rules add adds up, nothing matched is a denial, and a condition that fails denies (DESIGN: Who may do what).
 */
import { BASE_METHODS, ownMember } from '../mcp/methods.ts';
import type { Evaluated } from './condition.ts';
import type { Decision, Needs, PolicyInput } from './decision.ts';
import type { Detector } from './masks/detector.ts';
import { anyOf, type PreparedRule, prepareRule } from './match.ts';
import type { PolicySet } from './policy-set.ts';
import type { Rule } from './rule.ts';
import type { Dialect, Readings } from './statement.ts';
import { LISTS, subjectOf } from './subject.ts';
import { count, createTally, decisionOf, denial, distinct, type Tally } from './tally.ts';

/** What a list shows. A `template` is a resource's, with `{…}` in its URI. */
export type Listed = 'tool' | 'prompt' | 'resource' | 'template';

export interface Policy {
  readonly set: PolicySet;
  /** `dialect`: the connection's. Decide again with what it `needs`. */
  decide(input: PolicyInput, readings: Readings, dialect?: Dialect): Decision | Needs;
  /**
   * Whether a list may show a thing: unless it surely can't be used. `input` is the message that asked for the list.
   */
  mayList(input: PolicyInput, kind: Listed, name: string): boolean;
  /** For what came of a call that nobody knows any more: all that any rule of the connection would mask. */
  masksOfConnection(connection: string): ConnectionMasks;
}

export interface ConnectionMasks {
  readonly masks: readonly Detector[];
  readonly maskRequests: readonly Detector[];
  readonly replaceBlobs: readonly string[];
}

/** What a connection's decisions are made of, prepared once. */
interface ConnectionRules extends ConnectionMasks {
  readonly rules: readonly PreparedRule[];
}

/** Connections whose rules are kept prepared: as many as a configuration may sensibly have. */
const MOST_CONNECTIONS = 1000;
const TRUE: Evaluated = { value: true };
/** What of a message a condition may look at that is not known before there is one. */
const INSIDE = ['args', 'params', 'sql', 'shell'];
const NAMED = ['name', 'tool', 'method'];

const USES: Readonly<Record<Listed, readonly string[]>> = {
  tool: ['tools/call'],
  prompt: ['prompts/get'],
  resource: ['resources/read', 'resources/subscribe'],
  template: ['resources/read', 'resources/subscribe'],
};

export function createPolicy(set: PolicySet): Policy {
  const prepared = set.rules.map((rule) => ({ ...prepareRule(rule), reaches: anyOf(rule.connections) }));
  const byConnection = new Map<string, ConnectionRules>();

  function rulesOf(connection: string): ConnectionRules {
    const known = byConnection.get(connection);
    if (known !== undefined) return known;
    const rules = prepared.filter(({ reaches }) => reaches(connection));
    const enforced = rules.map(({ rule }) => rule).filter(({ mode }) => mode === 'enforce');
    const made: ConnectionRules = {
      rules,
      masks: distinct(enforced.flatMap(({ masks }) => masks)),
      maskRequests: distinct(enforced.flatMap(({ maskRequests }) => maskRequests)),
      replaceBlobs: [...new Set(enforced.flatMap(({ replaceBlobs }) => replaceBlobs))],
    };
    if (byConnection.size < MOST_CONNECTIONS) byConnection.set(connection, made);
    return made;
  }

  return {
    set,
    decide(input, readings, dialect) {
      const rules = rulesOf(input.connection);
      const known = { readings, ...(dialect === undefined ? {} : { dialect }) };
      const { kind, method = '' } = input.message;
      if (kind === 'response') return decideResponse(input, rules);
      if (BASE_METHODS.has(method)) return finish(tallyBase(input, rules, known), rules, 'base-protocol');
      if (LISTS.has(method)) return finish(tallyList(input, rules, known), rules);
      if (method === 'subscriptions/listen') return decideListen(input, rules, known);
      return finish(tallyMessage(input, rules, known), rules);
    },
    mayList: (input, kind, name) => mayList(input, rulesOf(input.connection), kind, name),
    masksOfConnection(connection) {
      const { masks, maskRequests, replaceBlobs } = rulesOf(connection);
      return { masks, maskRequests, replaceBlobs };
    },
  };
}

interface Known {
  readonly readings: Readings;
  readonly dialect?: Dialect;
}

function finish(tally: Tally, rules: ConnectionRules, otherwise?: string): Decision | Needs {
  if (tally.needs.size > 0) return { needs: [...tally.needs.values()] };
  return decisionOf(tally, { hidden: rules.maskRequests, ...(otherwise === undefined ? {} : { otherwise }) });
}

function conditionOf({ rule }: PreparedRule, input: PolicyInput, known: Known): Evaluated {
  return rule.condition === undefined ? TRUE : rule.condition.evaluate(input, known);
}

function tallyMessage(input: PolicyInput, { rules }: ConnectionRules, known: Known): Tally {
  const tally = createTally();
  const { principal, message } = input;
  const subject = subjectOf(message);
  for (const one of rules) {
    if (!one.hasMethod(message.method ?? '')) continue;
    const fit = one.fit(subject);
    // What has no name could be what a deny or an approve names, and is nothing that an allow names.
    if (fit === 'other' || (fit === 'unknown' && one.rule.effect === 'allow')) continue;
    if (one.missing(principal) !== undefined) continue;
    count(tally, one.rule, conditionOf(one, input, known));
  }
  return tally;
}

/** A deny alone stops a base message; what else matches masks it, also where its condition can't be decided. */
function tallyBase(input: PolicyInput, { rules }: ConnectionRules, known: Known): Tally {
  const tally = createTally();
  const { principal, message } = input;
  const subject = subjectOf(message);
  for (const one of rules) {
    const { rule } = one;
    if (!one.hasMethod(message.method ?? '') || one.fit(subject) === 'other') continue;
    if (one.missing(principal) !== undefined) continue;
    const value = conditionOf(one, input, known);
    if (rule.effect === 'deny') count(tally, rule, value);
    else if (!('value' in value) || value.value) count(tally, asAllow(rule), TRUE);
  }
  return tally;
}

/**
 * A list is decided on without a name: it is allowed where something that it lists could be, by the rules that could, and
 * what may not be used is taken out of it (mayList). So rules about names or arguments never deny a list.
 */
function tallyList(input: PolicyInput, { rules }: ConnectionRules, known: Known): Tally {
  const tally = createTally();
  const { principal, message } = input;
  const { method = '' } = message;
  const listed = LISTS.get(method);
  for (const one of rules) {
    const { rule } = one;
    const isMeant = !one.isNamed && one.hasMethod(method);
    const couldUse = listed?.uses.some(one.hasMethod) === true && one.isAbout(listed.sort);
    if (one.missing(principal) !== undefined) continue;
    if (rule.effect === 'deny') {
      if (isMeant && !reads(rule, INSIDE, NAMED)) count(tally, rule, conditionOf(one, input, known));
      continue;
    }
    if (!isMeant && !couldUse) continue;
    const value = reads(rule, INSIDE, NAMED) ? TRUE : conditionOf(one, input, known);
    count(tally, isMeant ? rule : { ...asAllow(rule), ...(rule.screen && { screen: rule.screen }) }, value);
  }
  return tally;
}

/** What a rule masks, where neither its effect nor its limits are about the message. */
function asAllow({ screen: _, ...rule }: Rule): Rule {
  return { ...rule, effect: 'allow', limits: {} };
}

function reads({ condition }: PreparedRule['rule'], ...variables: readonly (readonly string[])[]): boolean {
  return condition !== undefined && variables.some((some) => some.some((name) => condition.reads.has(name)));
}

/** The answer to a server's request, which the gateway has awaited: masked as the rules that can have let it ask say. */
function decideResponse({ principal }: PolicyInput, { rules }: ConnectionRules): Decision {
  const could = rules.filter(
    (one) =>
      !one.isNamed && one.rule.mode === 'enforce' && one.rule.effect !== 'deny' && one.missing(principal) === undefined,
  );
  const decision = decisionOf(createTally(), { otherwise: 'awaited-response', hidden: [] });
  return { ...decision, maskRequests: distinct(could.flatMap(({ rule }) => rule.maskRequests)) };
}

/** A subscription is allowed by a rule that says so, and by what allows each resource that it names. */
function decideListen(input: PolicyInput, rules: ConnectionRules, known: Known): Decision | Needs {
  const uris = urisOf(input.message.params);
  const own = tallyMessage(input, rules, known);
  if (uris === undefined) return denial([], 'What the subscription names is no list of resources.', rules.maskRequests);
  const all = uris.map((uri) => {
    const message = { kind: input.message.kind, method: 'resources/subscribe', name: uri, params: { uri } };
    return tallyMessage({ ...input, message }, rules, known);
  });
  const needs = new Map([own, ...all].flatMap((tally) => [...tally.needs]));
  if (needs.size > 0) return { needs: [...needs.values()] };
  const decisions = [own, ...all].map((tally) => decisionOf(tally, { hidden: rules.maskRequests }));
  const denied = decisions.find(({ effect }) => effect === 'deny');
  if (denied !== undefined) return denied;
  return decisionOf(mergeTallies([own, ...all]), { hidden: rules.maskRequests });
}

function mergeTallies(tallies: readonly Tally[]): Tally {
  const merged = createTally();
  const seen = new Set<unknown>();
  for (const { enforce, shadow } of tallies) {
    for (const rule of [...enforce.approve, ...enforce.allow, ...shadow.deny, ...shadow.approve, ...shadow.allow]) {
      if (!seen.has(rule)) count(merged, rule, TRUE);
      seen.add(rule);
    }
    merged.shadow.erred.push(...shadow.erred);
  }
  return merged;
}

/** undefined: something stands where the resources should, or there are more than anybody asks for. */
function urisOf(params: unknown): readonly string[] | undefined {
  const given = ownMember(ownMember(params, 'notifications'), 'resourceSubscriptions') ?? [];
  if (!Array.isArray(given) || given.length > 1000) return undefined;
  return given.every((uri) => typeof uri === 'string') ? [...new Set<string>(given)] : undefined;
}

function mayList(input: PolicyInput, { rules }: ConnectionRules, kind: Listed, name: string): boolean {
  const known: Known = { readings: new Map() };
  return USES[kind].some((method) => {
    const params = kind === 'tool' || kind === 'prompt' ? { name } : { uri: name };
    const asked: PolicyInput = { ...input, from: 'client', message: { kind: 'request', method, name, params } };
    const subject = subjectOf(asked.message);
    let could = false;
    for (const one of rules) {
      const { rule } = one;
      if (rule.mode !== 'enforce' || !one.hasMethod(method) || one.missing(input.principal) !== undefined) continue;
      const fits = one.fit(subject) === 'fits' || (kind === 'template' && rule.effect !== 'deny' && mayFit(rule, name));
      if (!fits) continue;
      const value = reads(rule, INSIDE) ? undefined : conditionOf(one, asked, known);
      // A condition that looks at arguments is unknown: maybe for what allows, and not surely for what denies.
      if (value === undefined) could ||= rule.effect !== 'deny';
      else if (!('value' in value)) return false;
      else if (value.value && rule.effect === 'deny') return false;
      else could ||= value.value;
    }
    return could;
  });
}

/** A template stands for many resources: it may be shown where one of them can be read. */
function mayFit({ names }: PreparedRule['rule'], template: string): boolean {
  const beginning = template.split('{', 1)[0] ?? '';
  return (names.resources ?? []).some((glob) => {
    const literal = glob.split('*', 1)[0] ?? '';
    if (!glob.includes('*')) return literal.startsWith(beginning);
    return literal.startsWith(beginning) || beginning.startsWith(literal);
  });
}
