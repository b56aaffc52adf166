/**
 * A double of a company's OpenID Connect provider, over real HTTP on loopback with real signatures: discovery, keys,
 * authorization endpoint (logs the chosen person in at once), token endpoint (PKCE, client authentication, rotating
 * refresh tokens with reuse detection, client credentials), userinfo. Strict about what it accepts; misbehaves, fails
 * and changes people when told to.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Claims, createTokens, Refused } from './oidc-idp-tokens.ts';

export type IdpEndpoint = 'discovery' | 'jwks' | 'authorize' | 'token' | 'userinfo';
/** A status to answer with, a socket that is closed without an answer, or an answer that nobody should give. */
export type IdpOutage = 400 | 403 | 429 | 500 | 503 | 'gone' | 'html' | 'garbage';

export interface Misbehaviour {
  /** Laid over the claims of ID tokens; `undefined` takes one away. */
  idToken: Claims;
  /** How ID tokens are signed. `stranger`: with a key that is not published, under the kid of one that is. */
  signed: 'right' | 'none' | 'HS256' | 'stranger' | 'unknown kid';
  /** `iss` of the authorization response: `undefined` leaves it out. */
  iss: string | undefined;
  /** An error that the authorization endpoint answers with. */
  deny: string | undefined;
  /** Laid over userinfo. */
  userinfo: Claims;
  /** An error that the token endpoint answers with. */
  tokenError: string | undefined;
}

export interface OidcIdp {
  readonly issuer: string;
  readonly clientId: string;
  /** Changes with `changeSecret`. */
  readonly clientSecret: string;
  changeSecret(): void;
  /** Claims by `sub`. What changes here is in the next token. */
  readonly people: Map<string, Claims>;
  /** Whom the browser logs in as, unless `login_hint` is somebody's e-mail address. */
  chosen: string;
  /** Which claims ID tokens do not have, but userinfo has. */
  readonly onlyInUserinfo: Set<string>;
  /** Laid over the discovery document. */
  metadata: Claims;
  readonly misbehave: Misbehaviour;
  /** Ways to authenticate that are accepted and announced. */
  authMethods: ('client_secret_basic' | 'client_secret_post')[];
  /** Refresh tokens stay as they are, as Google's do; or come without ID token. */
  rotation: 'rotates' | 'stays';
  idTokenAtRefresh: boolean;
  /** `always`: without offline access too, as Keycloak does. */
  refreshTokens: 'asked for' | 'always';
  readonly calls: Record<IdpEndpoint, number>;
  /** Parameters of the last authorization request. */
  lastAuthorization(): URLSearchParams;
  /** Every token and code that was given out. */
  readonly secrets: Set<string>;
  outage(endpoint: IdpEndpoint, what: IdpOutage | undefined): void;
  /** The next signatures are by another key; the one before stays published. */
  rotateKeys(): Promise<void>;
  /** Ends all refresh tokens of a person, as suspending the account does. */
  revoke(subject: string): void;
  /** As a browser that is logged in: follows the authorization URL to where it is sent back. */
  browse(url: string): Promise<URL>;
  close(): Promise<void>;
}

