/** What the page `/connect` tells a person of their connections. */
import { type ConnectionConfig, clientPaths, resourceUrl } from '../../config.ts';
import type { UserCredentialState } from '../../proxy/credential-user.ts';
import { mayEnter } from '../entering.ts';
import type { PageConnection } from '../pages/connect-connection.ts';
import type { Accounts } from './accounts.ts';
import { accessUrl } from './approval-address.ts';
import type { KnownPerson } from './browser.ts';
import type { Consents, RememberedConsent } from './consents.ts';
import type { Grants, ListedGrant } from './grants.ts';
import type { LastErrors } from './last-errors.ts';
import type { Login } from './login.ts';

export interface ConnectionsDeps {
  readonly grants: Grants;
  readonly consents: Consents;
  readonly errors: LastErrors;
  readonly accounts: Accounts;
}

export function createConnectionsOf(deps: ConnectionsDeps) {
  const { grants, consents, errors, accounts } = deps;

  async function describe(
    login: Login,
    connection: ConnectionConfig,
    person: KnownPerson,
    open: readonly ListedGrant[],
    given: readonly RememberedConsent[],
  ): Promise<PageConnection> {
    const { name, title = name, recording } = connection;
    const [path = '/mcp'] = clientPaths(connection);
    const lastError = await errors.last(person.account, name);
    return {
      name,
      title,
      url: resourceUrl(login.config, name, path),
      recording,
      sessions: open
        .filter((one) => one.connection === name)
        .map(({ session, client, opened, expires }) => ({
          id: session,
          client: client.name ?? client.id,
          since: opened,
          until: expires,
        })),
      consents: given
        .filter((one) => one.connection === name)
        .map(({ id, client, redirectHost, until }) => ({
          id,
          client: client.name ?? client.id,
          redirect: redirectHost,
          until,
        })),
      ...(lastError === undefined ? {} : { lastError }),
      account: accountOf(await accounts.stateOf(connection, person)),
      ...accessOf(login, connection),
    };
  }

  return async (login: Login, person: KnownPerson): Promise<PageConnection[]> => {
    const [open, given] = await Promise.all([
      grants.ofPerson(person.issuer, person.subject, login.config.sessions.longest),
      consents.of(person.account),
    ]);
    const mine = Object.values(login.config.connections).filter((one) => mayOpen(person, one));
    return Promise.all(mine.map((one) => describe(login, one, person, open, given)));
  };
}

function accountOf(state: UserCredentialState | undefined): PageConnection['account'] {
  switch (state?.kind) {
    case undefined:
      return { state: 'not_needed' };
    case 'none':
      return { state: 'needed' };
    case 'connected':
      return { state: 'connected', since: state.since };
    case 'failed':
      return { state: 'failed', words: state.words };
  }
}

function accessOf({ config }: Login, { name, access }: ConnectionConfig): Pick<PageConnection, 'access'> {
  if (access === 'standing') return {};
  const ways = [
    access.justInTime !== undefined && 'on request',
    access.breakGlass !== undefined && 'in an emergency',
  ].filter((one) => one !== false);
  const words = `Access is given for a time: ${ways.join(', or ')}.`;
  return { access: { words, href: accessUrl(config.publicUrl, name) } };
}

/** By the groups of the login: for what is offered here. Who may call is asked again on each call. */
export function mayOpen({ groups }: KnownPerson, connection: ConnectionConfig): boolean {
  return mayEnter(connection, groups);
}
