import { GatewayError } from '../errors.ts';

/**
 * Why a credential can not be had, for the log and for who runs the gateway: references, hosts, statuses and codes of a
 * known list. Never what a server wrote and never an error of a library: those carry headers and bodies with tokens.
 */
export class CredentialFailure extends Error {
  override readonly name = 'CredentialFailure';
  /** The same may succeed later without anybody changing anything: no answer, 429, 5xx. */
  readonly transient: boolean;
  /** google.rpc.Code's name, where Google itself refused. */
  readonly status: string | undefined;

  constructor(words: string, transient: boolean, status?: string) {
    super(words);
    this.transient = transient;
    this.status = status;
  }
}

/** `detail` is for the client, who may not learn references or accounts; `logged` is for who runs the gateway. */
export function credentialError(detail: string, logged: string, transient = false, status?: string): GatewayError {
  const cause = new CredentialFailure(logged, transient, status);
  return new GatewayError('credential_unavailable', 'not_forwarded', detail, { cause });
}

export function isTransient(error: unknown): boolean {
  return error instanceof GatewayError && error.cause instanceof CredentialFailure && error.cause.transient;
}

/** A failure in the words of its cause, as far as they are ours; anything else has no words that are safe. */
export function loggableReason(error: unknown): string {
  const cause = error instanceof GatewayError ? error.cause : undefined;
  return cause instanceof CredentialFailure ? cause.message : 'an error without safe words';
}

/** The code of an error of Node or undici, somewhere below `error`: made on this side, so it holds nothing secret. */
export function networkCode(error: unknown): string {
  let at: unknown = error;
  for (let depth = 0; depth < 5 && typeof at === 'object' && at !== null; depth++) {
    const { code, name, cause } = at as { code?: unknown; name?: unknown; cause?: unknown };
    if (name === 'TimeoutError') return 'TIMEOUT';
    if (name === 'AbortError') return 'ABORTED';
    if (typeof code === 'string' && /^[A-Z][A-Z0-9_]{1,60}$/.test(code)) return code;
    at = cause;
  }
  return 'FAILED';
}

/** What a `CredentialFetch` threw, somewhere below the error of the library that called it. */
export function ownError(error: unknown): GatewayError | undefined {
  let at: unknown = error;
  for (let depth = 0; depth < 5 && typeof at === 'object' && at !== null; depth++) {
    if (at instanceof GatewayError) return at;
    at = (at as { cause?: unknown }).cause;
  }
  return undefined;
}
