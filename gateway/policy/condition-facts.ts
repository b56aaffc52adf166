/** What conditions see of a message: made once for all conditions that look at it. */
import { areBounded } from '../cel/expression.ts';
import { ownMember } from '../mcp/methods.ts';
import { PrincipalFacts, ToolFacts } from './condition-environment.ts';
import type { PolicyInput, PolicyPrincipal } from './decision.ts';
import { hintsOf, type Pins } from './pins.ts';

export interface Facts {
  readonly variables: Readonly<Record<string, unknown>>;
  /** Whether the arguments are small enough to be looked at, and to be looped over. */
  readonly bounded: boolean;
  readonly loopable: boolean;
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
  const hints = method === 'tools/call' ? hintsOf(pins.get(connection), name) : hintsOf(undefined, '');
  return {
    bounded,
    loopable: bounded && charactersOf(params) <= MOST_LOOPED,
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
