/**
 * APPROVE: a call that a rule holds for a person. Its request is recorded by now; nothing has gone out. Clients give up after
 * a minute, so it is held for less and then refused with a link: the same call again finds the decision.
 */
import { GatewayError } from '../errors.ts';
import { parseStrictJson } from '../mcp/json.ts';
import { ownMember } from '../mcp/methods.ts';
import type { Decision } from '../policy/decision.ts';
import { findPin } from '../policy/pins.ts';
import type { ApprovalState, BoundCall } from '../sessions/approval.ts';
import { sealMcpSessionId } from '../sessions/mcp-session-id.ts';
import type { Session } from '../sessions/sessions.ts';
import { boundParams } from './approval-params.ts';
import { changedTool } from './changed-tool.ts';
import type { Call } from './exchange.ts';
import type { ReadRequest } from './read-request.ts';
import type { Relay } from './relay.ts';

/** Milliseconds. */
const TELL_EVERY = 5000;
/** Between a decision and its use a policy or another replica may come: then it is asked for anew, and not for ever. */
const MOST_ASKED = 3;

type Pending = Extract<ApprovalState, { state: 'pending' }>;

/** Resolves when the call may go out. Throws GatewayError where it may not, now or at all. */
export async function approved(call: Call, relay: Relay, over: AbortSignal): Promise<void> {
  const asking = call.decisions.find(({ effect }) => effect === 'approve');
  if (asking === undefined) return;
  // From before it is asked for: a client may cancel as soon as it has called.
  const cancellable = register(call);
  try {
    await approvedUnless(cancellable.signal, call, asking, relay, over);
  } finally {
    cancellable.leave();
  }
}

async function approvedUnless(
  cancelled: AbortSignal,
  call: Call,
  asking: Decision,
  relay: Relay,
  over: AbortSignal,
): Promise<void> {
  for (let asked = 0; asked < MOST_ASKED; asked++) {
    const bound = boundCall(call, asking);
    const first = await stated(call.runtime.approvals.ask(bound));
    await noted(call, first);
    const state =
      first.state === 'pending' ? await held(call, relay, first, AbortSignal.any([over, cancelled])) : first;
    if (cancelled.aborted) throw cancelledError();
    if (state.state !== first.state) await noted(call, state);
    if (state.state === 'pending') throw pendingError(call, state);
    if (state.state === 'denied') throw new GatewayError('approval_denied', 'not_forwarded', state.reason);
    if (state.state === 'void') continue;
    // Nobody waits for it any more: who comes back with the same call finds it approved.
    if (call.edge.gone) throw new GatewayError('approval_denied', 'not_forwarded', 'The client has gone.');
    await stillAsked(call, asking);
    const isOurs = (await stated(call.runtime.approvals.use(state.id, call.tap.exchange))) === 'ours';
    if (cancelled.aborted) throw cancelledError();
    if (isOurs) return;
  }
  throw new GatewayError('approval_denied', 'not_forwarded', 'What was approved has been used. Ask again.');
}

function boundCall({ session, principal, target, inForce, tap, body, read }: Call, asking: Decision): BoundCall {
  const [message] = read.messages;
  const parsed = parseStrictJson(body);
  const method = message?.method ?? '';
  const pins = method === 'tools/call' ? inForce.policy.set.pins.get(target.connection.name) : undefined;
  const pin = pins === undefined ? undefined : findPin(pins, message?.name ?? '');
  const { title, upstream, name } = target.connection;
  return {
    principal,
    ...(principal.clientId === undefined ? {} : { client: principal.clientId }),
    session: session.id,
    connection: name,
    ...(title === undefined ? {} : { title }),
    origin: upstream.url,
    method,
    ...(message?.name === undefined ? {} : { name: message.name }),
    // As it would go out: masked values are tags by now.
    params: boundParams(parsed.ok ? ownMember(parsed.value, 'params') : undefined),
    ...(pin === undefined ? {} : { tool: pin.digest }),
    policy: inForce.policy.set.digest,
    rules: asking.approvals,
    exchange: tap.exchange,
  };
}

async function stated<T>(asked: Promise<T>): Promise<T> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof GatewayError) throw error;
    throw new GatewayError('state_unavailable', 'not_forwarded', undefined, { cause: error });
  }
}

/** Waits for a decision, and tells the client so where it asked for progress. An agent is not held: nobody looks on. */
async function held(call: Call, relay: Relay, pending: Pending, ends: AbortSignal): Promise<ApprovalState> {
  if (call.principal.kind === 'agent' || elicits(call)) return pending;
  const told = progressOf(call);
  let progress = 0;
  const tell = (): void => {
    if (told === undefined) return;
    progress += 1;
    const message = `Waits for approval: ${call.inForce.urls.approval(pending.id)} (code ${pending.code})`;
    const params = { progressToken: told, progress, message };
    const event = JSON.stringify({ jsonrpc: '2.0', method: 'notifications/progress', params });
    relay.speak(Buffer.from(`event: message\ndata: ${event}\n\n`));
  };
  tell();
  const telling = setInterval(tell, TELL_EVERY);
  try {
    const signal = AbortSignal.any([ends, AbortSignal.timeout(call.runtime.approvalHold)]);
    return await stated(call.runtime.approvals.settled(pending.id, signal));
  } finally {
    clearInterval(telling);
  }
}

