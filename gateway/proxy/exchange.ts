/**
 * The way of one call, a line a step:
 *
 *   client ─▶ authenticate ─▶ session ─▶ read message ─▶ decide ─▶ RECORD ─(durable)─▶ credential ─▶ upstream
 *   client ◀─(durable)─ RECORD ◀──────────────────────────────────────────────────────────────────── upstream
 *
 * Two promises follow from where RECORD stands: no request byte reaches an upstream before its frame is durable, and no
 * response byte reaches a client before its frame is. The way back is relay.ts.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { uuidv7 } from 'uuidv7';
import { GatewayError } from '../errors.ts';
import type { Principal } from '../identity/principal.ts';
import { bearerOf } from '../identity/token.ts';
import { clientInfoOf } from '../mcp/client-info.ts';
import { decide } from '../policy/decide.ts';
import type { RequestMessage } from '../recording/frame.ts';
import { sealMcpSessionId, unsealMcpSessionId } from '../sessions/mcp-session-id.ts';
import type { Session } from '../sessions/sessions.ts';
import { type ClientEdge, createClientEdge } from './client-edge.ts';
import { recordHeaders, requestHeadersForUpstream } from './headers.ts';
import { type Place, takePlace } from './place.ts';
import { askedOf, type ReadRequest, readBodiless, readBody, readPost } from './read-request.ts';
import {
  answer,
  challengeFor,
  failClosed,
  logFailure,
  MOST_READ_IN_VAIN,
  refuseUnknown,
  toGatewayError,
} from './refuse.ts';
import { createRelay } from './relay.ts';
import type { InForce, Runtime } from './runtime.ts';
import { startOf } from './session-start.ts';
import { createTap, type Tap } from './tap.ts';
import type { Target } from './target.ts';
import { type Upstream, upstreamError } from './upstream.ts';

/** One call, enriched by each step. */
export interface Call {
  readonly runtime: Runtime;
  readonly inForce: InForce;
  readonly target: Target;
  readonly request: IncomingMessage;
  readonly edge: ClientEdge;
  readonly session: Session;
  readonly tap: Tap;
  readonly started: number;
  readonly body: Buffer;
  readonly read: ReadRequest;
  readonly messages: readonly RequestMessage[];
  /** The upstream's own session id, where the client sent its sealed form. */
  readonly mcpSession: string | undefined;
}

export async function handleCall(
  runtime: Runtime,
  target: Target,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const started = performance.now();
  const inForce = runtime.inForce();
  const edge = createClientEdge(response, target.connection.limits.idleStream);
  let session: Session;
  try {
    const principal = await authenticate(runtime, inForce, target, request);
    session = await openSession(runtime, inForce, target, principal);
  } catch (error) {
    return refuseUnknown(runtime, inForce, target, request, edge, toGatewayError(error));
  }
  const tap = createTap(session.strand, uuidv7(), target.connection.recording);
  const place = takePlace(runtime, session, target);
  let call: Call | undefined;
  try {
    call = await readCall({ runtime, inForce, target, request, edge, session, tap, started }, place);
    noteClient(call);
    await recordRequest(call);
    const refused = call.read.refused;
    if (refused !== undefined) await answer(call, refused);
    else await forward(call, place);
  } catch (error) {
    failClosed(edge, toGatewayError(error), runtime, call);
  } finally {
    place.leave();
    runtime.metrics.exchangeEnded(target.connection.name, (performance.now() - started) / 1000);
  }
}

async function authenticate(
  runtime: Runtime,
  inForce: InForce,
  target: Target,
  request: IncomingMessage,
): Promise<Principal> {
  const refusing = runtime.refusing();
  if (refusing !== undefined) throw new GatewayError(refusing);
  const token = bearerOf(request.rawHeaders);
  if (token === undefined) throw new GatewayError('unauthenticated');
  return runtime.tokens.check(token, target.connection.name, inForce.config);
}

async function openSession(runtime: Runtime, inForce: InForce, target: Target, principal: Principal): Promise<Session> {
  const { sessions } = inForce.config;
  const { sessionsPerPrincipal } = target.connection.limits;
  const start = (expires: string) => startOf(runtime, inForce, target, principal, expires);
  const session = await runtime.sessions.open(principal, start, { ...sessions, sessionsPerPrincipal });
  if (session.configuration !== inForce.digest) {
    session.configuration = inForce.digest;
    session.strand.append({
      type: 'event',
      event: { name: 'configuration', configuration: inForce.digest, policy: inForce.policyDigest },
    });
  }
  return session;
}

type Reading = Omit<Call, 'body' | 'read' | 'messages' | 'mcpSession'>;

/** Reads the body and decides on each message. What is refused comes back as a call that may not be forwarded. */
async function readCall(reading: Reading, place: Place): Promise<Call> {
  const { request, target, session } = reading;
  let body: Buffer = Buffer.alloc(0);
  let read: ReadRequest;
  try {
    const { requestBytes } = target.connection.limits;
    // A call without a place is read only as far as it takes to answer it by its id.
    const most = place.refused === undefined ? requestBytes : Math.min(requestBytes, MOST_READ_IN_VAIN);
    body = await readBody(request, most, place.signal);
    read = request.method === 'POST' ? readPost(request, body) : readBodiless(request, body);
  } catch (error) {
    read = { messages: [], batch: false, era: 'legacy', refused: toGatewayError(error) };
  }
  const sealed = unsealFor(reading);
  const refused =
    place.refused ?? target.refused ?? read.refused ?? sealed.refused ?? unawaited(session, read, sealed.upstream);
  const messages = read.messages.map(({ kind, id, method, name }) => {
    const decision = decide({ kind, ...(method === undefined ? {} : { method }) });
    return {
      kind,
      ...(id === undefined ? {} : { id }),
      ...(method === undefined ? {} : { method }),
      ...(name === undefined ? {} : { name }),
      decision,
    };
  });
  return {
    ...reading,
    body,
    read: refused === undefined ? read : { ...read, refused },
    messages,
    mcpSession: sealed.upstream,
  };
}

