/** The middle of a call: its body is read, decided on, bound to its session, counted, and masked. */
import { GatewayError } from '../errors.ts';
import { clientInfoOf } from '../mcp/client-info.ts';
import type { Decision } from '../policy/decision.ts';
import type { RecordedMask, RecordedVerdict, RequestMessage } from '../recording/frame.ts';
import { frozenError } from '../sessions/freeze.ts';
import { cancelHeld } from './approval.ts';
import { awaitAgain, bind, unseal } from './bindings.ts';
import { changedTool } from './changed-tool.ts';
import { createJudge, type Judge, recordedDecision, refusalOf, UNDECIDED } from './decisions.ts';
import type { Call } from './exchange.ts';
import { findBeside } from './masked-headers.ts';
import { isNone, maskRequest, requestMasksOf, requestMasksOn, taggerOf, union } from './masking.ts';
import { withoutOwnState } from './own-state.ts';
import type { Place } from './place.ts';
import { type ReadRequest, readBodiless, readBody, readPost } from './read-request.ts';
import { MOST_READ_IN_VAIN, toGatewayError } from './refuse.ts';
import { type Screened, screen, textIn } from './screening-stage.ts';

export type Reading = Pick<
  Call,
  'runtime' | 'inForce' | 'target' | 'request' | 'edge' | 'session' | 'principal' | 'access' | 'tap' | 'started'
>;

/** What is refused comes back as a call that may not be forwarded. */
export async function readCall(reading: Reading, place: Place): Promise<Call> {
  const { runtime, inForce, target, principal, access, session } = reading;
  const { body, read, declined } = withoutOwnState(reading, await readIt(reading, place));
  cancelHeld(session, read);
  const judge = createJudge(runtime, inForce, target, { principal, access });
  const decisions = await decideAll(judge, read);
  const early =
    place.refused ??
    target.refused ??
    read.refused ??
    frozen(reading, read) ??
    refusalOf(decisions) ??
    changedTool(reading, read);
  const bound = early === undefined ? await bind(reading, read) : unseal(reading);
  const counted = early ?? bound.refused ?? (await overLimit(reading, decisions));
  const masked = maskIt(reading, body, counted === undefined ? decisions : undefined, read.messages);
  const screened =
    counted === undefined && masked.refused === undefined
      ? await screenRequest(reading, masked.body, decisions, place.signal)
      : { verdicts: [] };
  const refused = counted ?? masked.refused ?? screened.refused;
  if (refused !== undefined && early === undefined && bound.refused === undefined) {
    await awaitAgain(session, read, bound.upstream);
  }
  return {
    ...reading,
    judge,
    decisions,
    body: masked.body,
    masks: masked.masks,
    hiddenHeaders: masked.hidden,
    declinedElicitation: declined,
    read: refused === undefined ? read : { ...read, refused },
    messages: read.messages.map((message, index) =>
      recordedMessage(message, decisions[index] ?? UNDECIDED, screened.verdicts),
    ),
    mcpSession: bound.upstream,
  };
}

/**
 * Bytes. To parse and to record a body takes the one thread that all calls share, a large one for a good part of a second:
 * they take turns (runtime.largeBodies), so that others come in between.
 */
const LARGE_BODY = 1024 * 1024;
/** Milliseconds that one may wait for its turn. */
const TURN_WITHIN = 60_000;

async function readIt(
  { runtime, request, target }: Reading,
  place: Place,
): Promise<{ body: Buffer; read: ReadRequest }> {
  let body: Buffer = Buffer.alloc(0);
  let read: ReadRequest;
  try {
    const { requestBytes } = target.connection.limits;
    // A call without a place is read only as far as it takes to answer it by its id.
    const most = place.refused === undefined ? requestBytes : Math.min(requestBytes, MOST_READ_IN_VAIN);
    body = await readBody(request, most, place.signal);
    if (body.length > LARGE_BODY) place.endTurn = await runtime.largeBodies.take(place.signal, TURN_WITHIN);
    read = request.method === 'POST' ? readPost(request, body) : readBodiless(request, body);
  } catch (error) {
    read = { messages: [], batch: false, era: 'legacy', refused: toGatewayError(error) };
  }
  return { body, read: target.transport === 'sse-message' ? { ...read, elsewhere: true } : read };
}

async function decideAll(judge: Judge, { messages }: ReadRequest): Promise<Decision[]> {
  const decisions: Decision[] = [];
  for (const message of messages) decisions.push(await judge.decide(message, 'client'));
  return decisions;
}

