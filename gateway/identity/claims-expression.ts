/** One CEL expression over a token's claims. */
import { Environment } from '@marcbachmann/cel-js';
import { type Call, isSource, OPTIONS, placeOf, type Refusal, refusalOf } from '../cel/expression.ts';

/** `text` and `texts` may also be `dyn` when checked: what a claim holds is known only when it is there. */
export type ExpressionType = 'text' | 'texts' | 'bool';

export type Claims = Readonly<Record<string, unknown>>;

export type CompiledExpression =
  | { readonly ok: true; evaluate(claims: Claims): unknown }
  | { readonly ok: false; readonly problem: string; readonly fix: string };

const environment = new Environment(OPTIONS).registerVariable('claims', 'map<string, dyn>');

/** The words say where and what, and never repeat the expression. */
export function compileExpression(source: unknown, type: ExpressionType): CompiledExpression {
  if (!isSource(source)) {
    return { ok: false, problem: 'is not a CEL expression', fix: `Write ${EXAMPLE[type]} in quotes.` };
  }
  let parsed: ReturnType<Environment['parse']>;
  try {
    parsed = environment.parse(source);
  } catch (error) {
    return {
      ok: false,
      problem: `is not a CEL expression (${placeOf(error)})`,
      fix: `Write for example ${EXAMPLE[type]}.`,
    };
  }
  const refused = refusalOf(parsed.ast, refuseMatches);
  if (refused !== undefined) return { ok: false, ...refused };
  const checked = parsed.check();
  if (!checked.valid) {
    const fix = 'The one variable is claims: claims.sub, claims["kubernetes.io"].namespace.';
    return { ok: false, problem: `is not a CEL expression that holds together (${placeOf(checked.error)})`, fix };
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

function refuseMatches({ name }: Call): Refusal | undefined {
  if (name !== 'matches') return undefined;
  // Its patterns are run by backtracking: 28 characters of a claim can take seconds.
  return { problem: 'calls matches', fix: 'Use startsWith, endsWith, contains, split or a list with in.' };
}
