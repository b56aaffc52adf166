/**
 * A double of Google Cloud Storage: the JSON API over real HTTP on loopback, as `@google-cloud/storage` speaks it, in memory.
 * It refuses what the real one refuses (preconditions, sums, permissions, retention, holds), fails when told to, and counts.
 *
 * What differs from the real one, as far as is known:
 * - It answers at once, with one consistent view and no quotas (but one write a second a name, when switched on).
 * - No object versions, soft delete, object retention configurations, ACLs, lifecycle, customer keys, XML API, batches,
 *   notifications or signed URLs: such calls get 404 or 501. `fields` and `prettyPrint` aside, unknown parameters are ignored.
 * - A token is an entry of a table, not a JWT with scopes; IAM conditions, deny policies and delays do not exist.
 * - rewrite is done in one call, and compose keeps all bytes once more.
 * - Not documented by Google and chosen here: 412 goes before the 403 of a missing `storage.objects.delete` (switch:
 *   `accessBeforePreconditions`); locking what is locked is answered like the first time; sums are compared before
 *   preconditions. Nothing built on this double should depend on these.
 * - Words of messages are close to Google's at best: codes and reasons count.
 */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Access, ANONYMOUS, type Grant, type Grants } from './access.ts';
import { type Bucket, createBucket, setRetention } from './bucket.ts';
import { control } from './control.ts';
import { noSuchBucket } from './error.ts';
import { type ActiveFault, createFaults, type FaultPlan } from './faults.ts';
import { createHandler } from './handle.ts';
import type { StoredObject } from './object.ts';
import { createSessions } from './resumable.ts';
import { OPERATIONS, type Operation } from './route.ts';
import type { World } from './world.ts';

export type { Grant, Grants } from './access.ts';
export type { ActiveFault, FaultPlan } from './faults.ts';
export type { StoredObject } from './object.ts';
export type { Operation } from './route.ts';

export interface BucketOptions {
  readonly retentionSeconds?: number;
  readonly locked?: boolean;
  readonly grants?: Grants;
}

export interface GcsOptions {
  /** 0: any that is free. */
  readonly port?: number;
  readonly buckets?: Readonly<Record<string, BucketOptions>>;
  /** Bearer tokens and whose they are. */
  readonly tokens?: Readonly<Record<string, string>>;
  /** Grants in every bucket, by identity. */
  readonly grants?: Grants;
  /** What callers without a token may: everything, as with an emulator, unless there are tokens; then nothing. */
  readonly anonymous?: readonly Grant[];
  /** One write a second and name, then 429. */
  readonly objectWriteRate?: boolean;
  readonly accessBeforePreconditions?: boolean;
  readonly now?: () => number;
}

export interface GcsDouble {
  /** For `STORAGE_EMULATOR_HOST`, or for `apiEndpoint`. */
  readonly url: string;
  /** Calls so far, those that a fault struck too. */
  readonly calls: Readonly<Record<Operation, number>>;
  createBucket(name: string, options?: BucketOptions): void;
  /** Adds to what identities may in a bucket. */
  grant(bucket: string, grants: Grants): void;
  /** The live objects of a bucket, by name. */
  objects(bucket: string): ReadonlyMap<string, StoredObject>;
  fault(plan: FaultPlan): ActiveFault;
  /** Takes all faults back. What stalls goes on stalling. */
  heal(): void;
  close(): Promise<void>;
}

export async function startGcs(options: GcsOptions = {}): Promise<GcsDouble> {
  const now = options.now ?? Date.now;
  const faults = createFaults();
  const calls = Object.fromEntries(OPERATIONS.map((operation) => [operation, 0])) as Record<Operation, number>;
  const world = createWorld(options, () => url);
  const handler = createHandler({ world, faults, calls, now, control: control({ world, faults, calls }) });
  const server = createServer(handler.handle);
  // An upload over a slow line is no attack here.
  server.requestTimeout = 0;
  const url = await listen(server, options.port ?? 0);

  const double: GcsDouble = {
    url,
    calls,
    createBucket(name, settings = {}) {
      const bucket = world.createBucket(name, now());
      if (settings.retentionSeconds !== undefined) setRetention(bucket, settings.retentionSeconds, now());
      if (settings.locked === true && bucket.retention !== undefined)
        bucket.retention = { ...bucket.retention, locked: true };
      if (settings.grants !== undefined) double.grant(name, settings.grants);
    },
    grant(bucket, grants) {
      const merged: Record<string, readonly Grant[]> = { ...world.access.buckets.get(bucket) };
      for (const [identity, more] of Object.entries(grants)) merged[identity] = [...(merged[identity] ?? []), ...more];
      world.access.buckets.set(bucket, merged);
    },
    objects(name) {
      const bucket = world.buckets.get(name);
      if (bucket === undefined) throw noSuchBucket();
      return bucket.objects;
    },
    fault: faults.add,
    heal: faults.clear,
    async close() {
      handler.stop();
      server.closeAllConnections();
      await new Promise<void>((done) => server.close(() => done()));
    },
  };
  for (const [name, settings] of Object.entries(options.buckets ?? {})) double.createBucket(name, settings);
  return double;
}

function createWorld(options: GcsOptions, base: () => string): World {
  const anonymous = options.anonymous ?? (options.tokens === undefined ? (['roles/storage.admin'] as const) : []);
  const access: Access = {
    tokens: options.tokens ?? {},
    project: { ...options.grants, [ANONYMOUS]: anonymous },
    buckets: new Map(),
  };
  let lastGeneration = 0n;
  const nextGeneration = (now: number): bigint => {
    const wanted = BigInt(Math.trunc(now)) * 1000n;
    lastGeneration = wanted > lastGeneration ? wanted : lastGeneration + 1n;
    return lastGeneration;
  };
  const buckets = new Map<string, Bucket>();
  return {
    base,
    buckets,
    access,
    sessions: createSessions(),
    createBucket(name, now) {
      const bucket = createBucket(name, now, nextGeneration);
      buckets.set(name, bucket);
      return bucket;
    },
    accessBeforePreconditions: options.accessBeforePreconditions ?? false,
    lastWrites: options.objectWriteRate === true ? new Map() : undefined,
  };
}

async function listen(server: Server, port: number): Promise<string> {
  await new Promise<void>((done, failed) => {
    server.once('error', failed);
    server.listen(port, '127.0.0.1', done);
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
