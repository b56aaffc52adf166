/**
 * Who decides: what a cookie of the pages of approvals stands for, and what the token of a command does. Their audience is
 * their own, `<publicUrl>/approvals`: neither opens an MCP session, and nothing that opens one, nor a cookie of `/connect`,
 * is one of them.
 */
import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Person } from '../../sessions/approval.ts';
import type { Store } from '../../store/store.ts';
import type { Login } from './login.ts';
import { createOneTime, type OneTime } from './one-time.ts';
import { cookieOf, hostCookieName, setCookie } from './web.ts';

export interface Approver {
  /** A cookie is no token, and a token no cookie. */
  readonly use: 'page' | 'command';
  readonly audience: string;
  /** Groups are those of this login. */
  readonly person: Person;
  readonly name?: string;
  /** Of the configuration. */
  readonly provider: string;
  /** Milliseconds since the epoch. */
  readonly loggedIn: number;
  /** Seconds since the epoch: when they last proved who they are. Absent where the login did not ask for that. */
  readonly authenticated?: number;
}

/** With the secret that it was found by, to which forms are bound. */
export type KnownApprover = Approver & { readonly secret: string };

/** What a login is good for: to see and to request, or to decide as well. */
export type Level = 'read' | 'decide';

export interface Approvers {
  /** Gives the browser its cookie. */
  remember(login: Login, response: ServerResponse, approver: Omit<Approver, 'use' | 'audience'>): Promise<void>;
  ofPage(login: Login, request: IncomingMessage): Promise<KnownApprover | undefined>;
  /** The cookie is good for nothing from now on, on any replica. */
  forget(login: Login, request: IncomingMessage, response: ServerResponse): Promise<void>;
  /** A token for ten minutes, no longer than the login that it comes from. */
  token(login: Login, approver: Approver): Promise<{ readonly token: string; readonly life: number }>;
  ofToken(login: Login, token: string): Promise<KnownApprover | undefined>;
}

/** Milliseconds after a login in which one may read and request; seconds after proving who one is in which one may decide. */
const READ_MS = 3_600_000;
const DECIDE_S = 300;
const TOKEN_MS = 600_000;
const NAME = 'verbatim-approver';

export function createApprovers({ state, now }: { state: Store; now: () => number }): Approvers {
  const all = ({ keyring }: Login): OneTime<Approver> =>
    createOneTime({ state, now, keyring, folder: 'approvers', purpose: 'approver' });
  const cookie = ({ config }: Login, request: IncomingMessage): string | undefined =>
    cookieOf(request, hostCookieName(config.publicUrl, NAME));

  async function find(login: Login, secret: string, use: Approver['use']): Promise<KnownApprover | undefined> {
    if (!/^[A-Za-z0-9_-]{43}$/.test(secret)) return undefined;
    const found = await all(login).look(secret);
    if (found === undefined || found.use !== use || found.audience !== audienceOf(login)) return undefined;
    if (!login.providers.has(found.provider) || now() - found.loggedIn > READ_MS) return undefined;
    return { ...found, secret };
  }

  return {
    async remember(login, response, approver) {
      const secret = randomBytes(32).toString('base64url');
      await all(login).put(secret, { ...approver, use: 'page', audience: audienceOf(login) }, READ_MS);
      setCookie(response, login.config.publicUrl, { name: NAME, value: secret, seconds: READ_MS / 1000 });
    },
    async ofPage(login, request) {
      const secret = cookie(login, request);
      return secret === undefined ? undefined : find(login, secret, 'page');
    },
    async forget(login, request, response) {
      const secret = cookie(login, request);
      if (secret !== undefined && /^[A-Za-z0-9_-]{43}$/.test(secret)) await all(login).take(secret);
      setCookie(response, login.config.publicUrl, { name: NAME, value: '', seconds: 0 });
    },
    async token(login, approver) {
      const token = randomBytes(32).toString('base64url');
      const life = Math.min(TOKEN_MS, approver.loggedIn + READ_MS - now());
      await all(login).put(token, { ...approver, use: 'command', audience: audienceOf(login) }, life);
      return { token, life };
    },
    ofToken: (login, token) => find(login, token, 'command'),
  };
}

export function audienceOf({ config }: Login): string {
  return `${config.publicUrl}/approvals`;
}

/** When they last proved who they are, in seconds since the epoch, where that is recent enough to decide. */
export function freshnessOf({ authenticated }: Approver, now: number): number | undefined {
  if (authenticated === undefined || now / 1000 - authenticated > DECIDE_S) return undefined;
  return authenticated;
}