function frozen({ runtime, session, principal }: Reading, read: ReadRequest): GatewayError | undefined {
  const freeze = runtime.freezes.match({ connection: session.connection, principal, messages: read.messages });
  return freeze === undefined ? undefined : frozenError(freeze);
}

/** `maxCalls` of the rules that let it pass: one more than they allow does not. */
async function overLimit(
  { runtime, session }: Reading,
  decisions: readonly Decision[],
): Promise<GatewayError | undefined> {
  const limits = decisions.flatMap((decision) =>
    decision.limits.flatMap(({ rule, maxCalls }) => (maxCalls === undefined ? [] : [{ rule, ...maxCalls }])),
  );
  if (limits.length === 0) return undefined;
  try {
    const { full } = await runtime.callLimits.take(session.id, limits);
    if (full === undefined) return undefined;
    const detail = `Rule ${full.rule}: ${full.count} in ${full.per / 1000} s.`;
    return new GatewayError('too_many_calls', 'not_forwarded', detail);
  } catch (cause) {
    return new GatewayError('state_unavailable', 'not_forwarded', undefined, { cause });
  }
}

/** As it would go out: what a mask takes out is shown to no other service either. */
async function screenRequest(
  { runtime }: Reading,
  body: Buffer,
  decisions: readonly Decision[],
  signal: AbortSignal,
): Promise<Screened> {
  const screens = decisions.flatMap(({ screens: each }) => each);
  if (screens.length === 0) return { verdicts: [] };
  return screen(runtime, screens, 'requests', textIn(body, 'requests'), { signal, fate: 'not_forwarded' });
}

interface MaskedBody {
  readonly body: Buffer;
  readonly hidden: ReadonlySet<string>;
  readonly masks: readonly RecordedMask[];
  readonly refused?: GatewayError;
}

/**
 * Before RECORD: no recording holds what a mask takes out, of a call that is refused (no `decisions`) what any rule of the
 * connection takes out. What can't be masked is not recorded either.
 */
function maskIt(
  { runtime, inForce, target, session, request }: Reading,
  body: Buffer,
  decisions: readonly Decision[] | undefined,
  messages: ReadRequest['messages'],
): MaskedBody {
  // What a task is given goes to a call whose rule is not asked now.
  const isKnown = decisions !== undefined && !messages.some(({ method }) => method === 'tasks/update');
  const all = isKnown ? [] : [requestMasksOn(inForce.policy, target.connection.name)];
  const masks = union([requestMasksOf(decisions ?? []), ...all]);
  const { hidden, isMeant } = findBeside(request.rawHeaders, target.search, masks);
  try {
    const made =
      body.length === 0 || (isNone(masks) && target.connection.data !== 'pci')
        ? { bytes: body, spans: [] }
        : maskRequest(body, masks, target.connection, taggerOf(session, runtime.maskKey(inForce)));
    runtime.metrics.masked(target.connection.name, made.spans);
    // Mcp-Param-* mirrors arguments (2026-07-28, "Custom Headers from Tool Parameters"): it would hold what was taken out.
    const mirrors = made.spans.length > 0 && [...hidden].some((name) => name.startsWith('mcp-param-'));
    const masked = { body: made.bytes, hidden, masks: made.spans };
    if (!mirrors && !isMeant) return masked;
    const refused = new GatewayError('mask_failed', 'not_forwarded', 'A header or the query holds what is masked.');
    return { ...masked, refused };
  } catch (error) {
    return { body: Buffer.alloc(0), hidden, masks: [], refused: toGatewayError(error) };
  }
}

function recordedMessage(
  { kind, id, method, name }: ReadRequest['messages'][number],
  decision: Decision,
  verdicts: readonly RecordedVerdict[],
): RequestMessage {
  const asked = new Set(decision.screens.map(({ rule }) => rule));
  const screened = verdicts.filter(({ rule }) => asked.has(rule));
  return {
    kind,
    ...(id === undefined ? {} : { id }),
    ...(method === undefined ? {} : { method }),
    ...(name === undefined ? {} : { name }),
    decision: { ...recordedDecision(decision), ...(screened.length === 0 ? {} : { screened }) },
  };
}

/** What the client calls itself is known with its first message: an event, once and when it changes. */
export function noteClient({ session, read }: Call): void {
  const client = clientInfoOf(read.messages);
  if (client === undefined) return;
  const said = `${client.name} ${client.version ?? ''}`;
  if (session.client === said) return;
  session.client = said;
  session.strand.append({ type: 'event', event: { name: 'client', client } });
}
