/**
 * The answer to a server's request that policy keeps from its client: the gateway declines in the client's place. It is an
 * exchange of its own, recorded before it goes out like any other.
 */
import { uuidv7 } from 'uuidv7';
import type { Decision } from '../policy/decision.ts';
import { recordedDecision } from './decisions.ts';
import type { Call } from './exchange.ts';
import { createTap } from './tap.ts';

/** JSON-RPC's code of the gateway's own denials: errors.ts. */
const DENIED = -32003;

/** `mcpSession`: the upstream's session id, or its address for messages. Rejects where it could not be recorded or sent. */
export async function decline(
  call: Call,
  upstreamSession: string | undefined,
  id: string | number,
  decision: Decision,
): Promise<void> {
  const { session, target, request, inForce, principal } = call;
  const upstream = inForce.upstreams.get(target.connection.name);
  if (upstream === undefined) return;
  const tap = createTap(session.strand, uuidv7(), target.connection.recording);
  const error = { code: DENIED, message: `Denied by policy. ${decision.words}` };
  const body = Buffer.from(JSON.stringify({ jsonrpc: '2.0', id, error }));
  const started = performance.now();
  const isSse = target.transport === 'sse';
  const path = isSse ? (upstreamSession ?? target.path) : target.path;
  const recorded = { kind: 'response' as const, id, decision: recordedDecision(decision) };
  await tap.request({ from: 'gateway', method: 'POST', path, headers: [], body, messages: [recorded] });
  const used = await upstream.credentialFor(principal).current();
  const version = request.headers['mcp-protocol-version'];
  const answered = await upstream.dispatcher.request({
    path,
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'accept-encoding': 'identity',
      ...(typeof version === 'string' ? { 'mcp-protocol-version': version } : {}),
      ...(isSse || upstreamSession === undefined ? {} : { 'mcp-session-id': upstreamSession }),
      ...Object.fromEntries(used.headers),
    },
    body,
  });
  await answered.body.dump();
  tap.end({
    outcome: { http: answered.statusCode, result: 'complete', messages: [] },
    bytes: { request: body.length, upstream: 0, released: 0 },
    duration: { total: Math.round((performance.now() - started) * 1000) / 1000 },
  });
}
