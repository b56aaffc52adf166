/**
 * Every way in which Verbatim refuses or fails a call, in one table.
 *
 * A code is stable: clients, alerts and tests name it. The words say what happened, to what, and what to do.
 * JSON-RPC numbers stay in -32000…-32019 where they are the gateway's own (-32020…-32099 belong to the specification).
 */

/** What a caller may conclude: nothing happened upstream, or it is executed or unknown. */
export type Fate = 'not_forwarded' | 'outcome_withheld';

interface Entry {
  /** JSON-RPC error code, used wherever a message exists to answer. */
  readonly rpc: number;
  /** HTTP status where no message exists to answer, or where the specification asks for that status. */
  readonly http: number;
  /** The specification wants this HTTP status even when the JSON-RPC error is in the body. */
  readonly httpAlways?: true;
  readonly words: string;
}

const TABLE = {
  // Requests that are not well-formed: the specification's own errors.
  parse_error: { rpc: -32700, http: 400, httpAlways: true, words: 'The body is not strict JSON.' },
  invalid_request: { rpc: -32600, http: 400, httpAlways: true, words: 'The body is not a JSON-RPC 2.0 message.' },
  header_mismatch: { rpc: -32020, http: 400, httpAlways: true, words: 'A header does not say what the body says.' },
  unsupported_version: { rpc: -32022, http: 400, httpAlways: true, words: 'This protocol version is not supported.' },
  unsupported_media_type: {
    rpc: -32600,
    http: 415,
    httpAlways: true,
    words: 'Send Content-Type: application/json, not encoded, in UTF-8.',
  },
  body_too_large: { rpc: -32600, http: 413, httpAlways: true, words: 'The request body is over the limit.' },
  bad_http: { rpc: -32600, http: 400, httpAlways: true, words: 'The HTTP request is not acceptable.' },
  method_not_allowed: { rpc: -32600, http: 405, httpAlways: true, words: 'This HTTP method is not allowed here.' },
  not_found: { rpc: -32600, http: 404, httpAlways: true, words: 'There is nothing at this address.' },
  origin_refused: { rpc: -32600, http: 403, httpAlways: true, words: 'This Origin is not on the list of the gateway.' },
  host_refused: { rpc: -32600, http: 421, httpAlways: true, words: 'This Host is not one of the gateway.' },
  upgrade_refused: { rpc: -32600, http: 400, httpAlways: true, words: 'Protocol upgrades are not supported.' },

  // Who calls.
  unauthenticated: { rpc: -32001, http: 401, httpAlways: true, words: 'A valid access token is needed.' },
  identity_unavailable: {
    rpc: -32005,
    http: 503,
    httpAlways: true,
    words: "The identity provider's keys could not be fetched, so no token can be checked. Try again.",
  },
  not_in_group: {
    rpc: -32002,
    http: 403,
    words: 'None of your groups may open a session on this connection. Ask its owner for access.',
  },
  principal_blocked: {
    rpc: -32002,
    http: 403,
    words: 'An operator has revoked your access. It stays so until that is lifted.',
  },
  session_ended: { rpc: -32001, http: 401, httpAlways: true, words: 'This session has ended. Log in again.' },
  mcp_session_unknown: {
    rpc: -32001,
    http: 404,
    httpAlways: true,
    words: 'This Mcp-Session-Id is not one of this session. Initialize again.',
  },
  response_not_awaited: {
    rpc: -32600,
    http: 400,
    httpAlways: true,
    words: 'No request of the server awaits this response in this session.',
  },
  handle_unknown: {
    rpc: -32602,
    http: 400,
    words: 'This task id, elicitation id or request state was not given to this session.',
  },
  event_id_unknown: {
    rpc: -32600,
    http: 400,
    httpAlways: true,
    words: 'This Last-Event-ID was not given to this session. Open the stream without it.',
  },

  // What the gateway may carry.
  denied: { rpc: -32003, http: 200, words: 'Denied by policy.' },
  tool_changed: {
    rpc: -32003,
    http: 200,
    words: 'This tool is not as it was approved: its description or schema has changed, or nobody has pinned it.',
  },
  authentication_data: {
    rpc: -32003,
    http: 200,
    words: 'Payment authentication data (track data, verification codes, PINs) may not pass on this connection.',
  },
  mask_failed: {
    rpc: -32017,
    http: 502,
    words: 'What has to be masked here could not be found for certain, so nothing of it may pass.',
  },
  screened: { rpc: -32003, http: 200, words: 'The screening of its content refused it.' },
  screening_unavailable: {
    rpc: -32005,
    http: 503,
    words: 'Its content has to be screened, and the screening gave no verdict. Try again.',
  },
  result_too_large: { rpc: -32015, http: 502, words: 'The answer is larger than the policy lets pass.' },
  too_many_calls: { rpc: -32004, http: 429, words: 'The policy allows no more such calls now.' },
  access_needed: {
    rpc: -32002,
    http: 403,
    words: 'This connection has no standing access. Ask for access first.',
  },
  approval_pending: {
    rpc: -32018,
    http: 200,
    words: 'This call waits for approval. Once it is approved, make exactly the same call again in this session.',
  },
  approval_denied: { rpc: -32003, http: 200, words: 'An approver has denied this call.' },
  frozen: { rpc: -32003, http: 403, words: 'Calls are frozen by an operator.' },
  too_many_exchanges: { rpc: -32004, http: 429, words: 'Too many calls at once. Wait for one to end, then try again.' },
  too_many_sessions: { rpc: -32004, http: 429, words: 'Too many open sessions. Let one end, then try again.' },
  too_many_waiting: {
    rpc: -32004,
    http: 429,
    words: 'Too many requests wait for a person already. Wait until some are decided, then try again.',
  },
  state_unavailable: {
    rpc: -32005,
    http: 503,
    httpAlways: true,
    words: "The gateway's state can not be read or written, so calls are refused. Try again.",
  },
  shutting_down: { rpc: -32005, http: 503, words: 'This gateway is shutting down. Try again.' },

  // The upstream.
  upstream_unreachable: { rpc: -32010, http: 502, words: 'The MCP server could not be reached.' },
  upstream_address_refused: {
    rpc: -32010,
    http: 502,
    words: 'The MCP server resolves to an address that this connection may not use.',
  },
  upstream_tls: { rpc: -32011, http: 502, words: 'The TLS connection to the MCP server failed.' },
  upstream_timeout: { rpc: -32012, http: 504, words: 'The MCP server did not answer in time.' },
  upstream_broken: { rpc: -32013, http: 502, words: 'The MCP server broke off its answer.' },
  upstream_redirect: { rpc: -32013, http: 502, words: 'The MCP server redirected; redirects are never followed.' },
  upstream_refused_credential: {
    rpc: -32014,
    http: 502,
    words: "The MCP server refused the gateway's credential. Tell the owner of the connection.",
  },
  upstream_encoded: { rpc: -32013, http: 502, words: 'The MCP server sent an encoding that it was asked not to send.' },
  upstream_leaked_credential: {
    rpc: -32014,
    http: 502,
    words:
      "The MCP server's answer held the gateway's own credential, so it was withheld. Tell the owner of the connection: the server leaks it.",
  },
  upstream_endpoint_refused: {
    rpc: -32013,
    http: 502,
    words: 'The MCP server named an address for messages that this connection may not use.',
  },
  upstream_handle_refused: {
    rpc: -32013,
    http: 502,
    words: 'The MCP server gave out an id that belongs to another session.',
  },
  response_too_large: { rpc: -32015, http: 502, words: 'An event of the answer is over the limit.' },
  credential_unavailable: { rpc: -32014, http: 502, words: "The connection's credential could not be read." },
  // Not 403: some clients take that for a broken registration here.
  user_consent_needed: { rpc: -32014, http: 502, words: 'The MCP server needs your own consent first.' },

  // The recording. Fail closed.
  recording_unavailable: {
    rpc: -32016,
    http: 503,
    words: 'The recording can not be written, so calls are refused. Try again later.',
  },
  recording_behind: {
    rpc: -32016,
    http: 503,
    words: 'Recordings have waited too long for their store, so calls are refused. Try again later.',
  },
  recording_full: {
    rpc: -32016,
    http: 503,
    words:
      'The disk that recordings are written to has no room, so calls are refused until it has. Try again later; if it stays so, tell the operator.',
  },
  recording_quota: {
    rpc: -32016,
    http: 503,
    words:
      'Recordings wait to be stored, and too many of them are of one origin, whose further calls are refused until they are stored. Try again later.',
  },
  internal: { rpc: -32603, http: 500, words: 'The gateway failed.' },
} as const satisfies Record<string, Entry>;

