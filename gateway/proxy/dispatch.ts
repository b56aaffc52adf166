/**
 * The last step to the upstream: the connection's credential and, where it is told, who calls. An upstream that answers
 * 401 has refused the request, so it may be sent again, once, with a credential that was read anew.
 */
import type { Dispatcher } from 'undici';
import { GatewayError } from '../errors.ts';
import type { Credential, UsedCredential } from './credential.ts';
import type { Call } from './exchange.ts';
import { requestHeadersForUpstream } from './headers.ts';
import type { ReflectionGuard } from './reflection.ts';
import type { Relay } from './relay.ts';
import type { Upstream } from './upstream.ts';

export async function dispatch(
  call: Call,
  upstream: Upstream,
  relay: Relay,
  reflection: ReflectionGuard,
): Promise<void> {
  const credential = upstream.credentialFor(call.session.principal.groups);
  const used = await credential.current();
  await noteCredential(call, used);
  const send = await sender(call, upstream, reflection);
  send(
    used,
    renewing(relay, async () => renew(call, credential, used, send, relay)),
  );
}

type Send = (used: UsedCredential, handler: Dispatcher.DispatchHandler) => void;

async function sender(call: Call, upstream: Upstream, reflection: ReflectionGuard): Promise<Send> {
  const { request, target, body, mcpSession } = call;
  const identity = await identityOf(call);
  const isMessage = target.transport === 'sse-message';
  const session = mcpSession === undefined || isMessage ? [] : [['mcp-session-id', mcpSession] as const];
  return (used, handler) => {
    reflection.watch([...used.headers, ...identity].map(([, value]) => value));
    upstream.dispatcher.dispatch(
      {
        path: isMessage ? (mcpSession ?? target.path) : target.path + target.search,
        method: (request.method ?? 'GET') as 'GET',
        headers: requestHeadersForUpstream(request.rawHeaders, [...session, ...used.headers, ...identity]),
        body: request.method === 'POST' ? body : null,
        // An answer may take as long as its tool; undici must not queue other calls behind it.
        blocking: false,
      },
      handler,
    );
  };
}

async function identityOf({ runtime, inForce, target, session, tap }: Call): Promise<[string, string][]> {
  const { identityHeader, name } = target.connection;
  if (identityHeader === undefined) return [];
  const { publicUrl } = inForce.config;
  return [
    [
      identityHeader.toLowerCase(),
      await runtime.identity.sign({ publicUrl, connection: name, session, exchange: tap.exchange }),
    ],
  ];
}

/** Which credential acts for this session is recorded before it does. */
async function noteCredential({ session }: Call, { version }: UsedCredential): Promise<void> {
  if (version === undefined || session.credential === version) return;
  session.credential = version;
  try {
    await session.strand.commit({ type: 'event', event: { name: 'credential', credential: version } });
  } catch (cause) {
    throw new GatewayError('recording_unavailable', 'not_forwarded', undefined, { cause });
  }
}

async function renew(
  call: Call,
  credential: Credential,
  used: UsedCredential,
  send: Send,
  relay: Relay,
): Promise<void> {
  const next = await credential.renew(used);
  if (next === undefined) throw new GatewayError('upstream_refused_credential', 'outcome_withheld', 'It answered 401.');
  await noteCredential(call, next);
  send(next, relay);
}

/** Passes everything on to the relay but a first 401, whose answer nobody sees. */
function renewing(relay: Relay, again: () => Promise<void>): Dispatcher.DispatchHandler {
  let refused = false;
  return {
    onRequestStart: (controller, context) => relay.onRequestStart?.(controller, context),
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
