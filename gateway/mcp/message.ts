import { claimsVersion } from './eras.ts';
import { createLookalikes } from './lookalike.ts';
import { nameOf, ownMember } from './methods.ts';

/** A JSON-RPC message that a client sent. `name` is what it names (methods.ts). */
export interface ClientMessage {
  readonly kind: 'request' | 'notification' | 'response';
  readonly id?: string | number;
  readonly method?: string;
  readonly name?: string;
  readonly params?: unknown;
}

export type ReadMessages =
  | { readonly ok: true; readonly messages: readonly ClientMessage[]; readonly batch: boolean }
  | { readonly ok: false; readonly words: string; readonly id?: string | number };

/** What is decided, bound or masked by; a key that only looks like one of these is another reader's (lookalike.ts). */
const inMessage = createLookalikes(['jsonrpc', 'id', 'method', 'params', 'result', 'error']);
const inParams = createLookalikes(
  'name uri ref arguments argument taskId task notifications requestState inputResponses requestId _meta'.split(' '),
);
const inRef = createLookalikes(['type', 'name', 'uri']);
const inNotifications = createLookalikes(['resourceSubscriptions', 'taskIds']);

const MAX_ID_BYTES = 1024;
const MAX_METHOD = 256;
/** As SDK 1 has it: a batch is decided on and recorded element by element, so its length needs an end. */
const MAX_BATCH = 100;

/**
 * Reads a parsed body as JSON-RPC 2.0 messages with the narrower rules of MCP: `id` is a string or an integer, never
 * null; `params` is an object. Unknown members are allowed.
 *
 * A message that one side could take for a request and another for a response is refused, and so is a batch with two
 * requests of one id: what the gateway correlates must have one reading. In a refusal `id` is that of the single
 * message, where it could be read, for the error response.
 *
 * `batch` says whether this protocol version has batches (`allowsBatch` in eras.ts). Throws nothing.
 */
export function readMessages(value: unknown, options: { readonly batch: boolean }): ReadMessages {
  if (!Array.isArray(value)) {
    const message = readMessage(value);
    if (typeof message !== 'string') return { ok: true, messages: [message], batch: false };
    const id = (value as { id?: unknown } | null)?.id;
    return isId(id) ? { ok: false, words: message, id } : { ok: false, words: message };
  }
  if (!options.batch) return { ok: false, words: 'This protocol version has no batches: send one message a request.' };
  if (value.length === 0) return { ok: false, words: 'The batch is empty.' };
  if (value.length > MAX_BATCH) return { ok: false, words: `The batch has more than ${MAX_BATCH} messages.` };

  const messages: ClientMessage[] = [];
  const ids = new Set<string | number>();
  for (const [index, element] of value.entries()) {
    const message = readMessage(element);
    const words = typeof message === 'string' ? message : refusalInBatch(message, ids);
    if (typeof message === 'string' || words !== undefined) {
      return { ok: false, words: `Message ${index + 1} of the batch: ${words}` };
    }
    messages.push(message);
  }
  return { ok: true, messages, batch: true };
}

/** Why a message can't be in a batch, though it could stand alone. Adds its id to those seen. */
function refusalInBatch(message: ClientMessage, ids: Set<string | number>): string | undefined {
  if (message.method === 'initialize') return 'initialize can not be part of a batch.';
  // Revisions with per-request metadata have no batches; SDK 2 refuses such an element, SDK 1 would run it.
  if (claimsVersion(message.params)) return 'A message with per-request metadata can not be part of a batch.';
  if (message.kind !== 'request' || message.id === undefined) return undefined;
  if (ids.has(message.id)) return 'Another request of the batch has the same id.';
  ids.add(message.id);
  return undefined;
}

/** The message, or the words of why it is none. */
function readMessage(value: unknown): ClientMessage | string {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'A message must be an object.';
  const { jsonrpc, id, method, params, error } = value as Record<string, unknown>;
  const has = (key: string) => Object.hasOwn(value, key);
  if (inMessage(value)) return 'A key is that of another member in another spelling.';
  if (!has('jsonrpc') || jsonrpc !== '2.0') return 'jsonrpc must be "2.0".';
  if (has('id') && !isId(id)) return 'id must be an integer or a string of at most 1 KiB.';
  const known = has('id') ? { id: id as string | number } : {};

  if (!has('method')) {
    if (has('result') === has('error')) return 'A message has a method, a result or an error, and only one of them.';
    if (known.id === undefined) return 'A response must have the id of its request.';
    if (has('error') && !isError(error)) return 'error must have an integer code and a message.';
    return { kind: 'response', ...known };
  }

  if (has('result') || has('error')) return 'A message with a method can have neither result nor error.';
  if (!isMethod(method)) return 'method must be a string of 1 to 256 characters without control characters.';
  if (has('params') && (typeof params !== 'object' || params === null || Array.isArray(params))) {
    return 'params must be an object.';
  }
  if (inParams(params) || inRef(ownMember(params, 'ref')) || inNotifications(ownMember(params, 'notifications'))) {
    return 'A key of params is that of another member in another spelling.';
  }
  const name = nameOf(method, params);
  return {
    kind: known.id === undefined ? 'notification' : 'request',
    ...known,
    method,
    ...(name === undefined ? {} : { name }),
    ...(has('params') ? { params } : {}),
  };
}

function isId(id: unknown): id is string | number {
  return typeof id === 'string' ? Buffer.byteLength(id) <= MAX_ID_BYTES : Number.isSafeInteger(id);
}

function isMethod(method: unknown): method is string {
  return (
    typeof method === 'string' && method !== '' && method.length <= MAX_METHOD && !/[\x00-\x1f\x7f-\x9f]/.test(method)
  );
}

function isError(error: unknown): boolean {
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown };
  return Number.isSafeInteger(code) && typeof message === 'string';
}
