/**
 * The authorization server of one connection: oidc-provider with one issuer, the connection's own address, so that a
 * client that names no resource gets this connection and nothing else (RFC 8707; RFC 9068 for the tokens).
 */
import type { EventEmitter } from 'node:events';
import type { AdapterPayload, Configuration, KoaContextWithOIDC, default as Provider } from 'oidc-provider';
import { type Config, clientPaths, resourceUrl } from '../../config.ts';
import type { ProviderClient } from '../clients/client.ts';
import type { Clients } from '../clients/clients.ts';
import type { Keyring } from '../keyring.ts';
import { messagePage } from '../pages/message.ts';
import { type AdapterDeps, createAdapters, SCOPES } from './adapter.ts';
import { bindingOf, browserOf } from './binding.ts';
import { accountIdOf, type GrantRecord, type Grants } from './grants.ts';
import { ID_JAG_GRANT, ID_JAG_PROFILE } from './id-jag.ts';
import { issuerOf } from './issuer.ts';

export interface ProviderDeps {
  readonly library: typeof import('oidc-provider');
  readonly config: Config;
  readonly connection: string;
  readonly keyring: Keyring;
  readonly clients: Clients;
  readonly grants: Grants;
  readonly adapters: Omit<AdapterDeps, 'connection' | 'errors' | 'findClient' | 'reasonToEnd' | 'usedAgain'>;
  /** Whether a grant's person may still be here, asked at each refresh. Throws where that is not known. */
  mayGoOn(session: string): Promise<boolean>;
  /** Opens the session of an agent that is registered here, for one token. */
  openAgent(clientId: string, address: string): Promise<GrantRecord>;
  /** A step failed in a way that nobody foresaw; it was answered as such. */
  failed(error: unknown): void;
  /** Whether assertions of an identity provider are taken (id-jag.ts). */
  readonly idJag: boolean;
}

/** An assertion is worth what its bearer can show besides it: clients that prove who they are may show one. */
function withGrants(metadata: ProviderClient, idJag: boolean): object {
  if (!idJag || metadata.token_endpoint_auth_method === 'none') return metadata;
  return { ...metadata, grant_types: [...metadata.grant_types, ID_JAG_GRANT] };
}

/** Where oidc-provider notes, in the request it serves, which refresh token came a second time. */
const USED_AGAIN = Symbol('refresh token used again');
type Noting = { [USED_AGAIN]?: string };

export function usedAgain(ctx: object): string | undefined {
  return (ctx as Noting)[USED_AGAIN];
}

/** Seconds that a person has between the client's request and the end of the login. */
const LOGIN_S = 600;
const CODE_S = 60;

export function createProvider(deps: ProviderDeps): Provider {
  const { library, config, connection, adapters, clients } = deps;
  const current = (): KoaContextWithOIDC | undefined => library.default.ctx as KoaContextWithOIDC | undefined;
  const provider = new library.default(issuerOf(config, connection), {
    ...configuration(deps),
    adapter: createAdapters({
      ...adapters,
      connection,
      errors: library.errors,
      async findClient(id) {
        const metadata = (await clients.find(id))?.metadata;
        return metadata && (withGrants(metadata, deps.idJag) as AdapterPayload);
      },
      reasonToEnd: () => reasonToEnd(current()),
      usedAgain(hash) {
        const ctx = current();
        if (ctx !== undefined) (ctx as unknown as Noting)[USED_AGAIN] = hash;
      },
    }),
  });
  // The library says nothing of its own failures, and Koa, below it, writes those of others to stderr.
  provider.on('server_error', (_ctx, error) => deps.failed(error));
  (provider as EventEmitter).on('error', deps.failed);
  // TLS ends in front of the gateway. What the address is comes from the configuration: see `serve` in routes.ts.
  provider.proxy = true;
  // Some clients name no scope: there is only one.
  provider.use((ctx, next) => {
    if (ctx.path === '/oauth/authorize' && ctx.query.scope === undefined) ctx.query = { ...ctx.query, scope: 'mcp' };
    return next();
  });
  provider.use(async (ctx, next) => {
    await next();
    // The library names its own, though clients here are refused all but one (clients/client.ts).
    if (ctx.path.startsWith('/.well-known/')) Object.assign(ctx.body ?? {}, { response_modes_supported: ['query'] });
  });
  return provider;
}

