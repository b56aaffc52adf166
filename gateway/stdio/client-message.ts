/**
 * Rewrites what must not collide in a child that several clients share. Each of them counts its ids from 0, so the host
 * gives requests and their progress tokens numbers of its own and puts the clients' back into what returns. Pure.
 */
import { VERSION_KEY } from '../mcp/eras.ts';
import type { ClientMessage } from '../mcp/message.ts';
import { ownMember } from '../mcp/methods.ts';
import { StdioFailure } from './failure.ts';
import { type Edit, findMembers, type Range, replace } from './members.ts';

/** What a client called its request: JSON as it came. */
export interface Names {
  readonly id: Buffer;
  readonly token?: Buffer;
}

/** Of a token as it is written. It is held for as long as its request is open, and comes back in each notification. */
const MOST_TOKEN = 1024;

/** The id of a strictly read request, and the token under which it wants progress. Throws `message_refused`. */
export function namesOf(body: Buffer): Names {
  const { id, token } = places(body);
  if (token !== undefined && token.end - token.start > MOST_TOKEN) {
    throw new StdioFailure('message_refused', 'Its progress token is longer than 1 KiB.');
  }
  const named = id === undefined ? Buffer.from('null') : body.subarray(id.start, id.end);
  return token === undefined ? { id: named } : { id: named, token: body.subarray(token.start, token.end) };
}

/** The request under the host's number; the token, where it has one, becomes the same number. */
export function renumber(body: Buffer, serial: number): Buffer {
  const number = Buffer.from(String(serial));
  const { id, token } = places(body);
  const edits = [id, token].flatMap((at): Edit[] => (at === undefined ? [] : [{ at, bytes: number }]));
  return replace(body, edits);
}

/** The notifications/cancelled of a client for the request that the child knows under this number. */
export function renumberCancelled(body: Buffer, serial: number): Buffer {
  const params = findMembers(body, 0, ['params'])?.params;
  const at = params === undefined ? undefined : findMembers(body, params.start, ['requestId'])?.requestId;
  return at === undefined ? body : replace(body, [{ at, bytes: Buffer.from(String(serial)) }]);
}

function places(body: Buffer): { id?: Range; token?: Range } {
  const top = findMembers(body, 0, ['id', 'params']);
  const meta = top?.params === undefined ? undefined : findMembers(body, top.params.start, ['_meta'])?._meta;
  const token = meta === undefined ? undefined : findMembers(body, meta.start, ['progressToken'])?.progressToken;
  return { ...(top?.id === undefined ? {} : { id: top.id }), ...(token === undefined ? {} : { token }) };
}

const CAPABILITIES_KEY = 'io.modelcontextprotocol/clientCapabilities';

/**
 * What tells the child that a modern client went away. It carries the version and capabilities of its request: a server
 * that has not settled on an era yet takes a notification without them for a legacy one.
 */
export function cancelledLine(request: ClientMessage, serial: number): Buffer {
  const sent = ownMember(request.params, '_meta');
  const meta = Object.fromEntries(
    [VERSION_KEY, CAPABILITIES_KEY].flatMap((key) => {
      const value = ownMember(sent, key);
      return value === undefined ? [] : [[key, value]];
    }),
  );
  const params = { requestId: serial, reason: 'The client went away.', _meta: meta };
  return Buffer.from(JSON.stringify({ jsonrpc: '2.0', method: 'notifications/cancelled', params }));
}
