/** What an issuer of tokens answered: a token, or words that are safe to say. Everything in it is a stranger's. */
import { decodeJwt } from 'jose';
import type { GatewayError } from '../errors.ts';
import { credentialError } from './credential-error.ts';

/** The header for a token. `what` names the issuer or the reference for the log. What a server sent must not forge headers. */
export function bearerHeader(token: unknown, what: string): readonly [string, string] {
  if (typeof token !== 'string' || !/^[\x21-\x7e]{1,32768}$/.test(token)) {
    throw credentialError('The answer of its issuer is not a token.', `${what}: no token in the answer`);
  }
  return ['authorization', `Bearer ${token}`];
}

/**
 * The `exp` of an ID token in milliseconds. Its issuer has just sent it over TLS: it is read, not verified; verifying is
 * the upstream's part.
 */
export function expiryOfIdToken(token: unknown, what: string): number {
  try {
    const { exp } = decodeJwt(String(token));
    if (typeof exp === 'number') return exp * 1000;
  } catch {
    // Said below; the library's words could quote the token.
  }
  throw credentialError('The answer of its issuer is not a token.', `${what}: not an ID token with an expiry`);
}

/** RFC 6749, section 5.2; RFC 8707; and what servers answer in trouble. Other words could quote the client's secret. */
const OAUTH_ERRORS = new Set(
  (
    'invalid_request invalid_client invalid_grant unauthorized_client unsupported_grant_type invalid_scope ' +
    'invalid_target access_denied server_error temporarily_unavailable'
  ).split(' '),
);

/** An answer of a token endpoint that brings no token. `error` is what it wrote there, said where it is a known word. */
export function refusedByIssuer(url: string, status: number | undefined, error: unknown): GatewayError {
  const word = typeof error === 'string' && OAUTH_ERRORS.has(error) ? ` ${error}` : '';
  const answered = status === 200 ? 'not as OAuth says' : `HTTP ${status ?? '(none)'}${word}`;
  const logged = `the token endpoint ${new URL(url).host} answered ${answered}`;
  const transient = status === undefined || status === 429 || status >= 500;
  return credentialError(`Its token endpoint answered ${answered}.`, logged, transient);
}
