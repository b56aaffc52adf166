/**
 * What an upstream's answer may say to this session: the address for messages of a 2024-11-05 server is rewritten,
 * handles are given to the session before it hears of them, and other sessions' tasks and notices stay out.
 */
import type { ConnectionConfig } from '../config.ts';
import { GatewayError } from '../errors.ts';
import { handlesSaid, keepTasks, mayHoldHandles, type Named, tasksListed } from '../mcp/handles.ts';
import { parseJson } from '../mcp/parse.ts';
import { withData } from '../mcp/sse.ts';
import type { EventIds } from '../sessions/event-ids.ts';
import type { Handles } from '../sessions/handles.ts';
import type { OutPart } from './response-stream.ts';

/** A message gives at most this many handles, each a durable object; a list of tasks has at most this many. */
const MOST_GIVEN = 100;
const MOST_LISTED = 1000;
const BOM = Buffer.from([0xef, 0xbb, 0xbf]);

export interface Screen {
  /**
   * The part as it may be released. `undefined`: it is not for this session. Throws GatewayError, or rejects with it.
   * `mcpSession` is the upstream's session id, where this answer names one.
   */
  look(part: OutPart, mcpSession: string | undefined): OutPart | undefined | Promise<OutPart | undefined>;
  /** The upstream's address for this stream's messages, once it has named one. */
  readonly endpoint: string | undefined;
  /** Where the client's answers go: the upstream's session, or that address. */
  readonly mcpSession: string | undefined;
}

export interface ScreenInput {
  readonly session: { readonly id: string; readonly connection: string };
  readonly connection: ConnectionConfig;
  /** The upstream's session id that the request came with. */
  readonly mcpSession: string | undefined;
  /** The request opened the stream of a 2024-11-05 server. */
  readonly isSse: boolean;
  /** The answer lists what belongs to others too. */
  readonly listsTasks: boolean;
  readonly handles: Handles;
  readonly eventIds: EventIds;
  /** Seals an upstream's address for messages; the address that the client gets. */
  sealEndpoint(upstream: string): string;
  /** Told of what the client may come back with. */
  onEvent(id: string): void;
  /** Noted with the tasks that are given. */
  readonly taskNote: unknown;
  /** Told of a task, with what was noted when it was given first. Whether it may be given by this answer. */
  onTask(id: string, note: unknown): boolean;
  /** Told of what is kept from the client. */
  onWithheld(kind: Named['kind']): void;
  /** The exchange has ended: nobody waits for what this answer gives. */
  isOver(): boolean;
}