/** Calls that are held, by their request's id. */
const holds = new WeakMap<Session, Map<string | number, Set<AbortController>>>();

function holdsOf(session: Session): Map<string | number, Set<AbortController>> {
  const there = holds.get(session);
  if (there !== undefined) return there;
  const made = new Map<string | number, Set<AbortController>>();
  holds.set(session, made);
  return made;
}

function cancelledError(): GatewayError {
  return new GatewayError('approval_denied', 'not_forwarded', 'The client cancelled it.');
}

/** Until it is let go, `notifications/cancelled` of its id aborts the signal. */
function register({ session, read }: Call): { readonly signal: AbortSignal; leave(): void } {
  const cancelled = new AbortController();
  const id = read.messages[0]?.id;
  if (id === undefined) return { signal: cancelled.signal, leave: () => {} };
  const all = holdsOf(session);
  // Of two under one id a client that cancels it wants neither.
  const same = all.get(id) ?? new Set();
  all.set(id, same.add(cancelled));
  return {
    signal: cancelled.signal,
    leave() {
      same.delete(cancelled);
      if (same.size === 0 && all.get(id) === same) all.delete(id);
    },
  };
}

/** A client that cancels a call which is held does not want it made, whatever an approver says afterwards. */
export function cancelHeld(session: Session, { messages }: ReadRequest): void {
  for (const { method, params } of messages) {
    const id = method === 'notifications/cancelled' ? ownMember(params, 'requestId') : undefined;
    if (typeof id !== 'string' && typeof id !== 'number') continue;
    for (const held of holds.get(session)?.get(id) ?? []) held.abort();
  }
}

/** The token of a client that asked for progress and reads event streams. */
function progressOf({ read, request }: Call): string | number | undefined {
  const token = ownMember(ownMember(read.messages[0]?.params, '_meta'), 'progressToken');
  const isStream = /\btext\/event-stream\b/i.test(request.headers.accept ?? '') && read.elsewhere !== true;
  return isStream && (typeof token === 'string' || typeof token === 'number') ? token : undefined;
}

async function noted({ tap, runtime, target }: Call, state: ApprovalState): Promise<void> {
  runtime.metrics.approval(target.connection.name, state.state);
  const by = state.state === 'approved' ? { by: state.by } : {};
  try {
    await tap.approval({ id: state.id, state: state.state, ...by });
  } catch (cause) {
    throw new GatewayError('recording_unavailable', 'not_forwarded', undefined, { cause });
  }
}

/** What was approved is decided on again before it goes out: the policy, a condition or the clock may say otherwise now. */
async function stillAsked(call: Call, asking: Decision): Promise<void> {
  const { judge, runtime, read, inForce } = call;
  const [message] = read.messages;
  if (message === undefined) return;
  if (runtime.inForce().policy.set.digest !== inForce.policy.set.digest) {
    throw new GatewayError(
      'approval_denied',
      'not_forwarded',
      'The policy has changed since it was asked for. Ask again.',
    );
  }
  const changed = changedTool(call, read);
  if (changed !== undefined) throw changed;
  const now = await judge.decide(message, 'client');
  if (now.effect === 'deny') throw new GatewayError('denied', 'not_forwarded', now.words);
  const rules = new Set(asking.approvals.map(({ rule }) => rule));
  if (now.approvals.some(({ rule }) => !rules.has(rule))) {
    throw new GatewayError('approval_denied', 'not_forwarded', 'It needs another approval by now. Ask again.');
  }
}

function pendingError(call: Call, { id, code }: Pending): GatewayError {
  const url = call.inForce.urls.approval(id);
  const words = `Code ${code}: ${url}`;
  const result = elicits(call) ? { result: elicitation(call, { id, url, code }) } : {};
  return new GatewayError('approval_pending', 'not_forwarded', words, { url, ...result });
}

/** A modern client that opens addresses for its person (2026-07-28, multi round-trip requests; URL elicitation). */
function elicits({ read, principal, declinedElicitation }: Call): boolean {
  if (read.era !== 'modern' || principal.kind === 'agent' || declinedElicitation) return false;
  const params = read.messages[0]?.params;
  // A client sends one state back: the upstream's must not be lost for the gateway's.
  if (ownMember(params, 'requestState') !== undefined) return false;
  const meta = ownMember(params, '_meta');
  const capabilities = ownMember(meta, 'io.modelcontextprotocol/clientCapabilities');
  return ownMember(ownMember(capabilities, 'elicitation'), 'url') !== undefined;
}

function elicitation(call: Call, { id, url, code }: { id: string; url: string; code: string }): unknown {
  const { runtime, inForce, session } = call;
  const message = `This call waits for approval. Its code is ${code}; the page shows the same.`;
  return {
    resultType: 'input_required',
    inputRequests: {
      [APPROVAL]: { method: 'elicitation/create', params: { mode: 'url', message, url, elicitationId: id } },
    },
    requestState: sealMcpSessionId(runtime.sealingKeys(inForce), session.id, id, 'approval'),
  };
}

/** The name of the gateway's own question among `inputRequests`. */
export const APPROVAL = 'verbatim-approval';
