/**
 * Every way in which the stdio host itself refuses or fails a call; what a client sent wrongly is refused as at the
 * gateway (errors.ts). JSON-RPC numbers stay in -32000…-32019, as -32020…-32099 belong to the specification.
 */
import type { Fate } from '../errors.ts';

interface Entry {
  readonly rpc: number;
  /** HTTP status. 200 where only open requests are answered: a status of 5xx would make some clients give up for good. */
  readonly http: number;
  readonly fate: Fate;
  readonly words: string;
}

const TABLE = {
  not_found: { rpc: -32600, http: 404, fate: 'not_forwarded', words: 'There is nothing at this address.' },
  method_not_allowed: {
    rpc: -32600,
    http: 405,
    fate: 'not_forwarded',
    words: 'This HTTP method is not allowed here.',
  },
  not_acceptable: {
    rpc: -32600,
    http: 406,
    fate: 'not_forwarded',
    words: 'Accept neither application/json nor text/event-stream can be answered.',
  },
  origin_refused: {
    rpc: -32600,
    http: 403,
    fate: 'not_forwarded',
    words: 'This host serves no web pages: a request with Origin, or for another Host than this machine, is refused.',
  },
  batch_refused: {
    rpc: -32600,
    http: 400,
    fate: 'not_forwarded',
    words: 'This host takes one message a request.',
  },
  message_refused: {
    rpc: -32600,
    http: 400,
    fate: 'not_forwarded',
    words: 'This message has no place here.',
  },
  stateless_refused: {
    rpc: -32600,
    http: 400,
    fate: 'not_forwarded',
    words:
      'A stateless request (2026-07-28) needs the signed identity header of a gateway. Start this host with --gateway and --connection, or open a session with initialize.',
  },
  identity_refused: {
    rpc: -32001,
    http: 401,
    fate: 'not_forwarded',
    words:
      "A valid identity header, signed by the gateway, is needed. Reach this server through its gateway's address.",
  },
  identity_unavailable: {
    rpc: -32005,
    http: 503,
    fate: 'not_forwarded',
    words: "The gateway's keys could not be fetched, so no identity header can be checked. Try again.",
  },
  session_needed: {
    rpc: -32600,
    http: 400,
    fate: 'not_forwarded',
    words: 'Mcp-Session-Id is missing. Open a session with initialize.',
  },
  session_unknown: {
    rpc: -32001,
    http: 404,
    fate: 'not_forwarded',
    words: 'This Mcp-Session-Id is not one of an open session. Initialize again.',
  },
  stream_taken: {
    rpc: -32600,
    http: 409,
    fate: 'not_forwarded',
    words: 'This session has a stream already. Close it first.',
  },
  id_in_use: {
    rpc: -32600,
    http: 400,
    fate: 'not_forwarded',
    words: 'A request with this id is open in this session.',
  },
  too_many_children: {
    rpc: -32004,
    http: 503,
    fate: 'not_forwarded',
    words: 'As many servers run as --children allows. Let a session end, then try again.',
  },
  child_busy: {
    rpc: -32004,
    http: 503,
    fate: 'not_forwarded',
    words: 'The server has not read what was sent to it, or too many requests are open. Try again.',
  },
  shutting_down: { rpc: -32005, http: 503, fate: 'not_forwarded', words: 'This host is shutting down. Try again.' },
  internal: { rpc: -32603, http: 500, fate: 'outcome_withheld', words: 'The stdio host failed.' },

  // How a child ends, for the requests that are open then.
  not_started: { rpc: -32010, http: 200, fate: 'not_forwarded', words: 'The server could not be started.' },
  start_limit: {
    rpc: -32012,
    http: 200,
    fate: 'outcome_withheld',
    words: 'The server said nothing within --start-limit and was ended.',
  },
  exited: { rpc: -32013, http: 200, fate: 'outcome_withheld', words: 'The server ended.' },
  closed_stream: {
    rpc: -32013,
    http: 200,
    fate: 'outcome_withheld',
    words: 'The server closed its input or output and was ended.',
  },
  line_limit: {
    rpc: -32015,
    http: 200,
    fate: 'outcome_withheld',
    words: 'The server wrote a line of more than 16 MiB and was ended.',
  },
  memory_limit: {
    rpc: -32015,
    http: 200,
    fate: 'outcome_withheld',
    words: 'The server took more than --memory and was ended.',
  },
  deleted: { rpc: -32000, http: 200, fate: 'outcome_withheld', words: 'The session was ended by its client.' },
  handshake_refused: { rpc: -32000, http: 200, fate: 'outcome_withheld', words: 'The server refused the handshake.' },
  idle: { rpc: -32000, http: 200, fate: 'outcome_withheld', words: 'The session was idle and was ended.' },
  displaced: {
    rpc: -32000,
    http: 200,
    fate: 'outcome_withheld',
    words: 'The session was idle and was ended to make room for another.',
  },
  host_stopped: { rpc: -32005, http: 200, fate: 'outcome_withheld', words: 'This host was stopped.' },
  cancelled: { rpc: -32000, http: 200, fate: 'outcome_withheld', words: 'The request was cancelled.' },
} as const satisfies Record<string, Entry>;

export type FailureCode = keyof typeof TABLE;

/** A refusal or failure of the host. `detail` is shown to the client and never holds a secret or a body. */
export class StdioFailure extends Error {
  override readonly name = 'StdioFailure';
  readonly code: FailureCode;

  constructor(code: FailureCode, detail?: string, options?: ErrorOptions) {
    super(detail === undefined ? TABLE[code].words : `${TABLE[code].words} ${detail}`, options);
    this.code = code;
  }

  get http(): number {
    return TABLE[this.code].http;
  }

  /** The `error` member of a JSON-RPC error response. */
  toJsonRpc(): { code: number; message: string; data: { code: FailureCode; fate: Fate } } {
    const { rpc, fate } = TABLE[this.code];
    return { code: rpc, message: this.message, data: { code: this.code, fate } };
  }
}

/** A JSON-RPC error response as one line. `id` is JSON as it came, so that it goes back as it came. */
export function errorLine(failure: { toJsonRpc(): object }, id: Buffer): Buffer {
  const tail = `,"error":${JSON.stringify(failure.toJsonRpc())}}`;
  return Buffer.concat([Buffer.from('{"jsonrpc":"2.0","id":'), id, Buffer.from(tail)]);
}
