import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { identify } from './access.ts';
import {
  deleteBucket,
  getBucket,
  insertBucket,
  listBuckets,
  lockBucket,
  patchBucket,
  testPermissions,
} from './buckets.ts';
import type { Control } from './control.ts';
import { GcsError } from './error.ts';
import type { Fault, Faults } from './faults.ts';
import { cancelUpload, chunk, insert, startUpload, uploadStatus } from './insert.ts';
import { parseMultipart } from './multipart.ts';
import { compose, get, getMedia, list, patch, remove, rewrite } from './objects.ts';
import { type Call, type Operation, route } from './route.ts';
import type { Answer, Operate, Request, World } from './world.ts';

const OPERATE: Readonly<Record<Operation, Operate>> = {
  'buckets.list': listBuckets,
  'buckets.insert': insertBucket,
  'buckets.get': getBucket,
  'buckets.patch': patchBucket,
  'buckets.delete': deleteBucket,
  'buckets.lockRetentionPolicy': lockBucket,
  'buckets.testIamPermissions': testPermissions,
  'objects.list': list,
  'objects.insert': insert,
  'objects.get': get,
  'objects.getMedia': getMedia,
  'objects.patch': patch,
  'objects.delete': remove,
  'objects.rewrite': rewrite,
  'objects.compose': compose,
  'uploads.start': startUpload,
  'uploads.chunk': chunk,
  'uploads.status': uploadStatus,
  'uploads.cancel': cancelUpload,
};

/** What another writer left under the name that a `precondition-race` is about. */
const RACER = Buffer.from('the bytes of another writer');

export interface HandlerDeps {
  readonly world: World;
  readonly faults: Faults;
  readonly calls: Record<Operation, number>;
  readonly now: () => number;
  readonly control: Control;
}

/** One request from its head to its answer: route, count, faults before, the operation, faults after. */
export function createHandler(deps: HandlerDeps): {
  handle(request: IncomingMessage, response: ServerResponse): void;
  /** Ends what stalls. */
  stop(): void;
} {
  const { world, faults, calls } = deps;
  const stalls = new Set<() => void>();

  function stall(ms: number): Promise<void> {
    return new Promise((done) => {
      const end = (): void => {
        clearTimeout(timer);
        stalls.delete(end);
        done();
      };
      const timer = setTimeout(end, ms);
      stalls.add(end);
    });
  }

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', world.base());
    if (url.pathname.startsWith('/_control/')) {
      const { bytes } = await readBody(request);
      send(response, deps.control(request.method ?? '', url.pathname, bytes), deps.now());
      return;
    }
    const found = route(request.method ?? '', url, request.headers['content-range']);
    if (found === undefined) {
      await readBody(request);
      send(response, { status: 404, bytes: Buffer.from('Not Found') }, deps.now());
      return;
    }
    calls[found.operation]++;
    const isUnnamed = found.operation === 'objects.insert' && found.object === '';
    const { call, body } = isUnnamed ? await named(found, request) : { call: found, body: undefined };
    await answerCall(call, body, faults.strike(call), request, response);
  }

  async function answerCall(
    call: Call,
    read: Body | undefined,
    struck: readonly Fault[],
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const of = <K extends Fault['kind']>(kind: K): Extract<Fault, { kind: K }> | undefined =>
      struck.find((fault): fault is Extract<Fault, { kind: K }> => fault.kind === kind);
    const now = deps.now() + (of('clock-skew')?.ms ?? 0);
    const failing = of('return') ?? of('reset');
    const isUpload = call.operation === 'objects.insert' || call.operation === 'uploads.chunk';
    const cutAt = isUpload ? failing?.afterBytes : undefined;
    if (failing?.kind === 'reset' && failing.afterBytes === undefined) return reset(request);
    const body = read ?? (await readBody(request, cutAt));
    if (of('drop-request') !== undefined) return;
    // What was received whole is done, also where its sender has given up meanwhile, and may have sent it again.
    const stalled = of('stall');
    if (stalled !== undefined) await stall(stalled.ms);
    const asked = (whole: boolean): Request => ({
      call,
      identity: '',
      headers: request.headers,
      body: body.bytes,
      whole,
      now,
      pageLimit: of('short-page') === undefined ? undefined : 1,
    });
    if (failing !== undefined && (failing.afterBytes === undefined || isUpload)) {
      // What came of a resumable upload before the end counts; of any other upload nothing does.
      if (call.operation === 'uploads.chunk' && failing.afterBytes !== undefined) perform(asked(false));
      if (failing.kind === 'reset') return reset(request);
      const close: Record<string, string> = body.whole ? {} : { connection: 'close' };
      return send(response, withHeaders(failure(failing.status, failing.retryAfter), close), now);
    }
    if (!body.whole && call.operation !== 'uploads.chunk') return;
    if (of('race') !== undefined) race(call, now);
    if (of('duplicate') !== undefined) perform(asked(body.whole));
    const answer = perform(asked(body.whole));
    if (of('drop-response') !== undefined) return;
    if (of('persist-reset') !== undefined) return reset(request);
    const slow = of('persist-stall');
    if (slow !== undefined) await stall(slow.ms);
    const unsaid = of('persist-return');
    if (unsaid !== undefined) return send(response, failure(unsaid.status, unsaid.retryAfter), now);
    if (of('truncate') !== undefined) return cut(response, answer, now, Math.floor(bytesOf(answer).length / 2));
    if (failing?.afterBytes !== undefined) return cut(response, answer, now, failing.afterBytes);
    send(response, of('corrupt') === undefined ? answer : corrupted(answer), now);
  }

  function perform(request: Request): Answer {
    const { call, headers } = request;
    try {
      // The address of an upload session is its own authority.
      const identity = call.query.has('upload_id') ? '' : identify(world.access, headers.authorization);
      const session = call.query.has('upload_id') ? world.sessions.find(call.query.get('upload_id')) : undefined;
      return OPERATE[call.operation](world, { ...request, identity: session?.identity ?? identity });
    } catch (error) {
      if (!(error instanceof GcsError)) throw error;
      const asText = call.operation === 'objects.getMedia';
      const body = asText ? { bytes: Buffer.from(error.message) } : { json: error.body() };
      const type: Record<string, string> = asText ? { 'content-type': 'text/html; charset=UTF-8' } : {};
      return { status: error.status, headers: { ...error.headers, ...type }, ...body };
    }
  }

  function race(call: Call, now: number): void {
    const bucket = world.buckets.get(call.bucket);
    if (bucket === undefined || call.object === '' || bucket.objects.has(call.object)) return;
    bucket.put({ name: call.object, bytes: RACER, attributes: {}, now });
  }

  return {
    handle: (request, response) => void handle(request, response).catch(() => response.destroy()),
    stop() {
      for (const end of stalls) end();
    },
  };
}

