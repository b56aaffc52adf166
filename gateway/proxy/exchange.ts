/**
 * The way of one call, a line a step:
 *
 *   client ─▶ authenticate ─▶ session ─▶ read ─▶ decide ─▶ mask ─▶ RECORD ─(durable)─▶ approve ─▶ credential ─▶ upstream
 *   client ◀─(durable)─ RECORD ◀─ mask ◀─ decide ◀──────────────────────────────────────────────────────────── upstream
 *
 * Two promises follow from where RECORD stands: no request byte reaches an upstream before its frame is durable, and no
 * response byte reaches a client before its frame is. From RECORD on it is forward.ts, the way back relay.ts.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { isDeepStrictEqual } from 'node:util';
import { uuidv7 } from 'uuidv7';
import { GatewayError } from '../errors.ts';
import type { Principal } from '../identity/principal.ts';
import type { Decision, PolicyInput } from '../policy/decision.ts';
import type { RecordedMask, RequestMessage } from '../recording/frame.ts';
import type { Session } from '../sessions/sessions.ts';
import { authenticate, type Entered } from './authenticate.ts';
import { awaitAgain } from './bindings.ts';
import { type ClientEdge, createClientEdge } from './client-edge.ts';
import type { Judge } from './decisions.ts';
import { forward } from './forward.ts';
import { recordHeaders } from './headers.ts';
import { takePlace } from './place.ts';
import { noteClient, readCall } from './read-call.ts';
import type { ReadRequest } from './read-request.ts';
import { answer, failClosed, refuseUnknown, toGatewayError } from './refuse.ts';
import type { InForce, Runtime } from './runtime.ts';
import { recordedPrincipal, startOf } from './session-start.ts';
import { createTap, type Tap } from './tap.ts';
import type { Target } from './target.ts';

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
  /** How the session came to be. */
  readonly access: PolicyInput['access'];
  readonly judge: Judge;
  /** One for each message. */
  readonly decisions: readonly Decision[];
  /** As it is forwarded: what a mask takes out is out. */
  readonly body: Buffer;
  readonly masks: readonly RecordedMask[];
  /** Names in lower case of headers that hold what is taken out of requests: recorded as fingerprints, not forwarded. */
  readonly hiddenHeaders: ReadonlySet<string>;
  readonly read: ReadRequest;
  readonly messages: readonly RequestMessage[];
  /** The client has turned down to open the page of an approval. */
  readonly declinedElicitation: boolean;
  /** The upstream's own session id, or its address for messages, where the client sent its sealed form. */
  readonly mcpSession: string | undefined;
}

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
  let entered: Entered;
  try {
    entered = await authenticate(runtime, inForce, target, request);
    session = await openSession(runtime, inForce, target, entered);
  } catch (error) {
    return refuseUnknown(runtime, inForce, target, request, edge, toGatewayError(error));
  }
  const tap = createTap(session.strand, uuidv7(), target.connection.recording);
  const place = takePlace(runtime, session, target);
  let call: Call | undefined;
  try {
    call = await readCall({ runtime, inForce, target, request, edge, session, ...entered, tap, started }, place);
    noteClient(call);
    await recordRequest(call);
    place.endTurn?.();
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

async function openSession(runtime: Runtime, inForce: InForce, target: Target, entered: Entered): Promise<Session> {
  const { principal } = entered;
  const { sessions } = inForce.config;
  const { sessionsPerPrincipal } = target.connection.limits;
  const start = (expires: string) => startOf(runtime, inForce, target, entered, expires);
  const session = await runtime.sessions.open(principal, start, { ...sessions, sessionsPerPrincipal });
  const { digest: configuration, policy } = inForce;
  if (session.configuration !== configuration || session.policy !== policy.set.digest) {
    session.configuration = configuration;
    session.policy = policy.set.digest;
    session.strand.append({
      type: 'event',
      event: { name: 'configuration', configuration, policy: policy.set.digest },
    });
  }
  noteWindow(session, entered);
  // The token check keeps a token's principal: another object is another token.
  if (principal !== session.principal) notePrincipal(session, principal);
  return session;
}

/** Another window than the session began with, or than the last call had: the recording says by which a call got in. */
function noteWindow(session: Session, { access, window }: Entered): void {
  if (window === undefined || session.window === window) return;
  session.window = window;
  session.strand.append({ type: 'event', event: { name: 'access', kind: access, window } });
}

/** A renewed token may say other groups: what its calls may do follows their own token, and the recording says so. */
function notePrincipal(session: Session, principal: Principal): void {
  const said = recordedPrincipal(principal);
  const before = recordedPrincipal(session.principal);
  session.principal = principal;
  if (isDeepStrictEqual(said, before)) return;
  session.strand.append({ type: 'event', event: { name: 'principal', principal: said } });
}

/** RECORD. Resolves when the request's frames are durable; nothing is forwarded or answered before. */
async function recordRequest(call: Call): Promise<void> {
  const { request, body, tap, session, messages, masks, read } = call;
  try {
    await tap.request({
      method: request.method ?? '',
      path: call.target.recordedPath,
      headers: recordHeaders(request.rawHeaders, session.fingerprint, call.hiddenHeaders),
      body,
      messages,
      masks,
      ...(read.refused === undefined ? {} : { refused: read.refused.code }),
    });
  } catch (cause) {
    if (read.refused === undefined) await awaitAgain(session, read, call.mcpSession);
    throw new GatewayError('recording_unavailable', 'not_forwarded', undefined, { cause });
  }
}
