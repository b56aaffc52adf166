/** Rules and messages for tests. */
import assert from 'node:assert/strict';
import { createPolicy } from './decide.ts';
import type { Decision, PolicyInput } from './decision.ts';
import { messageOf } from './golden.ts';
import { loadPolicy, type PolicyFile } from './load.ts';
import { type ListedTool, writePins } from './pins.ts';
import type { PolicySet } from './policy-set.ts';
import type { Readings } from './statement.ts';

export const compilePattern = (source: string) =>
  source === '('
    ? { ok: false as const, problem: 'a bracket is open', fix: 'Close it.' }
    : { ok: true as const, pattern: { find: () => [] } };

export const load = (...files: PolicyFile[]) => loadPolicy(files, compilePattern);

/** A policy of rules as YAML would give them; each needs a name and an effect, the rest is for anybody, anywhere. */
export function setOf(rules: readonly object[], pins: Record<string, readonly ListedTool[]> = {}): PolicySet {
  const whole = rules.map((rule) => ({ principals: 'any', connections: ['*'], ...rule }));
  const tools = Object.entries(pins).map(([connection, listed]) => {
    return { path: `tools/${connection}.json`, text: writePins(connection, listed) };
  });
  const loaded = load({ path: 'access/test.yaml', text: JSON.stringify({ rules: whole }) }, ...tools);
  assert.ok(loaded.ok, JSON.stringify(loaded));
  return loaded.set;
}

export const ANA: PolicyInput['principal'] = {
  kind: 'human',
  issuer: 'https://idp.example.com',
  subject: 'u-ana',
  email: 'ana@example.com',
  groups: ['staff', 'analysts'],
  clientId: 'claude',
};

export function inputOf(
  method: string | undefined,
  params?: unknown,
  more: Partial<PolicyInput> & { readonly kind?: PolicyInput['message']['kind'] } = {},
): PolicyInput {
  const { kind = 'request', ...rest } = more;
  return {
    principal: ANA,
    connection: 'orders',
    access: 'standing',
    from: 'client',
    message: messageOf({ kind, method, params }),
    now: Date.UTC(2026, 10, 22, 12),
    ...rest,
  };
}

/** A decision for which nothing has to be read. */
export function decided(set: PolicySet, input: PolicyInput, readings: Readings = new Map()): Decision {
  const decision = createPolicy(set).decide(input, readings, 'postgresql');
  assert.ok('effect' in decision, JSON.stringify(decision));
  return decision;
}
