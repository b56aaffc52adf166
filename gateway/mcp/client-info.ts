import type { ClientMessage } from './message.ts';
import { ownMember } from './methods.ts';

/** What a client says of itself. It is the client's own word: shown, never trusted. */
export interface ClientInfo {
  readonly name: string;
  readonly version?: string;
}

/** Where a modern request says it (2026-07-28); legacy says it in `initialize`. */
const INFO_KEY = 'io.modelcontextprotocol/clientInfo';
const MOST = 128;

/** The client that these messages name, if any does. */
export function clientInfoOf(messages: readonly ClientMessage[]): ClientInfo | undefined {
  for (const { method, params } of messages) {
    const info =
      method === 'initialize' ? ownMember(params, 'clientInfo') : ownMember(ownMember(params, '_meta'), INFO_KEY);
    const name = ownMember(info, 'name');
    const version = ownMember(info, 'version');
    if (typeof name !== 'string') continue;
    return { name: name.slice(0, MOST), ...(typeof version === 'string' ? { version: version.slice(0, MOST) } : {}) };
  }
  return undefined;
}
