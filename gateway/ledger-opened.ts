/** `ledger-opened` on the disk: the ledger's first key, and that the audit store knows it. */
import { join } from 'node:path';
import { z } from 'zod';
import { auditObject } from './audit.ts';
import { type Clock, isoMicros } from './clock.ts';
import type { Disk } from './disk.ts';
import { readIfThere, writeDurably } from './durable-file.ts';
import type { Store } from './store/store.ts';

export interface LedgerOpened {
  /** Absent where the disk was made before keys could change: it is the disk's own then. */
  readonly verifierKey?: string;
  /** The audit object was made. */
  readonly told: boolean;
}

const note = z.looseObject({ verifierKey: z.string(), told: z.boolean() });

/** `undefined` on a disk that has opened no ledger. */
export async function readOpened(path: string): Promise<LedgerOpened | undefined> {
  const bytes = await readIfThere(join(path, 'ledger-opened'));
  if (bytes === undefined) return undefined;
  const text = bytes.toString();
  return text.startsWith('{') ? note.parse(JSON.parse(text)) : { told: true };
}

/**
 * The audit object comes before the ledger's first entry. The key is noted before that: a start that died in between, and
 * comes back with another key configured, must not tell of a second first key. It may tell twice of the same.
 */
export async function noteLedgerOpened(
  disk: Pick<Disk, 'path' | 'ledger'>,
  audit: Store,
  verifierKey: string,
  clock: Clock,
): Promise<void> {
  if ((await readOpened(disk.path))?.told === true) return;
  const micros = clock.micros();
  const keep = (told: boolean): Promise<void> =>
    writeDurably(join(disk.path, 'ledger-opened'), [
      Buffer.from(`${JSON.stringify({ at: isoMicros(micros), verifierKey, told })}\n`),
    ]);
  await keep(false);
  const facts = { kind: 'ledger.opened', actor: 'gateway', ledger: disk.ledger, details: { verifierKey } };
  const { name, bytes } = auditObject(micros, facts);
  await audit.create(name, bytes);
  await keep(true);
}
