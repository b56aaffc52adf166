import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Configuration, default as Provider } from 'oidc-provider';
import { createAdapters } from './idp-adapter.ts';
import { loginPage, type Page, problemPage } from './idp-page.ts';
import { builtInPeople, type People } from './people.ts';
import { type SigningKey, signingKey } from './signing-key.ts';

/** Seconds: longer than a session of the gateway. */
const GRANT_LIFETIME = 24 * 3600;
const TOKEN_LIFETIME = 600;
const LOGIN_LIFETIME = 600;
/** The gateway, to this provider: one confidential client. */
export const DEMO_CLIENT = 'verbatim';

export interface Idp {
  /** `http://127.0.0.1:<port>`: the `iss` of every token. */
  readonly issuer: string;
  close(): Promise<void>;
}

export interface IdpOptions {
  /** 0 takes any free port. */
  readonly port: number;
  /** Where logins come back to: `<publicUrl>/oauth/callback/<name>` of a gateway. Asked anew for each login. */
  readonly callbacks: () => readonly string[];
  /** That the gateway shows when it redeems a code. */
  readonly clientSecret: string;
  /** Left out: those that are written in the program. */
  readonly people?: People;
  /** Where the signing key stays (mode 0600). Without it each start has a key of its own. */
  readonly keyFile?: string;
  /** Where grants and refresh tokens stay (mode 0600), so that sessions outlive a restart on the same port. */
  readonly grantsFile?: string;
}

/**
 * The demo's identity provider: real OpenID Connect (code with PKCE, ID tokens with groups, refresh tokens) for made-up
 * people who have no passwords. It listens on loopback only.
 *
 * @throws Error with words for a person: the port is taken, or a file is unusable.
 */
export async function startIdp(options: IdpOptions): Promise<Idp> {
  const [key, library] = await Promise.all([signingKey(options.keyFile), import('oidc-provider')]);
  const people = options.people ?? builtInPeople;
  const http = await listen(options.port);
  const issuer = new URL(`http://127.0.0.1:${http.port}`).origin;
  const provider = new library.default(issuer, configuration(library, key, people, options));
  http.serve(createHandler(provider, issuer, library.errors, people));
  return { issuer, close: http.close };
}

function configuration(
  { errors, interactionPolicy }: typeof import('oidc-provider'),
  key: SigningKey,
  people: People,
  { callbacks, clientSecret, grantsFile }: IdpOptions,
): Configuration {
  const policy = interactionPolicy.base();
  // The one client is the gateway, which asks for consent itself.
  policy.get('consent')?.checks.clear();
  const adapters = createAdapters(() => new errors.InvalidGrant('it was used before'), grantsFile);
  const gateway = () => ({
    client_id: DEMO_CLIENT,
    client_name: 'Verbatim',
    client_secret: clientSecret,
    redirect_uris: [...callbacks()],
    token_endpoint_auth_method: 'client_secret_basic' as const,
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code' as const],
    id_token_signed_response_alg: 'ES256' as const,
  });
  const claimsOf = (name: string) => {
    const user = people.find(name);
    return user && { name: user.fullName, email: user.email, email_verified: true, groups: [...user.groups] };
  };

  return {
    adapter: (model) => {
      const adapter = adapters(model);
      if (model !== 'Client') return adapter;
      return { ...adapter, find: async (id) => (id === DEMO_CLIENT ? gateway() : undefined) };
    },
    clientAuthMethods: ['client_secret_basic', 'client_secret_post'],
    responseTypes: ['code'],
    scopes: ['openid', 'profile', 'email'],
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
        getResourceServerInfo: () => {
          throw new errors.InvalidTarget('this provider says who somebody is, and gives tokens for no resource');
        },
      },
    },
    ttl: {
      AccessToken: TOKEN_LIFETIME,
      AuthorizationCode: 60,
      Grant: GRANT_LIFETIME,
      IdToken: LOGIN_LIFETIME,
      Interaction: LOGIN_LIFETIME,
      RefreshToken: GRANT_LIFETIME,
      Session: LOGIN_LIFETIME,
    },
    rotateRefreshToken: true,
    issueRefreshToken: async () => true,
    // The adapter keeps no sessions, so nothing can depend on one.
    expiresWithSession: () => false,
    // Asked at each refresh too: somebody who is not there any more gets nothing.
    findAccount: (_ctx, name) => {
      const claims = claimsOf(name);
      return claims && { accountId: name, claims: () => ({ sub: name, ...claims }) };
    },
    loadExistingGrant: async (ctx) => {
      const { account, client, provider } = ctx.oidc;
      if (account === undefined || client === undefined) return undefined;
      const grant = new provider.Grant({ accountId: account.accountId, clientId: client.clientId });
      grant.addOIDCScope('openid profile email');
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

function createHandler(
  provider: Provider,
  issuer: string,
  errors: typeof import('oidc-provider').errors,
  people: People,
) {
  const protocol = provider.callback();

  async function login(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // Reads and checks the signed cookie: a login page works only in the browser that started the login.
    const { uid, params } = await provider.interactionDetails(request, response);
    if (request.url !== `/login/${uid}`) throw new errors.SessionNotFound('another login was started since');
    if (request.method === 'GET') {
      return send(response, loginPage(people.all(), String(params.redirect_uri)));
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
    const user = people.find(form.get('user'));
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
