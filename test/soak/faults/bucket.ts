/** The buckets of a gateway in the double, with the rights that it has there, and told to fail. */
import { setTimeout as wait } from 'node:timers/promises';
import { OAuth2Client } from 'google-auth-library';
import { createGcsStore } from '../../../gateway/store/gcs.ts';
import type { Store } from '../../../gateway/store/store.ts';
import { type ActiveFault, startGcs } from '../../gcs/gcs.ts';
import { type BucketFault, type Kind, NAMES } from './kinds.ts';

/** Whether a call is tried again within its budget, or the caller hears of the first failure. */
export type Patience = 'patient' | 'impatient';

export interface SickBuckets {
  /** As the gateway opens it: it may create, and read nothing but its state. */
  store(bucket: string, patience: Patience): Store;
  /** As who proves it. */
  reader(bucket: string): Store;
  strike(fault: BucketFault, where: { bucket: string; kind?: Kind; times: number; seed: number }): ActiveFault;
  /** Objects of a kind. */
  count(bucket: string, kind: Kind): number;
  /** A bucket for recordings more. */
  create(bucket: string): void;
  close(): Promise<void>;
}

const TOKENS = { 'token-of-the-gateway': 'gateway@soak', 'token-of-a-reader': 'reader@soak' } as const;
const WORM = {
  retentionSeconds: 86_400,
  locked: true,
  grants: { 'gateway@soak': ['roles/storage.objectCreator'] },
} as const;
const STATE = ['storage.objects.create', 'storage.objects.get', 'storage.objects.list'] as const;
/** A pause between two attempts is this much shorter where time counts. */
const HASTE = 20;

export async function openSickBuckets({ hasty }: { hasty: boolean }): Promise<SickBuckets> {
  const gcs = await startGcs({
    tokens: TOKENS,
    grants: { 'reader@soak': ['roles/storage.objectViewer'] },
    buckets: { recordings: WORM, audit: WORM, state: { grants: { 'gateway@soak': STATE } } },
  });

  function open(bucket: string, token: keyof typeof TOKENS, patience: Patience): Store {
    const client = new OAuth2Client();
    client.setCredentials({ access_token: token });
    const pause = (milliseconds: number): Promise<void> => wait(milliseconds / (hasty ? HASTE : 1));
    const timing = patience === 'patient' ? { wait: pause } : { budget: 0 };
    return createGcsStore(`gs://${bucket}`, { at: { endpoint: gcs.url, auth: client }, timing });
  }

  return {
    store: (bucket, patience) => open(bucket, 'token-of-the-gateway', patience),
    reader: (bucket) => open(bucket, 'token-of-a-reader', 'patient'),
    strike({ isSlow = false, bytes: _, only: __, ...plan }, { bucket, kind, times, seed }) {
      return gcs.fault({
        ...plan,
        bucket,
        ...(kind === undefined ? {} : { name: NAMES[kind] }),
        times: isSlow ? 2 : times,
        // Not all in a row: what stands between the failures is to be right too. What is rare is struck at
        // once; reading, with all of its faults side by side, is to get through.
        probability: kind === undefined ? 0.04 : isSlow || kind === 'checkpoint' || kind === 'entries' ? 0.7 : 0.25,
        seed,
      });
    },
    count(bucket, kind) {
      const isOne = new RegExp(NAMES[kind]);
      return [...gcs.objects(bucket).keys()].filter((name) => isOne.test(name)).length;
    },
    create: (bucket) => gcs.createBucket(bucket, WORM),
    close: gcs.close,
  };
}
