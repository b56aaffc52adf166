/**
 * An MCP server that is protected as the specification says, and the real authorization server in front of it: resource
 * metadata, dynamic registration, PKCE, resource indicators, and refresh tokens that rotate and end the whole grant when
 * one comes twice. A person is who the agent's browser says it is; they always consent.
 */
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { errors, type KoaContextWithOIDC, Provider } from 'oidc-provider';
import { secret } from './canaries.ts';

export interface UpstreamOAuth {
  /** The MCP endpoint. */
  readonly url: string;
  readonly origin: string;
  readonly issuer: string;
  /** Grants at the token endpoint, by type; `refused` counts those that were not given. */
  readonly granted: { authorization_code: number; refresh_token: number; refused: number };
  /** Requests for registration (RFC 7591) that were met, and for revocation (RFC 7009). */
  readonly registered: () => number;
  readonly revoked: () => number;
  /** Calls that the MCP server answered: whose token they had. */
  readonly calls: string[];
  /** Access tokens that the MCP server has seen. */
  readonly shown: string[];
  /** What every request to the token endpoint waits for, before and after it is worked on. */
  hold: { before?: () => Promise<unknown>; after?: () => Promise<unknown> };
  /** Status that the token endpoint answers with instead. */
  trouble: number | undefined;
  /** Whether the MCP server takes this token; the authorization server is not asked. */
  refuses: (token: string) => boolean;
  /** What the MCP server says of itself, merged over the truth. */
  metadata: Record<string, unknown>;
  /** What the authorization server forgets or adds in its answers to browsers. */
  answerToBrowser: (url: URL) => URL;
  /** Ends a person's grants, as they would on a page of the authorization server. */
  revoke(person: string): Promise<void>;
  /** As a browser without anything of the gateway's: follows redirects until one leads to `until`, and gives that one. */
  visit(url: string, person: string, until: string): Promise<URL>;
  close(): Promise<void>;
}

const SCOPE = 'orders:read';

export async function startUpstreamOAuth(): Promise<UpstreamOAuth> {
  const [mcp, authorization] = [createServer(), createServer()];
  const [origin, issuer] = await Promise.all([listen(mcp), listen(authorization)]);
  const url = `${origin}/mcp`;
  let registered = 0;
  let revoked = 0;
  const grants = new Map<string, Set<string>>();
  const provider = createProvider(issuer, url);
  const double: UpstreamOAuth = {
    url,
    origin,
    issuer,
    granted: { authorization_code: 0, refresh_token: 0, refused: 0 },
    registered: () => registered,
    revoked: () => revoked,
    calls: [],
    shown: [],
    hold: {},
    trouble: undefined,
    refuses: () => false,
    metadata: {},
    answerToBrowser: (answer) => answer,
    async revoke(person) {
      for (const id of grants.get(person) ?? []) await (await provider.Grant.find(id))?.destroy();
      grants.delete(person);
    },
    visit: (from, person, until) => visit(from, person, until, double.answerToBrowser),
    close: async () => {
      for (const server of [mcp, authorization]) server.closeAllConnections();
      await Promise.all([mcp, authorization].map((server) => new Promise((done) => server.close(done))));
    },
  };

  provider.use(async (ctx, next) => {
    if (ctx.path === '/token/revocation') revoked++;
    if (ctx.path !== '/token') return next();
    await double.hold.before?.();
    if (double.trouble === undefined) await next();
    else ctx.status = double.trouble;
    await double.hold.after?.();
  });
  provider.on('grant.success', (ctx) => {
    const type = ctx.oidc.params?.grant_type;
    if (type === 'authorization_code' || type === 'refresh_token') double.granted[type]++;
    noteTokens(ctx);
  });
  provider.on('grant.error', () => void double.granted.refused++);
  provider.on('registration_create.success', (_ctx, client) => {
    registered++;
    if (client.clientSecret !== undefined) secret(client.clientSecret, 'a client secret of the double');
  });

  authorization.on('request', (request, response) => {
    const uid = /^\/interaction\/([\w-]+)$/.exec(request.url ?? '')?.[1];
    if (uid === undefined) void provider.callback()(request, response);
    else void consent(provider, grants, url, request, response);
  });
  mcp.on('request', serve(double, provider));
  return double;
}