export type ErrorCode = keyof typeof TABLE;

/**
 * A refusal or failure with a stable code. `detail` is appended to the table's words and is shown to the client: it
 * must never hold a secret, a token or a body.
 */
export class GatewayError extends Error {
  override readonly name = 'GatewayError';
  readonly code: ErrorCode;
  readonly fate: Fate;
  readonly detail: string | undefined;
  /** Where a person's browser has to go. */
  readonly url: string | undefined;
  /** What a client is given in the place of an error, where it can act on it: a question of the gateway's own. */
  readonly result: unknown;

  constructor(
    code: ErrorCode,
    fate: Fate = 'not_forwarded',
    detail?: string,
    options?: ErrorOptions & { readonly url?: string | undefined; readonly result?: unknown },
  ) {
    super(detail === undefined ? TABLE[code].words : `${TABLE[code].words} ${detail}`, options);
    this.code = code;
    this.fate = fate;
    this.detail = detail;
    this.url = options?.url;
    this.result = options?.result;
  }

  get entry(): Entry {
    return TABLE[this.code];
  }

  /** The `error` member of a JSON-RPC error response. */
  toJsonRpc(): { code: number; message: string; data: { code: ErrorCode; fate: Fate; url?: string } } {
    const advice =
      this.fate === 'outcome_withheld' ? ' The call was executed or its outcome is unknown: do not retry blindly.' : '';
    const data = { code: this.code, fate: this.fate, ...(this.url === undefined ? {} : { url: this.url }) };
    return { code: this.entry.rpc, message: this.message + advice, data };
  }
}
