/**
 * The answer to a server's request that policy keeps from its client: the gateway declines in the client's place. It is an
 * exchange of its own, recorded before it goes out like any other.
 */
import { uuidv7 } from 'uuidv7';
import { GatewayError } from '../errors.ts';
import type { Decision } from '../policy/decision.ts';
import type { UsedCredential } from './credential.ts';
import { recordedDecision } from './decisions.ts';
import { identityOf, noteCredential } from './dispatch.ts';
import type { Call } from './exchange.ts';
import { createTap } from './tap.ts';
import { type Upstream, upstreamError } from './upstream.ts';

/** JSON-RPC's code of the gateway's own denials: errors.ts. */
const DENIED = -32003;

/** `upstreamSession`: the upstream's session id, or its address for messages. Rejects where it could not be recorded or sent. */
export async function decline(
  call: Call,
  upstreamSession: string | undefined,
  id: string | number,
  decision: Decision,
): Promise<void> {
  const { session, target } = call;
  const tap = createTap(session.strand, uuidv7(), target.connection.recording);
  // Which rule it was is nothing to the server.
  const error = { code: DENIED, message: 'Denied by policy.' };
  const body = Buffer.from(JSON.stringify({ jsonrpc: '2.0', id, error }));
  const started = performance.now();
  const path = target.transport === 'sse' ? (upstreamSession ?? target.path) : target.path;
  const recorded = { kind: 'response' as const, id, decision: recordedDecision(decision) };
  await tap.request({ from: 'gateway', method: 'POST', path, headers: [], body, messages: [recorded] });
  const end = (outcome: { http?: number; result: string }): void =>
    tap.end({
      outcome: { ...outcome, messages: [] },
      bytes: { request: body.length, upstream: 0, released: 0 },
      duration: { total: Math.round((performance.now() - started) * 1000) / 1000 },
    });
  try {
    end({ http: await post(call, { exchange: tap.exchange, upstreamSession, path, body }), result: 'complete' });
  } catch (cause) {
    const { code } = upstreamError(cause, true);
    end({ result: code });
    throw cause;
  }
}

interface Posted {
  readonly exchange: string;
  readonly upstreamSession: string | undefined;
  readonly path: string;
  readonly body: Buffer;
}

/** With the connection's credential, read anew once where the upstream refuses it. Resolves with the HTTP status. */
async function post(call: Call, posted: Posted): Promise<number> {
  const upstream = call.inForce.upstreams.get(call.target.connection.name);
  if (upstream === undefined) throw new GatewayError('internal', 'not_forwarded', 'The connection has no upstream.');
  const credential = upstream.credentialFor(call.principal);
  const used = await credential.current();
  const status = await send(call, upstream, used, posted);
  if (status !== 401) return status;
  const next = await credential.renew(used);
  return next === undefined ? status : send(call, upstream, next, posted);
}

async function send(call: Call, upstream: Upstream, used: UsedCredential, posted: Posted): Promise<number> {
  const { request, target } = call;
  const { exchange, upstreamSession, path, body } = posted;
  await noteCredential(call, used);
  const version = request.headers['mcp-protocol-version'];
  const identity = await identityOf(call, exchange);
  const answered = await upstream.dispatcher.request({
    path,
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'accept-encoding': 'identity',
      ...(typeof version === 'string' ? { 'mcp-protocol-version': version } : {}),
      ...(target.transport === 'sse' || upstreamSession === undefined ? {} : { 'mcp-session-id': upstreamSession }),
      ...Object.fromEntries([...used.headers, ...identity]),
    },
    body,
  });
  await answered.body.dump();
  return answered.statusCode;
}
