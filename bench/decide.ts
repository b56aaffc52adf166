import { performance } from 'node:perf_hooks';

import { createPolicy } from '../gateway/policy/decide.ts';
import type { PolicyInput } from '../gateway/policy/decision.ts';
import { loadPolicy } from '../gateway/policy/load.ts';
import { quantile } from './measure.ts';

// What a decision costs: 50 rules of which 25 reach the connection and have conditions, SQL parsing aside.

const RULES = 50;
const TURNS = 20_000;
/** A clock is read once for so many: it is not finer than a decision. */
const TOGETHER = 10;

export interface DecideFigures {
  rules: number;
  medianMicros: number;
  p99Micros: number;
}

/** Microseconds a decision, over messages that are allowed, denied by a rule, and denied by default. */
export function measureDecide(): DecideFigures {
  const { decide } = createPolicy(load());
  const inputs = [call('query', { limit: 5, table: 'orders' }), call('delete_all', { limit: 5 }), call('unknown', {})];
  const readings = new Map();
  const micros: number[] = [];
  for (let turn = -2000; turn < TURNS; turn += 1) {
    // A message is decided on once, so nothing that is kept of one may help.
    const messages = Array.from({ length: TOGETHER }, (_, index) => ({
      ...(inputs[(turn + 2000 + index) % 3] as PolicyInput),
    }));
    const began = performance.now();
    for (const message of messages) decide(message, readings);
    if (turn >= 0) micros.push(((performance.now() - began) * 1000) / TOGETHER);
  }
  return { rules: RULES, medianMicros: quantile(micros, 0.5), p99Micros: quantile(micros, 0.99) };
}

function load() {
  const rules = Array.from({ length: RULES }, (_, index) => {
    const here = index % 2 === 0;
    const rule = {
      name: `rule-${index}`,
      principals: index % 3 === 0 ? 'any' : { groups: ['analysts', `team-${index}`] },
      connections: here ? ['orders'] : [`other-${index}`],
      tools: index % 4 === 0 ? ['query', 'list_*'] : ['delete_*', '*'],
      condition: `args.limit <= ${index} && principal.email.endsWith("@example.com") && has(args.table)`,
      effect: index % 10 === 8 ? 'deny' : 'allow',
    };
    return rule;
  });
  const loaded = loadPolicy([{ path: 'access/bench.yaml', text: JSON.stringify({ rules }) }], () => {
    throw new Error('There are no patterns.');
  });
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
  return loaded.set;
}

function call(name: string, args: unknown): PolicyInput {
  return {
    principal: {
      kind: 'human',
      issuer: 'https://idp.example.com',
      subject: 'u-1',
      email: 'ana@example.com',
      groups: ['staff', 'analysts'],
    },
    connection: 'orders',
    access: 'standing',
    from: 'client',
    message: { kind: 'request', method: 'tools/call', name, params: { name, arguments: args } },
    now: 1_795_370_000_000,
  };
}

export function decideWords({ rules, medianMicros, p99Micros }: DecideFigures): string {
  return `A decision over ${rules} rules: median ${medianMicros.toFixed(1)} µs, p99 ${p99Micros.toFixed(1)} µs.`;
}

if (import.meta.main) console.log(decideWords(measureDecide()));
