/**
 * The methods of MCP, from schema/2024-11-05 to schema/2026-07-28 and the tasks extension (SEP-2663), in both
 * directions, and what each of them names.
 */

/**
 * Base protocol messages: allowed unless a deny names them. Each opens, describes, ends or accompanies an exchange and
 * neither runs nor reads anything that a server offers; denying one by default would break every client for no gain.
 * A handshake (`initialize`, `server/discover`), a sign of life (`ping`), how much the server logs to this client
 * (`logging/setLevel`), and the notifications of the specification, which ask for no answer.
 *
 * Not here, on purpose: `subscriptions/listen`, whose filter can name resources; `roots/list`, which shows a server the
 * client's files; everything of tasks; and notifications that no specification knows.
 */
export const BASE_METHODS: ReadonlySet<string> = new Set([
  'initialize',
  'server/discover',
  'ping',
  'logging/setLevel',
  'notifications/initialized',
  'notifications/cancelled',
  'notifications/progress',
  'notifications/message',
  'notifications/roots/list_changed',
  'notifications/tools/list_changed',
  'notifications/prompts/list_changed',
  'notifications/resources/list_changed',
  'notifications/resources/updated',
  'notifications/subscriptions/acknowledged',
  'notifications/elicitation/complete',
]);

/** Every method that some revision or official extension defines. What is not here is an unknown method. */
export const KNOWN_METHODS: ReadonlySet<string> = new Set([
  ...BASE_METHODS,
  'tools/list',
  'tools/call',
  'resources/list',
  'resources/templates/list',
  'resources/read',
  'resources/subscribe',
  'resources/unsubscribe',
  'subscriptions/listen',
  'prompts/list',
  'prompts/get',
  'completion/complete',
  'sampling/createMessage',
  'elicitation/create',
  'roots/list',
  'tasks/list',
  'tasks/get',
  'tasks/result',
  'tasks/update',
  'tasks/cancel',
  'notifications/tasks',
  'notifications/tasks/status',
]);

const NAMED_BY: ReadonlyMap<string, string> = new Map([
  ['tools/call', 'name'],
  ['prompts/get', 'name'],
  ['resources/read', 'uri'],
  ['resources/subscribe', 'uri'],
  ['resources/unsubscribe', 'uri'],
  ['notifications/resources/updated', 'uri'],
  ['tasks/get', 'taskId'],
  ['tasks/result', 'taskId'],
  ['tasks/update', 'taskId'],
  ['tasks/cancel', 'taskId'],
  ['notifications/tasks', 'taskId'],
  ['notifications/tasks/status', 'taskId'],
]);

/**
 * What a message names: the tool, prompt, resource URI, task, or the prompt or resource that a completion is for.
 * `undefined` where the method names nothing, or where the body does not hold a string in that place.
 */
export function nameOf(method: string, params: unknown): string | undefined {
  if (method === 'completion/complete') {
    const ref = ownMember(params, 'ref');
    return ownString(ref, 'name') ?? ownString(ref, 'uri');
  }
  const member = NAMED_BY.get(method);
  return member === undefined ? undefined : ownString(params, member);
}

/** A member that the object itself holds; what is inherited was not in the body. */
export function ownMember(value: unknown, key: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
  return (value as Record<string, unknown>)[key];
}

function ownString(value: unknown, key: string): string | undefined {
  const member = ownMember(value, key);
  return typeof member === 'string' ? member : undefined;
}
