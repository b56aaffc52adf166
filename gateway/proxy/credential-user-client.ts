/**
 * As which OAuth client the gateway asks at an upstream's authorization server: the one that was registered by hand,
 * that of its own metadata document, or one that it registers itself (RFC 7591), once for all replicas.
 */
import { z } from 'zod';
import type { ConnectionConfig } from '../config.ts';
import type { UserOauthConfig } from '../config-credential.ts';
import { hashOfParts } from '../hash-of-parts.ts';
import type { Sealing } from '../identity/keyring.ts';
import { readSecret, type SecretSources } from '../secret-ref.ts';
import type { Store } from '../store/store.ts';
import { refusedByIssuer } from './credential-answer.ts';
import { credentialError } from './credential-error.ts';
import type { AuthorizationServer } from './credential-user-discovery.ts';
import type { UserFetch } from './credential-user-fetch.ts';

export interface UpstreamClient {
  readonly id: string;
  readonly auth: 'client_secret_basic' | 'client_secret_post' | 'none';
  readonly secret?: string;
  /** What a token set remembers of it: `configured`, `document`, or the name of the state object that holds it. */
  readonly from: string;
}

/** Where a connection's browser comes back to. One a connection, so that no answer is taken for another server's. */
export function upstreamCallback(publicUrl: string, connection: string): string {
  return `${publicUrl}/oauth/upstream/callback/${connection}`;
}

/** The gateway's id at servers that read Client ID Metadata Documents: where `clientDocument` is served. */
export function clientDocumentUrl(publicUrl: string, connection: string): string {
  return `${publicUrl}/oauth/client/${connection}.json`;
}

/** draft-ietf-oauth-client-id-metadata-document: who reads it knows the gateway by the address, so nothing is secret. */
export function clientDocument(publicUrl: string, { name, title }: Pick<ConnectionConfig, 'name' | 'title'>) {
  return {
    client_id: clientDocumentUrl(publicUrl, name),
    ...clientMetadata(publicUrl, name, title),
    token_endpoint_auth_method: 'none',
  };
}

function clientMetadata(publicUrl: string, name: string, title = name) {
  return {
    client_name: `Verbatim at ${new URL(publicUrl).hostname}: ${title}`,
    client_uri: publicUrl,
    redirect_uris: [upstreamCallback(publicUrl, name)],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
  };
}

const registered = z.object({
  client_id: z.string().regex(/^[\x20-\x7e]{1,1024}$/),
  client_secret: z
    .string()
    .regex(/^[\x20-\x7e]{1,4096}$/)
    .optional(),
  client_secret_expires_at: z.number().min(0).optional(),
  token_endpoint_auth_method: z.enum(['client_secret_basic', 'client_secret_post', 'none']).optional(),
});
type Registered = z.output<typeof registered>;

/** A secret that ends during the consent would lose it. */
const SECRET_LEFT_MS = 600_000;

export interface UpstreamClients {
  /** For a new consent; registers where nobody has. Throws `credential_unavailable`. */
  choose(
    connection: ConnectionConfig,
    config: UserOauthConfig,
    server: AuthorizationServer,
    fetch: UserFetch,
  ): Promise<UpstreamClient>;
  /** The client of a token set. undefined: there is no such client any more, so its tokens are nobody's. */
  find(
    connection: ConnectionConfig,
    config: UserOauthConfig,
    id: string,
    from: string,
  ): Promise<UpstreamClient | undefined>;
  /** The server does not know it any more: the next consent registers anew. */
  bury(client: UpstreamClient): Promise<void>;
}

