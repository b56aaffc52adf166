/**
 * People's own accounts at upstreams (`userOauth`): the browser's way to the upstream's consent and back. What comes back
 * is taken only where the browser shows that it is the person's who went: in their login, or signed in to these pages.
 */
import { randomBytes } from 'node:crypto';
import type { ConnectionConfig } from '../../config.ts';
import { userOauthOf } from '../../config-credential.ts';
import type { UserCredentialState, UserCredentials } from '../../proxy/credential-user.ts';
import { upstreamCallback } from '../../proxy/credential-user-client.ts';
import type { Store } from '../../store/store.ts';
import { LoginRefused } from '../broker/identity-provider.ts';
import type { UpstreamConsent } from '../upstream-consent.ts';
import type { Login } from './login.ts';
import { createOneTime, type OneTime } from './one-time.ts';

export interface AccountHolder {
  readonly issuer: string;
  readonly subject: string;
  readonly groups: readonly string[];
}

export interface Accounts {
  /** undefined where the connection's credential for this person is not their own. */
  stateOf(connection: ConnectionConfig, person: AccountHolder): Promise<UserCredentialState | undefined>;
  /** Where the browser goes; it comes back to `back`, an absolute address, with `answer` added to its query. */
  begin(login: Login, connection: ConnectionConfig, person: AccountHolder, back: string): Promise<string>;
  /** Where a browser that comes from an upstream goes on. Throws `LoginRefused`. */
  onward(login: Login, connection: string, search: string): Promise<string>;
  /** Takes an answer for this person, who must be the one who went. Throws `LoginRefused`. */
  finish(login: Login, connection: ConnectionConfig, person: AccountHolder, answer: string): Promise<void>;
  /** The person may not be here any more: what was given in their name goes. */
  forget(connection: ConnectionConfig, person: Omit<AccountHolder, 'groups'>, reason: string): Promise<void>;
}

interface Pending {
  readonly connection: string;
  readonly issuer: string;
  readonly subject: string;
  readonly back: string;
  readonly memory: Readonly<Record<string, string>>;
}

const CONSENT_MS = 600_000;
const MOST_SEARCH = 8192;

export function createAccounts(deps: {
  readonly state: Store;
  readonly now: () => number;
  readonly consent: UpstreamConsent;
  readonly credentials: UserCredentials;
}): Accounts {
  const { state, now, consent, credentials } = deps;
  const pendings = ({ keyring }: Login): OneTime<Pending> =>
    createOneTime({ state, now, keyring, folder: 'upstream-logins', purpose: 'login' });

  return {
    async stateOf(connection, person) {
      return usesOwnAccount(connection, person) ? credentials.stateOf(connection, person) : undefined;
    },
    async begin(login, connection, { issuer, subject }, back) {
      const key = randomBytes(32).toString('base64url');
      const { url, memory } = await consent.begin({ connection, principal: { issuer, subject }, state: key });
      await pendings(login).put(key, { connection: connection.name, issuer, subject, back, memory }, CONSENT_MS);
      return url;
    },
    async onward(login, connection, search) {
      const key = stateIn(search);
      const pending = key === undefined ? undefined : await pendings(login).look(key);
      if (pending === undefined || pending.connection !== connection || search.length > MOST_SEARCH) throw over();
      const to = new URL(pending.back);
      to.searchParams.set('answer', Buffer.from(search).toString('base64url'));
      return to.href;
    },
    async finish(login, connection, { issuer, subject }, answer) {
      const search = Buffer.from(answer, 'base64url').toString();
      const key = stateIn(search);
      const pending = key === undefined ? undefined : await pendings(login).look(key);
      // Somebody else's consent would have this person's calls made with another's account, or the other way round.
      if (pending?.connection !== connection.name || pending.issuer !== issuer || pending.subject !== subject)
        throw over();
      if (key === undefined || (await pendings(login).take(key)) === undefined) throw over();
      const url = new URL(upstreamCallback(login.config.publicUrl, connection.name));
      url.search = search;
      await consent.finish({ connection, principal: { issuer, subject }, url, memory: pending.memory });
    },
    async forget(connection, person, reason) {
      if (userOauthOf(connection) !== undefined) await credentials.forget(connection, person, reason);
    },
  };
}

/** Whether this person's calls go up with their own account: by the first entry that names a group of theirs. */
function usesOwnAccount({ credential, credentialByGroup }: ConnectionConfig, { groups }: AccountHolder): boolean {
  const own = credentialByGroup.find((entry) => entry.groups.some((group) => groups.includes(group)));
  return 'userOauth' in (own?.credential ?? credential);
}

function stateIn(search: string): string | undefined {
  const [state, ...more] = new URLSearchParams(search).getAll('state');
  return more.length > 0 ? undefined : state;
}

function over(): LoginRefused {
  return new LoginRefused(
    'login_over',
    'This way to your account is over: it took too long, or belongs to another browser.',
  );
}
