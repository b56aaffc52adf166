/** What an issuer's `mapping` makes of a token's claims. Errors and wrong types refuse the token: never a guess. */

import { areBounded } from '../cel/expression.ts';
import { GatewayError } from '../errors.ts';
import { type Claims, compileExpression, type ExpressionType } from './claims-expression.ts';

/** CEL expressions over `claims`; each replaces the claim that would give the same. */
export interface MappingConfig {
  /** Must be true, or the token is refused. */
  readonly condition?: string;
  readonly subject?: string;
  readonly groups?: string;
  readonly email?: string;
  readonly owner?: string;
  readonly onBehalfOf?: string;
  readonly session?: string;
  readonly attributes?: Readonly<Record<string, string>>;
}

/** What the mapping has expressions for. An empty text stands for "not given" where that may be. */
export interface Mapped {
  readonly subject?: string;
  readonly groups?: readonly string[];
  readonly email?: string;
  readonly owner?: string;
  readonly onBehalfOf?: string;
  readonly session?: string;
  readonly attributes?: Readonly<Record<string, string>>;
}

export interface Mapping {
  /** Whether its condition is true of these claims; one that errs is not. A mapping without one holds. */
  holds(claims: Claims): boolean;
  /** Throws `unauthenticated`, or `not_in_group` where the groups are unknown. */
  map(claims: Claims): Mapped;
}

/** Characters, and entries. */
const MAX_TEXT = 512;
const MAX_GROUPS = 1000;
const OPTIONAL = ['email', 'owner', 'onBehalfOf'] as const;
const REQUIRED = ['subject', 'session'] as const;

/** Throws where an expression is none: a configuration that was loaded has no such. */
export function compileMapping(config: MappingConfig): Mapping {
  const compiled = <T extends ExpressionType>(source: string | undefined, type: T) => {
    if (source === undefined) return undefined;
    const made = compileExpression(source, type);
    if (!made.ok) throw new Error(`An expression of a mapping ${made.problem}.`);
    return made.evaluate;
  };
  const condition = compiled(config.condition, 'bool');
  const groups = compiled(config.groups, 'texts');
  const texts = [...REQUIRED, ...OPTIONAL].map((name) => ({ name, evaluate: compiled(config[name], 'text') }));
  const attributes = Object.entries(config.attributes ?? {}).map(([name, source]) => ({
    name,
    evaluate: compiled(source, 'text'),
  }));

  return {
    holds: (claims) => condition === undefined || (areBounded(claims) && attempt(condition, claims) === true),
    map(claims) {
      if (!areBounded(claims)) throw new GatewayError('unauthenticated', 'not_forwarded', 'Its claims are too many.');
      const mapped: { -readonly [Name in keyof Mapped]: Mapped[Name] } = {};
      for (const { name, evaluate } of texts) {
        if (evaluate === undefined) continue;
        const value = textOf(evaluate, claims, name);
        if (value !== '') mapped[name] = value;
        else if (name === 'subject' || name === 'session') throw notMapped(name);
      }
      if (groups !== undefined) mapped.groups = groupsOf(attempt(groups, claims));
      const named = attributes.flatMap(({ name, evaluate }) => {
        const value = evaluate === undefined ? '' : textOf(evaluate, claims, `attributes.${name}`);
        return value === '' ? [] : [[name, value] as const];
      });
      if (named.length > 0) mapped.attributes = Object.fromEntries(named);
      return mapped;
    },
  };
}

/** The library throws errors of several kinds, and the stack may end: all of them mean that there is no value. */
function attempt(evaluate: (claims: Claims) => unknown, claims: Claims): unknown {
  try {
    return evaluate(claims);
  } catch {
    return undefined;
  }
}

function textOf(evaluate: (claims: Claims) => unknown, claims: Claims, name: string): string {
  const value = attempt(evaluate, claims);
  if (!isText(value)) throw notMapped(name);
  return value;
}

/** Recorded, and shown in terminals: one line. */
function isText(value: unknown): value is string {
  return typeof value === 'string' && value.length <= MAX_TEXT && !/\p{Cc}/u.test(value);
}

function groupsOf(value: unknown): readonly string[] {
  if (Array.isArray(value) && value.length <= MAX_GROUPS && value.every((one) => isText(one) && one !== ''))
    return value;
  // Unknown, never none: a rule that denies a group would fail open.
  throw new GatewayError(
    'not_in_group',
    'not_forwarded',
    'Your groups are unknown: their mapping does not fit the token.',
  );
}

function notMapped(name: string): GatewayError {
  return new GatewayError('unauthenticated', 'not_forwarded', `The mapping of ${name} does not fit the token.`);
}
