/** Stands where `demo/demo.ts` is imported: what is deployed has no identity provider that lets everybody in. */
import { CommandError } from '../gateway/cli/context.ts';

export async function runDemo(): Promise<void> {
  throw new CommandError(
    2,
    'The demo is not part of this bundle. Run it from a checkout: npm ci && npm start, or docker compose up.',
  );
}