function configuration(deps: ProviderDeps): Configuration {
  const { library, config, connection, keyring, grants, adapters } = deps;
  const { errors, interactionPolicy } = library;
  const issuer = issuerOf(config, connection);
  const own = config.connections[connection];
  const resources = own === undefined ? [] : clientPaths(own).map((path) => resourceUrl(config, connection, path));
  const longest = Math.floor(config.sessions.longest / 1000);
  const policy = interactionPolicy.base();
  // Consent is asked on the gateway's own page, before the identity provider is; this check would ask once more.
  policy.get('consent')?.checks.remove('native_client_prompt');

  const foreign = () => new errors.InvalidTarget('this is not an address of this connection');
  function refuseForeign({ oidc }: KoaContextWithOIDC): void {
    const asked: unknown = oidc.params?.resource;
    if (Array.isArray(asked)) throw new errors.InvalidTarget('ask for one resource at a time (RFC 8707)');
    if (asked !== undefined && !resources.includes(String(asked))) throw foreign();
  }

  return {
    clientAuthMethods: ['none', 'client_secret_basic', 'client_secret_post', 'private_key_jwt'],
    clientDefaults: {
      application_type: 'native',
      token_endpoint_auth_method: 'none',
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      id_token_signed_response_alg: 'ES256',
    },
    responseTypes: ['code'],
    scopes: SCOPES.split(' '),
    pkce: { required: () => true },
    jwks: { keys: [...keyring.signingKeys] as never },
    cookies: {
      keys: [...keyring.cookieKeys],
      names: { interaction: 'verbatim_login', resume: 'verbatim_resume', session: 'verbatim_none' },
      short: { httpOnly: true, sameSite: 'lax' },
      long: { httpOnly: true, sameSite: 'lax' },
    },
    clientBasedCORS: (_ctx, origin, client) =>
      config.allowedOrigins.includes(origin) ||
      (client.redirectUris ?? []).some((uri) => URL.parse(uri)?.origin === origin),
    claims: { openid: ['sub'] },
    interactions: { policy, url: (_ctx, { uid }) => `${issuer}/oauth/interaction/${uid}` },
    routes: {
      authorization: '/oauth/authorize',
      jwks: '/oauth/jwks',
      revocation: '/oauth/revoke',
      token: '/oauth/token',
      userinfo: '/oauth/userinfo',
      end_session: '/oauth/end',
      introspection: '/oauth/introspect',
      registration: '/oauth/register',
      pushed_authorization_request: '/oauth/par',
      device_authorization: '/oauth/device',
      code_verification: '/oauth/device/verify',
      backchannel_authentication: '/oauth/backchannel',
      challenge: '/oauth/challenge',
    },
    discovery: {
      ...(deps.idJag ? { authorization_grant_profiles_supported: [ID_JAG_PROFILE] } : {}),
      ...((config.login?.clientMetadataHosts ?? []).length > 0 ? { client_id_metadata_document_supported: true } : {}),
      ...(config.login?.registration === 'on' ? { registration_endpoint: `${issuer}/oauth/register` } : {}),
    },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      dPoP: { enabled: false },
      pushedAuthorizationRequests: { enabled: false },
      rpInitiatedLogout: { enabled: false },
      userinfo: { enabled: false },
      revocation: { enabled: true, allowedPolicy: (_ctx, client, token) => token.clientId === client.clientId },
      resourceIndicators: {
        enabled: true,
        // The issuer is one connection's: this is the only thing that a client without `resource` can mean.
        defaultResource: () => resources[0] as string,
        getResourceServerInfo(ctx, resource) {
          refuseForeign(ctx);
          if (!resources.includes(resource)) throw foreign();
          return {
            scope: 'mcp',
            audience: resource,
            accessTokenFormat: 'jwt',
            jwt: { sign: { alg: 'ES256' } },
          };
        },
        useGrantedResource: () => true,
      },
    },
    ttl: {
      // A token lives as long as its session may: whether the session is alive is asked on every call.
      AccessToken: (ctx) => remaining(ctx, longest),
      RefreshToken: (ctx) => remaining(ctx, longest),
      ClientCredentials: longest,
      AuthorizationCode: CODE_S,
      Grant: longest,
      IdToken: 600,
      Interaction: LOGIN_S,
      Session: LOGIN_S,
    },
    rotateRefreshToken: true,
    issueRefreshToken: async (_ctx, client) => client.grantTypeAllowed('refresh_token'),
    expiresWithSession: () => false,
    async loadExistingGrant(ctx) {
      const { consent, browser } = ctx.oidc.result ?? {};
      const grantId = consent?.grantId;
      if (grantId === undefined) return undefined;
      const uid = ctx.oidc.entities.Interaction?.uid ?? '';
      const binding = bindingOf(ctx.req, { publicUrl: config.publicUrl, uid });
      if (binding === undefined || browserOf(binding) !== browser) {
        // Whoever began this login is not who went through it: nobody gets what was granted.
        await adapters.ended(grantId, 'another_browser');
        await grants.end(grantId, 'another_browser');
        throw new errors.AccessDenied('this login was finished in another browser');
      }
      return ctx.oidc.provider.Grant.find(grantId);
    },
    async findAccount(ctx, accountId, token) {
      const session = token !== undefined && 'grantId' in token ? token.grantId : undefined;
      if (session !== undefined) {
        const record = await grants.find(session);
        if (record === undefined || accountIdOf(record) !== accountId) return undefined;
        if (ctx.oidc.route === 'token') {
          // Before a refresh token is used up: oidc-provider looks at `resource` only behind that.
          refuseForeign(ctx);
          if (!(await deps.mayGoOn(session))) return undefined;
        }
      }
      return { accountId, claims: () => ({ sub: accountId }) };
    },
    async extraTokenClaims(ctx, token) {
      if (token.kind === 'AccessToken') return { session: (token as { grantId?: string }).grantId };
      const record = await deps.openAgent(String(token.clientId), ctx.ip);
      return { session: record.session };
    },
    renderError(ctx, out) {
      const { html, headers } = messagePage({
        status: ctx.status,
        title: 'This login can not go on',
        words: `${out.error_description ?? out.error} (${out.error}).`,
        hint: 'Start it again from the program that opened this page.',
      });
      ctx.set({ ...headers });
      ctx.body = html;
    },
  };
}

/** Seconds until the session of this request ends at the latest. */
function remaining(ctx: KoaContextWithOIDC, longest: number): number {
  const exp = ctx.oidc.entities.Grant?.exp;
  return exp === undefined ? longest : Math.max(1, exp - Math.floor(Date.now() / 1000));
}

function reasonToEnd(ctx: KoaContextWithOIDC | undefined): string {
  if (ctx?.oidc.route === 'revocation') return 'signed_out';
  return ctx?.oidc.params?.grant_type === 'authorization_code' ? 'code_reused' : 'refresh_token_reused';
}
