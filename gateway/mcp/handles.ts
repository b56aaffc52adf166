/**
 * Upstream handles: ids that a server makes and a client sends back to reach what is behind them. Only the places where
 * the protocol puts them are read; a `taskId` in a tool's own data is the tool's.
 *
 * Sources: 2025-11-25 (Tasks; Elicitation, "URL mode"), 2026-07-28 (multi round-trip requests) and its Tasks extension
 * (SEP-2663).
 */
import type { ClientMessage } from './message.ts';
import { ownMember } from './methods.ts';

export type HandleKind = 'task' | 'elicitation' | 'requestState';

export interface Handle {
  readonly kind: HandleKind;
  readonly value: string;
}

/** What stands in a handle's place. Without `value` it is none: no string, or longer than any. It is nobody's. */
export interface Named {
  readonly kind: HandleKind;
  readonly value?: string;
}

/** What a server's message says of handles. */
export interface SaidHandles {
  /** Given to this client with this message. */
  readonly given: readonly Named[];
  /** What the message is about: only who was given these may hear of it. */
  readonly about: readonly Named[];
  /** The message belongs to this task, which the client may know from a message still on its way. */
  readonly related: readonly Named[];
}

const RELATED_TASK = 'io.modelcontextprotocol/related-task';
const KEYS = ['"taskId"', '"elicitationId"', '"requestState"'].map((key) => Buffer.from(key));
/** Characters. Nobody issues longer ones; what is longer works for nobody. */
const MOST_LENGTH = 256 * 1024;

/**
 * Whether bytes may hold a handle; a quick look before parsing. A key that is spelt with escapes is missed, and its
 * handle then works for nobody: the reading fails closed.
 */
export function mayHoldHandles(bytes: Buffer): boolean {
  return KEYS.some((key) => bytes.includes(key));
}

/** The handles that a client's message wants to use. */
export function handlesUsed(message: ClientMessage): Named[] {
  const { kind, method = '', params } = message;
  // Notifications about tasks come from the side that runs them: these are tasks of the client's own.
  if (kind === 'response' || method.startsWith('notifications/tasks')) return [];
  const listened = ownMember(ownMember(params, 'notifications'), 'taskIds');
  return [
    ...handle('task', method.startsWith('tasks/') ? ownMember(params, 'taskId') : undefined),
    ...handle('task', ownMember(ownMember(ownMember(params, '_meta'), RELATED_TASK), 'taskId')),
    ...handle('elicitation', ownMember(params, 'elicitationId')),
    ...handle('requestState', ownMember(params, 'requestState')),
    ...(Array.isArray(listened) ? listened : [listened]).flatMap((value) => handle('task', value)),
  ];
}

/** The handles in a server's message, as JSON.parse gave it. */
export function handlesSaid(message: unknown): SaidHandles {
  const method = ownMember(message, 'method');
  const params = ownMember(message, 'params');
  const related = handle('task', ownMember(ownMember(ownMember(params, '_meta'), RELATED_TASK), 'taskId'));
  if (typeof method !== 'string') return { given: givenByResponse(message), about: [], related: [] };
  if (ownMember(message, 'id') !== undefined) {
    return { given: handle('elicitation', ownMember(params, 'elicitationId')), about: [], related };
  }
  const about = method.startsWith('notifications/tasks')
    ? handle('task', ownMember(params, 'taskId'))
    : handle('elicitation', ownMember(params, 'elicitationId'));
  return { given: [], about, related };
}

function givenByResponse(message: unknown): Named[] {
  const result = ownMember(message, 'result');
  const asked = ownMember(result, 'inputRequests');
  const required = ownMember(ownMember(ownMember(message, 'error'), 'data'), 'elicitations');
  return [
    ...handle('task', ownMember(ownMember(result, 'task'), 'taskId')),
    ...handle('task', ownMember(result, 'taskId')),
    ...handle('requestState', ownMember(result, 'requestState')),
    ...membersOf(asked).flatMap((one) => handle('elicitation', ownMember(ownMember(one, 'params'), 'elicitationId'))),
    ...membersOf(required).flatMap((one) => handle('elicitation', ownMember(one, 'elicitationId'))),
  ];
}

/** The tasks of a `tasks/list` result, each with its id where it has one. */
export function tasksListed(message: unknown): Named[] {
  return membersOf(ownMember(ownMember(message, 'result'), 'tasks')).map((task) => {
    const [named] = handle('task', ownMember(task, 'taskId'));
    return named ?? { kind: 'task' };
  });
}

/** The same `tasks/list` answer with the tasks of these ids alone. */
export function keepTasks(message: unknown, keep: ReadonlySet<string>): unknown {
  const result = ownMember(message, 'result');
  const tasks = membersOf(ownMember(result, 'tasks')).filter((task) => {
    const id = ownMember(task, 'taskId');
    return typeof id === 'string' && keep.has(id);
  });
  return { ...(message as object), result: { ...(result as object), tasks } };
}

function membersOf(value: unknown): unknown[] {
  return typeof value === 'object' && value !== null ? Object.values(value) : [];
}

/** A number or a list that a careless server would take for an id names it as well. */
function handle(kind: HandleKind, value: unknown): Named[] {
  if (value === undefined) return [];
  return typeof value === 'string' && value.length <= MOST_LENGTH ? [{ kind, value }] : [{ kind }];
}
