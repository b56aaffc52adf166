/** Upstream and back: a call that may pass is held for its approval, sent, and its answer let through as policy says. */
import { GatewayError } from '../errors.ts';
import { ALLOW_ALL } from '../policy/allow-all.ts';
import type { ReturnedMessage } from '../recording/frame.ts';
import { sealMcpSessionId } from '../sessions/mcp-session-id.ts';
import { approved } from './approval.ts';
import { holderOf } from './authenticate.ts';
import { awaitAgain } from './bindings.ts';
import { decline } from './decline.ts';
import { dispatch } from './dispatch.ts';
import type { Call } from './exchange.ts';
import { asksForList, createListStage } from './list-stage.ts';
import { holdMasked } from './masked-headers.ts';
import { answerMasksOf, answerMasksOn, createMaskStage, isNone, type Masks, taggerOf, union } from './masking.ts';
import { covers, masksOfNote, noteOfMasks } from './origins.ts';
import type { Place } from './place.ts';
import { askedOf } from './read-request.ts';
import { createReflectionGuard } from './reflection.ts';
import { challengeFor, logFailure } from './refuse.ts';
import { createRelay } from './relay.ts';
import type { Hold } from './response-stream.ts';
import { createScreen, type Screen } from './screen.ts';
import { createScreeningStage } from './screening-stage.ts';
import { createServerMessages } from './server-messages.ts';
import { SEALED_ENDPOINT } from './target.ts';
import { upstreamError } from './upstream.ts';
import { createWayBack, type Stage, type WayBack } from './way-back.ts';

/** One for all calls: an error of its own for each would cost a stack trace, and nobody reads it. */
const OVER = new Error('The exchange is over.');

/** Resolves when the exchange's end is durable, or the client has been told that it can't be. */
export async function forward(call: Call, place: Place): Promise<void> {
  const { runtime, target, request, session, tap, edge, started, read } = call;
  const upstream = call.inForce.upstreams.get(target.connection.name);
  const ended = Promise.withResolvers<void>();
  const over = new AbortController();
  const reflection = createReflectionGuard();
  const masks = await masksFor(call);
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
    hold: holdFor(call),
    mostBytes: mostBytesOf(call),
    full: fullFor(call),
    wayBack: wayBackFor(call, masks, over.signal),
    checkHeaders: (headers) => checkHeaders(headers, masks),
    requestBytes: call.body.length,
    own: (error) =>
      error === undefined ? target.cors : [...target.cors, ...challengeFor(error, call.inForce, target)],
    witnessKey: session.witnessKey,
    fingerprint: session.fingerprint,
    sealSessionId: (id) => sealedFor(call, id),
    asks: ({ messages = [], id: event }, mcpSession) => awaitResponses(call, messages, mcpSession, event),
    onEnd({ result, error }) {
      over.abort(OVER);
      if (error?.fate === 'not_forwarded') void awaitAgain(session, read, call.mcpSession);
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
    await approved(call, relay, over.signal);
    await dispatch({ call, upstream, relay, reflection, over: over.signal });
  } catch (error) {
    relay.abort(error instanceof GatewayError ? error : upstreamError(error, false));
  }
  await ended.promise;
}

/** The server's own requests await a response from now on; `undefined` where there are none. */
function awaitResponses(
  { session, mcpSession }: Call,
  messages: readonly ReturnedMessage[],
  named: string | undefined,
  event: string | undefined,
): Promise<void> | undefined {
  const ids = messages.flatMap(({ kind, id }) => (kind === 'request' && id !== undefined ? [id] : []));
  if (ids.length === 0) return undefined;
  return Promise.all(ids.map((id) => session.awaited.add(named ?? mcpSession, id, event))).then(() => {});
}

/** Of an answer to a call that is not known here, whatever any rule of the connection takes out. */
async function masksFor(call: Call): Promise<Masks> {
  const { decisions, inForce, target, read } = call;
  const own = answerMasksOf(decisions);
  const origins = await originsOf(call);
  const known = origins.filter((one) => one !== undefined);
  // A subscription is told of every task and resource of its session.
  const tellsOfOthers = read.messages.some(({ method }) => method === 'subscriptions/listen');
  const isKnown = origins.length > 0 || read.messages.some(({ kind }) => kind === 'request');
  const isWhole = isKnown && !tellsOfOthers && known.length === origins.length;
  return union([own, ...known, ...(isWhole ? [] : [answerMasksOn(inForce.policy, target.connection.name)])]);
}

/** The masks of the calls whose answers this one fetches; `undefined` for one that is not known, or not for certain. */
async function originsOf({ runtime, inForce, session, target, read, request }: Call): Promise<(Masks | undefined)[]> {
  const { origins, handles, sessions } = runtime;
  const found: (Masks | undefined)[] = [];
  for (const { method, name: task = '' } of read.messages) {
    if (method?.startsWith('tasks/') !== true) continue;
    const here = origins.of(session.id, 'task', task);
    const note = here ?? (await handles.noteOf(session, { kind: 'task', value: task }).catch(() => undefined));
    found.push(here ?? masksOfNote(note, inForce.policy, target.connection.name));
  }
  const event = request.headers['last-event-id'];
  if (typeof event === 'string') {
    const here = origins.of(session.id, 'event', event);
    // Another replica may have released the same id in another stream, with other masks.
    const isAlone = here !== undefined && !(await sessions.isServedElsewhere(session).catch(() => true));
    found.push(isAlone ? here : undefined);
  }
  return found;
}

