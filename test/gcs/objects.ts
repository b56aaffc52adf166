import { z } from 'zod';
import { demand, may } from './access.ts';
import type { Bucket } from './bucket.ts';
import { GcsError, invalid, noSuchObject, notImplemented } from './error.ts';
import { selectFields } from './fields.ts';
import { resource, write } from './insert.ts';
import { listObjects } from './list.ts';
import { mediaOf } from './media.ts';
import { type Attributes, checkPreconditions, etagOf, type StoredObject } from './object.ts';
import { bucketOf, type Operate, type Request, type World } from './world.ts';

export const list: Operate = (world, { call, identity, pageLimit }) => {
  const bucket = bucketOf(world, call.bucket);
  demand(world.access, identity, 'storage.objects.list', bucket.name);
  const page = listObjects(bucket, call.query, pageLimit);
  const whole = {
    kind: 'storage#objects',
    ...(page.nextPageToken === undefined ? {} : { nextPageToken: page.nextPageToken }),
    ...(page.prefixes.length === 0 ? {} : { prefixes: page.prefixes }),
    ...(page.items.length === 0 ? {} : { items: page.items.map((object) => resource(world, bucket, object)) }),
  };
  return { status: 200, json: selectFields(whole, call.query.get('fields')) };
};

export const get: Operate = (world, request) => {
  const { bucket, object } = readable(world, request);
  if (isUnchanged(object, request)) return { status: 304, headers: { etag: etagOf(object) }, bytes: Buffer.alloc(0) };
  const json = selectFields(resource(world, bucket, object), request.call.query.get('fields'));
  return { status: 200, headers: { etag: etagOf(object) }, json };
};

export const getMedia: Operate = (world, request) => {
  const { object } = readable(world, request);
  if (isUnchanged(object, request)) return { status: 304, headers: { etag: etagOf(object) }, bytes: Buffer.alloc(0) };
  return mediaOf(object, request.headers.range, request.headers['accept-encoding']?.toString());
};

/** The object, if the caller may read it. Who may not list is not told whether a name is free. */
function readable(world: World, { call, identity }: Request): { bucket: Bucket; object: StoredObject } {
  const bucket = bucketOf(world, call.bucket);
  demand(world.access, identity, 'storage.objects.get', bucket.name);
  if (!bucket.objects.has(call.object) && !may(world.access, identity, 'storage.objects.list', bucket.name)) {
    demand(world.access, identity, 'storage.objects.list', bucket.name);
  }
  const object = bucket.get(call.object, call.query.get('generation'));
  return { bucket, object };
}

/** For reads, a `…NotMatch` that does not hold is 304 and the others are 412. */
function isUnchanged(object: StoredObject, { call, headers }: Request): boolean {
  const { query } = call;
  const matches = new URLSearchParams([...query].filter(([name]) => !name.endsWith('NotMatch')));
  checkPreconditions(object, matches);
  return (
    query.get('ifGenerationNotMatch') === String(object.generation) ||
    query.get('ifMetagenerationNotMatch') === String(object.metageneration) ||
    headers['if-none-match'] === etagOf(object)
  );
}

export const remove: Operate = (world, { call, identity, now }) => {
  const bucket = bucketOf(world, call.bucket);
  demand(world.access, identity, 'storage.objects.delete', bucket.name);
  checkPreconditions(bucket.get(call.object, call.query.get('generation')), call.query);
  bucket.remove(call.object, now);
  return { status: 204, bytes: Buffer.alloc(0) };
};

const text = z.string().nullable();
const patchShape = z
  .object({
    contentType: text,
    contentEncoding: text,
    contentDisposition: text,
    contentLanguage: text,
    cacheControl: text,
    customTime: z.iso.datetime({ offset: true }).nullable(),
    metadata: z.record(z.string(), text).nullable(),
    temporaryHold: z.boolean().nullable(),
    eventBasedHold: z.boolean().nullable(),
    retention: z.unknown(),
  })
  .partial();

