/** Patterns and statements, for the commands of policies. */
import { compilePattern } from '../policy/masks/pattern.ts';
import { createStatementReader } from '../statements/reader.ts';
import type { PolicyParts } from './policy-parts.ts';

/** The reader's thread starts with the first statement, and is gone when the command is done. */
export async function withParts<T>(run: (parts: PolicyParts) => Promise<T>): Promise<T> {
  const reader = createStatementReader();
  try {
    return await run({ compilePattern, read: reader.read });
  } finally {
    await reader.close();
  }
}
