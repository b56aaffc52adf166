/** One HTTP call to the stdio host, from its head to the child that it is for. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { GatewayError } from '../errors.ts';
import { type Era, eraOf } from '../mcp/eras.ts';
import type { ClientMessage } from '../mcp/message.ts';
import { readBody, readPost } from '../proxy/read-request.ts';
import { namesOf } from './client-message.ts';
import { createClientStream, HEAD } from './client-stream.ts';
import { errorLine, StdioFailure } from './failure.ts';
import type { Identity, IdentityCheck } from './identity.ts';
import { keyOf } from './server-message.ts';
import type { Session } from './session.ts';
import type { Sessions } from './sessions.ts';

const MOST_BODY = 16 * 1024 ** 2;
const BODY_MS = 30_000;
const NO_ID = Buffer.from('null');
const STALL_MS = 60_000;

export interface Calls {
  readonly path: string;
  readonly identityHeader: string;
  /** None: whoever reaches the host may call it, in the legacy era and from this machine. */
  readonly identity: IdentityCheck | undefined;
  readonly sessions: Sessions;
  /** Milliseconds between comments on an idle stream. */
  readonly keepAlive: number;
}

/** Answers one call. Does not throw. */
export async function answerCall(calls: Calls, request: IncomingMessage, response: ServerResponse): Promise<void> {
  response.on('error', () => {});
  if (request.url === '/healthz') return void response.writeHead(200, ['content-type', 'text/plain']).end('ok\n');
  let message: ClientMessage | undefined;
  try {
    checkPlace(calls, request);
    const identity = await calls.identity?.check(single(request, calls.identityHeader));
    if (request.method === 'GET') return listen(calls, request, response, identity);
    if (request.method === 'DELETE') return end(calls, request, response, identity);
    const body = await readBody(request, MOST_BODY, AbortSignal.timeout(BODY_MS));
    const read = readPost(request, body);
    if (read.messages.length === 1) message = read.messages[0];
    if (read.refused !== undefined) throw read.refused;
    if (read.batch || message === undefined) throw new StdioFailure('batch_refused');
    await post(calls, { request, response, identity, era: read.era, message, body });
  } catch (error) {
    refuse(request, response, error, message);
  }
}

interface Post {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly identity: Identity | undefined;
  readonly era: Era;
  readonly message: ClientMessage;
  readonly body: Buffer;
}

async function post(calls: Calls, call: Post): Promise<void> {
  const { request, response, message, body } = call;
  // Before a child is started for what it would not get, or for a client that could not read its answer.
  const asked = message.kind === 'request' ? { kind: acceptedKind(request), names: namesOf(body) } : undefined;
  const session = await sessionOf(calls, call);
  if (asked === undefined) {
    session.tell(message, body);
    response.writeHead(202, ['content-length', '0']).end();
    return;
  }
  // The stream is made when the request is on its way: a refusal has its own status.
  // The head of a handshake must wait: it holds the session's id if there will be a session.
  const idling = message.method === 'initialize' ? {} : { keepAlive: calls.keepAlive };
  const makeStream = () => createClientStream(response, asked.kind, { ...idling, stall: STALL_MS });
  session.request(message, asked.names, body, makeStream);
}

async function sessionOf(calls: Calls, { request, identity, era, message }: Post): Promise<Session> {
  const { sessions } = calls;
  if (era === 'modern') {
    if (identity === undefined) throw new StdioFailure('stateless_refused');
    if (message.kind === 'response' || message.method === 'initialize') throw new StdioFailure('message_refused');
    return sessions.stateless(identity.session);
  }
  const id = single(request, 'mcp-session-id');
  if (message.method !== 'initialize') return sessions.find(id, identity?.session);
  if (id !== undefined || message.kind !== 'request') throw new StdioFailure('message_refused');
  return sessions.open(identity?.session);
}

function listen(calls: Calls, request: IncomingMessage, response: ServerResponse, identity: Identity | undefined) {
  const session = sessionNamed(calls, request, identity);
  if (acceptedKind(request) !== 'sse') throw new StdioFailure('not_acceptable');
  session.listen(() => createClientStream(response, 'sse', { keepAlive: calls.keepAlive, stall: STALL_MS }));
}

function end(calls: Calls, request: IncomingMessage, response: ServerResponse, identity: Identity | undefined): void {
  sessionNamed(calls, request, identity).end(new StdioFailure('deleted'));
  response.writeHead(204).end();
}

/** GET and DELETE name a session; the modern era has neither (2026-07-28, Streamable HTTP). */
function sessionNamed({ sessions }: Calls, request: IncomingMessage, identity: Identity | undefined) {
  if (eraOf(single(request, 'mcp-protocol-version'), []) === 'modern') throw new StdioFailure('method_not_allowed');
  return sessions.find(single(request, 'mcp-session-id'), identity?.session);
}

function checkPlace({ path, identity }: Calls, request: IncomingMessage): void {
  // Without a gateway there is no one to check; a web page must not reach a server of this machine, be it by a name
  // that now leads here (DNS rebinding; 2025-11-25, Transports, "Security Warning").
  if (identity === undefined && (request.headers.origin !== undefined || !isLoopback(request.headers.host))) {
    throw new StdioFailure('origin_refused');
  }
  if (request.url !== path) throw new StdioFailure('not_found');
  if (request.method !== 'POST' && request.method !== 'GET' && request.method !== 'DELETE') {
    throw new StdioFailure('method_not_allowed');
  }
}

function isLoopback(host: string | undefined): boolean {
  return host !== undefined && /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?$/i.test(host);
}

function acceptedKind(request: IncomingMessage): 'sse' | 'json' {
  const ranges = (request.headers.accept ?? '*/*')
    .split(',')
    .filter((range) => !/;\s*q\s*=\s*0(\.0*)?\s*(;|$)/i.test(range))
    .map((range) => range.split(';')[0]?.trim().toLowerCase());
  const accepts = (...types: string[]): boolean => types.some((type) => ranges.includes(type));
  if (accepts('text/event-stream', 'text/*', '*/*')) return 'sse';
  if (accepts('application/json', 'application/*')) return 'json';
  throw new StdioFailure('not_acceptable');
}

function refuse(
  request: IncomingMessage,
  response: ServerResponse,
  error: unknown,
  message: ClientMessage | undefined,
): void {
  if (response.headersSent || response.destroyed) return void response.destroy();
  const id = message?.kind === 'request' && message.id !== undefined ? Buffer.from(keyOf(message.id)) : NO_ID;
  const known = error instanceof GatewayError || error instanceof StdioFailure;
  const failure = known ? error : new StdioFailure('internal', undefined, { cause: error });
  const status = failure instanceof GatewayError ? failure.entry.http : failure.http;
  const line = errorLine(failure, id);
  response
    .writeHead(status, [
      ...HEAD,
      ...['content-type', 'application/json', 'content-length', String(line.length)],
      ...(status === 503 ? ['retry-after', '1'] : []),
      ...(status === 405 ? ['allow', allowed(request)] : []),
      // What the client still sends is not read.
      ...(request.complete ? [] : ['connection', 'close']),
    ])
    .end(line);
}

function allowed(request: IncomingMessage): string {
  return eraOf(single(request, 'mcp-protocol-version'), []) === 'modern' ? 'POST' : 'GET, POST, DELETE';
}

function single(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value.join(', ') : value;
}
