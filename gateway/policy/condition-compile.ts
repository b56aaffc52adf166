/**
 * Conditions: CEL over one message. What is wrong with one is found when it is compiled: an unknown variable, field or
 * function, another type than bool. What is wrong with a message makes an error, and an error denies.
 */
import { isDeepStrictEqual } from 'node:util';
import type { ASTNode, Environment } from '@marcbachmann/cel-js';
import { type Call, isNode, isSource, MACROS, placeOf, type Refusal, refusalOf } from '../cel/expression.ts';
import { nearest } from '../config-problems.ts';
import type { Condition, Evaluated } from './condition.ts';
import {
  type ArgumentTypes,
  ConditionError,
  createEnvironments,
  type Environments,
  FUNCTIONS,
  METHODS,
  STAND_INS,
} from './condition-environment.ts';
import { createFacts, type Facts } from './condition-facts.ts';
import type { PolicyInput } from './decision.ts';
import type { Pins } from './pins.ts';
import type { Question } from './statement.ts';

export type CompiledCondition =
  | { readonly ok: true; readonly condition: Condition }
  | ({ readonly ok: false } & Refusal);

export interface ConditionCompiler {
  /** `types`: what the arguments hold, where their schema is pinned. */
  compile(source: unknown, types?: ArgumentTypes): CompiledCondition;
}

const EXAMPLE = 'sql.readOnly(args.query)';
const NAMES =
  'principal, connection, method, name, access, client, now, args, params, tool, and sql.… and shell.… with methods';

/** One for a policy: its conditions share patterns and what they know of a message. */
export function createConditionCompiler(pins: ReadonlyMap<string, Pins>): ConditionCompiler {
  const environments = createEnvironments();
  const facts = createFacts(pins);
  return {
    compile(source, types) {
      if (!isSource(source)) return refuse('is not a CEL expression', `Write ${EXAMPLE} in quotes.`);
      return compile(source, { environment: environments.for(types), environments, facts });
    },
  };
}

interface Parts {
  readonly environment: Environment;
  readonly environments: Environments;
  readonly facts: (input: PolicyInput) => Facts;
}

function compile(source: string, parts: Parts): CompiledCondition {
  const parsed = parse(source, parts.environment);
  if ('problem' in parsed) return { ok: false, ...parsed };
  const refused = refusalOf(parsed.ast, (call) => refusalOfCall(call, parts.environments));
  if (refused !== undefined) return { ok: false, ...refused };
  const { reads, members, loops, literals } = contentsOf(parsed.ast);
  // The library compares them otherwise than CEL does, and JSON has neither.
  if (literals.some((value) => typeof value === 'object' && value !== null)) {
    return refuse('has bytes or an unsigned number', 'Write texts in quotes, and numbers as 5 or 5.0.');
  }
  const run = withStandIns(source, parsed.ast, parts.environment);
  if (run === undefined)
    return refuse('is spelt in a way that can not be followed', 'Write calls as text.matches("…").');
  const checked = run.check();
  if (!checked.valid) {
    return refuse(`does not hold together (${placeOf(checked.error)})`, `Known here: ${NAMES}; docs/policies.md.`);
  }
  // A variable alone passes as whatever it is: only true and false are decisions.
  if (checked.type !== 'bool') return refuse('does not give true or false', `Write for example ${EXAMPLE}.`);
  const clauses = clausesOf(source, parsed.ast, parts);
  return { ok: true, condition: conditionOf({ source, reads, members, loops, run, clauses }, parts) };
}

function refuse(problem: string, fix: string): { readonly ok: false } & Refusal {
  return { ok: false, problem, fix };
}