function createProvider(issuer: string, resource: string): Provider {
  return new Provider(issuer, {
    scopes: ['openid', 'offline_access', SCOPE],
    clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'none'],
    cookies: { keys: ['a key of the double alone'] },
    features: {
      devInteractions: { enabled: false },
      registration: { enabled: true },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => {
          throw new errors.InvalidTarget();
        },
        getResourceServerInfo: (_ctx, asked) => {
          if (asked !== resource) throw new errors.InvalidTarget();
          return { scope: SCOPE, audience: resource, accessTokenTTL: 3600, accessTokenFormat: 'opaque' };
        },
      },
    },
    interactions: { url: (_ctx, { uid }) => `/interaction/${uid}` },
    findAccount: (_ctx, sub) => ({ accountId: sub, claims: async () => ({ sub }) }),
    issueRefreshToken: async (_ctx, client) => client.grantTypeAllowed('refresh_token'),
    rotateRefreshToken: true,
    ttl: { RefreshToken: 86_400, Grant: 86_400, Session: 600, Interaction: 600 },
  });
}

async function consent(
  provider: Provider,
  grants: Map<string, Set<string>>,
  resource: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { params } = await provider.interactionDetails(request, response);
  const accountId = String(request.headers['x-person']);
  const grant = new provider.Grant({ accountId, clientId: String(params.client_id) });
  grant.addOIDCScope(`${SCOPE} offline_access`);
  grant.addResourceScope(resource, SCOPE);
  const grantId = await grant.save();
  grants.set(accountId, (grants.get(accountId) ?? new Set()).add(grantId));
  await provider.interactionFinished(request, response, { login: { accountId }, consent: { grantId } });
}

function noteTokens(ctx: KoaContextWithOIDC): void {
  const { access_token: access, refresh_token: refresh } = ctx.body as Record<string, string>;
  if (access !== undefined) secret(access, "a person's access token");
  if (refresh !== undefined) secret(refresh, "a person's refresh token");
}

function serve(double: UpstreamOAuth, provider: Provider): RequestListener {
  const wellKnown = '/.well-known/oauth-protected-resource/mcp';
  return async (request, response) => {
    if (request.url === wellKnown) {
      const truth = { resource: double.url, authorization_servers: [double.issuer], scopes_supported: [SCOPE] };
      response.setHeader('content-type', 'application/json').end(JSON.stringify({ ...truth, ...double.metadata }));
      return;
    }
    const token = /^Bearer (\S+)$/.exec(request.headers.authorization ?? '')?.[1];
    const found = token === undefined ? undefined : await provider.AccessToken.find(token);
    const granted = found?.grantId === undefined ? undefined : await provider.Grant.find(found.grantId);
    if (token === undefined || granted === undefined || found?.aud !== double.url || double.refuses(token)) {
      const challenge = `Bearer resource_metadata="${double.origin}${wellKnown}", scope="${SCOPE}"`;
      response.writeHead(401, { 'www-authenticate': challenge }).end();
      return;
    }
    double.calls.push(found.accountId);
    double.shown.push(token);
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ jsonrpc: '2.0', id: 1, result: { who: found.accountId } }));
  };
}

async function visit(from: string, person: string, until: string, change: (url: URL) => URL): Promise<URL> {
  // The authorization server's own cookies: without them it would not know its person again after its consent page.
  const cookies = new Map<string, string>();
  let url = new URL(from);
  for (let hops = 0; hops < 10; hops++) {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const answer = await fetch(url, { redirect: 'manual', headers: { cookie, 'x-person': person } });
    for (const one of answer.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(one) ?? [];
      cookies.set(name, value);
    }
    const location = answer.headers.get('location');
    if (location === null) throw new Error(`No redirect: HTTP ${answer.status} ${await answer.text()}`);
    url = new URL(location, url);
    if (url.href.startsWith(until)) {
      const code = url.searchParams.get('code');
      if (code !== null) secret(code, 'a code of the double');
      return change(url);
    }
  }
  throw new Error('Too many redirects.');
}

async function listen(server: ReturnType<typeof createServer>): Promise<string> {
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
