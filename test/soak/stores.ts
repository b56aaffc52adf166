/** Where a soak's gateways store. They and this process find the bucket by STORAGE_EMULATOR_HOST. */
import { startGcs } from '../gcs/gcs.ts';

export type StoreKind = 'file' | 'gcs';

export interface SoakStores {
  readonly recordings: string;
  /** Calls of the bucket that a fault struck; of a folder none. */
  readonly struck: () => number;
  /** No more faults: what is checked is what was stored. */
  heal(): void;
  close(): Promise<void>;
}

const BUCKET = 'soak';
/** Of a hundred writes so many fail, with each of these. */
const FAULTS = ['persist-then-reset', 'reset-connection', 'persist-then-503', 'return-503'] as const;
const SHARE = 0.01;

export async function openSoakStores(kind: StoreKind, folder: string, seed: number): Promise<SoakStores> {
  if (kind === 'file')
    return { recordings: `file://${folder}/store`, struck: () => 0, heal() {}, close: async () => {} };
  const locked = { retentionSeconds: 24 * 3600, locked: true };
  const buckets = { [BUCKET]: locked, [`${BUCKET}-audit`]: locked, [`${BUCKET}-state`]: {} };
  const gcs = await startGcs({ buckets });
  const faults = FAULTS.map((fault, at) =>
    gcs.fault({ fault, operation: 'objects.insert', probability: SHARE, seed: seed + at }),
  );
  process.env.STORAGE_EMULATOR_HOST = gcs.url;
  return {
    recordings: `gs://${BUCKET}`,
    struck: () => faults.reduce((sum, { hits }) => sum + hits, 0),
    heal: gcs.heal,
    async close() {
      delete process.env.STORAGE_EMULATOR_HOST;
      await gcs.close();
    },
  };
}
