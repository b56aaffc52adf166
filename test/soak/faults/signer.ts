/** A key service that is down for a while: what is stored goes on, what is signed waits, and is covered later. */
import { createGoogleApi } from '../../../gateway/google-api.ts';
import { createGoogleIdentity } from '../../../gateway/google-identity.ts';
import { createGoogleKms } from '../../../gateway/google-kms.ts';
import { LEDGER } from '../../../gateway/recording/test-recorder.ts';
import { createMemoryStore } from '../../../gateway/store/memory.ts';
import type { Store } from '../../../gateway/store/store.ts';
import { startGoogle, type Trouble } from '../../google/google.ts';
import type { Findings } from './findings.ts';
import { createTape } from './tape.ts';

export async function soakSigner(folder: string, findings: Findings, troubles: readonly Trouble[]): Promise<void> {
  const google = await startGoogle();
  const kms = createGoogleKms(createGoogleApi({ google: google.google, identity: createGoogleIdentity() }));
  const signer = kms.signer(`verbatim/${LEDGER}`, await kms.publicKey(google.kms.add('checkpoints')));
  const store = createMemoryStore();
  const tape = await createTape({ folder, store, signer });
  try {
    for (const trouble of troubles) {
      await tape.record({ sessions: 2, rounds: 1 });
      const before = { checkpoints: tape.checkpoints(), segments: await count(store), asked: google.calls.kmsSign };
      google.trouble('kmsSign', trouble);
      await tape.record({ sessions: 4, rounds: 3, seals: 2 });
      // A restart in between: what waits for its signature waits on.
      await tape.kill();
      await tape.record({ sessions: 2, rounds: 1, seals: 2 });
      findings.cell(`KMS: ${trouble}`, google.calls.kmsSign - before.asked);
      if ((await count(store)) < before.segments + 14) findings.wrong('KMS: segments waited for it.');
      if (tape.checkpoints() > before.checkpoints) findings.wrong('KMS: there is a checkpoint that nobody signed.');
      google.trouble('kmsSign', undefined);
      if (!(await tape.seal())) findings.wrong('KMS: what waited for it was never sealed.');
      if (tape.checkpoints() <= before.checkpoints) findings.wrong('KMS: what waited is under no checkpoint.');
    }
    await findings.prove('KMS', tape, store);
  } finally {
    await tape.stop();
    await google.close();
  }
}

async function count(store: Store): Promise<number> {
  let segments = 0;
  for await (const _ of store.list('recordings/')) segments++;
  return segments;
}
