/**
 * One CEL expression over a token's claims. Who writes the configuration is trusted, who sends a token is not: whatever
 * its claims hold, an expression takes bounded time, gives its type, or fails.
 */
import { type ASTNode, Environment } from '@marcbachmann/cel-js';

/** `text` and `texts` may also be `dyn` when checked: what a claim holds is known only when it is there. */
export type ExpressionType = 'text' | 'texts' | 'bool';

export type Claims = Readonly<Record<string, unknown>>;

export type CompiledExpression =
  | { readonly ok: true; evaluate(claims: Claims): unknown }
  | { readonly ok: false; readonly problem: string; readonly fix: string };

const MAX_SOURCE = 4096;
/** Three macros inside one another take 300 ms over a list of 200. */
const MAX_NESTED = 2;
const MAX_ELEMENTS = 1000;
const MAX_DEPTH = 32;

const MACROS = new Set(['all', 'exists', 'exists_one', 'map', 'filter', 'bind']);

const environment = new Environment({
  unlistedVariablesAreDyn: false,
  // `["deployers", claims.environment]` is a list of texts, though only one of them is known to be a text beforehand.
  homogeneousAggregateLiterals: false,
  limits: { maxAstNodes: 500, maxDepth: MAX_DEPTH, maxListElements: 500, maxMapEntries: 500, maxCallArguments: 8 },
}).registerVariable('claims', 'map<string, dyn>');

/** The words say where and what, and never repeat the expression. */
export function compileExpression(source: unknown, type: ExpressionType): CompiledExpression {
  if (typeof source !== 'string' || source.trim() === '' || source.length > MAX_SOURCE) {
    return { ok: false, problem: 'is not a CEL expression', fix: `Write ${EXAMPLE[type]} in quotes.` };
  }
  let parsed: ReturnType<Environment['parse']>;
  try {
    parsed = environment.parse(source);
  } catch (error) {
    return {
      ok: false,
      problem: `is not a CEL expression${placeOf(error)}`,
      fix: `Write for example ${EXAMPLE[type]}.`,
    };
  }
  const refused = refusalOf(parsed.ast, 0);
  if (refused !== undefined) return { ok: false, ...refused };
  const checked = parsed.check();
  if (!checked.valid) {
    const fix = 'The one variable is claims: claims.sub, claims["kubernetes.io"].namespace.';
    return { ok: false, problem: `is not a CEL expression that holds together${placeOf(checked.error)}`, fix };
  }
  if (!TYPES[type].includes(checked.type ?? '')) {
    return { ok: false, problem: `does not give ${GIVES[type]}`, fix: `Write for example ${EXAMPLE[type]}.` };
  }
  return { ok: true, evaluate: (claims) => parsed({ claims }) };
}

const EXAMPLE: Record<ExpressionType, string> = {
  text: 'claims.sub',
  texts: '["deployers"]',
  bool: 'claims.repository == "acme/orders"',
};
const GIVES: Record<ExpressionType, string> = { text: 'a text', texts: 'a list of texts', bool: 'true or false' };
/** As the library names them: `list` is a list of anything, `list<T>` the empty one. A condition is never `dyn`. */
const TYPES: Record<ExpressionType, readonly string[]> = {
  text: ['string', 'dyn'],
  texts: ['list<string>', 'list', 'list<T>', 'list<dyn>', 'dyn'],
  bool: ['bool'],
};

/** ` (unknown_variable, character 5)`: the library's own words quote the expression. */
function placeOf(error: unknown): string {
  if (!(error instanceof Error)) return '';
  const { code, range } = error as { code?: unknown; range?: { start?: unknown } };
  const what = typeof code === 'string' && /^[a-z_]{1,64}$/.test(code) ? code : 'unreadable';
  return typeof range?.start === 'number' ? ` (${what}, character ${range.start + 1})` : ` (${what})`;
}

/** What the parser allows and this gateway does not; `nested` counts the macros around a node. */
function refusalOf(node: unknown, nested: number): { problem: string; fix: string } | undefined {
  if (Array.isArray(node)) {
    for (const one of node) {
      const refused = refusalOf(one, nested);
      if (refused !== undefined) return refused;
    }
    return undefined;
  }
  if (!isNode(node)) return undefined;
  if (node.op !== 'rcall' && node.op !== 'call') return refusalOf(node.args, nested);
  const [name] = node.args;
  if (name === 'matches') {
    // Its patterns are run by backtracking: 28 characters of a claim can take seconds.
    return { problem: 'calls matches', fix: 'Use startsWith, endsWith, contains, split or a list with in.' };
  }
  if (node.op === 'call') return refusalOf(node.args[1], nested);
  const [, receiver, args] = node.args;
  const inside = MACROS.has(name) ? nested + 1 : nested;
  if (inside > MAX_NESTED) {
    return { problem: `nests more than ${MAX_NESTED} macros`, fix: 'Write it with fewer loops inside one another.' };
  }
  return refusalOf(receiver, nested) ?? refusalOf(args, inside);
}

function isNode(value: unknown): value is ASTNode {
  return typeof value === 'object' && value !== null && 'op' in value && 'args' in value;
}

/** Whether claims are small enough to be looped over. */
export function areBounded(value: unknown, depth = 0): boolean {
  if (typeof value !== 'object' || value === null) return true;
  if (depth >= MAX_DEPTH) return false;
  const members = Object.values(value);
  return members.length <= MAX_ELEMENTS && members.every((member) => areBounded(member, depth + 1));
}
