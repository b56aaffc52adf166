/** What went wrong between `connection check` and a server, in words for who runs the gateway. */
import { ProtocolError, SdkError, SdkErrorCode } from '@modelcontextprotocol/client';
import { GatewayError } from '../errors.ts';
import { CredentialFailure, loggableReason } from '../proxy/credential-error.ts';
import { reachReason, upstreamError } from '../proxy/upstream.ts';
import { cut, escapeForTerminal } from './terminal.ts';

/** What the transport saw: the client's own errors differ by transport and drop causes. */
export interface Seen {
  /** HTTP status of the last answer that counts. */
  status?: number;
  path?: string;
  /** Why the last request had no answer. */
  failure?: unknown;
}

export interface Problem {
  readonly code: string;
  readonly words: string;
  /** Why it was not reached: `ECONNREFUSED 127.0.0.1:19`. */
  readonly reason?: string;
}

/** `withheld` takes the credential out of what a server wrote: it may send back what it got. */
export function problemOf(error: unknown, seen: Seen, withheld: (text: string) => string): Problem {
  // Who runs this has the configuration, so the reference may be named; a value never is.
  if (error instanceof GatewayError && error.cause instanceof CredentialFailure) {
    const { message } = new GatewayError(error.code);
    return { code: error.code, words: `${message} ${sentence(loggableReason(error))}` };
  }
  if (seen.failure !== undefined) return unreached(seen.failure);
  const { status = 0, path } = seen;
  if (status === 401 || status === 403) {
    return { code: 'upstream_refused_credential', words: `The server answered ${status}: it refuses this credential.` };
  }
  if (status >= 300 && status < 400) {
    return { code: 'upstream_redirect', words: new GatewayError('upstream_redirect').message };
  }
  if (error instanceof ProtocolError) {
    const said = cut(escapeForTerminal(withheld(error.message)), 200);
    return { code: 'upstream_error', words: `The server answered with an error: ${said} (JSON-RPC ${error.code}).` };
  }
  if (status === 404 || status === 405) {
    const words = `The server answered ${status} at ${path}. Is that its path (\`paths\`)? A 2024-11-05 server needs \`sse\`.`;
    return { code: 'upstream_wrong_path', words };
  }
  if (status >= 400) return { code: 'upstream_error', words: `The server answered HTTP ${status}.` };
  if (error instanceof SdkError && error.code === SdkErrorCode.RequestTimeout) {
    return { code: 'upstream_timeout', words: new GatewayError('upstream_timeout').message };
  }
  if (status === 0) return unreached(error);
  const why = cut(escapeForTerminal(withheld(error instanceof Error ? error.message : String(error))), 200);
  return {
    code: 'upstream_not_mcp',
    words: `The server answered HTTP ${status}, but not as MCP says: ${sentence(why)}`,
  };
}

function unreached(failure: unknown): Problem {
  const { code, message } = upstreamError(failure, false);
  const reason = reachReason(failure);
  return reason === undefined ? { code, words: message } : { code, words: `${message} Reason: ${reason}.`, reason };
}

function sentence(text: string): string {
  return text.endsWith('.') ? text : `${text}.`;
}
