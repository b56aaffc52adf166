/** What a policy says together with the connections that it is for: demands of their data, and what is most likely a slip. */
import { compileGlob } from '../glob.ts';
import { anyOf } from './match.ts';
import type { PolicyProblem, PolicySet } from './policy-set.ts';
import type { PrincipalMatch, Rule } from './rule.ts';
import type { Dialect } from './statement.ts';
import { IMPLIED, LISTS } from './subject.ts';

/** What a policy needs to know of a configured connection. */
export interface CheckedConnection {
  readonly dialect?: Dialect;
  /** What its server holds: card data or personal data ask for masks. */
  readonly data?: 'pci' | 'personal';
  /** What happens to tools that are not as pinned. */
  readonly changedTools?: 'refuse' | 'flag';
  /** Who may open sessions, where known. */
  readonly groups?: readonly string[];
}

const DEMANDED = {
  pci: ['card'],
  personal: ['email', 'phone', 'ssn', 'iban', 'card', 'ip'],
} as const;

/** Everything that connections demand of a policy. Errors: what could never be decided, and data without its masks. */
export function checkAgainst(
  set: PolicySet,
  connections: Readonly<Record<string, CheckedConnection>>,
): PolicyProblem[] {
  const names = Object.keys(connections);
  const found = set.rules.flatMap((rule) => [...checkRule(rule, connections), ...checkPinned(rule, set, names)]);
  const reached = (name: string) =>
    set.rules.some(({ mode, effect, connections: globs }) => {
      return mode === 'enforce' && effect !== 'deny' && anyOf(globs)(name);
    });
  for (const name of names.filter((one) => !reached(one))) {
    found.push(ofPolicy(`No rule allows anything on the connection ${name}`, 'Write one that does, or take it out.'));
  }
  for (const name of names.filter((one) => connections[one]?.changedTools === 'refuse' && !set.pins.has(one))) {
    const words = `No tool runs on the connection ${name}: changedTools is refuse there, and none is pinned`;
    found.push(ofPolicy(words, pinFix(name)));
  }
  for (const name of set.pins.keys()) {
    if (names.includes(name)) continue;
    found.push(
      ofPolicy(`tools/${name}.json pins tools of no connection`, 'Take the file out, or name the connection.'),
    );
  }
  return found;
}

/** What a condition sees as `tool` is the pin; of a tool without one it takes the worst. */
function checkPinned(rule: Rule, { pins }: PolicySet, names: readonly string[]): PolicyProblem[] {
  if (rule.condition?.reads.has('tool') !== true) return [];
  const unpinned = names.filter((name) => anyOf(rule.connections)(name) && !pins.has(name));
  return unpinned.map((name) => {
    return warning(rule, `looks at tools of the connection ${name}, and none of it is pinned`, pinFix(name));
  });
}

function pinFix(name: string): string {
  return `Pin them: npx verbatim policy pin ${name}.`;
}

function checkRule(rule: Rule, connections: Readonly<Record<string, CheckedConnection>>): PolicyProblem[] {
  const found: PolicyProblem[] = [];
  const reaches = anyOf(rule.connections);
  const reached = Object.entries(connections).filter(([name]) => reaches(name));
  if (reached.length === 0) {
    found.push(warning(rule, 'matches no connection of the configuration', 'Name one, or take the rule out.'));
  }
  for (const [name, { dialect, data }] of reached) {
    if (dialect === undefined && rule.condition?.reads.has('sql') === true) {
      const fix = `Give the connection a dialect, or keep the rule from it (it has: ${rule.connections.join(', ')}).`;
      found.push(error(rule, `reads SQL on the connection ${name}, which has no dialect`, fix));
    }
    const missing = data === undefined ? [] : missingMasks(rule, DEMANDED[data]);
    if (missing.length === 0) continue;
    const fix = `Add ${missing.join(' and ')} to the rule.`;
    found.push(error(rule, `lets data of the connection ${name} (data: ${data}) pass without its masks`, fix));
  }
  const groups = new Set(reached.flatMap(([, connection]) => connection.groups ?? []));
  const wanted = rule.principals.groups ?? [];
  if (groups.size > 0 && wanted.length > 0 && !wanted.some((group) => groups.has(group))) {
    const fix = 'That is right only for people who are in one of its groups besides.';
    found.push(warning(rule, 'is for groups that no connection of it lets in by themselves', fix));
  }
  return found;
}