export function createUpstreamClients(deps: {
  state: Store;
  keyring: Sealing;
  now: () => number;
  publicUrl: () => string;
  secrets?: SecretSources['secrets'];
}): UpstreamClients {
  const { state, keyring, now, publicUrl } = deps;

  async function configured({ client }: UserOauthConfig): Promise<UpstreamClient | undefined> {
    if (client === undefined) return undefined;
    const { id, auth, secret } = client;
    if (secret === undefined) return { id, auth, from: 'configured' };
    return { id, auth, secret: (await readSecret(secret, deps)).value, from: 'configured' };
  }

  async function read(name: string): Promise<UpstreamClient | undefined> {
    const [bytes, grave] = await Promise.all([state.get(name), state.get(graveOf(name))]);
    if (bytes === undefined || grave !== undefined) return undefined;
    const { sealed } = JSON.parse(Buffer.from(bytes).toString()) as { sealed: string };
    const opened = keyring.open('user-client', sealed, name);
    if (opened === undefined) return undefined;
    const found = registered.parse(JSON.parse(opened));
    const ends = found.client_secret_expires_at ?? 0;
    if (ends > 0 && ends * 1000 - now() < SECRET_LEFT_MS) return undefined;
    return { id: found.client_id, ...authOf(found), from: name };
  }

  /** Registers under the first number that is free. Of replicas that do so at once one wins, and all use its client. */
  async function registeredOnce(
    connection: ConnectionConfig,
    server: AuthorizationServer,
    fetch: UserFetch,
  ): Promise<UpstreamClient> {
    const folder = `user-clients/${hashOfParts([connection.name, server.issuer, publicUrl()])}/`;
    let last = 0;
    for await (const name of state.list(folder)) last = Math.max(last, numberOf(name.slice(folder.length)));
    const newest = last === 0 ? undefined : await read(nameOf(folder, last));
    if (newest !== undefined) return newest;
    const made = await register(connection, server, fetch);
    const name = nameOf(folder, last + 1);
    const sealed = keyring.seal('user-client', JSON.stringify(made), name);
    await state.create(name, Buffer.from(JSON.stringify({ v: 1, at: now(), sealed })));
    const kept = await read(name);
    if (kept === undefined) throw registrationFailed(server, 'gave a client that is over already');
    return kept;
  }

  async function register(
    connection: ConnectionConfig,
    server: AuthorizationServer,
    fetch: UserFetch,
  ): Promise<Registered> {
    const url = server.registration_endpoint;
    if (url === undefined) throw registrationFailed(server, 'registers no clients: give this one with `client`');
    const auth = authMethodFor(server);
    const metadata = clientMetadata(publicUrl(), connection.name, connection.title);
    const headers = { accept: 'application/json', 'content-type': 'application/json' };
    const body = JSON.stringify({ ...metadata, token_endpoint_auth_method: auth });
    const answer = await fetch(url, { method: 'POST', headers, body });
    const said: unknown = await answer.json().catch(() => undefined);
    const made = registered.safeParse(said);
    if (![200, 201].includes(answer.status) || !made.success) {
      throw refusedByIssuer(url, answer.status, (said as { error?: unknown } | undefined)?.error);
    }
    return { token_endpoint_auth_method: auth, ...made.data };
  }

  return {
    async choose(connection, config, server, fetch) {
      const given = await configured(config);
      if (given !== undefined) return given;
      const document = documentClient(publicUrl(), connection.name);
      const reads = server.client_id_metadata_document_supported === true && document.id.startsWith('https:');
      if (config.registration === 'document' && !reads) {
        throw registrationFailed(server, 'does not read Client ID Metadata Documents, or publicUrl is not https');
      }
      if (config.registration !== 'dynamic' && reads) return document;
      return registeredOnce(connection, server, fetch);
    },
    async find(connection, config, id, from) {
      const found =
        from === 'configured'
          ? await configured(config)
          : from === 'document'
            ? documentClient(publicUrl(), connection.name)
            : await read(from);
      return found?.id === id ? found : undefined;
    },
    async bury({ from }) {
      if (!from.startsWith('user-clients/')) return;
      await state.create(graveOf(from), Buffer.from(JSON.stringify({ v: 1, at: now() })));
    },
  };
}

function documentClient(publicUrl: string, connection: string): UpstreamClient {
  return { id: clientDocumentUrl(publicUrl, connection), auth: 'none', from: 'document' };
}

/** With a secret where the server can: a refresh token alone opens nothing then. RFC 8414's default is Basic. */
function authMethodFor({ token_endpoint_auth_methods_supported: known }: AuthorizationServer): UpstreamClient['auth'] {
  const ways = ['client_secret_basic', 'client_secret_post', 'none'] as const;
  return ways.find((way) => known === undefined || known.includes(way)) ?? 'none';
}

function authOf({ client_secret: secret, token_endpoint_auth_method: auth }: Registered) {
  if (secret === undefined || auth === 'none') return { auth: 'none' } as const;
  return { auth: auth ?? 'client_secret_basic', secret } as const;
}

function registrationFailed({ issuer }: AuthorizationServer, why: string) {
  return credentialError('The gateway is no client of its authorization server.', `${issuer} ${why}`);
}

function nameOf(folder: string, number: number): string {
  return `${folder}${String(number).padStart(6, '0')}.json`;
}

function numberOf(file: string): number {
  return /^\d{6}\.json$/.test(file) ? Number(file.slice(0, 6)) : 0;
}

function graveOf(name: string): string {
  return name.replace(/\.json$/, '.gone.json');
}
