/** Patterns and statements, for the commands of policies. */
import { RE2JS } from 're2js';
import type { PolicyParts } from './policy-parts.ts';

export async function withParts<T>(run: (parts: PolicyParts) => Promise<T>): Promise<T> {
  return run({
    compilePattern(source) {
      RE2JS.compile(source);
      return { ok: true, pattern: { find: () => [] } };
    },
    read: async () => new Map(),
  });
}
