/** What conditions see of a message: made once for all conditions that look at it. */
import { areBounded } from '../cel/expression.ts';
import { foldedKey } from '../mcp/lookalike.ts';
import { ownMember } from '../mcp/methods.ts';
import { PrincipalFacts, ToolFacts } from './condition-environment.ts';
import type { PolicyInput, PolicyPrincipal } from './decision.ts';
import { hintsOf, type Pins } from './pins.ts';

export interface Facts {
  readonly variables: Readonly<Record<string, unknown>>;
  /** Whether the arguments are small enough to be looked at, and to be looped over. */
  readonly bounded: boolean;
  readonly loopable: boolean;
  /**
   * Whether a reader without regard to case (Go's encoding/json) could find something else where a condition looks for
   * these members: two keys of one object are alike, or one is like a member and is not it. Only of what is bounded.
   */
  isAmbiguous(members: ReadonlySet<string>): boolean;
}

/** Characters of all texts in arguments that a condition loops over. */
const MOST_LOOPED = 256 * 1024;

/** Facts of the inputs that are being decided on. */
export function createFacts(pins: ReadonlyMap<string, Pins>): (input: PolicyInput) => Facts {
  const known = new WeakMap<PolicyInput, Facts>();
  return (input) => {
    const before = known.get(input);
    if (before !== undefined) return before;
    const made = factsOf(input, pins);
    known.set(input, made);
    return made;
  };
}

function factsOf(input: PolicyInput, pins: ReadonlyMap<string, Pins>): Facts {
  const { principal, connection, access, clientAddress = '', now, message } = input;
  const { method = '', name = '', params = {} } = message;
  const bounded = areBounded(params);
  let spellings: Spellings | undefined;
  const hints = method === 'tools/call' ? hintsOf(pins.get(connection), name) : hintsOf(undefined, '');
  return {
    bounded,
    loopable: bounded && charactersOf(params) <= MOST_LOOPED,
    isAmbiguous(members) {
      spellings ??= spellingsIn(params);
      if (spellings === 'doubled') return true;
      for (const member of members) {
        const spelt = spellings.get(foldedKey(member));
        if (spelt !== undefined && (spelt.size > 1 || !spelt.has(member))) return true;
      }
      return false;
    },
    variables: {
      principal: Object.assign(new PrincipalFacts(), principalOf(principal)),
      tool: Object.assign(new ToolFacts(), hints),
      connection,
      method,
      name,
      access,
      client: clientAddress,
      now: new Date(now),
      params,
      // Absent arguments are none; any other thing in their place is no map, and its condition fails.
      args: ownMember(params, 'arguments') ?? {},
    },
  };
}

function principalOf(principal: PolicyPrincipal): Record<string, unknown> {
  const { kind, issuer, subject, groups, email = '', owner = '', onBehalfOf = '', clientId = '' } = principal;
  return { kind, issuer, subject, email, groups, owner, onBehalfOf, clientId, attributes: principal.attributes ?? {} };
}

function charactersOf(value: unknown): number {
  if (typeof value === 'string') return value.length;
  if (typeof value !== 'object' || value === null) return 0;
  let sum = 0;
  for (const [key, member] of Object.entries(value)) sum += key.length + charactersOf(member);
  return sum;
}

/** By its folded form, how each key in it is spelt. */
type Spellings = ReadonlyMap<string, ReadonlySet<string>> | 'doubled';

function spellingsIn(root: unknown): Spellings {
  const found = new Map<string, Set<string>>();
  const waiting: unknown[] = [root];
  for (let value = waiting.pop(); value !== undefined; value = waiting.pop()) {
    const keys = Array.isArray(value) ? [] : Object.keys(value as object);
    const folded = keys.map(foldedKey);
    if (new Set(folded).size < keys.length) return 'doubled';
    for (const [index, key] of keys.entries()) {
      const spelt = found.get(folded[index] as string);
      if (spelt === undefined) found.set(folded[index] as string, new Set([key]));
      else spelt.add(key);
    }
    for (const child of Object.values(value as object))
      if (typeof child === 'object' && child !== null) waiting.push(child);
  }
  return found;
}
