/** Who sits at this browser: what a cookie of the gateway's own pages stands for. It opens no connection. */
import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Store } from '../../store/store.ts';
import { accountIdOf } from './grants.ts';
import type { Login } from './login.ts';
import { createOneTime, type OneTime } from './one-time.ts';
import { cookieOf, hostCookieName, setCookie } from './web.ts';

export interface Person {
  readonly provider: string;
  readonly issuer: string;
  readonly subject: string;
  readonly email?: string;
  readonly name?: string;
  /** As they were at the login: for what is shown, never for what is allowed. */
  readonly groups: readonly string[];
}

/** With the id that the gateway's own tokens and state objects have for the person. */
export type KnownPerson = Person & { readonly account: string };

export interface Browsers {
  /** Gives the browser its cookie, for as long as a session may last. */
  remember(login: Login, response: ServerResponse, person: Person): Promise<void>;
  whoIs(login: Login, request: IncomingMessage): Promise<KnownPerson | undefined>;
  /** The cookie is good for nothing from now on, on any replica. */
  forget(login: Login, request: IncomingMessage, response: ServerResponse): Promise<void>;
}

const NAME = 'verbatim';

export function createBrowsers({ state, now }: { state: Store; now: () => number }): Browsers {
  const people = ({ keyring }: Login): OneTime<Person> =>
    createOneTime({ state, now, keyring, folder: 'browsers', purpose: 'browser' });
  const cookie = ({ config }: Login, request: IncomingMessage): string | undefined =>
    cookieOf(request, hostCookieName(config.publicUrl, NAME));

  return {
    async remember(login, response, person) {
      const { publicUrl, sessions } = login.config;
      const value = randomBytes(32).toString('base64url');
      await people(login).put(value, person, sessions.longest);
      setCookie(response, publicUrl, { name: NAME, value, seconds: Math.floor(sessions.longest / 1000) });
    },
    async whoIs(login, request) {
      const value = cookie(login, request);
      const person = value === undefined ? undefined : await people(login).look(value);
      if (person === undefined || !login.providers.has(person.provider)) return undefined;
      return { ...person, account: accountIdOf(person) };
    },
    async forget(login, request, response) {
      const value = cookie(login, request);
      if (value !== undefined) await people(login).take(value);
      setCookie(response, login.config.publicUrl, { name: NAME, value: '', seconds: 0 });
    },
  };
}