export function createScreen(input: ScreenInput): Screen {
  const { session, connection, handles } = input;
  let endpoint: string | undefined;
  let upstreamSession = input.mcpSession;

  function rewriteEndpoint(part: OutPart): OutPart {
    // A client that fell back to the old transport would send its token wherever this event points.
    if (!input.isSse || connection.sse === undefined || endpoint !== undefined) throw refusedEndpoint();
    const named = part.data?.toString('utf8') ?? '';
    endpoint = addressOf(named, connection.upstream.url, connection.sse);
    return { ...part, bytes: inOtherWords(part, input.sealEndpoint(endpoint)) };
  }

  async function lookAtHandles(part: OutPart, messages: readonly unknown[]): Promise<OutPart | undefined> {
    let bytes = part.bytes;
    for (const message of messages) {
      const { given, about, related } = handlesSaid(message);
      const listed = tasksListed(message);
      if (given.length > MOST_GIVEN || listed.length > MOST_LISTED) throw refusedHandle();
      const other = (await notFor(about, ['ours'])) ?? (await notFor(related, ['ours', 'nobody']));
      if (other !== undefined) {
        // Of several messages in one body none can be left out.
        if (messages.length > 1) throw refusedHandle();
        input.onWithheld(other.kind);
        return undefined;
      }
      await give(given);
      const kept = new Set<string>();
      for (const task of listed) {
        if (task.value !== undefined && (await handles.ownerOf(session, task)) === 'ours') kept.add(task.value);
      }
      if (listed.every(({ value }) => value !== undefined && kept.has(value))) continue;
      if (messages.length > 1 || part.whole !== true) throw refusedHandle();
      bytes = inOtherWords(part, written(keepTasks(message, kept)));
    }
    return { ...part, bytes };
  }

  async function give(given: readonly Named[]): Promise<void> {
    for (const { kind, value } of given) {
      // What is no id can't be sent back; what nobody waits for any more is not made durable.
      if (value === undefined || input.isOver()) continue;
      const { owner, note } = await handles.give(
        session,
        { kind, value },
        kind === 'task' ? input.taskNote : undefined,
      );
      if (owner === 'foreign' || (kind === 'task' && !input.onTask(value, note))) throw refusedHandle();
    }
  }

  async function notFor(about: readonly Named[], owners: readonly string[]): Promise<Named | undefined> {
    for (const named of about) {
      if (named.value === undefined || !owners.includes(await handles.ownerOf(session, named))) return named;
    }
    return undefined;
  }

  return {
    look(part, mcpSession) {
      upstreamSession = mcpSession ?? upstreamSession;
      if (part.id !== undefined) {
        const upstream = mcpSession ?? input.mcpSession;
        input.eventIds.note({ connection: session.connection, session: session.id, upstream }, part.id);
        input.onEvent(part.id);
      }
      if (part.name === 'endpoint') return rewriteEndpoint(part);
      if (part.data === undefined || !(input.listsTasks || mayHoldHandles(part.data))) return part;
      const messages = parsed(part.data);
      if (messages === undefined) {
        // A reader that is less strict might find tasks in it.
        if (input.listsTasks && part.data.length > 0) throw refusedHandle();
        return part;
      }
      return lookAtHandles(part, messages).catch((cause: unknown) => {
        throw cause instanceof GatewayError
          ? cause
          : new GatewayError('state_unavailable', 'outcome_withheld', undefined, { cause });
      });
    },
    get endpoint() {
      return endpoint;
    },
    get mcpSession() {
      return endpoint ?? upstreamSession;
    },
  };
}

/** Path and query that an `endpoint` event names: of the same origin, and the one path that is listed. */
function addressOf(named: string, origin: string, sse: { path: string; messages: string }): string {
  const base = new URL(sse.path, origin);
  if (!/^[\x21-\x7e]{1,2048}$/.test(named) || !URL.canParse(named, base.href)) throw refusedEndpoint();
  const url = new URL(named, base);
  const plain = url.username === '' && url.password === '' && url.hash === '';
  if (!plain || url.origin !== base.origin || url.pathname !== sse.messages) throw refusedEndpoint();
  return url.pathname + url.search;
}

/**
 * The part with other data. A byte order mark at its front would be part of a field's name to one reader and nothing to
 * another, so such a part is not put in other words at all.
 */
function inOtherWords(part: OutPart, data: string): Buffer {
  if (part.event !== true) return Buffer.from(data);
  if (part.bytes.subarray(0, BOM.length).equals(BOM)) throw refusedEndpoint();
  return withData(part.bytes, data);
}

function refusedHandle(): GatewayError {
  return new GatewayError('upstream_handle_refused', 'outcome_withheld');
}

function refusedEndpoint(): GatewayError {
  return new GatewayError('upstream_endpoint_refused', 'outcome_withheld');
}

/** The messages of an event or a body, as its reader will have them; `undefined` where it is not JSON. */
function parsed(data: Buffer): readonly unknown[] | undefined {
  try {
    // `Response.json()` and its like skip a byte order mark.
    const start = data.subarray(0, BOM.length).equals(BOM) ? BOM.length : 0;
    const value: unknown = parseJson(data.subarray(start));
    return Array.isArray(value) ? value : [value];
  } catch {
    return undefined;
  }
}

/** Unlike JSON.parse, JSON.stringify ends where the stack does. */
function written(message: unknown): string {
  try {
    return JSON.stringify(message);
  } catch (cause) {
    throw new GatewayError('upstream_broken', 'outcome_withheld', 'Its answer nests too deeply.', { cause });
  }
}
