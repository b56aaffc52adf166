import { CredentialFailure, loggableReason } from '../../proxy/credential-error.ts';
import { type LoginRefusal, LoginRefused } from './identity-provider.ts';

/**
 * Why a login was refused, for the log and for who runs the gateway. Its words are ours, or codes and constant messages
 * of a library: never what a provider wrote, and never a library's error itself, which carries claims and tokens.
 */
class RefusalCause extends Error {
  override readonly name = 'RefusalCause';
}

/** What a person is told; what is wrong exactly is in the cause. */
const WORDS: Record<LoginRefusal, string> = {
  provider_unavailable: 'The login service did not answer as it should. Try again in a minute.',
  provider_refused: 'The login service did not let you in.',
  answer_invalid: 'The answer of the login service is not acceptable. Start again where you came from.',
  email_unverified: 'Your e-mail address is not verified at the login service. Verify it there, then log in again.',
  domain_not_allowed: 'Your account is not one of this company. Log in with your account at work.',
  groups_unknown: 'Your groups could not be found out, so nobody can say what you may use. Tell who runs this gateway.',
  not_in_group: 'You are in no group that may use this. Ask for access where you work.',
  principal_blocked: 'An operator keeps you out until that is lifted.',
  not_fresh:
    'The login service did not ask you again who you are, and nobody decides on a login of earlier. Log out there, then try again.',
  login_over: 'This login is over. Start again where you came from.',
};

/** `logged` is for who runs the gateway, `words` for the person where the usual ones do not fit. */
export function refusal(code: LoginRefusal, logged: string, words = WORDS[code]): LoginRefused {
  return new LoginRefused(code, words, { cause: new RefusalCause(logged) });
}

/** The words behind a refusal, as far as they are ours. */
export function loggedWords(error: LoginRefused): string {
  const { cause } = error;
  if (cause instanceof RefusalCause || cause instanceof CredentialFailure) return cause.message;
  return cause === undefined ? error.code : loggableReason(cause);
}
