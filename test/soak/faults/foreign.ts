/**
 * A name of the ledger is taken just before the gateway stores under it: by another writer, or by a first attempt of its
 * own of which it knows nothing. Who may only create can not tell one from the other, and nothing can be stored under that
 * name any more: sealing must stop, say so, and leave on its disk what it has not stored.
 */
import type { SickBuckets } from './bucket.ts';
import type { Findings } from './findings.ts';
import { createTape } from './tape.ts';

const FAULTS = ['precondition-race', 'duplicate-request'] as const;

export async function soakForeign(
  folder: (name: string) => Promise<string>,
  buckets: SickBuckets,
  findings: Findings,
): Promise<void> {
  for (const kind of ['segment', 'entries'] as const) {
    for (const fault of FAULTS) {
      const bucket = `${fault}-${kind}`;
      buckets.create(bucket);
      const tape = await createTape({ folder: await folder(bucket), store: buckets.store(bucket, 'patient') });
      await tape.record({ sessions: 3, rounds: 2 });
      const strike = buckets.strike({ fault, operation: 'objects.insert' }, { bucket, kind, times: 1, seed: 1 });
      await tape.record({ sessions: 3, rounds: 1, seals: 3, awaited: false });
      findings.cell(`${fault} × ${kind}`, strike.hits);
      strike.remove();
      const isTold = tape.isTaken() && !(await tape.seal(1));
      findings.foreign(strike.hits, isTold ? strike.hits : 0);
      await tape.stop();
      const { verification } = await tape.check(buckets.reader(bucket));
      // What was sealed before is proved as ever.
      if (verification.checkpoints === 0) findings.wrong(`${fault} × ${kind}: nothing is sealed.`);
    }
  }
}
