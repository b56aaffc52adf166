import { demand } from './access.ts';
import type { Bucket } from './bucket.ts';
import { GcsError } from './error.ts';
import { parseMultipart, parseStated, type Stated } from './multipart.ts';
import { checkPreconditions, checkSums, resourceOf, type StoredObject, statedSums } from './object.ts';
import { receive, type Session } from './resumable.ts';
import { type Answer, bucketOf, type Operate, type Request, type World } from './world.ts';

/** objects.insert with `uploadType=multipart` or `media`: the whole object in one request. */
export const insert: Operate = (world, request) => {
  const { call, headers, body } = request;
  const bucket = bucketOf(world, call.bucket);
  demand(world.access, request.identity, 'storage.objects.create', bucket.name);
  const type = headers['content-type'];
  const { stated, media } =
    call.query.get('uploadType') === 'multipart'
      ? parseMultipart(type ?? '', body)
      : { stated: parseStated('', type), media: body };
  const name = call.object === '' ? (stated.name ?? '') : call.object;
  const object = write(world, { ...request, name, stated, bytes: media, query: call.query });
  return { status: 200, json: resource(world, bucket, object) };
};

export const startUpload: Operate = (world, request) => {
  const { call, headers, body, identity } = request;
  const bucket = bucketOf(world, call.bucket);
  demand(world.access, identity, 'storage.objects.create', bucket.name);
  const stated = parseStated(body.toString('utf8'), headers['x-upload-content-type']?.toString());
  const name = call.object === '' ? (stated.name ?? '') : call.object;
  checkPreconditions(bucket.objects.get(name), call.query);
  const session = world.sessions.start({ bucket: bucket.name, name, stated, query: call.query, identity });
  const location = new URL(`${world.base()}/upload/storage/v1/b/${encodeURIComponent(bucket.name)}/o`);
  location.search = new URLSearchParams({ uploadType: 'resumable', name, upload_id: session.id }).toString();
  return {
    status: 200,
    headers: { location: location.href, 'x-guploader-uploadid': session.id },
    bytes: Buffer.alloc(0),
  };
};

export const chunk: Operate = (world, request) => {
  const session = world.sessions.find(request.call.query.get('upload_id'));
  if (session.state.kind === 'done') return { status: 200, json: session.state.answer };
  const range = request.headers['content-range'];
  if (!receive(session, range, request.body, request.whole)) return incomplete(session);
  const bucket = bucketOf(world, session.bucket);
  const object = write(world, { ...request, ...session, bytes: session.received });
  const answer = resource(world, bucket, object);
  session.received = Buffer.alloc(0);
  session.state = { kind: 'done', answer };
  return { status: 200, json: answer };
};

/** `bytes *\/N`: how far it is. */
export const uploadStatus: Operate = (world, { call }) => {
  const session = world.sessions.find(call.query.get('upload_id'));
  return session.state.kind === 'done' ? { status: 200, json: session.state.answer } : incomplete(session);
};

export const cancelUpload: Operate = (world, { call }) => {
  const session = world.sessions.find(call.query.get('upload_id'));
  if (session.state.kind === 'open') session.state = { kind: 'cancelled' };
  throw new GcsError(499, 'cancelled', 'Client Closed Request');
};

function incomplete(session: Session): Answer {
  const range: Record<string, string> =
    session.received.length === 0 ? {} : { range: `bytes=0-${session.received.length - 1}` };
  return { status: 308, headers: range, bytes: Buffer.alloc(0) };
}

export interface Writing extends Pick<Request, 'identity' | 'headers' | 'now'> {
  readonly name: string;
  readonly bytes: Buffer;
  readonly stated: Stated;
  readonly query: URLSearchParams;
  readonly bucket?: string;
  readonly call: Request['call'];
  readonly componentCount?: number;
}

/** The one way by which bytes become an object. */
export function write(world: World, writing: Writing): StoredObject {
  const { name, bytes, stated, query, identity, now } = writing;
  const bucket = bucketOf(world, writing.bucket ?? writing.call.bucket);
  const sums = statedSums(writing.headers['x-goog-hash']?.toString());
  checkSums(bytes, stated);
  checkSums(bytes, sums);
  const before = bucket.objects.get(name);
  const replace = (): void => {
    if (before !== undefined) demand(world.access, identity, 'storage.objects.delete', bucket.name);
  };
  if (world.accessBeforePreconditions) replace();
  checkPreconditions(before, query);
  replace();
  limitRate(world, bucket, name, now);
  const encoding = query.get('contentEncoding');
  const attributes = encoding === null ? stated.attributes : { ...stated.attributes, contentEncoding: encoding };
  const { componentCount } = writing;
  return bucket.put({ name, bytes, attributes, now, ...(componentCount === undefined ? {} : { componentCount }) });
}

/** One write a second and name; the real one allows short bursts above it. */
function limitRate(world: World, bucket: Bucket, name: string, now: number): void {
  if (world.lastWrites === undefined) return;
  const key = `${bucket.name}/${name}`;
  const last = world.lastWrites.get(key);
  if (last !== undefined && now - last < 1000) {
    throw new GcsError(
      429,
      'rateLimitExceeded',
      `The object ${key} exceeded the rate limit for object mutation operations (create, update, and delete). ` +
        'Please reduce your request rate.',
    );
  }
  world.lastWrites.set(key, now);
}

export function resource(world: World, bucket: Bucket, object: StoredObject): Record<string, unknown> {
  return resourceOf(object, { base: world.base(), bucket: bucket.name, retainedUntil: bucket.retainedUntil(object) });
}
