/** Which key signs which ledger, as the audit store says: an object that was created before the ledger's first checkpoint. */
import { z } from 'zod';
import type { Store } from '../store/store.ts';
import { readInOrder } from './read-ahead.ts';
import type { Problem } from './read-problem.ts';

const opened = z.looseObject({
  v: z.literal(1),
  at: z.string(),
  kind: z.literal('ledger.opened'),
  ledger: z.string(),
  details: z.looseObject({ verifierKey: z.string() }),
});

export interface OpenedLedger {
  readonly ledger: string;
  readonly verifierKey: string;
  /** When it was first opened. */
  readonly at: string;
}

/** Every ledger that was opened, by id. Two keys for one ledger are a problem: the first one counts. */
export async function readOpenedLedgers(
  audit: Store,
): Promise<{ ledgers: Map<string, OpenedLedger>; problems: Problem[] }> {
  const ledgers = new Map<string, OpenedLedger>();
  const problems: Problem[] = [];
  const read = async (name: string) => ({ name, bytes: await audit.get(name) });
  for await (const { name, bytes } of readInOrder(audit.list('audit/'), read)) {
    const found = opened.safeParse(parse(bytes));
    if (!found.success) continue; // Another kind of audit object.
    const { ledger, at, details } = found.data;
    const known = ledgers.get(ledger);
    if (known === undefined) ledgers.set(ledger, { ledger, verifierKey: details.verifierKey, at });
    else if (known.verifierKey !== details.verifierKey) {
      problems.push({
        code: 'key_conflict',
        object: name,
        words: `Ledger ${ledger} was opened with another key before.`,
      });
    }
  }
  return { ledgers, problems };
}

function parse(bytes: Uint8Array | undefined): unknown {
  try {
    return JSON.parse(Buffer.from(bytes ?? []).toString('utf8'));
  } catch {
    return undefined;
  }
}
