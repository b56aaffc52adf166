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
import { isDeepStrictEqual } from 'node:util';
import { uuidv7 } from 'uuidv7';
import { GatewayError } from '../errors.ts';
import type { Principal } from '../identity/principal.ts';
import { clientInfoOf } from '../mcp/client-info.ts';
import { ALLOW_ALL } from '../policy/allow-all.ts';
import type { RequestMessage } from '../recording/frame.ts';
import { frozenError } from '../sessions/freeze.ts';
import { sealMcpSessionId } from '../sessions/mcp-session-id.ts';
import type { Session } from '../sessions/sessions.ts';
import { authenticate } from './authenticate.ts';
import { awaitAgain, bind, unseal } from './bindings.ts';
import { type ClientEdge, createClientEdge } from './client-edge.ts';
import { dispatch } from './dispatch.ts';
import { recordHeaders } from './headers.ts';
import { type Place, takePlace } from './place.ts';
import { askedOf, type ReadRequest, readBodiless, readBody, readPost } from './read-request.ts';
import { createReflectionGuard } from './reflection.ts';
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
import { createScreen, type Screen } from './screen.ts';
import { recordedPrincipal, startOf } from './session-start.ts';
import { createTap, type Tap } from './tap.ts';
import { SEALED_ENDPOINT, type Target } from './target.ts';
import { upstreamError } from './upstream.ts';

/** One call, enriched by each step. */
export interface Call {
  readonly runtime: Runtime;
  readonly inForce: InForce;
  readonly target: Target;
  readonly request: IncomingMessage;
  readonly edge: ClientEdge;
  readonly session: Session;
  /** Who calls, as this call's own token says it. */
  readonly principal: Principal;
  readonly tap: Tap;
  readonly started: number;
  readonly body: Buffer;
  readonly read: ReadRequest;
  readonly messages: readonly RequestMessage[];
  /** The upstream's own session id, or its address for messages, where the client sent its sealed form. */
  readonly mcpSession: string | undefined;
}

/** One for all calls: an error of its own for each would cost a stack trace, and nobody reads it. */
const OVER = new Error('The exchange is over.');

export async function handleCall(
  runtime: Runtime,
  target: Target,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const inForce = runtime.inForce();
  // What it began with stays open until it is over, though another configuration takes force meanwhile.
  inForce.enter();
  try {
    await handleCallUnder(runtime, inForce, target, request, response);
  } finally {
    inForce.leave();
  }
}

