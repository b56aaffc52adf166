/**
 * What all CEL of this gateway has in common. Who writes an expression is trusted, what it looks at is not: it takes
 * bounded time over whatever comes, gives its type, or fails.
 */
import type { ASTNode } from '@marcbachmann/cel-js';

/** Why an expression is refused, and what to write instead. Neither repeats it. */
export interface Refusal {
  readonly problem: string;
  readonly fix: string;
}

/** Characters. */
const MAX_SOURCE = 4096;
const MAX_DEPTH = 32;
/** Three macros inside one another take 300 ms over a list of 200. */
const MAX_NESTED = 2;
const MAX_ELEMENTS = 1000;

export const MACROS: ReadonlySet<string> = new Set(['all', 'exists', 'exists_one', 'map', 'filter', 'bind']);

export const OPTIONS = {
  unlistedVariablesAreDyn: false,
  // `["deployers", claims.environment]` is a list of texts, though only one of them is known to be a text beforehand.
  homogeneousAggregateLiterals: false,
  limits: { maxAstNodes: 500, maxDepth: MAX_DEPTH, maxListElements: 500, maxMapEntries: 500, maxCallArguments: 8 },
};

export function isSource(source: unknown): source is string {
  return typeof source === 'string' && source.trim() !== '' && source.length <= MAX_SOURCE;
}

/** `unknown_variable, character 5`: the library's own words quote the expression, and values. */
export function placeOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unreadable';
  const { code, range } = error as { code?: unknown; range?: { start?: unknown } };
  const what = typeof code === 'string' && /^[a-z_]{1,64}$/.test(code) ? code : 'unreadable';
  return typeof range?.start === 'number' ? `${what}, character ${range.start + 1}` : what;
}

/** A function or method that an expression calls. `receiver` is absent where it is no method. */
export interface Call {
  readonly name: string;
  readonly receiver?: unknown;
  readonly args: readonly unknown[];
}

/** What the parser allows and this gateway does not: macros nested too deeply, and what `refuses` says of each call. */
export function refusalOf(ast: unknown, refuses: (call: Call) => Refusal | undefined): Refusal | undefined {
  return walk(ast, 0);

  /** `nested` counts the macros around a node. */
  function walk(node: unknown, nested: number): Refusal | undefined {
    if (Array.isArray(node)) return first(node, (one) => walk(one, nested));
    if (!isNode(node)) return undefined;
    if (node.op !== 'rcall' && node.op !== 'call') return walk(node.args, nested);
    const call: Call =
      node.op === 'call'
        ? { name: node.args[0], args: node.args[1] }
        : { name: node.args[0], receiver: node.args[1], args: node.args[2] };
    const refused = refuses(call);
    if (refused !== undefined) return refused;
    const inside = node.op === 'rcall' && MACROS.has(call.name) ? nested + 1 : nested;
    if (inside > MAX_NESTED) {
      return { problem: `nests more than ${MAX_NESTED} macros`, fix: 'Write it with fewer loops inside one another.' };
    }
    return walk(call.receiver, nested) ?? walk(call.args, inside);
  }
}

function first<T, R>(all: readonly T[], of: (one: T) => R | undefined): R | undefined {
  for (const one of all) {
    const found = of(one);
    if (found !== undefined) return found;
  }
  return undefined;
}

export function isNode(value: unknown): value is ASTNode {
  return typeof value === 'object' && value !== null && 'op' in value && 'args' in value;
}

/** Whether a value is small enough to be looped over. */
export function areBounded(value: unknown, depth = 0): boolean {
  if (typeof value !== 'object' || value === null) return true;
  if (depth >= MAX_DEPTH) return false;
  const members = Object.values(value);
  return members.length <= MAX_ELEMENTS && members.every((member) => areBounded(member, depth + 1));
}
