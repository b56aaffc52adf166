/**
 * A double of a company's OpenID Connect provider, over real HTTP on loopback with real signatures: discovery, keys,
 * authorization endpoint (logs the chosen person in at once), token endpoint (PKCE, client authentication, rotating
 * refresh tokens with reuse detection, client credentials), userinfo. Strict about what it accepts; misbehaves, fails
 * and changes people when told to.
 */
import { createHash, randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';

type Claims = Record<string, unknown>;
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
  /** Another person's `sub` in userinfo. */
  userinfoSub: string | undefined;
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

interface Grant {
  readonly sub: string;
  readonly scope: readonly string[];
  readonly nonce?: string;
  readonly challenge?: string;
  readonly redirectUri?: string;
  readonly offline: boolean;
  used: boolean;
  readonly family: { dead: boolean };
}

class Refused extends Error {
  readonly status: number;
  constructor(code: string, status = 400) {
    super(code);
    this.status = status;
  }
}

export async function startOidcIdp(
  options: { path?: string; redirectUris?: readonly string[]; clientId?: string } = {},
): Promise<OidcIdp> {
  const { path = '', redirectUris, clientId = 'verbatim-gateway:1' } = options;
  const server = createServer((request, response) => void handle(request, response));
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const issuer = `${origin}${path}`;
  const stranger = await generateKeyPair('RS256');
  const keys: { kid: string; privateKey: CryptoKey; jwk: JWK }[] = [];
  const grants = new Map<string, Grant>();
  const accessTokens = new Map<string, { sub: string; scope: readonly string[] }>();
  const outages = new Map<IdpEndpoint, IdpOutage>();
  const secrets = new Set<string>();
  let lastAuthorization = new URLSearchParams();
  let clientSecret = '';

  const made = (kind: string): string => {
    const value = `CANARY-${kind}-${randomBytes(16).toString('base64url')}`;
    secrets.add(value);
    return value;
  };

  const idp: OidcIdp = {
    issuer,
    clientId,
    get clientSecret() {
      return clientSecret;
    },
    changeSecret() {
      clientSecret = `${made('client-secret')}%+: ~`;
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
      userinfoSub: undefined,
      tokenError: undefined,
    },
    authMethods: ['client_secret_basic', 'client_secret_post'],
    rotation: 'rotates',
    idTokenAtRefresh: true,
    calls: { discovery: 0, jwks: 0, authorize: 0, token: 0, userinfo: 0 },
    lastAuthorization: () => lastAuthorization,
    secrets,
    outage: (endpoint, what) => void (what === undefined ? outages.delete(endpoint) : outages.set(endpoint, what)),
    async rotateKeys() {
      const { publicKey, privateKey } = await generateKeyPair('RS256');
      const kid = `key-${keys.length + 1}`;
      keys.unshift({ kid, privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg: 'RS256', use: 'sig' } });
    },
    revoke(subject) {
      for (const { sub, family } of grants.values()) if (sub === subject) family.dead = true;
    },
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
    [`${path}/jwks`]: ['jwks', () => ({ keys: keys.map(({ jwk }) => jwk) })],
    [`${path}/authorize`]: ['authorize', authorize],
    [`${path}/token`]: ['token', token],
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
    const code = made('code');
    const offline = scope.includes('offline_access') || asked.get('access_type') === 'offline';
    const nonce = asked.get('nonce');
    const family = { dead: false };
    const grant = { sub, scope, challenge, redirectUri, offline, used: false, family };
    grants.set(code, nonce === null ? grant : { ...grant, nonce });
    back.searchParams.set('code', code);
    return back;
  }

  async function token(request: IncomingMessage, _url: URL, form: URLSearchParams): Promise<Claims> {
    if (request.method !== 'POST' || !isClient(request, form)) throw new Refused('invalid_client', 401);
    if (idp.misbehave.tokenError !== undefined) throw new Refused(idp.misbehave.tokenError);
    const type = form.get('grant_type');
    if (type === 'client_credentials') {
      const own = made('own-token');
      accessTokens.set(own, { sub: clientId, scope: (form.get('scope') ?? '').split(' ') });
      return { access_token: own, token_type: 'Bearer', expires_in: 3600 };
    }
    if (type === 'authorization_code') {
      const grant = used(form.get('code'), true);
      const verifier = createHash('sha256')
        .update(form.get('code_verifier') ?? '')
        .digest('base64url');
      if (form.get('redirect_uri') !== grant.redirectUri || verifier !== grant.challenge)
        throw new Refused('invalid_grant');
      return tokens(grant, { idToken: true, refreshToken: grant.offline ? made('refresh-token') : undefined });
    }
    if (type !== 'refresh_token') throw new Refused('unsupported_grant_type');
    const rotates = idp.rotation === 'rotates';
    const grant = used(form.get('refresh_token'), rotates);
    const { nonce: _, ...again } = grant;
    return tokens(again, { idToken: idp.idTokenAtRefresh, refreshToken: rotates ? made('refresh-token') : undefined });
  }

  /** A second use of what is used up ends all that came of it. */
  function used(name: string | null, once: boolean): Grant {
    const grant = grants.get(name ?? '');
    if (grant === undefined) throw new Refused('invalid_grant');
    if (grant.used) grant.family.dead = true;
    if (grant.family.dead || !idp.people.has(grant.sub)) throw new Refused('invalid_grant');
    if (once) grant.used = true;
    return grant;
  }

  async function tokens(
    grant: Grant,
    { idToken, refreshToken }: { idToken: boolean; refreshToken: string | undefined },
  ): Promise<Claims> {
    const accessToken = made('access-token');
    accessTokens.set(accessToken, grant);
    if (refreshToken !== undefined) {
      const { challenge: _, redirectUri: __, ...kept } = grant;
      grants.set(refreshToken, { ...kept, used: false });
    }
    return {
      access_token: accessToken,
      token_type: 'Bearer',
      expires_in: 300,
      ...(idToken ? { id_token: await idTokenFor(grant) } : {}),
      ...(refreshToken === undefined ? {} : { refresh_token: refreshToken }),
    };
  }

  async function idTokenFor({ sub, nonce }: Grant): Promise<string> {
    const now = Math.floor(Date.now() / 1000);
    const person = Object.entries(idp.people.get(sub) ?? {}).filter(([name]) => !idp.onlyInUserinfo.has(name));
    const own = {
      iss: issuer,
      sub,
      aud: clientId,
      iat: now,
      exp: now + 300,
      ...(nonce === undefined ? {} : { nonce }),
    };
    const claims = { ...Object.fromEntries(person), ...own, ...idp.misbehave.idToken };
    const signed = await sign(JSON.parse(JSON.stringify(claims)) as Claims);
    secrets.add(signed);
    return signed;
  }

  async function sign(claims: Claims): Promise<string> {
    const [key] = keys;
    if (key === undefined) throw new Error('no key');
    const { signed } = idp.misbehave;
    if (signed === 'none') {
      const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
      return `${part({ alg: 'none' })}.${part(claims)}.`;
    }
    const token = new SignJWT(claims);
    if (signed === 'HS256') {
      // With the client's secret, which the gateway has as well.
      return token.setProtectedHeader({ alg: 'HS256', kid: key.kid }).sign(Buffer.from(clientSecret));
    }
    const kid = signed === 'unknown kid' ? 'nobody' : key.kid;
    token.setProtectedHeader({ alg: 'RS256', kid, typ: 'JWT' });
    return token.sign(signed === 'right' ? key.privateKey : stranger.privateKey);
  }

  function userinfo(request: IncomingMessage): Claims {
    const found = accessTokens.get(request.headers.authorization?.replace(/^Bearer /, '') ?? '');
    if (found === undefined) throw new Refused('invalid_token', 401);
    return { ...idp.people.get(found.sub), sub: idp.misbehave.userinfoSub ?? found.sub };
  }

  /** RFC 6749, section 2.3.1: one way at a time, and one that is accepted. */
  function isClient(request: IncomingMessage, form: URLSearchParams): boolean {
    const { authorization } = request.headers;
    if (authorization === undefined) {
      const right = form.get('client_id') === clientId && form.get('client_secret') === clientSecret;
      return right && idp.authMethods.includes('client_secret_post');
    }
    secrets.add(authorization);
    const joined = Buffer.from(authorization.replace(/^Basic /, ''), 'base64').toString();
    const [id, secret, ...more] = joined.split(':').map((part) => new URLSearchParams(`x=${part}`).get('x'));
    const right = id === clientId && secret === clientSecret && more.length === 0 && !form.has('client_secret');
    return right && idp.authMethods.includes('client_secret_basic');
  }

  return idp;
}

function fail(response: ServerResponse, what: IdpOutage): void {
  if (what === 'gone') response.destroy();
  else if (what === 'html') response.writeHead(200, { 'content-type': 'text/html' }).end('<h1>Proxy</h1>');
  else if (what === 'garbage') response.writeHead(200, { 'content-type': 'application/json' }).end('{');
  else response.writeHead(what, { 'content-type': 'text/plain' }).end('trouble');
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response
    .writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' })
    .end(JSON.stringify(body));
}
