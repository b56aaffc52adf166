/** Reads what a stdio server wrote, as far as the host must: which message it is, and what it belongs to. Pure. */
import { isUtf8 } from 'node:buffer';
import { parseJson } from '../mcp/parse.ts';
import { findMembers, type Range } from './members.ts';

/** An id or token, where it stands in the line and as text that tells `1` from `"1"`. */
export interface Reference {
  readonly at: Range;
  readonly key: string;
}

export interface ServerMessage {
  readonly kind: 'request' | 'response' | 'notification';
  readonly method?: string;
  /** Of a request or response. */
  readonly id?: Reference;
  /** The code of an error response. */
  readonly error?: number;
  /** `params.progressToken` of notifications/progress. */
  readonly token?: Reference;
  /** `params.requestId` of notifications/cancelled. */
  readonly cancels?: Reference;
  /** `_meta` of a notification or result names the subscription that it is of (2026-07-28, subscriptions/listen). */
  readonly subscription?: Reference;
}

const SUBSCRIPTION_KEY = 'io.modelcontextprotocol/subscriptionId';

/**
 * The message of a line; `undefined` where it is none that all readers read alike: not JSON in UTF-8, a batch, no
 * JSON-RPC, or a doubled member that the host would have to rewrite. Numbers are never judged: 64 bits pass.
 */
export function readServerMessage(line: Buffer): ServerMessage | undefined {
  const value = parse(line);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const top = findMembers(line, 0, ['id', 'method', 'params', 'result', 'error']);
  if (top === undefined) return undefined;
  const id = reference(line, top.id);
  const { method, error } = value as { method?: unknown; error?: { code?: unknown } | null };

  if (top.method === undefined) {
    if (id === undefined || (top.result === undefined) === (top.error === undefined)) return undefined;
    const code = top.error === undefined ? undefined : Number(error?.code);
    const within = readMeta(line, top.result);
    if (within === undefined) return undefined;
    return { kind: 'response', id, ...(code === undefined ? {} : { error: code }), ...within };
  }

  if (typeof method !== 'string' || top.result !== undefined || top.error !== undefined) return undefined;
  if (top.id !== undefined) return id === undefined ? undefined : { kind: 'request', method, id };
  const params = top.params === undefined ? {} : findMembers(line, top.params.start, ['progressToken', 'requestId']);
  const within = readMeta(line, top.params);
  if (params === undefined || within === undefined) return undefined;
  const token = method === 'notifications/progress' ? reference(line, params.progressToken) : undefined;
  const cancels = method === 'notifications/cancelled' ? reference(line, params.requestId) : undefined;
  return {
    kind: 'notification',
    method,
    ...(token === undefined ? {} : { token }),
    ...(cancels === undefined ? {} : { cancels }),
    ...within,
  };
}

function parse(line: Buffer): unknown {
  if (!isUtf8(line)) return undefined;
  try {
    return parseJson(line);
  } catch {
    return undefined;
  }
}

/** `undefined` where `_meta` or the subscription in it is doubled. */
function readMeta(line: Buffer, holder: Range | undefined): { subscription?: Reference } | undefined {
  if (holder === undefined) return {};
  const meta = findMembers(line, holder.start, ['_meta']);
  if (meta?._meta === undefined) return meta === undefined ? undefined : {};
  const found = findMembers(line, meta._meta.start, [SUBSCRIPTION_KEY]);
  if (found === undefined) return undefined;
  const subscription = reference(line, found[SUBSCRIPTION_KEY]);
  return subscription === undefined ? {} : { subscription };
}

function reference(line: Buffer, at: Range | undefined): Reference | undefined {
  if (at === undefined) return undefined;
  const value: unknown = parseJson(line.subarray(at.start, at.end));
  return typeof value === 'string' || typeof value === 'number' ? { at, key: keyOf(value) } : undefined;
}

/** `"1"` is not `1` (JSON-RPC 2.0, section 4). */
export function keyOf(id: string | number): string {
  return JSON.stringify(id);
}
