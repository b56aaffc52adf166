/**
 * The gateway asks a modern client's person for an approval as a server would ask (approval.ts). What the client sends back
 * for that is the gateway's own: it is taken out of the request before anything else reads it.
 */
import { ownMember } from '../mcp/methods.ts';
import { removeMembers } from '../mcp/splice.ts';
import { unsealMcpSessionId } from '../sessions/mcp-session-id.ts';
import { APPROVAL } from './approval.ts';
import type { Reading } from './read-call.ts';
import { type ReadRequest, readPost } from './read-request.ts';

interface Own {
  readonly body: Buffer;
  readonly read: ReadRequest;
  /** The person turned the page down. */
  readonly declined: boolean;
}

export function withoutOwnState(
  { runtime, inForce, session, request }: Pick<Reading, 'runtime' | 'inForce' | 'session' | 'request'>,
  { body, read }: { readonly body: Buffer; readonly read: ReadRequest },
): Own {
  const [message] = read.messages;
  const state = ownMember(message?.params, 'requestState');
  if (typeof state !== 'string' || read.batch || read.refused !== undefined) return { body, read, declined: false };
  const opened = unsealMcpSessionId(runtime.sealingKeys(inForce), session.id, state, 'approval');
  // Another session's is nobody's handle: bindings.ts refuses it as unknown.
  if (opened.kind !== 'ours') return { body, read, declined: false };
  const action = ownMember(ownMember(ownMember(message?.params, 'inputResponses'), APPROVAL), 'action');
  const plain = removeMembers(body, ['params'], ['requestState', 'inputResponses']);
  const elsewhere = read.elsewhere === true ? { elsewhere: true } : {};
  return { body: plain, read: { ...readPost(request, plain), ...elsewhere }, declined: action !== 'accept' };
}
