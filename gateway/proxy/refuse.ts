/** Refusals and failures that no upstream answers: words for the client, and where they are recorded. */
import type { IncomingMessage } from 'node:http';
import { GatewayError } from '../errors.ts';
import { challenge } from '../identity/metadata.ts';
import { type Asked, errorAnswer } from './answer.ts';
import type { ClientEdge } from './client-edge.ts';
import { loggableReason } from './credential-error.ts';
import type { Call } from './exchange.ts';
import { recordHeaders } from './headers.ts';
import { askedOf, readBody, readPost } from './read-request.ts';
import type { InForce, Runtime } from './runtime.ts';
import { METHODS, type Target } from './target.ts';
import { reachReason } from './upstream.ts';

type Headers = readonly (readonly [string, string])[];

const NOTHING_ASKED: Asked = { ids: [], batch: false };
/** Bytes: what is read of a call that may not pass, to answer it by its id. */
export const MOST_READ_IN_VAIN = 64 * 1024;

/** The gateway's own answer in a session: recorded like any other, durable before it is released. */
export async function answer(call: Call, error: GatewayError): Promise<void> {
  const { tap, edge, session, read, runtime, target } = call;
  const made = errorAnswer(error, askedOf(read), ownHeaders(error, call));
  const headers = made.headers.flat();
  edge.head(made.status, headers, false);
  tap.response('gateway', made.status, recordHeaders(headers, session.fingerprint));
  tap.data('gateway', made.body, {});
  const ended = Promise.withResolvers<void>();
  tap.end(
    {
      outcome: { http: made.status, result: error.code, fate: error.fate, messages: made.outcomes },
      bytes: { request: call.body.length, upstream: 0, released: made.body.length },
      duration: { total: Math.round((performance.now() - call.started) * 1000) / 1000 },
      abortedBy: 'gateway',
    },
    (failed) =>
      failed === undefined ? ended.resolve() : ended.reject(new GatewayError('recording_unavailable', error.fate)),
  );
  await ended.promise;
  runtime.metrics.outcome(target.connection.name, error.code);
  const facts = { event: 'refused', reason: error.code, session: session.id, exchange: tap.exchange };
  runtime.log.info({ ...facts, connection: target.connection.name }, error.message);
  noteForPerson(call, error);
  edge.end(made.body);
}

function ownHeaders(error: GatewayError, { target, request, inForce }: Call): Headers {
  return [
    ...target.cors,
    // What the client still sends is not read.
    ...(request.complete ? [] : [['connection', 'close'] as const]),
    ...(error.code === 'method_not_allowed'
      ? [['allow', `${METHODS[target.transport].join(', ')}, OPTIONS`] as const]
      : []),
    ...challengeFor(error, inForce, target),
  ];
}

/** A client that gets a 401 without a challenge does not know where to log in. */
export function challengeFor(error: GatewayError, inForce: InForce, target: Target): Headers {
  if (error.entry.http !== 401) return [];
  const known = error.code === 'session_ended' || error.detail !== undefined;
  const why = known ? { error: 'invalid_token' as const, description: error.message } : undefined;
  const { connection, transport, path } = target;
  // The address for messages is not a resource of its own: the stream's is.
  const resource = transport === 'sse-message' ? (connection.sse?.path ?? path) : path;
  return [['www-authenticate', challenge(inForce.config, connection.name, resource, why)]];
}

/** Who calls is not known, or may not enter: an event of the system strand (which also logs it), and words. */
export async function refuseUnknown(
  runtime: Runtime,
  inForce: InForce,
  target: Target,
  request: IncomingMessage,
  edge: ClientEdge,
  error: GatewayError,
): Promise<void> {
  runtime.system.refused({
    address: target.address,
    reason: error.code,
    connection: target.connection.name,
    ...(error.detail === undefined ? {} : { detail: error.detail }),
  });
  runtime.metrics.outcome(target.connection.name, error.code);
  if (error.code === 'internal') {
    runtime.log.error({ event: 'call_failed', code: error.code, err: error.cause ?? error }, 'A call failed.');
  }
  // Some clients take a 403 for a broken registration and begin anew: whose groups don't suffice gets an answer by id.
  const asked =
    error.entry.httpAlways === true ? NOTHING_ASKED : await askedInVain(request, target.connection.limits.requestBytes);
  send(edge, error, [...target.cors, ...challengeFor(error, inForce, target)], asked);
}

async function askedInVain(request: IncomingMessage, most: number): Promise<Asked> {
  if (request.method !== 'POST') return NOTHING_ASKED;
  try {
    const body = await readBody(request, most, AbortSignal.timeout(5000));
    return askedOf(readPost(request, body));
  } catch {
    return NOTHING_ASKED;
  }
}

/** The journal is failing or something unforeseen happened: words without a record, and nothing of the upstream's. */
export function failClosed(edge: ClientEdge, error: GatewayError, runtime: Runtime, call: Call | undefined): void {
  runtime.log.error({ event: 'call_failed', code: error.code, err: error.cause ?? error }, 'A call failed closed.');
  if (edge.headSent) edge.cut();
  else send(edge, error, call?.target.cors ?? [], call === undefined ? NOTHING_ASKED : askedOf(call.read));
}

function send(edge: ClientEdge, error: GatewayError, extra: Headers, asked: Asked): void {
  const made = errorAnswer(error, asked, extra);
  // What the client still sends is not read: the connection ends with this answer.
  edge.head(made.status, [...made.headers.flat(), 'connection', 'close'], false);
  edge.end(made.body);
}

export function logFailure(call: Call, error: GatewayError): void {
  const { runtime, session, tap, target } = call;
  noteForPerson(call, error);
  const facts = { event: 'exchange_failed', code: error.code, fate: error.fate, session: session.id };
  const err = error.code === 'internal' ? { err: error.cause } : {};
  // Which reference, account or address failed: for the operator, in words that hold no secret.
  const reason = error.code === 'credential_unavailable' ? loggableReason(error) : reachReason(error);
  const why = reason === undefined ? {} : { reason };
  runtime.log.warn(
    { ...facts, ...err, ...why, exchange: tap.exchange, connection: target.connection.name },
    error.message,
  );
}

/** On the page of the person who called: gateway/identity/server/last-errors.ts. */
function noteForPerson({ runtime, principal, target, tap }: Call, error: GatewayError): void {
  if (principal.grant !== undefined) {
    runtime.authorization.noteError(principal, target.connection.name, {
      words: error.message,
      reference: tap.exchange,
    });
  }
}

export function toGatewayError(error: unknown): GatewayError {
  if (error instanceof GatewayError) return error;
  return new GatewayError('internal', 'not_forwarded', undefined, { cause: error });
}
