/**
 * Which browser goes through a login: a cookie for each, so that tabs do not disturb one another. oidc-provider's own
 * cookies of a login have a path, so that a neighbouring host may put them into another's browser, who would then log in
 * for whoever holds the same ones; a `__Host-` cookie is set by this host alone.
 */
import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { sha256 } from './one-time.ts';
import { cookieOf, hostCookieName, setCookie } from './web.ts';

/** A login by its id, at the gateway's public origin. */
export interface LoginId {
  readonly publicUrl: string;
  readonly uid: string;
}

/** As long as a login may take. */
const SECONDS = 600;

/** The value of this browser's cookie for the login; undefined where it has none. */
export function bindingOf(request: IncomingMessage, { publicUrl, uid }: LoginId): string | undefined {
  return cookieOf(request, hostCookieName(publicUrl, nameOf(uid)));
}

/** The same, given to the browser where it has none yet. */
export function bind(request: IncomingMessage, response: ServerResponse, id: LoginId): string {
  const there = bindingOf(request, id);
  if (there !== undefined) return there;
  const value = randomBytes(32).toString('base64url');
  setCookie(response, id.publicUrl, { name: nameOf(id.uid), value, seconds: SECONDS });
  return value;
}

/** What stands for the cookie where it is stored. */
export function browserOf(binding: string): string {
  return sha256(binding);
}

function nameOf(uid: string): string {
  return `verbatim-login-${uid}`;
}
