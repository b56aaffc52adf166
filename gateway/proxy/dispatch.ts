/**
 * The last step to the upstream: the connection's credential and, where it is told, who calls. An upstream that answers
 * 401 has refused the request, so it may be sent again, once, with a credential that was read anew.
 */
import type { Dispatcher } from 'undici';
import { GatewayError } from '../errors.ts';
import { frozenError } from '../sessions/freeze.ts';
import type { UsedCredential } from './credential.ts';
import type { Call } from './exchange.ts';
import { requestHeadersForUpstream } from './headers.ts';
import type { ReflectionGuard } from './reflection.ts';
import type { Relay } from './relay.ts';
import type { Upstream } from './upstream.ts';

export interface Sending {
  readonly call: Call;
  readonly upstream: Upstream;
  readonly relay: Relay;
  readonly reflection: ReflectionGuard;
  /** Aborted when the exchange has ended: nothing is sent any more. */
  readonly over: AbortSignal;
}

export async function dispatch(sending: Sending): Promise<void> {
  const { call, upstream, relay } = sending;
  const credential = upstream.credentialFor(call.principal);
  const used = await credential.current();
  const again = async (): Promise<void> => {
    const next = await credential.renew(used);
    if (next === undefined) {
      throw new GatewayError('upstream_refused_credential', 'outcome_withheld', 'It answered 401.');
    }
    await attempt(sending, next, relay);
  };
  await attempt(sending, used, renewing(relay, again));
}

async function attempt(
  { call, upstream, reflection, over }: Sending,
  used: UsedCredential,
  handler: Dispatcher.DispatchHandler,
): Promise<void> {
  const { request, target, body, mcpSession } = call;
  await noteCredential(call, used);
  const leave = await upstream.places.take(over, target.connection.limits.firstByte);
  try {
    mayStillGo(call);
    const identity = await identityOf(call, call.tap.exchange);
    reflection.watch([...used.headers, ...identity].map(([, value]) => value));
    const isMessage = target.transport === 'sse-message';
    const session = mcpSession === undefined || isMessage ? [] : [['mcp-session-id', mcpSession] as const];
    upstream.dispatcher.dispatch(
      {
        path: isMessage ? (mcpSession ?? target.path) : target.path + target.search,
        method: (request.method ?? 'GET') as 'GET',
        headers: requestHeadersForUpstream(
          request.rawHeaders,
          [...session, ...used.headers, ...identity],
          call.hiddenHeaders,
        ),
        body: request.method === 'POST' ? body : null,
        // An answer may take as long as its tool; undici must not queue other calls behind it.
        blocking: false,
      },
      leaving(handler, leave),
    );
  } catch (error) {
    leave();
    throw error;
  }
}

/** A call may have waited for its record, its credential and its place: a freeze since then holds for it too. */
function mayStillGo({ runtime, session, principal, read }: Call): void {
  if (!runtime.stateKnown()) throw new GatewayError('state_unavailable', 'not_forwarded', 'Calls may be frozen.');
  const freeze = runtime.freezes.match({ connection: session.connection, principal, messages: read.messages });
  if (freeze !== undefined) throw frozenError(freeze);
}

/** Who calls, signed, where the upstream is told. */
export async function identityOf(call: Call, exchange: string): Promise<[string, string][]> {
  const { runtime, inForce, target, session, principal } = call;
  const { identityHeader, name } = target.connection;
  if (identityHeader === undefined) return [];
  const { publicUrl } = inForce.config;
  const facts = { publicUrl, connection: name, session: session.id, principal, exchange };
  return [[identityHeader.toLowerCase(), await runtime.identity.sign(facts)]];
}

/** Which credential acts for this session is recorded before it does; every call that uses it waits for that. */
export async function noteCredential({ session }: Call, { version }: UsedCredential): Promise<void> {
  if (version === undefined) return;
  if (session.credential?.version !== version) {
    const noted = session.strand.commit({ type: 'event', event: { name: 'credential', credential: version } });
    const noting = { version, noted };
    session.credential = noting;
    noted.catch(() => {
      // Not named: the next call has to name it.
      if (session.credential === noting) delete session.credential;
    });
  }
  try {
    await session.credential.noted;
  } catch (cause) {
    throw new GatewayError('recording_unavailable', 'not_forwarded', undefined, { cause });
  }
}

/** Gives the place back when the upstream's part is over, however it ends. */
function leaving(handler: Dispatcher.DispatchHandler, leave: () => void): Dispatcher.DispatchHandler {
  return {
    ...handler,
    onResponseEnd(controller, trailers) {
      leave();
      handler.onResponseEnd?.(controller, trailers);
    },
    onResponseError(controller, error) {
      leave();
      handler.onResponseError?.(controller, error);
    },
  };
}

/** Passes everything on to the relay but a first 401, whose answer nobody sees. */
function renewing(relay: Relay, again: () => Promise<void>): Dispatcher.DispatchHandler {
  let refused = false;
  return {
    ...relay,
    onResponseStart(controller, status, headers, message) {
      if (status !== 401) return relay.onResponseStart?.(controller, status, headers, message);
      refused = true;
      controller.abort(new Error('The credential was refused.'));
      again().catch((error: unknown) =>
        relay.abort(
          error instanceof GatewayError
            ? error
            : new GatewayError('internal', 'outcome_withheld', undefined, { cause: error }),
        ),
      );
    },
    onResponseData(controller, chunk) {
      if (!refused) relay.onResponseData?.(controller, chunk);
    },
    onResponseEnd(controller, trailers) {
      if (!refused) relay.onResponseEnd?.(controller, trailers);
    },
    onResponseError(controller, error) {
      if (!refused) relay.onResponseError?.(controller, error);
    },
  };
}
