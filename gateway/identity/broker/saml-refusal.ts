import { LoginRefused } from './identity-provider.ts';

/**
 * An answer that is not acceptable. `what` goes on after "The identity provider's answer" and is shown to the person:
 * never a library's words, which may quote the answer. Those are the `cause`.
 */
export function invalid(what: string, options?: ErrorOptions): LoginRefused {
  const todo = 'Log in again. If it happens again, tell whoever runs this gateway.';
  return new LoginRefused('answer_invalid', `The identity provider's answer ${what}. ${todo}`, options);
}