function parse(source: string, environment: Environment): ReturnType<Environment['parse']> | Refusal {
  try {
    return environment.parse(source);
  } catch (error) {
    const words = /\b(and|or|not)\b/i.test(source.replace(/"[^"]*"|'[^']*'/g, ''));
    const fix = words ? 'Write && for and, || for or, ! for not.' : `Write for example ${EXAMPLE}.`;
    return { problem: `is not a CEL expression (${placeOf(error)})`, fix };
  }
}

function refusalOfCall({ name, receiver, args }: Call, environments: Environments): Refusal | undefined {
  const known = receiver === undefined ? FUNCTIONS : METHODS;
  if (!known.has(name)) {
    const near = nearest(name, [...known]);
    const meant = near === undefined ? '' : `Did you mean ${near}? `;
    return { problem: 'calls a function that is not known here', fix: `${meant}Known: ${[...known].join(', ')}.` };
  }
  if (name !== 'matches') return undefined;
  const [pattern] = args;
  const literal =
    isNode(pattern) && pattern.op === 'value' && typeof pattern.args === 'string' ? pattern.args : undefined;
  if (literal === undefined) {
    return {
      problem: 'has a pattern that is not written out',
      fix: 'Write the pattern of matches as a text in quotes.',
    };
  }
  if (environments.addPattern(literal)) return undefined;
  const fix = 'Write it in the syntax of RE2, without look-around and back-references.';
  return { problem: 'has a pattern that is none', fix };
}

const TOKEN =
  /\/\/[^\n]*|[rR]?[bB]?[rR]?(?:"""[\s\S]*?"""|'''[\s\S]*?''')|[bB]?[rR][bB]?(?:"[^"\n]*"|'[^'\n]*')|[bB]?(?:"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')|[A-Za-z_]\w*/g;

/**
 * The source with our functions in the library's place. Written back from the tree it would not always be the same
 * expression (`1 - (2 - 3)` loses its parentheses), so names are replaced in the text, and the two trees compared.
 */
function withStandIns(
  source: string,
  ast: ASTNode,
  environment: Environment,
): ReturnType<Environment['parse']> | undefined {
  const written = source.replace(TOKEN, (token: string, at: number) => {
    const standIn = STAND_INS.get(token);
    const isMethod = /\.\s*$/.test(source.slice(0, at)) && /^\s*\(/.test(source.slice(at + token.length));
    return standIn === undefined || !isMethod ? token : standIn;
  });
  const parsed = parse(written, environment);
  return 'problem' in parsed || !isDeepStrictEqual(shapeOf(parsed.ast), shapeOf(ast, STAND_INS)) ? undefined : parsed;
}

/** A tree without places, its methods named by `names`. */
function shapeOf(node: unknown, names: ReadonlyMap<string, string> = new Map()): unknown {
  if (Array.isArray(node)) return node.map((one) => shapeOf(one, names));
  if (!isNode(node)) return node;
  const { op, args } = node;
  if (op !== 'rcall') return [op, shapeOf(args, names)];
  const [name, receiver, values] = args;
  return [op, names.get(name) ?? name, shapeOf(receiver, names), shapeOf(values, names)];
}

/** Its parts between `&&` at the top. Where a part can not be cut out of the source, the whole is the one clause. */
function clausesOf(source: string, ast: ASTNode, parts: Parts): Condition['clauses'] {
  const nodes = conjuncts(ast);
  if (nodes.length < 2) return [];
  const clauses: { source: string; condition: Condition }[] = [];
  for (const node of nodes) {
    const part = source.slice(node.start, node.end);
    const parsed = parse(part, parts.environment);
    if ('problem' in parsed || !isDeepStrictEqual(shapeOf(parsed.ast), shapeOf(node))) return [];
    const compiled = compile(part, parts);
    if (!compiled.ok) return [];
    clauses.push({ source: part, condition: compiled.condition });
  }
  return clauses;
}

function conjuncts(node: ASTNode): ASTNode[] {
  return node.op === '&&' ? node.args.flatMap(conjuncts) : [node];
}

interface Made {
  readonly source: string;
  readonly reads: ReadonlySet<string>;
  readonly members: ReadonlySet<string>;
  readonly loops: boolean;
  readonly run: (variables: Readonly<Record<string, unknown>>) => unknown;
  readonly clauses: Condition['clauses'];
}

function conditionOf({ source, reads, members, loops, run, clauses }: Made, { environments, facts }: Parts): Condition {
  const looksInside = reads.has('args') || reads.has('params');
  return {
    source,
    reads,
    clauses,
    evaluate(input, { readings, dialect }): Evaluated {
      const { variables, bounded, loopable, isAmbiguous } = facts(input);
      if (looksInside) {
        if (!(loops ? loopable : bounded)) return { error: 'the arguments are too large to be looked at' };
        if (isAmbiguous(members)) return { error: 'the arguments have a key that readers take for another' };
      }
      const questions: Question[] = [];
      try {
        const value = environments.during({ readings, dialect, questions }, () => run(variables));
        if (questions.length > 0) return { needs: questions };
        return typeof value === 'boolean' ? { value } : { error: 'it gave neither true nor false' };
      } catch (error) {
        if (questions.length > 0) return { needs: questions };
        return { error: error instanceof ConditionError ? error.message : placeOf(error) };
      }
    },
  };
}

interface Contents {
  readonly reads: ReadonlySet<string>;
  /** Members that it looks for in arguments, or in what it loops over. */
  readonly members: ReadonlySet<string>;
  readonly loops: boolean;
  readonly literals: readonly unknown[];
}

/** The variables that a tree names (those of its loops too: they can only be more), whether it loops, what it writes out. */
function contentsOf(ast: ASTNode): Contents {
  const reads = new Set<string>();
  const members = new Set<string>();
  const literals: unknown[] = [];
  let loops = false;
  const look = (node: unknown): void => {
    if (Array.isArray(node)) for (const one of node) look(one);
    if (!isNode(node)) return;
    if (node.op === 'id') reads.add(node.args);
    if (node.op === 'value') literals.push(node.args);
    const member = memberOf(node);
    if (member !== undefined) members.add(member);
    if (node.op === 'rcall' && MACROS.has(node.args[0])) loops = true;
    look(node.args);
  };
  look(ast);
  return { reads, members, loops, literals };
}

/** Of the gateway's own facts every key is known. */
const OWN = new Set(['principal', 'tool']);

/** The member that a step of an expression looks for: `args.sql`, `args["sql"]`, `"sql" in args`. */
function memberOf(node: ASTNode): string | undefined {
  if (node.op === '.') return OWN.has(rootOf(node.args[0])) ? undefined : node.args[1];
  const key = node.op === '[]' ? node.args[1] : node.op === 'in' ? node.args[0] : undefined;
  return key?.op === 'value' && typeof key.args === 'string' ? key.args : undefined;
}

function rootOf(node: ASTNode): string {
  let at = node;
  while (at.op === '.' || at.op === '[]') at = at.args[0];
  return at.op === 'id' ? at.args : '';
}
