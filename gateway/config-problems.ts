import type { z } from 'zod';

/** One mistake in a configuration: where (keys from the root), what is wrong, and what to write instead. */
export interface ConfigProblem {
  readonly path: readonly (string | number)[];
  readonly problem: string;
  readonly fix: string;
}

const EXAMPLES: Readonly<Record<string, string>> = {
  listen: 'listen: { host: 127.0.0.1, port: 8080 }',
  metrics: 'metrics: { host: 127.0.0.1, port: 9464 }',
  stores: 'stores: { recordings: file:///var/lib/verbatim/store }',
  'connections.issuers': 'issuers: [corp, github]',
  issuers: 'issuers: { corp: { issuer: https://idp.example.com } }',
  connections: 'connections: { orders: { upstream: …, groups: [analysts], credential: { none: true } } }',
  upstream: 'upstream: { url: https://orders.internal }',
  groups: 'groups: [analysts, engineers]',
  credential: 'credential: { bearer: "env:ORDERS_TOKEN" }',
  paths: 'paths: [/mcp]',
  policies: 'policies: ./policies` or, with no policy at all, `policies: allow-all',
  sessions: 'sessions: { idle: 8h, longest: 12h }',
};

/**
 * The mistakes behind one issue of a schema. No value of the file is repeated: it could be a secret. `examples` say what
 * to write, by key or by `first.last` of the path.
 */
export function problemsOf(
  issue: z.core.$ZodIssue,
  root: unknown,
  examples: Readonly<Record<string, string>> = EXAMPLES,
): ConfigProblem[] {
  const path = issue.path.map((step) => (typeof step === 'number' ? step : String(step)));
  if (issue.code === 'unrecognized_keys') {
    const known = issue.message.split(' ');
    return issue.keys.map((key) => ({
      path: [...path, key],
      problem: 'is not known here',
      fix: knownKeyFix(key, known),
    }));
  }
  if (issue.code === 'custom' && typeof issue.params?.fix === 'string') {
    return [{ path, problem: issue.message, fix: issue.params.fix }];
  }
  const key = String(path.at(-1));
  const example = examples[`${path[0]}.${key}`] ?? examples[key];
  const fix = (otherwise: string) => (example === undefined ? otherwise : `Write for example \`${example}\`.`);
  if (issue.code === 'too_small') return [{ path, problem: 'is empty', fix: fix('Write at least one value.') }];
  if (issue.code === 'invalid_type') {
    const found = path.reduce<unknown>((value, step) => (value as Record<string, unknown> | undefined)?.[step], root);
    if (found === undefined) return [{ path, problem: 'is missing', fix: fix('Add it.') }];
    const wanted = issue.expected === 'array' ? 'a list' : 'a map of keys';
    const shape = issue.expected === 'array' ? 'Write a list: [a, b].' : 'Write keys and values: { key: value }.';
    return [{ path, problem: `is not ${wanted}`, fix: fix(shape) }];
  }
  return [{ path, problem: 'is not acceptable', fix: fix('Write true, or take the key out.') }];
}

function knownKeyFix(key: string, known: readonly string[]): string {
  const near = nearest(key, known);
  return near === undefined ? `Take it out; known here: ${known.join(', ')}.` : `Did you mean ${near}?`;
}

/** The name within a third of its length in edits, so that a suggestion is a likely slip and not a guess. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  const bare = (name: string) => name.toLowerCase().replaceAll(/[-_]/g, '');
  const ranked = known
    .map((name) => ({ name, edits: distance(bare(word).slice(0, 64), bare(name)) }))
    .sort((one, other) => one.edits - other.edits);
  const [best] = ranked;
  return best !== undefined && best.edits <= Math.max(1, Math.floor(best.name.length / 3)) ? best.name : undefined;
}

/** Edits (insert, delete, replace) between two words: Levenshtein, one row at a time. */
function distance(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, index) => index);
  for (const [index, letter] of [...one].entries()) {
    const next = [index + 1];
    for (let column = 1; column <= other.length; column += 1) {
      const kept = (row[column - 1] ?? 0) + (other[column - 1] === letter ? 0 : 1);
      next.push(Math.min(kept, (row[column] ?? 0) + 1, (next[column - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[other.length] ?? 0;
}