interface Body {
  readonly bytes: Buffer;
  readonly whole: boolean;
}

/** The body, or its first `limit` bytes and no more read. */
function readBody(request: IncomingMessage, limit = Number.POSITIVE_INFINITY): Promise<Body> {
  return new Promise((done) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const end = (whole: boolean): void => {
      request.off('data', take);
      done({ bytes: Buffer.concat(chunks).subarray(0, Math.min(length, limit)), whole });
    };
    const take = (chunk: Buffer): void => {
      chunks.push(chunk);
      length += chunk.length;
      if (length < limit) return;
      request.pause();
      end(false);
    };
    request
      .on('data', take)
      .once('end', () => end(true))
      .once('close', () => end(false))
      .on('error', () => {});
  });
}

/** A multipart upload may say its name in the body alone. */
async function named(call: Call, request: IncomingMessage): Promise<{ call: Call; body: Body }> {
  const body = await readBody(request);
  try {
    const { stated } = parseMultipart(request.headers['content-type'] ?? '', body.bytes);
    return { call: { ...call, object: stated.name ?? '' }, body };
  } catch {
    return { call, body };
  }
}

const REASONS: Partial<Record<number, [reason: string, message: string]>> = {
  401: ['authError', 'Invalid Credentials'],
  408: ['requestTimeout', 'Request Timeout'],
  429: ['rateLimitExceeded', 'The rate of requests is too high.'],
  500: ['internalError', 'We encountered an internal error. Please try again.'],
  503: ['backendError', 'We encountered an internal error. Please try again.'],
};

function failure(status: number, retryAfter: number | undefined): Answer {
  const [reason, message] = REASONS[status] ?? ['backendError', 'Told to fail.'];
  const headers: Record<string, string> = retryAfter === undefined ? {} : { 'retry-after': String(retryAfter) };
  return { status, headers, json: new GcsError(status, reason, message).body() };
}

const withHeaders = (answer: Answer, headers: Record<string, string>): Answer => ({
  ...answer,
  headers: { ...answer.headers, ...headers },
});

const bytesOf = ({ bytes, json }: Answer): Buffer => bytes ?? Buffer.from(JSON.stringify(json));

/** One bit of the middle byte; the sums stay those of the true bytes. */
function corrupted(answer: Answer): Answer {
  const bytes = Buffer.from(bytesOf(answer));
  const middle = bytes.length >>> 1;
  if (bytes.length > 0) bytes.writeUInt8(bytes.readUInt8(middle) ^ 1, middle);
  return { ...answer, bytes };
}

function head(answer: Answer, now: number, length: number): Record<string, string> {
  return {
    ...(answer.bytes === undefined ? { 'content-type': 'application/json; charset=UTF-8' } : {}),
    'x-guploader-uploadid': randomBytes(24).toString('base64url'),
    'cache-control': 'no-cache, no-store, max-age=0, must-revalidate',
    vary: 'Origin',
    server: 'UploadServer',
    date: new Date(now).toUTCString(),
    ...(answer.status === 204 || answer.status === 304 ? {} : { 'content-length': String(length) }),
    ...answer.headers,
  };
}

function send(response: ServerResponse, answer: Answer, now: number): void {
  if (response.destroyed) return;
  const bytes = bytesOf(answer);
  response.writeHead(answer.status, head(answer, now, bytes.length)).end(bytes);
}

/** Promises the whole, sends the first bytes of it and hangs up. */
function cut(response: ServerResponse, answer: Answer, now: number, at: number): void {
  const bytes = bytesOf(answer);
  response.writeHead(answer.status, head(answer, now, bytes.length));
  response.write(bytes.subarray(0, at), () => response.destroy());
}

function reset(request: IncomingMessage): void {
  request.socket.resetAndDestroy();
}