async function handleCallUnder(
  runtime: Runtime,
  inForce: InForce,
  target: Target,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const started = performance.now();
  const edge = createClientEdge(response, target.connection.limits.idleStream);
  let session: Session;
  let principal: Principal;
  try {
    principal = await authenticate(runtime, inForce, target, request);
    session = await openSession(runtime, inForce, target, principal);
  } catch (error) {
    return refuseUnknown(runtime, inForce, target, request, edge, toGatewayError(error));
  }
  const tap = createTap(session.strand, uuidv7(), target.connection.recording);
  const place = takePlace(runtime, session, target);
  let call: Call | undefined;
  try {
    call = await readCall({ runtime, inForce, target, request, edge, session, principal, tap, started }, place);
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
  // The token check keeps a token's principal: another object is another token.
  if (principal !== session.principal) notePrincipal(session, principal);
  return session;
}

/** A renewed token may say other groups: what its calls may do follows their own token, and the recording says so. */
function notePrincipal(session: Session, principal: Principal): void {
  const said = recordedPrincipal(principal);
  const before = recordedPrincipal(session.principal);
  session.principal = principal;
  if (isDeepStrictEqual(said, before)) return;
  session.strand.append({ type: 'event', event: { name: 'principal', principal: said } });
}

type Reading = Omit<Call, 'body' | 'read' | 'messages' | 'mcpSession'>;

/** Reads the body and decides on each message. What is refused comes back as a call that may not be forwarded. */
async function readCall(reading: Reading, place: Place): Promise<Call> {
  const { request, target } = reading;
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
  if (target.transport === 'sse-message') read = { ...read, elsewhere: true };
  const early = place.refused ?? target.refused ?? read.refused ?? frozen(reading, read);
  const bound = early === undefined ? await bind(reading, read) : unseal(reading);
  const refused = early ?? bound.refused;
  const messages = read.messages.map(({ kind, id, method, name }) => {
    // Until configurations name rules: `policies: allow-all` is the only value.
    const decision = {
      effect: 'allow' as const,
      rules: ALLOW_ALL.rules.map((rule) => rule.name),
      decision_id: uuidv7(),
    };
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
    mcpSession: bound.upstream,
  };
}

function frozen({ runtime, session, principal }: Reading, read: ReadRequest): GatewayError | undefined {
  const freeze = runtime.freezes.match({ connection: session.connection, principal, messages: read.messages });
  return freeze === undefined ? undefined : frozenError(freeze);
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
    if (read.refused === undefined) awaitAgain(session, read, call.mcpSession);
    throw new GatewayError('recording_unavailable', 'not_forwarded', undefined, { cause });
  }
}

/** Upstream and back. Resolves when the exchange's end is durable, or the client has been told that it can't be. */
async function forward(call: Call, place: Place): Promise<void> {
  const { runtime, target, request, session, tap, edge, started, read } = call;
  const upstream = call.inForce.upstreams.get(target.connection.name);
  const ended = Promise.withResolvers<void>();
  const over = new AbortController();
  const listsTasks = read.messages.some(({ method }) => method === 'tasks/list');
  const reflection = createReflectionGuard();
  const relay = createRelay({
    tap,
    reflection,
    edge,
    started,
    asked: askedOf(read),
    disconnectCancels: read.era === 'modern' || request.method === 'GET',
    eventBytes: target.connection.limits.eventBytes,
    firstByte: target.connection.limits.firstByte,
    idleStream: target.connection.limits.idleStream,
    listsTasks,
    screen: screenFor(call, listsTasks, over.signal),
    requestBytes: call.body.length,
    own: (error) =>
      error === undefined ? target.cors : [...target.cors, ...challengeFor(error, call.inForce, target)],
    witnessKey: session.witnessKey,
    fingerprint: session.fingerprint,
    sealSessionId: (id) => sealedFor(call, id),
    onMessage(message, mcpSession) {
      if (message.kind === 'request' && message.id !== undefined)
        session.awaited.add(mcpSession ?? call.mcpSession, message.id);
    },
    onEnd({ result, error }) {
      over.abort(OVER);
      if (error?.fate === 'not_forwarded') awaitAgain(session, read, call.mcpSession);
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
    await dispatch({ call, upstream, relay, reflection, over: over.signal });
  } catch (error) {
    relay.abort(error instanceof GatewayError ? error : upstreamError(error, false));
  }
  await ended.promise;
}

/**
 * What the client came with, where it stands for the same id: clients compare the two, and after a change of keys it would
 * be sealed to another text.
 */
function sealedFor({ runtime, inForce, session, target, request, mcpSession }: Call, id: string): string {
  const presented = request.headers['mcp-session-id'];
  const isSame = id === mcpSession && target.transport !== 'sse-message' && typeof presented === 'string';
  return isSame ? presented : sealMcpSessionId(runtime.sealingKeys(inForce), session.id, id);
}

function screenFor(
  { runtime, inForce, session, target, tap, mcpSession }: Call,
  listsTasks: boolean,
  over: AbortSignal,
): Screen {
  const { connection } = target;
  const prefix = connection.host === undefined ? `/${connection.name}` : '';
  return createScreen({
    session,
    connection,
    mcpSession,
    isSse: target.transport === 'sse',
    listsTasks,
    isOver: () => over.aborted,
    handles: runtime.handles,
    eventIds: runtime.eventIds,
    sealEndpoint(upstream) {
      const sealed = sealMcpSessionId(runtime.sealingKeys(inForce), session.id, upstream, 'sse-endpoint');
      return `${prefix}${connection.sse?.messages ?? ''}?${SEALED_ENDPOINT}=${sealed}`;
    },
    onWithheld: (kind) =>
      session.strand.append({ type: 'event', event: { name: 'handle.withheld', exchange: tap.exchange, kind } }),
  });
}
