/** An upstream's authorization as the gateway last saw it, and what a request for tokens there needs. */
import type { LookupAddress } from 'node:dns';
import type { ConnectionConfig } from '../config.ts';
import type { UserOauthConfig } from '../config-credential.ts';
import type { Sealing } from '../identity/keyring.ts';
import type { SecretSources } from '../secret-ref.ts';
import type { Store } from '../store/store.ts';
import { createUpstreamClients, type UpstreamClient } from './credential-user-client.ts';
import { type AuthorizationServer, discoverResource, discoverServer } from './credential-user-discovery.ts';
import { createUserFetch, type UserFetch } from './credential-user-fetch.ts';
import type { Granting } from './credential-user-grant.ts';
import type { StoredTokens } from './credential-user-versions.ts';

/** Where a consent is asked for, as whom, and what for. */
export interface ConsentPlace {
  readonly server: AuthorizationServer;
  readonly client: UpstreamClient;
  readonly resource: string;
  readonly scopes: readonly string[] | undefined;
}

export interface UpstreamAuthorization {
  /** For a new consent: everything is asked anew, and a client registered where there is none. Throws `credential_unavailable`. */
  discover(connection: ConnectionConfig, config: UserOauthConfig): Promise<ConsentPlace>;
  /** For tokens that came from there. undefined: the client that they were given to is no more. Throws `credential_unavailable`. */
  granting(
    connection: ConnectionConfig,
    config: UserOauthConfig,
    tokens: Pick<StoredTokens, 'issuer' | 'client' | 'resource'>,
  ): Promise<Granting | undefined>;
  /** The server does not know this client any more. */
  bury(client: UpstreamClient): Promise<void>;
}

export interface AuthorizationDeps {
  readonly state: Store;
  readonly keyring: Sealing;
  readonly now: () => number;
  /** As configured now: it may change while the gateway runs. */
  readonly publicUrl: () => string;
  readonly secrets?: SecretSources['secrets'];
  /** In the place of DNS. */
  readonly resolve?: (hostname: string) => Promise<LookupAddress[]>;
}

/** Metadata of an authorization server is asked for again after this. */
const SERVER_MS = 600_000;

export function createUpstreamAuthorization(deps: AuthorizationDeps): UpstreamAuthorization {
  const { now } = deps;
  const clients = createUpstreamClients(deps);
  // A changed configuration has new objects: nothing that was fetched by other rules is used.
  const fetches = new WeakMap<ConnectionConfig, UserFetch>();
  const servers = new WeakMap<ConnectionConfig, Map<string, { server: AuthorizationServer; until: number }>>();

  function fetchFor(connection: ConnectionConfig): UserFetch {
    const fetch = fetches.get(connection) ?? createUserFetch(connection.upstream, deps);
    fetches.set(connection, fetch);
    return fetch;
  }

  async function serverOf(connection: ConnectionConfig, issuer: string, anew: boolean): Promise<AuthorizationServer> {
    const known = servers.get(connection) ?? new Map<string, { server: AuthorizationServer; until: number }>();
    servers.set(connection, known);
    const there = known.get(issuer);
    if (!anew && there !== undefined && now() < there.until) return there.server;
    const server = await discoverServer(issuer, connection.upstream.allowAddresses, fetchFor(connection));
    // An upstream may name another one each time: only the last is kept.
    known.clear();
    known.set(issuer, { server, until: now() + SERVER_MS });
    return server;
  }

  return {
    async discover(connection, config) {
      const fetch = fetchFor(connection);
      const { resource, issuer, scopes } = await discoverResource(connection, config, fetch);
      const server = await serverOf(connection, issuer, true);
      const client = await clients.choose(connection, config, server, fetch);
      return { server, client, resource, scopes };
    },
    async granting(connection, config, { issuer, client: { id, from }, resource }) {
      const client = await clients.find(connection, config, id, from);
      if (client === undefined) return undefined;
      const server = await serverOf(connection, issuer, false);
      return { server, client, resource, fetch: fetchFor(connection), now };
    },
    bury: clients.bury,
  };
}
