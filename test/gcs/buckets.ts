import { z } from 'zod';
import { ANONYMOUS, demand, may, type Permission } from './access.ts';
import { type Bucket, lockRetention, setRetention } from './bucket.ts';
import { conditionNotMet, GcsError, invalid, notImplemented } from './error.ts';
import { readJson } from './objects.ts';
import { bucketOf, type Operate, type World } from './world.ts';

/** int64 goes as a string, and comes as either. */
const seconds = z.union([z.string().regex(/^\d{1,12}$/), z.number().int()]).transform(Number);
const bucketShape = z
  .object({
    name: z.string(),
    retentionPolicy: z.object({ retentionPeriod: seconds }).nullable(),
    defaultEventBasedHold: z.boolean(),
    labels: z.record(z.string(), z.string().nullable()),
    versioning: z.object({ enabled: z.boolean() }),
  })
  .partial();

export const insertBucket: Operate = (world, request) => {
  const { now } = request;
  demand(world.access, request.identity, 'storage.buckets.create', '');
  const { name, versioning, ...said } = readJson(request, bucketShape);
  if (name === undefined || !/^[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]$/.test(name))
    throw invalid(`Invalid bucket name: '${name}'`);
  if (versioning?.enabled === true) throw notImplemented('object versioning');
  if (world.buckets.has(name)) {
    throw new GcsError(
      409,
      'conflict',
      'Your previous request to create the named bucket succeeded and you already own it.',
    );
  }
  const bucket = world.createBucket(name, now);
  apply(bucket, said, now);
  return { status: 200, json: bucketResource(world, bucket) };
};

export const listBuckets: Operate = (world, { identity }) => {
  demand(world.access, identity, 'storage.buckets.list', '');
  const items = [...world.buckets.values()].map((bucket) => bucketResource(world, bucket));
  return { status: 200, json: { kind: 'storage#buckets', items } };
};

export const getBucket: Operate = (world, { call, identity }) => {
  const bucket = bucketOf(world, call.bucket);
  demand(world.access, identity, 'storage.buckets.get', bucket.name);
  checkMetageneration(bucket, call.query);
  return { status: 200, json: bucketResource(world, bucket) };
};

export const patchBucket: Operate = (world, request) => {
  const { call, identity, now } = request;
  const bucket = bucketOf(world, call.bucket);
  demand(world.access, identity, 'storage.buckets.update', bucket.name);
  checkMetageneration(bucket, call.query);
  const { name, versioning, ...said } = readJson(request, bucketShape);
  if (versioning?.enabled === true) throw notImplemented('object versioning');
  apply(bucket, said, now);
  touch(bucket, now);
  return { status: 200, json: bucketResource(world, bucket) };
};

/** For good: the period can be raised from now on and nothing else. */
export const lockBucket: Operate = (world, { call, identity, now }) => {
  const bucket = bucketOf(world, call.bucket);
  demand(world.access, identity, 'storage.buckets.update', bucket.name);
  lockRetention(bucket, call.query.get('ifMetagenerationMatch'));
  touch(bucket, now);
  return { status: 200, json: bucketResource(world, bucket) };
};

/** Locked or not, what decides is whether it is empty. */
export const deleteBucket: Operate = (world, { call, identity }) => {
  const bucket = bucketOf(world, call.bucket);
  demand(world.access, identity, 'storage.buckets.delete', bucket.name);
  checkMetageneration(bucket, call.query);
  if (bucket.objects.size > 0) throw new GcsError(409, 'conflict', 'The bucket you tried to delete is not empty.');
  world.buckets.delete(bucket.name);
  return { status: 204, bytes: Buffer.alloc(0) };
};

export const testPermissions: Operate = (world, { call, identity }) => {
  const bucket = bucketOf(world, call.bucket);
  const asked = call.query.getAll('permissions') as Permission[];
  const permissions = asked.filter((permission) => may(world.access, identity, permission, bucket.name));
  if (identity === ANONYMOUS && asked.length === 0) throw invalid('No permissions asked for.', 'permissions');
  return { status: 200, json: { kind: 'storage#testIamPermissionsResponse', permissions } };
};

function apply(bucket: Bucket, said: Omit<z.infer<typeof bucketShape>, 'name' | 'versioning'>, now: number): void {
  if (said.retentionPolicy !== undefined) setRetention(bucket, said.retentionPolicy?.retentionPeriod, now);
  if (said.defaultEventBasedHold !== undefined) bucket.defaultEventBasedHold = said.defaultEventBasedHold;
  if (said.labels !== undefined) {
    const entries = Object.entries({ ...bucket.labels, ...said.labels });
    bucket.labels = Object.fromEntries(entries.filter((entry): entry is [string, string] => entry[1] !== null));
  }
}

function touch(bucket: Bucket, now: number): void {
  bucket.metageneration++;
  bucket.updated = now;
}

function checkMetageneration(bucket: Bucket, query: URLSearchParams): void {
  const asked = query.get('ifMetagenerationMatch');
  if (asked !== null && asked !== String(bucket.metageneration)) throw conditionNotMet();
}

function bucketResource(world: World, bucket: Bucket): Record<string, unknown> {
  const { name, retention } = bucket;
  return {
    kind: 'storage#bucket',
    id: name,
    name,
    selfLink: `${world.base()}/storage/v1/b/${name}`,
    projectNumber: '1',
    location: 'EUROPE-WEST3',
    locationType: 'region',
    storageClass: 'STANDARD',
    metageneration: String(bucket.metageneration),
    etag: Buffer.from([0x08, bucket.metageneration & 0x7f]).toString('base64'),
    timeCreated: new Date(bucket.created).toISOString(),
    updated: new Date(bucket.updated).toISOString(),
    iamConfiguration: { uniformBucketLevelAccess: { enabled: true }, publicAccessPrevention: 'enforced' },
    ...(bucket.defaultEventBasedHold ? { defaultEventBasedHold: true } : {}),
    ...(Object.keys(bucket.labels).length === 0 ? {} : { labels: bucket.labels }),
    ...(retention === undefined
      ? {}
      : {
          retentionPolicy: {
            retentionPeriod: String(retention.seconds),
            effectiveTime: new Date(retention.effective).toISOString(),
            ...(retention.locked ? { isLocked: true } : {}),
          },
        }),
  };
}