function unsealFor({ runtime, request, session }: Reading): { upstream: string | undefined; refused?: GatewayError } {
  const header = request.headers['mcp-session-id'];
  if (typeof header !== 'string') return { upstream: undefined };
  const unsealed = unsealMcpSessionId(runtime.sealingKey, session.id, header);
  if (unsealed.kind === 'ours') return { upstream: unsealed.upstream };
  if (unsealed.kind === 'foreign') {
    const { principal, connection } = session;
    const details = { session: session.id, owner: unsealed.session, subject: principal.subject, connection };
    runtime.log.warn({ event: 'foreign_session_id', ...details }, "A call came with another session's Mcp-Session-Id.");
    void runtime.system.event('foreign_session_id', details).catch(() => {});
  }
  return { upstream: undefined, refused: new GatewayError('mcp_session_unknown') };
}

/** A client's response passes once, and only for a request of the server that this session was sent. */
function unawaited(session: Session, read: ReadRequest, mcpSession: string | undefined): GatewayError | undefined {
  return session.awaited.take(mcpSession, responseIdsOf(read)) ? undefined : new GatewayError('response_not_awaited');
}

function responseIdsOf(read: ReadRequest): (string | number)[] {
  return read.messages.flatMap(({ kind, id }) => (kind === 'response' && id !== undefined ? [id] : []));
}

/** What was not forwarded may be tried again: its responses are awaited as before. */
function awaitAgain({ session, read, mcpSession }: Call): void {
  for (const id of responseIdsOf(read)) session.awaited.add(mcpSession, id);
}

/** What the client calls itself is known with its first message: an event, once and when it changes. */
function noteClient({ session, read }: Call): void {
  const client = clientInfoOf(read.messages);
  if (client === undefined) return;
  const said = `${client.name} ${client.version ?? ''}`;
  if (session.client === said) return;
  session.client = said;
  session.strand.append({ type: 'event', event: { name: 'client', client } });
}

/** RECORD. Resolves when the request's frames are durable; nothing is forwarded or answered before. */
async function recordRequest(call: Call): Promise<void> {
  const { request, body, tap, session, messages, read } = call;
  try {
    await tap.request({
      method: request.method ?? '',
      path: call.target.recordedPath,
      headers: recordHeaders(request.rawHeaders, session.fingerprint),
      body,
      messages,
      ...(read.refused === undefined ? {} : { refused: read.refused.code }),
    });
  } catch (cause) {
    if (read.refused === undefined) awaitAgain(call);
    throw new GatewayError('recording_unavailable', 'not_forwarded', undefined, { cause });
  }
}

/** Upstream and back. Resolves when the exchange's end is durable, or the client has been told that it can't be. */
async function forward(call: Call, place: Place): Promise<void> {
  const { runtime, target, request, session, tap, edge, started, read } = call;
  const upstream = call.inForce.upstreams.get(target.connection.name);
  const ended = Promise.withResolvers<void>();
  // undici's clock begins with the request's first byte: waiting for a free connection has none but this.
  const queued = setTimeout(
    () => relay.abort(new GatewayError('upstream_timeout', 'not_forwarded', 'All its connections are in use.')),
    target.connection.limits.firstByte,
  );
  const relay = createRelay({
    tap,
    edge,
    started,
    asked: askedOf(read),
    disconnectCancels: read.era === 'modern' || request.method === 'GET',
    eventBytes: target.connection.limits.eventBytes,
    requestBytes: call.body.length,
    own: (error) =>
      error === undefined ? target.cors : [...target.cors, ...challengeFor(error, call.inForce, target)],
    witnessKey: session.witnessKey,
    fingerprint: session.fingerprint,
    sealSessionId: (id) => sealMcpSessionId(runtime.sealingKey, session.id, id),
    onMessage(message, mcpSession) {
      if (message.kind === 'request' && message.id !== undefined)
        session.awaited.add(mcpSession ?? call.mcpSession, message.id);
    },
    onSent: () => clearTimeout(queued),
    onEnd({ result, error }) {
      clearTimeout(queued);
      if (error?.fate === 'not_forwarded') awaitAgain(call);
      runtime.metrics.outcome(target.connection.name, result);
      if (error !== undefined) logFailure(call, error);
      ended.resolve();
    },
  });
  const abort = (): void => relay.abort(place.signal.reason);
  place.signal.addEventListener('abort', abort);
  if (place.signal.aborted) abort();
  try {
    if (upstream === undefined) throw new GatewayError('internal', 'not_forwarded', 'The connection has no upstream.');
    await dispatch(call, upstream, relay);
  } catch (error) {
    relay.abort(error instanceof GatewayError ? error : upstreamError(error, false));
  }
  await ended.promise;
}

async function dispatch(call: Call, upstream: Upstream, relay: ReturnType<typeof createRelay>): Promise<void> {
  const { request, target, body } = call;
  const { headers: credential } = await upstream.credential();
  const session = call.mcpSession === undefined ? [] : [['mcp-session-id', call.mcpSession] as const];
  const headers = requestHeadersForUpstream(request.rawHeaders, [...session, ...credential]);
  upstream.dispatcher.dispatch(
    {
      path: target.path + target.search,
      method: (request.method ?? 'GET') as 'GET',
      headers,
      body: request.method === 'POST' ? body : null,
      // An answer may take as long as its tool; undici must not queue other calls behind it.
      blocking: false,
    },
    relay,
  );
}