/** objects.patch: what is null goes, what is absent stays. Metadata stay editable under a retention policy. */
export const patch: Operate = (world, request) => {
  const { call, identity, now } = request;
  const bucket = bucketOf(world, call.bucket);
  demand(world.access, identity, 'storage.objects.update', bucket.name);
  const before = bucket.get(call.object, call.query.get('generation'));
  checkPreconditions(before, call.query);
  const { retention, metadata, ...plain } = readJson(request, patchShape);
  if (retention !== undefined) throw notImplemented('object retention configurations');
  const { customTime } = before.attributes;
  if (customTime !== undefined && plain.customTime !== undefined) {
    const goesBack = plain.customTime === null || Date.parse(plain.customTime) < Date.parse(customTime);
    if (goesBack) throw invalid('Custom time can neither be removed nor set to an earlier date time.');
  }
  const merged = metadata === null ? null : merge(before.attributes.metadata ?? {}, metadata ?? {});
  const pairs = Object.entries({
    ...before.attributes,
    ...plain,
    ...(metadata === undefined ? {} : { metadata: merged }),
  });
  const attributes = Object.fromEntries(
    pairs.filter(([, value]) => value !== null && value !== undefined),
  ) as Attributes;
  const object = bucket.amend(call.object, attributes, now);
  return { status: 200, json: resource(world, bucket, object) };
};

function merge(before: Readonly<Record<string, string>>, patch: Record<string, string | null>): Record<string, string> {
  const entries = Object.entries({ ...before, ...patch });
  return Object.fromEntries(entries.filter((entry): entry is [string, string] => entry[1] !== null));
}

/** objects.rewrite and objects.copy, done at once: no token to go on with. */
export const rewrite: Operate = (world, request) => {
  const { call, identity } = request;
  const { to } = call;
  if (to === undefined) throw invalid('No destination.');
  const source = readable(world, request).object;
  const sourceConditions = new URLSearchParams([...call.query].filter(([name]) => name.startsWith('ifSource')));
  checkPreconditions(source, sourceConditions, 'Source');
  const bucket = bucketOf(world, to.bucket);
  demand(world.access, identity, 'storage.objects.create', bucket.name);
  const { temporaryHold, eventBasedHold, ...attributes } = source.attributes;
  const stated = { name: undefined, crc32c: undefined, md5: undefined, attributes };
  const object = write(world, {
    ...request,
    bucket: bucket.name,
    name: to.object,
    bytes: source.bytes,
    stated,
    query: call.query,
  });
  const json = {
    kind: 'storage#rewriteResponse',
    totalBytesRewritten: String(source.bytes.length),
    objectSize: String(source.bytes.length),
    done: true,
    resource: resource(world, bucket, object),
  };
  return { status: 200, json };
};

const composeShape = z.object({
  sourceObjects: z
    .array(z.object({ name: z.string(), generation: z.union([z.string(), z.number()]).optional() }))
    .min(1)
    .max(32),
  destination: z.object({ contentType: z.string().optional() }).optional(),
});

export const compose: Operate = (world, request) => {
  const { call, identity } = request;
  const bucket = bucketOf(world, call.bucket);
  demand(world.access, identity, 'storage.objects.create', bucket.name);
  demand(world.access, identity, 'storage.objects.get', bucket.name);
  const { sourceObjects, destination } = readJson(request, composeShape);
  const sources = sourceObjects.map(({ name, generation }) => {
    if (!bucket.objects.has(name)) throw noSuchObject(bucket.name, name);
    return bucket.get(name, generation === undefined ? null : String(generation));
  });
  const attributes = destination?.contentType === undefined ? {} : { contentType: destination.contentType };
  const object = write(world, {
    ...request,
    name: call.object,
    bytes: Buffer.concat(sources.map(({ bytes }) => bytes)),
    stated: { name: undefined, crc32c: undefined, md5: undefined, attributes },
    query: call.query,
    componentCount: sources.reduce((sum, source) => sum + (source.componentCount ?? 1), 0),
  });
  return { status: 200, json: resource(world, bucket, object) };
};

export function readJson<T>({ body }: Request, shape: z.ZodType<T>): T {
  let read: unknown;
  try {
    read = JSON.parse(body.toString('utf8') || '{}');
  } catch {
    throw new GcsError(400, 'parseError', 'Parse Error');
  }
  const parsed = shape.safeParse(read);
  if (!parsed.success) throw invalid(`Invalid value for: ${parsed.error.issues[0]?.path.join('.')}`);
  return parsed.data;
}