export async function startOidcIdp(
  options: { path?: string; redirectUris?: readonly string[]; clientId?: string } = {},
): Promise<OidcIdp> {
  const { path = '', redirectUris, clientId = 'verbatim-gateway:1' } = options;
  const server = createServer((request, response) => void handle(request, response));
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const issuer = `${origin}${path}`;
  const outages = new Map<IdpEndpoint, IdpOutage>();
  const tokens = await createTokens(() => idp);
  let lastAuthorization = new URLSearchParams();
  let clientSecret = '';

  const idp: OidcIdp = {
    issuer,
    clientId,
    get clientSecret() {
      return clientSecret;
    },
    changeSecret() {
      clientSecret = `${tokens.made('client-secret')}%+: ~`;
    },
    people: new Map(),
    chosen: '',
    onlyInUserinfo: new Set(),
    metadata: {},
    misbehave: {
      idToken: {},
      signed: 'right',
      iss: issuer,
      deny: undefined,
      userinfo: {},
      tokenError: undefined,
    },
    authMethods: ['client_secret_basic', 'client_secret_post'],
    rotation: 'rotates',
    idTokenAtRefresh: true,
    refreshTokens: 'asked for',
    calls: { discovery: 0, jwks: 0, authorize: 0, token: 0, userinfo: 0 },
    lastAuthorization: () => lastAuthorization,
    secrets: new Set(),
    outage: (endpoint, what) => void (what === undefined ? outages.delete(endpoint) : outages.set(endpoint, what)),
    rotateKeys: tokens.rotateKeys,
    revoke: tokens.revoke,
    async browse(url) {
      const response = await fetch(url, { redirect: 'manual' });
      const location = response.headers.get('location');
      if (location === null) throw new Error(`The authorization endpoint answered ${response.status}.`);
      return new URL(location);
    },
    async close() {
      server.closeAllConnections();
      await new Promise<void>((done) => server.close(() => done()));
    },
  };
  idp.changeSecret();
  await idp.rotateKeys();

  const endpoints: Record<
    string,
    readonly [IdpEndpoint, (request: IncomingMessage, url: URL, form: URLSearchParams) => unknown]
  > = {
    [`${path}/.well-known/openid-configuration`]: ['discovery', discovery],
    [`${path}/jwks`]: ['jwks', tokens.jwks],
    [`${path}/authorize`]: ['authorize', authorize],
    [`${path}/token`]: ['token', tokens.token],
    [`${path}/userinfo`]: ['userinfo', userinfo],
  };

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '', origin);
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks).toString();
    const [endpoint, answer] = endpoints[url.pathname] ?? [];
    if (endpoint === undefined || answer === undefined) return void response.writeHead(404).end();
    idp.calls[endpoint]++;
    const what = outages.get(endpoint);
    if (what !== undefined) return fail(response, what);
    try {
      const answered = await answer(request, url, new URLSearchParams(body));
      if (answered instanceof URL) response.writeHead(303, { location: answered.href }).end();
      else sendJson(response, 200, answered);
    } catch (error) {
      const { message, status } = error instanceof Refused ? error : new Refused('server_error', 500);
      // As a careless server would: its words quote the request.
      sendJson(response, status, { error: message, error_description: `${request.headers.authorization} ${body}` });
    }
  }

  function discovery(): Claims {
    return {
      issuer,
      authorization_endpoint: `${issuer}/authorize`,
      token_endpoint: `${issuer}/token`,
      userinfo_endpoint: `${issuer}/userinfo`,
      jwks_uri: `${issuer}/jwks`,
      response_types_supported: ['code'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: ['none', 'HS256', 'RS256'],
      scopes_supported: ['openid', 'profile', 'email', 'offline_access'],
      token_endpoint_auth_methods_supported: idp.authMethods,
      code_challenge_methods_supported: ['S256'],
      authorization_response_iss_parameter_supported: true,
      ...idp.metadata,
    };
  }

  function authorize(request: IncomingMessage, { searchParams: asked }: URL): URL {
    lastAuthorization = asked;
    const redirectUri = asked.get('redirect_uri') ?? '';
    const known = redirectUris?.includes(redirectUri) ?? URL.canParse(redirectUri);
    // Neither is told by a redirect: RFC 6749, section 4.1.2.1.
    if (request.method !== 'GET' || asked.get('client_id') !== clientId || !known) throw new Refused('invalid_request');
    const back = new URL(redirectUri);
    if (asked.has('state')) back.searchParams.set('state', asked.get('state') ?? '');
    if (idp.misbehave.iss !== undefined) back.searchParams.set('iss', idp.misbehave.iss);
    const scope = (asked.get('scope') ?? '').split(' ');
    const challenge = asked.get('code_challenge') ?? '';
    const right =
      asked.get('response_type') === 'code' &&
      scope.includes('openid') &&
      challenge.length === 43 &&
      asked.get('code_challenge_method') === 'S256';
    const [hinted] = [...idp.people].find(([, { email }]) => email === (asked.get('login_hint') ?? '')) ?? [];
    const sub = hinted ?? idp.chosen;
    const error = right
      ? (idp.misbehave.deny ?? (idp.people.has(sub) ? undefined : 'access_denied'))
      : 'invalid_request';
    if (error !== undefined) {
      back.searchParams.set('error', error);
      return back;
    }
    const offline =
      idp.refreshTokens === 'always' || scope.includes('offline_access') || asked.get('access_type') === 'offline';
    const nonce = asked.get('nonce');
    const grant = { sub, challenge, redirectUri, offline, ...(nonce === null ? {} : { nonce }) };
    back.searchParams.set('code', tokens.code(grant));
    return back;
  }

  function userinfo(request: IncomingMessage): Claims {
    const sub = tokens.subjectOf(request.headers.authorization?.replace(/^Bearer /, '') ?? '');
    if (sub === undefined) throw new Refused('invalid_token', 401);
    return { ...idp.people.get(sub), sub, ...idp.misbehave.userinfo };
  }

  return idp;
}

function fail(response: ServerResponse, what: IdpOutage): void {
  if (what === 'gone') response.destroy();
  else if (what === 'html') response.writeHead(200, { 'content-type': 'text/html' }).end('<h1>Proxy</h1>');
  else if (what === 'garbage') response.writeHead(200, { 'content-type': 'application/json' }).end('{');
  else if (what < 429) response.writeHead(what, { 'content-type': 'text/plain' }).end('trouble');
  // An overloaded server says what it says; its status counts.
  else sendJson(response, what, { error: 'invalid_grant' });
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response
    .writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' })
    .end(JSON.stringify(body));
}
