/** Words for a login that ends: for the person, for the client, for the record. */
import { LoginRefused } from '../broker/identity-provider.ts';
import type { LoginOutcome } from './flow.ts';
import type { Login } from './login.ts';

export type Refused = LoginOutcome & { kind: 'refused' };
export type Identified = LoginOutcome & { kind: 'identity' };

/** Who it is about, for the record. */
export function factsOf(who: Identified | undefined): Record<string, unknown> {
  if (who === undefined) return {};
  const { issuer, subject, email, groups } = who.identity;
  return { provider: who.provider, issuer, subject, ...(email === undefined ? {} : { email }), groups };
}

/** Who it is about, for the person: many have more than one account. */
export function shown(login: Login, who: Identified | undefined): [string, string][] {
  if (who === undefined) return [];
  const { email, name, subject } = who.identity;
  return [
    ['You', email ?? name ?? subject],
    ['Logged in with', login.providers.get(who.provider)?.title ?? who.provider],
  ];
}

export function over(): LoginRefused {
  return new LoginRefused('login_over', 'It took too long, was finished already, or was begun in another browser.');
}

/** The words for a login that ends here; undefined for what nobody has foreseen. */
export function wordsFor(error: unknown) {
  const hint = 'Start it again from the program that opened this page.';
  if (error instanceof LoginRefused) {
    const status = error.code === 'provider_unavailable' ? 503 : 400;
    return { code: error.code, status, title: 'This login can not go on', words: error.message, hint };
  }
  // oidc-provider's: this browser has no such login, or no longer.
  if (error instanceof Error && error.name === 'SessionNotFound') {
    const { message: words } = over();
    return { code: 'login_over', status: 400, title: 'This login can not go on', words, hint };
  }
  return undefined;
}

/** RFC 6749 allows no other characters in `error_description`. */
export function asciiWords(words: string): string {
  return words.replaceAll(/[^\x20-\x21\x23-\x5b\x5d-\x7e]/g, "'").slice(0, 300);
}
