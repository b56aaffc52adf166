/** What is stored, and what may go wrong on the way. */
import type { FaultPlan } from '../../gcs/gcs.ts';

export type Kind = 'segment' | 'entries' | 'checkpoint' | 'login' | 'approval';

/** By the names of their objects. */
export const NAMES: Readonly<Record<Kind, string>> = {
  segment: '^recordings/',
  entries: '^ledger/[^/]+/entries/',
  checkpoint: '^ledger/[^/]+/checkpoint/',
  login: '^(oauth|grants|people)/',
  approval: '^approvals',
};

export interface BucketFault extends Omit<FaultPlan, 'bucket' | 'name' | 'times' | 'seed'> {
  /** Takes seconds each time: only where time is not counted. */
  readonly isSlow?: true;
  /** What this fault needs an object to have, in bytes. */
  readonly bytes?: number;
  /** Where it is nothing to be survived but something to be told: another writer has taken a name that is ours alone. */
  readonly only?: readonly Kind[];
}

const WRITES = 'objects.insert';
const READS = ['objects.get', 'objects.getMedia', 'objects.list'] as const;

export const BUCKET_FAULTS: readonly BucketFault[] = [
  { fault: 'return-503', operation: WRITES },
  { fault: 'return-503', operation: READS, only: ['login', 'approval'] },
  { fault: 'return-429', operation: WRITES },
  { fault: 'return-503-after-256K', operation: WRITES, bytes: 300 * 1024, only: ['segment'] },
  { fault: 'reset-connection' },
  { fault: 'reset-connection-after-1K', operation: ['objects.insert', 'objects.getMedia'] },
  { fault: 'persist-then-reset', operation: WRITES },
  { fault: 'persist-then-503', operation: WRITES },
  // Who may only create can not tell it from another writer: see foreign.ts.
  { fault: 'duplicate-request', operation: WRITES, only: ['login', 'approval'] },
  { fault: 'precondition-race', operation: WRITES, only: ['login', 'approval'] },
  { fault: 'clock-skew', skew: 3_600_000 },
  { fault: 'truncated-answer' },
  { fault: 'corrupt-media' },
  { fault: 'return-503', operation: WRITES, retryAfter: 1, isSlow: true },
  { fault: 'stall-for-5s', isSlow: true },
  // Longer than an upload is waited for: it is done after its sender has given up.
  { fault: 'stall-for-10s', operation: WRITES, isSlow: true },
  { fault: 'silent-drop-of-response', operation: WRITES, isSlow: true },
  { fault: 'silent-drop-of-request', isSlow: true },
];

/** While all is read back and proved. */
export const READ_FAULTS: readonly BucketFault[] = [
  { fault: 'return-503', operation: READS },
  { fault: 'return-429', operation: READS },
  { fault: 'reset-connection', operation: READS },
  { fault: 'truncated-answer', operation: READS },
  { fault: 'corrupt-media', operation: 'objects.getMedia' },
];
