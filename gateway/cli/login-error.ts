import { cut, escapeForTerminal } from './terminal.ts';

/** Why a login did not end in a token. */
export type LoginErrorCode =
  | 'bad_url'
  | 'unreachable'
  | 'no_metadata'
  | 'resource_mismatch'
  | 'bad_issuer'
  | 'discovery_failed'
  | 'pkce_missing'
  | 'no_loopback'
  | 'refused'
  | 'exchange_failed'
  | 'timed_out'
  | 'not_the_demo'
  | 'no_such_user';

/** A failed login. The message is for the person at the terminal: what failed, where, what to do. It holds no secret. */
export class LoginError extends Error {
  override readonly name = 'LoginError';
  readonly code: LoginErrorCode;

  constructor(code: LoginErrorCode, message: string, options?: ErrorOptions) {
    // It quotes servers, and it is shown on a terminal.
    super(cut(escapeForTerminal(message), 1000), options);
    this.code = code;
  }
}

/** What a failed request says of itself; `fetch` hides the reason in its cause. */
export function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === 'TimeoutError') return 'no answer in time';
  return error.cause instanceof Error && error.cause.message !== '' ? error.cause.message : error.message;
}
