/**
 * Another writer with the gateway's rights takes a name of the ledger just before the gateway does. Nobody can store
 * anything under it any more, and who may not read can not see it: what is left is that verification tells.
 */

import type { SickBuckets } from './bucket.ts';
import type { Findings } from './findings.ts';
import { type Kind, NAMES } from './kinds.ts';
import { createTape } from './tape.ts';

export async function soakForeign(folder: string, buckets: SickBuckets, kind: Kind, findings: Findings): Promise<void> {
  const tape = await createTape({ folder, store: buckets.store('raced', 'patient') });
  await tape.record({ sessions: 4, rounds: 2 });
  const race = buckets.strike(
    { fault: 'precondition-race', operation: 'objects.insert' },
    { bucket: 'raced', kind, times: 1, seed: 1 },
  );
  await tape.record({ sessions: 4, rounds: 3 });
  findings.cell(`precondition-race × ${kind}`, race.hits);
  race.remove();
  await tape.seal();
  await tape.stop();
  const { verification } = await tape.check(buckets.reader('raced'));
  const told = new Set(verification.problems.map(({ object }) => object));
  const foreign = buckets.foreign('raced').filter((name) => new RegExp(NAMES[kind]).test(name));
  findings.foreign(foreign, foreign.filter((name) => told.has(name)).length);
}
