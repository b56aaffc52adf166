import { LoginRefused } from './identity-provider.ts';
import { refusal } from './refusal.ts';

type Library = typeof import('openid-client');

/** Of RFC 6749, OpenID Connect Core and RFC 7009; what else stands in that place stays out of the log. */
const CODES = new Set(
  (
    'access_denied account_selection_required consent_required interaction_required invalid_client invalid_grant ' +
    'invalid_request invalid_scope login_required server_error temporarily_unavailable unauthorized_client ' +
    'unsupported_grant_type unsupported_response_type'
  ).split(' '),
);
/** The person, or the provider for them, said no. */
const SAID_NO = new Set(
  'access_denied account_selection_required consent_required interaction_required login_required'.split(' '),
);
/** An answer that is none: a proxy's page, a status that nobody expects. */
const NO_ANSWER = new Set([
  'OAUTH_RESPONSE_IS_NOT_CONFORM',
  'OAUTH_RESPONSE_IS_NOT_JSON',
  'OAUTH_MISSING_SERVER_METADATA',
  'OAUTH_INVALID_SERVER_METADATA',
  'OAUTH_HTTP_REQUEST_FORBIDDEN',
]);
/** A key that is not known here yet, a clock, garbage: nothing that the person of a session did. It goes on for now. */
const PASSING = new Set(['OAUTH_KEY_SELECTION_FAILED', 'OAUTH_PARSE_ERROR', 'OAUTH_JWT_TIMESTAMP_CHECK_FAILED']);

/**
 * What openid-client threw, as a refusal. `step` tells a code that is not good from a refresh token that is not good any
 * more. What is no answer to the request is thrown as it came: a fault of this program.
 */
export function refusalOf(library: Library, error: unknown, step: 'login' | 'recheck'): LoginRefused {
  const own = ownRefusal(error);
  if (own !== undefined) return own;
  if (error instanceof library.AuthorizationResponseError) return refusalByCode(error.error, 'the redirect', step);
  if (error instanceof library.ResponseBodyError) return refusalByCode(error.error, 'the token endpoint', step);
  if (error instanceof library.WWWAuthenticateChallengeError) {
    return refusal('provider_unavailable', `the provider answered HTTP ${error.status}`);
  }
  if (!(error instanceof library.ClientError)) throw error;
  const logged = `${innermost(error)} (${error.code ?? 'no code'})`;
  const code = error.code ?? '';
  const unavailable = NO_ANSWER.has(code) || (step === 'recheck' && PASSING.has(code));
  return refusal(unavailable ? 'provider_unavailable' : 'answer_invalid', logged);
}

function refusalByCode(given: string, where: string, step: 'login' | 'recheck'): LoginRefused {
  const code = CODES.has(given) ? given : 'an unknown error';
  const logged = `${where} says ${code}`;
  if (SAID_NO.has(code)) return refusal('provider_refused', logged);
  if (code === 'invalid_grant') return refusal(step === 'login' ? 'answer_invalid' : 'provider_refused', logged);
  // invalid_client and the rest: the registration of this gateway is not right. Nobody's fault who logs in.
  return refusal('provider_unavailable', `${logged}: compare the client id, the secret and the registered addresses`);
}

/** What our own fetch or secret threw comes back as a cause of the library's error. */
function ownRefusal(error: unknown): LoginRefused | undefined {
  let at: unknown = error;
  for (let depth = 0; depth < 5 && typeof at === 'object' && at !== null; depth++) {
    if (at instanceof LoginRefused) return at;
    at = (at as { cause?: unknown }).cause;
  }
  return undefined;
}

/** The library's messages are constant; what they are about is in properties and causes, which stay unread. */
function innermost(error: Error): string {
  const { cause } = error;
  const library = cause instanceof Error && /^(OperationProcessing|UnsupportedOperation)Error$/.test(cause.name);
  return library ? cause.message : error.message;
}
