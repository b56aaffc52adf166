/** Handing a ledger on to another key: the new one has shown that it signs before the old one signs its announcement. */
import { signingFailure } from './announcements.ts';
import { auditObject } from './audit.ts';
import type { Clock } from './clock.ts';
import type { LedgerKeys } from './ledger-keys.ts';
import type { Log } from './log.ts';
import type { Metrics } from './metrics.ts';
import type { Recorder } from './recording/recorder.ts';
import type { Store } from './store/store.ts';

/** No checkpoint: those have three lines and begin with their ledger. */
const PROBE = Buffer.from('verbatim: does this key sign?\n');

export interface KeyChange {
  /** Announces the configured key where the ledger has another; does nothing once that is done. */
  step(): Promise<void>;
}

export function createKeyChange(deps: {
  readonly recorder: Recorder;
  readonly keys: LedgerKeys;
  readonly audit: Store;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
}): KeyChange {
  const { recorder, keys, audit, clock, log, metrics } = deps;
  const { verifierKey } = keys.signer;
  let said = false;

  /** A key that can't sign must not come into force: every checkpoint from there on would wait for it. */
  async function signs(): Promise<boolean> {
    try {
      await keys.signer.sign(PROBE);
      return true;
    } catch (error) {
      metrics.signingFailed();
      log.error(
        { event: 'signing_failed', key: keys.describe(verifierKey), ...signingFailure(error) },
        'The new key does not sign; the one before stays in force, and it is tried again.',
      );
      return false;
    }
  }

  return {
    async step() {
      const previous = recorder.keys().announced;
      if (previous === verifierKey || !(await signs())) return;
      if (!said) {
        // Before it takes effect; a crash between the two leaves one audit object too many, and the change for the next start.
        const facts = {
          kind: 'ledger.key_announced',
          actor: 'gateway',
          ledger: recorder.ledger,
          details: { verifierKey, previous },
        };
        const { name, bytes } = auditObject(clock.micros(), facts);
        await audit.create(name, bytes);
        log.info(
          { event: 'key_announced', ledger: recorder.ledger, key: keys.describe(verifierKey), verifierKey, previous },
          'Another key is to sign this ledger; the one before is needed for one more checkpoint.',
        );
        said = true;
      }
      await recorder.announceKey();
    },
  };
}
