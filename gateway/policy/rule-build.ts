/** One written rule, made what decisions are made of. What is wrong with it is said through `add`. */

import { nearest } from '../config-problems.ts';
import { asRecord } from '../config-shape.ts';
import { compileGlob } from '../glob.ts';
import { KNOWN_METHODS } from '../mcp/methods.ts';
import type { ConditionCompiler } from './condition-compile.ts';
import type { ArgumentTypes } from './condition-environment.ts';
import { BUILT_IN, type BuiltIn, type Detector } from './masks/detector.ts';
import type { Pins } from './pins.ts';
import type { Names, Rule } from './rule.ts';
import type { WrittenRule } from './schema.ts';
import { IMPLIED, type Sort } from './subject.ts';

export type AddProblem = (keys: readonly (string | number)[], problem: string, fix: string) => void;

interface Parts {
  readonly compiler: ConditionCompiler;
  readonly pins: ReadonlyMap<string, Pins>;
  readonly patterns: ReadonlyMap<string, Detector>;
}

const SORTS: readonly Sort[] = ['tools', 'prompts', 'resources'];

export function createRuleBuilder({ compiler, pins, patterns }: Parts) {
  return (written: WrittenRule, place: { file: string; line: number }, add: AddProblem): Rule => {
    const { name, description, principals, connections, effect, mode, replaceBlobs = [], limits = {} } = written;
    const names = namesOf(written);
    const detectors = (key: 'masks' | 'maskRequests') => detectorsOf(written[key] ?? [], key, patterns, add);
    checkEffect(written, add);
    const rule: Rule = {
      name,
      ...place,
      ...(description === undefined ? {} : { description }),
      principals: withoutAbsent(principals) as Rule['principals'],
      connections,
      methods: methodsOf(written, names, add),
      names,
      effect,
      masks: detectors('masks'),
      maskRequests: detectors('maskRequests'),
      replaceBlobs,
      limits: withoutAbsent(limits) as Rule['limits'],
      ...(written.approval === undefined ? {} : { approval: written.approval }),
      ...(written.screen === undefined ? {} : { screen: written.screen }),
      mode,
    };
    if (written.condition === undefined) return rule;
    const compiled = compiler.compile(written.condition, argumentTypes(rule, pins));
    if (compiled.ok) return { ...rule, condition: compiled.condition };
    add(['condition'], compiled.problem, compiled.fix);
    return rule;
  };
}

function namesOf(written: WrittenRule): Names {
  return Object.fromEntries(SORTS.filter((sort) => written[sort] !== undefined).map((sort) => [sort, written[sort]]));
}

function methodsOf(written: WrittenRule, names: Names, add: AddProblem): readonly string[] {
  const sorts = SORTS.filter((sort) => names[sort] !== undefined);
  if (written.methods === undefined) {
    if (sorts.length === 0) {
      add(
        ['methods'],
        'is missing, and so are tools, prompts and resources',
        'Say what the rule is about: tools: [query].',
      );
    }
    return [...new Set(sorts.flatMap((sort) => IMPLIED[sort]))];
  }
  for (const [index, method] of written.methods.entries()) {
    const isMeant = compileGlob(method);
    if (sorts.length > 0 && !sorts.some((sort) => IMPLIED[sort].some(isMeant))) {
      const fix = 'Take the method out, or write it into a rule without tools, prompts and resources.';
      add(['methods', index], `names none of the rule’s ${sorts.join(', ')}`, fix);
    } else if (/^(tools|prompts|resources|completion)\//.test(method) && ![...KNOWN_METHODS].some(isMeant)) {
      // Most likely a slip, and a slip in a deny would be a hole. Other prefixes may be a server's own methods.
      add(['methods', index], 'is no method of MCP', 'Write it as the protocol spells it, for example tools/call.');
    }
  }
  return written.methods;
}

function detectorsOf(
  names: readonly string[],
  key: string,
  patterns: ReadonlyMap<string, Detector>,
  add: AddProblem,
): Detector[] {
  return names.flatMap((name) => {
    if (BUILT_IN.includes(name as BuiltIn)) return [{ name: name as BuiltIn }];
    const pattern = patterns.get(name);
    if (pattern !== undefined) return [pattern];
    const near = nearest(name, ['all', ...BUILT_IN, ...patterns.keys()]);
    const meant = near === undefined ? '' : `Did you mean ${near}? `;
    const fix = `${meant}Write all, ${BUILT_IN.join(', ')} or a name from patterns.`;
    add([key], 'names a mask that is not known', fix);
    return [];
  });
}

/** What an effect can not do, it must not say: who reads the rule would rely on it. */
function checkEffect(written: WrittenRule, add: AddProblem): void {
  const { effect, approval } = written;
  if (effect === 'approve' && approval === undefined) {
    add(['approval'], 'is missing', 'Say who approves: approval: { approvers: [leads], pending: 1h, usable: 10m }.');
  }
  if (effect !== 'approve' && approval !== undefined) {
    add(['approval'], 'is for rules of effect approve', 'Write effect: approve, or take approval out.');
  }
  if (effect !== 'deny') return;
  for (const key of ['masks', 'maskRequests', 'replaceBlobs', 'limits', 'screen'] as const) {
    if (written[key] === undefined) continue;
    add([key], 'is for what passes, and a deny lets nothing pass', 'Write it into the rule that allows.');
  }
}

/**
 * What the arguments of a rule's tools hold, where each is named to the letter and pinned on each of its connections.
 * Numbers stay untyped: JSON knows but one kind of them, and `args.n == 5` compares with another.
 */
function argumentTypes({ connections, names }: Rule, pins: ReadonlyMap<string, Pins>): ArgumentTypes | undefined {
  const tools = names.tools ?? [];
  if (tools.length === 0 || names.prompts !== undefined || names.resources !== undefined) return undefined;
  // A glob is the name of no pin.
  const all = connections.map((connection) => pins.get(connection));
  const found = tools.map((name) => all.flatMap((one) => one?.tools.filter((tool) => tool.name === name) ?? []));
  if (all.includes(undefined) || found.some((one) => one.length === 0)) return undefined;
  const types: Record<string, string> = Object.create(null);
  for (const { inputSchema } of found.flat()) {
    for (const [key, property] of Object.entries(asRecord(asRecord(inputSchema).properties))) {
      if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(key)) continue;
      const type = TYPES.get(asRecord(property).type) ?? 'dyn';
      types[key] = types[key] === undefined || types[key] === type ? type : 'dyn';
    }
  }
  return types;
}

const TYPES: ReadonlyMap<unknown, string> = new Map([
  ['string', 'string'],
  ['boolean', 'bool'],
]);

function withoutAbsent(given: object): object {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}
