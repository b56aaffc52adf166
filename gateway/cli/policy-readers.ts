/** Patterns and statements, for the commands of policies. */
import { compilePattern } from '../policy/masks/pattern.ts';
import { createStatementReader } from '../statements/reader.ts';
import type { PolicyParts } from './policy-parts.ts';

/** Runs with the parsers of a gateway, and ends them afterwards. */
export async function withParts<T>(run: (parts: PolicyParts) => Promise<T>): Promise<T> {
  const statements = createStatementReader();
  try {
    return await run({ compilePattern, read: statements.read });
  } finally {
    await statements.close();
  }
}
