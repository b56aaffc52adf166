/**
 * What a request says that only its own session may say: sealed addresses, handles, event ids, and responses to what the
 * server asked this session.
 */
import type { IncomingMessage } from 'node:http';
import { GatewayError } from '../errors.ts';
import { handlesUsed } from '../mcp/handles.ts';
import { type SealedFor, unsealMcpSessionId } from '../sessions/mcp-session-id.ts';
import type { Session } from '../sessions/sessions.ts';
import type { ReadRequest } from './read-request.ts';
import type { InForce, Runtime } from './runtime.ts';
import { SEALED_ENDPOINT, type Target } from './target.ts';

interface Binding {
  readonly runtime: Runtime;
  readonly inForce: InForce;
  readonly target: Target;
  readonly request: IncomingMessage;
  readonly session: Session;
}

export interface Bound {
  /** The upstream's session id, or its address for messages; what the client sent was its sealed form. */
  readonly upstream: string | undefined;
  readonly refused?: GatewayError;
}

/** Opens what is sealed and asks whose the rest is. Responses that are awaited are so no longer, afterwards. */
export async function bind(binding: Binding, read: ReadRequest): Promise<Bound> {
  const { session } = binding;
  const { upstream, refused } = unseal(binding);
  const other =
    refused ??
    (await foreignHandle(binding, read)) ??
    (await foreignEvent(binding, upstream)) ??
    ((await isAwaited(session, upstream, responseIdsOf(read))) ? undefined : new GatewayError('response_not_awaited'));
  return { upstream, ...(other === undefined ? {} : { refused: other }) };
}

/** The sealed forms alone, for a request that is refused for another reason. */
export function unseal(binding: Binding): Bound {
  const { runtime, inForce, request, session, target } = binding;
  const [sealed, purpose] = sealedIn(target, request);
  if (sealed === undefined) return { upstream: undefined };
  const unsealed = unsealMcpSessionId(runtime.sealingKeys(inForce), session.id, sealed, purpose);
  if (unsealed.kind === 'ours') return { upstream: unsealed.upstream };
  if (unsealed.kind === 'foreign') attempt(binding, { event: 'foreign_session_id', owner: unsealed.session });
  return { upstream: undefined, refused: new GatewayError('mcp_session_unknown') };
}

function sealedIn(target: Target, request: IncomingMessage): [string | undefined, SealedFor] {
  if (target.transport === 'sse-message') {
    return [new URLSearchParams(target.search).get(SEALED_ENDPOINT) ?? '', 'sse-endpoint'];
  }
  const header = request.headers['mcp-session-id'];
  return [typeof header === 'string' ? header : undefined, 'mcp-session-id'];
}

async function foreignHandle(binding: Binding, read: ReadRequest): Promise<GatewayError | undefined> {
  for (const handle of read.messages.flatMap(handlesUsed)) {
    const owner = await binding.runtime.handles.ownerOf(binding.session, handle).catch((cause: unknown) => {
      throw new GatewayError('state_unavailable', 'not_forwarded', undefined, { cause });
    });
    if (owner === 'ours') continue;
    if (owner === 'foreign') attempt(binding, { event: 'foreign_handle', kind: handle.kind });
    return new GatewayError('handle_unknown');
  }
  return undefined;
}

async function foreignEvent(
  { runtime, request, session }: Binding,
  upstream: string | undefined,
): Promise<GatewayError | undefined> {
  const id = request.headers['last-event-id'];
  if (typeof id !== 'string') return undefined;
  const may = runtime.eventIds.mayResume({ connection: session.connection, session: session.id, upstream }, id);
  if (may === 'yes') return undefined;
  if (may === 'no') return new GatewayError('event_id_unknown');
  try {
    return (await runtime.sessions.isServedElsewhere(session)) ? undefined : new GatewayError('event_id_unknown');
  } catch (cause) {
    return new GatewayError('state_unavailable', 'not_forwarded', undefined, { cause });
  }
}

type Attempt = { event: 'foreign_session_id'; owner: string } | { event: 'foreign_handle'; kind: string };

/** Somebody tried what is another's: for the log and the system strand, under one name. */
function attempt({ runtime, session }: Binding, { event, ...what }: Attempt): void {
  const { principal, connection, id } = session;
  const details = { session: id, ...what, subject: principal.subject, connection };
  const words = { foreign_session_id: 'Mcp-Session-Id', foreign_handle: 'handle' }[event];
  runtime.log.warn({ event, ...details }, `A call came with another session's ${words}.`);
  void runtime.system.event(event, details).catch(() => {});
}

async function isAwaited(
  session: Session,
  upstream: string | undefined,
  ids: readonly (string | number)[],
): Promise<boolean> {
  if (ids.length === 0) return true;
  try {
    return await session.awaited.take(upstream, ids);
  } catch (cause) {
    throw new GatewayError('state_unavailable', 'not_forwarded', undefined, { cause });
  }
}

function responseIdsOf(read: ReadRequest): (string | number)[] {
  return read.messages.flatMap(({ kind, id }) => (kind === 'response' && id !== undefined ? [id] : []));
}

/** What was not forwarded may be tried again: its responses are awaited as before. */
export async function awaitAgain(session: Session, read: ReadRequest, upstream: string | undefined): Promise<void> {
  for (const id of responseIdsOf(read)) await session.awaited.add(upstream, id);
}