function missingMasks(rule: Rule, demanded: readonly string[]): string[] {
  const { tools, prompts, resources } = rule.names;
  const uses = [...IMPLIED.tools, ...IMPLIED.prompts, ...IMPLIED.resources].filter((method) => !LISTS.has(method));
  const isUse =
    tools !== undefined || prompts !== undefined || resources !== undefined || uses.some(anyOf(rule.methods));
  if (rule.mode !== 'enforce' || rule.effect === 'deny' || !isUse) return [];
  return (['masks', 'maskRequests'] as const).flatMap((key) => {
    const missing = demanded.filter((name) => !rule[key].some((detector) => detector.name === name));
    return missing.length === 0 ? [] : [`${key}: [${missing.join(', ')}]`];
  });
}

/** What is most likely a slip, whatever the connections are. All of it warnings. */
export function lint(set: PolicySet): PolicyProblem[] {
  const denies = set.rules.filter((rule) => {
    return rule.mode === 'enforce' && rule.effect === 'deny' && rule.condition === undefined;
  });
  if (set.rules.length === 0) {
    return [ofPolicy('There is no rule, so every call is denied', 'Write rules into access/NAME.yaml.')];
  }
  return set.rules.flatMap((rule) => {
    const found: PolicyProblem[] = [];
    const cover = rule.effect === 'deny' ? undefined : denies.find((deny) => covers(deny, rule));
    if (cover !== undefined) {
      const words = `can let nothing pass: the rule ${cover.name} denies all of it`;
      found.push(warning(rule, words, 'Take one of the two out, or narrow the deny.'));
    }
    if (isForNobody(rule.principals)) {
      found.push(warning(rule, 'matches nobody: only agents have owners', 'Take kinds or owners out.'));
    }
    if (isAllowAll(rule)) {
      found.push(warning(rule, 'lets everything pass', 'Name principals, connections, tools or a condition.'));
    }
    return found;
  });
}

function isForNobody({ kinds, owners }: PrincipalMatch): boolean {
  return owners !== undefined && kinds !== undefined && !kinds.includes('agent');
}

function isAllowAll({ effect, mode, principals, connections, methods, names, condition }: Rule): boolean {
  const isAny = (globs: readonly string[] | undefined) => globs === undefined || globs.includes('*');
  const isOfAll = isAny(names.tools) && isAny(names.prompts) && isAny(names.resources);
  const isMost = methods.includes('*') || methods.includes('tools/*') || methods.includes('tools/call');
  return (
    effect === 'allow' &&
    mode === 'enforce' &&
    condition === undefined &&
    Object.keys(principals).length === 0 &&
    connections.includes('*') &&
    isOfAll &&
    isMost
  );
}

/** Whether a deny surely matches whatever the other rule does. */
function covers(deny: Rule, rule: Rule): boolean {
  if (!isWithin(rule.connections, deny.connections)) return false;
  for (const [key, values] of Object.entries(deny.principals) as [keyof PrincipalMatch, readonly string[]][]) {
    const own: readonly string[] | undefined = rule.principals[key];
    if (own === undefined || !own.every((value) => values.includes(value))) return false;
  }
  const used = rule.methods.filter((method) => !LISTS.has(method));
  if (used.length === 0 || !isWithin(used, deny.methods)) return false;
  const sorts = ['tools', 'prompts', 'resources'] as const;
  if (sorts.every((sort) => deny.names[sort] === undefined)) return true;
  return sorts.every((sort) => {
    const own = rule.names[sort];
    return own === undefined ? isNamed(rule) : isWithin(own, deny.names[sort] ?? []);
  });
}

function isNamed({ names }: Rule): boolean {
  return names.tools !== undefined || names.prompts !== undefined || names.resources !== undefined;
}

/** Whether each glob of one list is within one of the other. A star is matched by a star alone, so this never errs. */
function isWithin(inner: readonly string[], outer: readonly string[]): boolean {
  const matchers = outer.map(compileGlob);
  return inner.every((glob) => matchers.some((matches) => matches(glob)));
}

function error(rule: Rule, problem: string, fix: string): PolicyProblem {
  return { level: 'error', file: rule.file, line: rule.line, column: 1, key: rule.name, problem, fix };
}

function warning(rule: Rule, problem: string, fix: string): PolicyProblem {
  return { ...error(rule, problem, fix), level: 'warning' };
}

function ofPolicy(problem: string, fix: string): PolicyProblem {
  return { level: 'warning', file: '', line: 0, column: 0, key: '', problem, fix };
}
