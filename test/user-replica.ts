/** One replica's part in people's own credentials, over a store that several share, without the rest of a gateway. */
import { request } from 'undici';
import { type ConnectionConfig, parseConfig } from '../gateway/config.ts';
import type { UserOauthConfig } from '../gateway/config-credential.ts';
import { createKeyring } from '../gateway/identity/keyring.ts';
import { createUpstreamConsent, type UpstreamConsent } from '../gateway/identity/upstream-consent.ts';
import { createUserCredentials, type UserCredentials } from '../gateway/proxy/credential-user.ts';
import { createUpstreamAuthorization } from '../gateway/proxy/credential-user-server.ts';
import { createUserVersions, type Person, type UserVersions } from '../gateway/proxy/credential-user-versions.ts';
import { openUpstream, type Upstream } from '../gateway/proxy/upstream.ts';
import type { Store } from '../gateway/store/store.ts';
import { secret } from './canaries.ts';
import type { UpstreamOAuth } from './upstream-oauth.ts';

const PUBLIC_URL = 'https://mcp.example.com';
export const CALLBACK = `${PUBLIC_URL}/oauth/upstream/callback/orders`;
const KEY = secret(Buffer.alloc(32, 'k'), 'the secret of the keyring');

export interface UserReplica {
  readonly connection: ConnectionConfig;
  readonly credentials: UserCredentials;
  readonly consent: UpstreamConsent;
  readonly versions: UserVersions;
  readonly upstream: Upstream;
  /** Refreshes in the background that failed. */
  readonly failures: unknown[];
  /** The person's way through their consent, begun and finished here. */
  connect(double: UpstreamOAuth, person: string): Promise<void>;
  /** A call as dispatch.ts makes it: status, and whose the server says it is. */
  call(person: string): Promise<{ status: number; who?: string }>;
}

export function personOf(subject: string): Person {
  return { issuer: 'https://idp.example.com', subject };
}

/** A connection `orders` to this upstream. */
export function userConnection(
  url: string,
  userOauth: Partial<UserOauthConfig> = {},
  upstream: Record<string, unknown> = { allowAddresses: ['loopback'] },
): ConnectionConfig {
  const { origin, pathname } = new URL(url);
  const { orders } = parseConfig({
    listen: { host: '127.0.0.1', port: 0 },
    publicUrl: PUBLIC_URL,
    data: '/nowhere',
    stores: { recordings: 'file:///nowhere/store' },
    policies: 'allow-all',
    issuers: { corp: { issuer: 'https://idp.example.com' } },
    login: {
      providers: { corp: { oidc: { issuer: 'https://idp.example.com', clientId: 'v', clientSecret: 'env:S' } } },
    },
    connections: {
      orders: { upstream: { url: origin, ...upstream }, paths: [pathname], groups: ['all'], credential: { userOauth } },
    },
  }).connections;
  if (orders === undefined) throw new Error('No connection.');
  return orders;
}

export async function openReplica(deps: {
  state: Store;
  now: () => number;
  connection: ConnectionConfig;
}): Promise<UserReplica> {
  const { state, now, connection } = deps;
  const shared = { state, now, keyring: createKeyring([KEY]), publicUrl: () => PUBLIC_URL };
  const versions = createUserVersions(shared);
  const authorization = createUpstreamAuthorization(shared);
  const failures: unknown[] = [];
  const credentials = createUserCredentials({
    ...shared,
    versions,
    authorization,
    refreshFailed: (_connection, error) => void failures.push(error),
  });
  const consent = createUpstreamConsent({ ...shared, authorization, credentials });
  const upstream = await openUpstream(connection, { now, google: {}, userCredentials: credentials });
  const path = connection.paths[0] ?? '/mcp';

  async function send(headers: readonly (readonly [string, string])[]): Promise<{ status: number; who?: string }> {
    const { dispatcher } = upstream;
    const answer = await request(`${connection.upstream.url}${path}`, {
      dispatcher,
      method: 'POST',
      headers: Object.fromEntries(headers),
      body: '{}',
    });
    const body = await answer.body.text();
    if (answer.statusCode !== 200) return { status: answer.statusCode };
    return { status: 200, who: (JSON.parse(body) as { result: { who: string } }).result.who };
  }

  return {
    connection,
    credentials,
    consent,
    versions,
    upstream,
    failures,
    async connect(double, person) {
      const principal = personOf(person);
      const { url, memory } = await consent.begin({ connection, principal, state: `state-of-${person}` });
      const back = await double.visit(url, person, CALLBACK);
      await consent.finish({ connection, principal, url: back, memory });
    },
    async call(person) {
      const credential = upstream.credentialFor({ groups: ['all'], ...personOf(person) });
      const used = await credential.current();
      const first = await send(used.headers);
      if (first.status !== 401) return first;
      const next = await credential.renew(used);
      return next === undefined ? first : send(next.headers);
    },
  };
}
