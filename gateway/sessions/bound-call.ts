/** The call that an approval binds: what its hash is over, and the terms that its rules set together. */
import { createHash } from 'node:crypto';
import { canonicalJson } from '../canonical-json.ts';
import type { BoundCall } from './approval.ts';
import { personOf } from './decider.ts';

/** SHA-256 in hex. What is for the reader alone (title, exchange, e-mail, groups) is not bound. */
export function hashOfCall(call: BoundCall): string {
  const { principal, client, session, connection, origin, method, name, params, tool, policy, rules } = call;
  const bound = {
    v: 1,
    principal: { issuer: principal.issuer, subject: principal.subject, onBehalfOf: principal.onBehalfOf },
    client,
    session,
    connection,
    origin,
    method,
    name,
    params,
    tool,
    policy,
    rules: rules
      .map((one) => ({ ...one, approvers: [...one.approvers].sort() }))
      .sort((one, other) => (one.rule < other.rule ? -1 : 1)),
  };
  return createHash('sha256').update(canonicalJson(bound)).digest('hex');
}

/** Milliseconds. Every rule has to be satisfied, so the shortest times hold. */
export function termsOf({ rules }: Pick<BoundCall, 'rules'>): { pending: number; usable: number } {
  if (rules.length === 0) throw new Error('A call that no rule wants approved has no request.');
  return {
    pending: Math.min(...rules.map(({ pending }) => pending)),
    usable: Math.min(...rules.map(({ usable }) => usable)),
  };
}

/** What is kept of a call. */
export function storedCall({ principal, ...call }: BoundCall): BoundCall {
  const { client, session, connection, title, origin, method, name, params, tool, policy, rules, exchange } = call;
  return {
    principal: personOf(principal),
    ...(client === undefined ? {} : { client }),
    session,
    connection,
    ...(title === undefined ? {} : { title }),
    origin,
    method,
    ...(name === undefined ? {} : { name }),
    params,
    ...(tool === undefined ? {} : { tool }),
    policy,
    rules: rules.map(({ rule, approvers, pending, usable }) => ({ rule, approvers: [...approvers], pending, usable })),
    exchange,
  };
}
