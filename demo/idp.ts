import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Configuration, default as Provider } from 'oidc-provider';
import { createAdapters } from './idp-adapter.ts';
import { loginPage, type Page, problemPage } from './idp-page.ts';
import { type SigningKey, signingKey } from './signing-key.ts';
import { DEMO_USERS, demoUser } from './users.ts';

/** Seconds: a working day, as long as a session of the gateway lasts without a pause. */
const ACCESS_TOKEN_LIFETIME = 8 * 3600;
const LOGIN_LIFETIME = 600;
/** The one scope of a resource: whether a call is allowed is the gateway's policy, not a matter of scopes. */
const RESOURCE_SCOPE = 'mcp';

export interface Idp {
  /** `http://127.0.0.1:<port>`: the `iss` of every token. */
  readonly issuer: string;
  close(): Promise<void>;
}

/**
 * The demo's identity provider: real OpenID Connect (code with PKCE, RFC 8707 resources, RFC 9068 access tokens) for
 * made-up people who have no passwords. It listens on loopback only.
 *
 * @param options.port 0 takes any free port.
 * @param options.resources the URLs that a token may be for, asked anew for each login; compared to the letter.
 * @param options.keyFile where the signing key stays (mode 0600), so that tokens outlive a restart on the same port.
 *   Without it each start has a key of its own.
 * @throws Error with words for a person: the port is taken, or the key file is unusable.
 */
export async function startIdp(options: {
  port: number;
  resources: () => readonly string[];
  keyFile?: string;
}): Promise<Idp> {
  const [key, library] = await Promise.all([signingKey(options.keyFile), import('oidc-provider')]);
  const http = await listen(options.port);
  const issuer = new URL(`http://127.0.0.1:${http.port}`).origin;
  const provider = new library.default(issuer, configuration(library, key, options.resources));
  http.serve(createHandler(provider, issuer, library.errors));
  return { issuer, close: http.close };
}

function configuration(
  { errors, interactionPolicy }: typeof import('oidc-provider'),
  key: SigningKey,
  resources: () => readonly string[],
): Configuration {
  const policy = interactionPolicy.base();
  // The clients are the demo's own, so nobody is asked for consent: this check would ask for it in each native login.
  policy.get('consent')?.checks.remove('native_client_prompt');

  return {
    adapter: createAdapters(() => new errors.InvalidGrant('it was used before')),
    clients: [
      {
        client_id: 'verbatim-cli',
        client_name: 'The verbatim command line',
        // Native clients may use any port on the loopback address (RFC 8252, section 7.3).
        application_type: 'native',
        redirect_uris: ['http://127.0.0.1/callback'],
        token_endpoint_auth_method: 'none',
        grant_types: ['authorization_code'],
        response_types: ['code'],
        id_token_signed_response_alg: 'ES256',
      },
    ],
    // Dynamic registration stays off (the library's default): MCP clients will register at the gateway's own
    // authorization server, and to an identity provider the gateway is one registered client.
    clientAuthMethods: ['none'],
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    responseTypes: ['code'],
    scopes: ['openid', RESOURCE_SCOPE],
    pkce: { required: () => true },
    jwks: { keys: [{ ...key, use: 'sig', alg: 'ES256' }] },
    cookies: { keys: [randomBytes(32).toString('base64url')] },
    clientBasedCORS: () => false,
    claims: { openid: ['sub', 'name', 'email', 'email_verified', 'groups'] },
    conformIdTokenClaims: false,
    interactions: { policy, url: (_ctx, interaction) => `/login/${interaction.uid}` },
    features: {
      devInteractions: { enabled: false },
      dPoP: { enabled: false },
      pushedAuthorizationRequests: { enabled: false },
      rpInitiatedLogout: { enabled: false },
      userinfo: { enabled: false },
      resourceIndicators: {
        enabled: true,
        // Without this throw a login that names no resource would go on to a token for nobody in particular.
        defaultResource: () => {
          throw new errors.InvalidTarget('the resource parameter is missing (RFC 8707)');
        },
        getResourceServerInfo: (ctx, resource) => {
          if (ctx.oidc.params?.resource !== resource)
            throw new errors.InvalidTarget('ask for one resource at a time (RFC 8707)');
          if (!resources().includes(resource)) throw new errors.InvalidTarget('this resource is not known here');
          return {
            scope: RESOURCE_SCOPE,
            audience: resource,
            accessTokenTTL: ACCESS_TOKEN_LIFETIME,
            accessTokenFormat: 'jwt',
            jwt: { sign: { alg: 'ES256' } },
          };
        },
        useGrantedResource: () => true,
      },
    },
    ttl: {
      AccessToken: ACCESS_TOKEN_LIFETIME,
      AuthorizationCode: 60,
      Grant: ACCESS_TOKEN_LIFETIME,
      IdToken: LOGIN_LIFETIME,
      Interaction: LOGIN_LIFETIME,
      Session: LOGIN_LIFETIME,
    },
    // The adapter keeps no sessions, so nothing can depend on one.
    expiresWithSession: () => false,
    findAccount: (_ctx, name) => {
      const user = demoUser(name);
      return user && { accountId: user.name, claims: () => ({ sub: user.name, ...claims(user.name) }) };
    },
    extraTokenClaims: (_ctx, token) => ('accountId' in token ? claims(token.accountId) : undefined),
    loadExistingGrant: async (ctx) => {
      const { account, client, provider, resourceServers } = ctx.oidc;
      if (account === undefined || client === undefined) return undefined;
      const grant = new provider.Grant({ accountId: account.accountId, clientId: client.clientId });
      grant.addOIDCScope(`openid ${RESOURCE_SCOPE}`);
      for (const resource of Object.keys(resourceServers ?? {})) grant.addResourceScope(resource, RESOURCE_SCOPE);
      await grant.save();
      return grant;
    },
    renderError: (ctx, out) => {
      const { html, headers } = problemPage(
        ctx.status,
        'This login can not go on',
        `${out.error_description ?? out.error} (${out.error}). Start it again from the program that opened this page.`,
      );
      ctx.set(headers);
      ctx.body = html;
    },
  };
}