/**
 * A task belongs to one call: of two that a server gives the same id, with other masks, the second is refused. A stream that
 * is resumed, and an answer about a task, say one again.
 */
function mayGiveTask({ request, read }: Call, masks: Masks, note: unknown): boolean {
  const isNew = read.messages.some(({ kind, method = '' }) => kind === 'request' && !method.startsWith('tasks/'));
  return !isNew || request.headers['last-event-id'] !== undefined || covers(note, masks);
}

/** What a mask takes out of the body is in no header, and the body is in no other encoding than the one it is read in. */
function checkHeaders(headers: readonly string[], masks: Masks): void {
  if (isNone(masks)) return;
  const type = headers[headers.findIndex((name) => name.toLowerCase() === 'content-type') + 1] ?? '';
  const [, charset] = /;\s*charset\s*=\s*"?([^\s";]*)/i.exec(type) ?? [];
  if (charset !== undefined && !/^(?:utf-?8|us-ascii)$/i.test(charset)) {
    throw new GatewayError('mask_failed', 'outcome_withheld', 'It is in another encoding than UTF-8.');
  }
  if (holdMasked(headers, masks)) {
    throw new GatewayError('mask_failed', 'outcome_withheld', 'A header holds what is masked.');
  }
}

/** What is looked at as a whole is held until it has ended. */
function holdFor({ inForce, target, read }: Call): Hold | undefined {
  const { eventBytes } = target.connection.limits;
  // Under rules whatever it says that it is: there are clients that read messages out of any body.
  if (inForce.policy.set !== ALLOW_ALL) return { bytes: eventBytes, what: 'all' };
  const listsTasks = read.messages.some(({ method }) => method === 'tasks/list');
  return listsTasks ? { bytes: eventBytes, what: 'json' } : undefined;
}

/** `maxResultBytes` of the rules that let the call pass: the least of them. */
function mostBytesOf({ decisions }: Call): number {
  const limits = decisions.flatMap(({ limits: each }) => each.map(({ maxResultBytes }) => maxResultBytes ?? Infinity));
  return Math.min(Number.POSITIVE_INFINITY, ...limits);
}

/** With recording off an answer takes no room. */
function fullFor({ runtime, target, principal }: Call): (bytes: number) => GatewayError | undefined {
  const { recording, durability } = target.connection;
  if (recording === 'off') return () => undefined;
  const holder = holderOf(target, principal);
  return (bytes) => runtime.pressure.refusesAnswer(holder, durability, bytes);
}

function wayBackFor(call: Call, masks: Masks, over: AbortSignal): WayBack {
  const { runtime, inForce, judge, session, target, read } = call;
  const screen = screenFor(call, masks, over);
  const stages: Stage[] = [];
  if (inForce.policy.set !== ALLOW_ALL) {
    stages.push(
      createServerMessages({
        decide: judge.decide,
        elicitationHosts: target.connection.elicitationHosts,
        decline: (id, decision) =>
          decline(call, screen.mcpSession, id, decision).catch((err: unknown) =>
            runtime.log.warn(
              { event: 'decline_failed', session: session.id, err },
              'A server was not told of a denial.',
            ),
          ),
      }),
    );
    if (asksForList(read)) stages.push(createListStage(call));
    const mask = createMaskStage(masks, target.connection, taggerOf(session, runtime.maskKey(inForce)));
    stages.push(mask, (part) => {
      runtime.metrics.masked(target.connection.name, part.masks ?? []);
      return part;
    });
    // Behind the masks: what they take out is shown to no other service either.
    if (call.decisions.some(({ screens }) => screens.length > 0)) stages.push(createScreeningStage(call, over));
  }
  return createWayBack(screen, stages);
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

function screenFor(call: Call, masks: Masks, over: AbortSignal): Screen {
  const { runtime, inForce, session, target, tap, mcpSession, read } = call;
  const { connection } = target;
  const prefix = connection.host === undefined ? `/${connection.name}` : '';
  return createScreen({
    session,
    connection,
    mcpSession,
    isSse: target.transport === 'sse',
    listsTasks: read.messages.some(({ method }) => method === 'tasks/list'),
    isOver: () => over.aborted,
    handles: runtime.handles,
    eventIds: runtime.eventIds,
    onEvent: (id) => runtime.origins.note(session.id, 'event', id, masks),
    taskNote: noteOfMasks(masks, inForce.policy),
    onTask(id, note) {
      if (!mayGiveTask(call, masks, note)) return false;
      runtime.origins.note(session.id, 'task', id, masks);
      return true;
    },
    sealEndpoint(upstream) {
      const sealed = sealMcpSessionId(runtime.sealingKeys(inForce), session.id, upstream, 'sse-endpoint');
      return `${prefix}${connection.sse?.messages ?? ''}?${SEALED_ENDPOINT}=${sealed}`;
    },
    onWithheld: (kind) =>
      session.strand.append({ type: 'event', event: { name: 'handle.withheld', exchange: tap.exchange, kind } }),
  });
}
