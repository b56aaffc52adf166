/** What of a call's `params` its approval binds: all of it, save what differs from one try of the same call to the next. */
import { ownMember } from '../mcp/methods.ts';

/** Of `_meta`: which try it is, and whose trace; what a modern client says of itself stands in every request. */
const EACH_TRY = new Set([
  'progressToken',
  'traceparent',
  'tracestate',
  ...['protocolVersion', 'clientInfo', 'clientCapabilities', 'logLevel'].map(
    (name) => `io.modelcontextprotocol/${name}`,
  ),
]);

export function boundParams(params: unknown): unknown {
  const meta = ownMember(params, '_meta');
  if (typeof params !== 'object' || params === null || typeof meta !== 'object' || meta === null) return params;
  const kept = Object.entries(meta).filter(([key]) => !EACH_TRY.has(key));
  const { _meta: _, ...rest } = params as Record<string, unknown>;
  return kept.length === 0 ? rest : { ...rest, _meta: Object.fromEntries(kept) };
}