function claims(name: string): { name: string; email: string; email_verified: true; groups: string[] } | undefined {
  const user = demoUser(name);
  return user && { name: user.fullName, email: user.email, email_verified: true, groups: [...user.groups] };
}

function createHandler(provider: Provider, issuer: string, errors: typeof import('oidc-provider').errors) {
  const protocol = provider.callback();

  async function login(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // Reads and checks the signed cookie: a login page works only in the browser that started the login.
    const { uid, params } = await provider.interactionDetails(request, response);
    if (request.url !== `/login/${uid}`) throw new errors.SessionNotFound('another login was started since');
    if (request.method === 'GET') {
      const client = await provider.Client.find(String(params.client_id));
      return send(
        response,
        loginPage(DEMO_USERS, client?.clientName ?? '', String(params.resource), String(params.redirect_uri)),
      );
    }
    if (request.method !== 'POST') {
      response.setHeader('Allow', 'GET, POST');
      return send(response, problemPage(405, 'Not here', 'This page knows GET and POST only.'));
    }
    const { origin } = request.headers;
    if (origin !== undefined && origin !== issuer)
      return send(response, problemPage(403, 'Not from here', 'This answer came from another page.'));
    const body = await readForm(request);
    if (body === undefined) return send(response, problemPage(413, 'Too long', 'The form of this page is shorter.'));
    const form = new URLSearchParams(body);
    if (form.has('cancel'))
      return provider.interactionFinished(request, response, {
        error: 'access_denied',
        error_description: 'the person cancelled the login',
      });
    const user = demoUser(form.get('user'));
    if (user === undefined)
      return send(response, problemPage(400, 'Nobody by that name', 'Go back and choose one of the people shown.'));
    return provider.interactionFinished(request, response, { login: { accountId: user.name, remember: false } });
  }

  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    // The provider builds its URLs from Host, and a foreign name that resolves to loopback is how a web page would
    // reach this server (DNS rebinding).
    if (request.headers.host !== new URL(issuer).host)
      return send(response, problemPage(421, 'Another address', `This is ${issuer} and answers to that name only.`));
    if (!request.url?.startsWith('/login/')) return protocol(request, response);
    try {
      await login(request, response);
    } catch (error) {
      if (response.headersSent) response.destroy();
      else if (error instanceof errors.OIDCProviderError)
        send(response, problemPage(400, 'This login is over', 'Start it again from the program that opened it.'));
      else send(response, problemPage(500, 'The demo failed', 'Stop it and start it again.'));
    }
  };
}

/** The form is a name and a value; anything longer is not ours: undefined. */
async function readForm(request: IncomingMessage): Promise<string | undefined> {
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of request) {
    length += piece.length;
    if (length > 1024) return undefined;
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString('utf8');
}

function send(response: ServerResponse, page: Page): void {
  response.writeHead(page.status, page.headers);
  response.end(page.html);
}

/** The port is taken before the provider is made, which has to know its own address. */
async function listen(port: number) {
  let serve: (handler: ReturnType<typeof createHandler>) => void = () => {};
  const ready = new Promise<ReturnType<typeof createHandler>>((resolve) => {
    serve = resolve;
  });
  const server = createServer(async (request, response) => (await ready)(request, response));
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) =>
      reject(
        'code' in error && error.code === 'EADDRINUSE'
          ? new Error(`Port ${port} of 127.0.0.1 is taken: the demo's identity provider needs another.`)
          : error,
      ),
    );
    server.listen(port, '127.0.0.1', resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    serve,
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}
