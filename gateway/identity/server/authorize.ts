/** Gives a person or an agent their grant: the one place where a login becomes a session. */
import { uuidv7 } from 'uuidv7';
import { type ConnectionConfig, clientPaths, resourceUrl } from '../../config.ts';
import { type BrokeredIdentity, LoginRefused } from '../broker/identity-provider.ts';
import { mayEnter } from '../entering.ts';
import type { GrantRecord, Grants } from './grants.ts';
import { issuerOf } from './issuer.ts';
import type { Login } from './login.ts';

/** How somebody came in: for the record. */
export interface Entrance {
  /** Where their code goes to; absent where no browser took part. */
  readonly redirect?: string;
  readonly address: string;
}

interface Target {
  readonly login: Login;
  readonly connection: ConnectionConfig;
  readonly client: GrantRecord['client'];
}

export interface Authorize {
  /** The person's groups must be known to open a session here. Throws `LoginRefused` `principal_blocked`. */
  person(target: Target, provider: string, identity: BrokeredIdentity, entrance: Entrance): Promise<GrantRecord>;
  /** An agent that is registered here, as itself: one token, one session. Throws oidc-provider's errors. */
  agent(target: Omit<Target, 'client'> & { readonly clientId: string }, entrance: Entrance): Promise<GrantRecord>;
}

/** Where nobody can be asked about a person again, a session is short. Milliseconds. */
const LONGEST_UNCHECKED = 4 * 3_600_000;

export function createAuthorize(deps: {
  readonly grants: Grants;
  readonly now: () => number;
  event(name: string, details: Record<string, unknown>): Promise<void>;
  /** Why an operator keeps somebody out, in words for them; undefined where nobody does. */
  blocked(principal: Pick<GrantRecord, 'issuer' | 'subject' | 'email'>): string | undefined;
}): Authorize {
  const { grants, now, event } = deps;

  async function open(record: GrantRecord, { redirect, address }: Entrance): Promise<GrantRecord> {
    const { session, connection, kind, provider, issuer, subject, email, groups, client } = record;
    const blocked = deps.blocked(record);
    if (blocked !== undefined) throw new LoginRefused('principal_blocked', blocked);
    await grants.open(record);
    await event('login', {
      session,
      connection,
      kind,
      ...(provider === undefined ? {} : { provider }),
      issuer,
      subject,
      ...(email === undefined ? {} : { email }),
      groups,
      client: client.id,
      ...(redirect === undefined ? {} : { redirect }),
      address,
    });
    return record;
  }

  /** Whether a directory answers for the person, though the provider gave no refresh token. */
  async function isKnownWithout(login: Login, provider: string, identity: BrokeredIdentity): Promise<boolean> {
    const { subject, email } = identity;
    const who = { subject, ...(email === undefined ? {} : { email }) };
    return (await login.providers.get(provider)?.protocol.recheck?.(who)) !== undefined;
  }

  function resourcesOf({ login, connection }: Omit<Target, 'client'>): string[] {
    return clientPaths(connection).map((path) => resourceUrl(login.config, connection.name, path));
  }

  return {
    async person(target, provider, identity, entrance) {
      const { login, connection, client } = target;
      const { issuer, subject, email, name, groups, refreshToken } = identity;
      const session = uuidv7();
      const { longest } = login.config.sessions;
      const canBeAsked = refreshToken !== undefined || (await isKnownWithout(login, provider, identity));
      const opened = now();
      const record: GrantRecord = {
        session,
        connection: connection.name,
        client,
        provider,
        kind: 'human',
        issuer,
        subject,
        ...(email === undefined ? {} : { email }),
        ...(name === undefined ? {} : { name }),
        groups,
        opened,
        expires: opened + (canBeAsked ? longest : Math.min(longest, LONGEST_UNCHECKED)),
        resources: resourcesOf(target),
        ...(refreshToken === undefined
          ? {}
          : { recheck: login.keyring.seal('idp-refresh-token', refreshToken, session) }),
      };
      return open(record, entrance);
    },

    async agent({ clientId, ...target }, entrance) {
      const { login, connection } = target;
      const { errors } = await import('oidc-provider');
      const client = login.settings.clients[clientId];
      if (client?.agent === undefined) throw new errors.UnauthorizedClient('it is no agent');
      const { groups, owner } = client.agent;
      if (!mayEnter(connection, groups)) {
        throw new errors.AccessDenied('none of its groups may open a session on this connection');
      }
      const opened = now();
      const record: GrantRecord = {
        session: uuidv7(),
        connection: connection.name,
        client: { id: clientId, ...(client.name === undefined ? {} : { name: client.name }) },
        kind: 'agent',
        issuer: issuerOf(login.config, connection.name),
        subject: clientId,
        groups,
        owner,
        opened,
        expires: opened + login.config.sessions.longest,
        resources: resourcesOf(target),
      };
      return open(record, entrance).catch((error: unknown) => {
        throw error instanceof LoginRefused ? new errors.AccessDenied(error.message) : error;
      });
    },
  };
}
