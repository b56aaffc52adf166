/** Requests to an authorization server with a person's code or refresh token. What it answers is never kept in an error. */
import { bearerHeader, refusedByIssuer } from './credential-answer.ts';
import { ownError } from './credential-error.ts';
import type { UpstreamClient } from './credential-user-client.ts';
import type { AuthorizationServer } from './credential-user-discovery.ts';
import type { UserFetch } from './credential-user-fetch.ts';

/** Times in milliseconds since the epoch. */
export interface GrantedTokens {
  readonly access: string;
  readonly refresh?: string;
  readonly obtained: number;
  /** Absent: the server does not say, and nothing could be refreshed. */
  readonly expires?: number;
}

/** `grant_over`: the person's consent is. `client_unknown`: the gateway's registration is. */
export type GrantAnswer =
  | { readonly kind: 'granted'; readonly tokens: GrantedTokens }
  | { readonly kind: 'grant_over' }
  | { readonly kind: 'client_unknown' };

export interface Granting {
  readonly server: AuthorizationServer;
  readonly client: UpstreamClient;
  readonly fetch: UserFetch;
  readonly now: () => number;
  /** RFC 8707: in every request, so that no token is good elsewhere. */
  readonly resource: string;
}

/** `expires_in` is only recommended. A call that is refused earlier has the token refreshed. */
const UNSAID_LIFE_S = 3600;
const TOKEN = /^[\x20-\x7e]{1,32768}$/;

/**
 * Trades the code of an answer to the authorization request. `url` is where the browser came back to. Throws
 * `AnswerRefused`, `credential_unavailable`.
 */
export async function exchangeCode(
  granting: Granting,
  answer: { url: URL; state: string; verifier: string },
): Promise<GrantAnswer> {
  const { url, state, verifier } = answer;
  return ask(granting, (oauth, configuration) =>
    // Checks `state` and, to the letter, `iss` (RFC 9207) before anything is sent.
    oauth.authorizationCodeGrant(
      configuration,
      url,
      { pkceCodeVerifier: verifier, expectedState: state },
      { resource: granting.resource },
    ),
  );
}

/** Throws `credential_unavailable`. */
export async function refreshTokens(granting: Granting, refresh: string): Promise<GrantAnswer> {
  const answer = await ask(granting, (oauth, configuration) =>
    oauth.refreshTokenGrant(configuration, refresh, { resource: granting.resource }),
  );
  // RFC 6749, section 6: without a new one the old one stays good.
  return answer.kind === 'granted' ? { kind: 'granted', tokens: { refresh, ...answer.tokens } } : answer;
}

/** RFC 7009, where the server can. Never throws: what it does not hear of ends by itself. */
export async function revokeToken(granting: Omit<Granting, 'resource'>, refresh: string): Promise<boolean> {
  const { server } = granting;
  if (server.revocation_endpoint === undefined) return false;
  try {
    const { oauth, configuration } = await configure(granting);
    await oauth.tokenRevocation(configuration, refresh, { token_type_hint: 'refresh_token' });
    return true;
  } catch {
    return false;
  }
}

type Oauth = typeof import('openid-client');
type TokenResponse = Awaited<ReturnType<Oauth['refreshTokenGrant']>>;

/** The answer to the authorization request is not acceptable: nothing was sent because of it. */
export class AnswerRefused extends Error {
  override readonly name = 'AnswerRefused';
  /** It is an answer, and it says no. */
  readonly denied: boolean;

  constructor(denied: boolean) {
    super(denied ? 'The answer says no.' : 'The answer is not one to this request.');
    this.denied = denied;
  }
}

async function ask(
  granting: Granting,
  request: (oauth: Oauth, configuration: InstanceType<Oauth['Configuration']>) => Promise<TokenResponse>,
): Promise<GrantAnswer> {
  const { server, now } = granting;
  const { oauth, configuration, asked } = await configure(granting);
  const obtained = now();
  let answer: TokenResponse;
  try {
    answer = await request(oauth, configuration);
  } catch (error) {
    const own = ownError(error);
    if (own !== undefined) throw own;
    // Not as a cause: it holds the answer's parameters, with the code.
    if (asked.status === undefined) throw new AnswerRefused(error instanceof oauth.AuthorizationResponseError);
    const { error: word } = error as { error?: unknown };
    if (word === 'invalid_grant') return { kind: 'grant_over' };
    if (word === 'invalid_client' || word === 'unauthorized_client' || asked.status === 401) {
      return { kind: 'client_unknown' };
    }
    throw refusedByIssuer(server.token_endpoint, asked.status, word);
  }
  if (answer.token_type.toLowerCase() !== 'bearer') throw refusedByIssuer(server.token_endpoint, 200, undefined);
  bearerHeader(answer.access_token, server.token_endpoint);
  const refresh = answer.refresh_token;
  // Going on with the one before it would look like theft to a server that rotates.
  if (refresh !== undefined && !TOKEN.test(refresh)) throw refusedByIssuer(server.token_endpoint, 200, undefined);
  const life = answer.expires_in ?? (refresh === undefined ? undefined : UNSAID_LIFE_S);
  return {
    kind: 'granted',
    tokens: {
      access: answer.access_token,
      ...(refresh === undefined ? {} : { refresh }),
      obtained,
      ...(life === undefined ? {} : { expires: obtained + life * 1000 }),
    },
  };
}

async function configure({ server, client, fetch }: Pick<Granting, 'server' | 'client' | 'fetch'>) {
  const oauth = await import('openid-client');
  const { id, secret = '', auth } = client;
  const authenticate = {
    none: () => oauth.None(),
    client_secret_basic: () => oauth.ClientSecretBasic(secret),
    client_secret_post: () => oauth.ClientSecretPost(secret),
  }[auth]();
  const configuration = new oauth.Configuration(definedOnly(server), id, {}, authenticate);
  // Which address may be asked in clear is for `fetch` to say.
  oauth.allowInsecureRequests(configuration);
  const asked: { status?: number } = {};
  configuration[oauth.customFetch] = async (url, { method, headers, body }) => {
    if (method !== 'POST' || !(body instanceof URLSearchParams)) throw new Error('not a token request');
    const response = await fetch(url, { method, headers, body: body.toString() });
    asked.status = response.status;
    return response;
  };
  return { oauth, configuration, asked };
}

type Defined<T> = { [K in keyof T]: Exclude<T[K], undefined> };

/** Optional members of a schema come out as ones that hold `undefined`; the library's types say that they are absent. */
function definedOnly<T extends object>(value: T): Defined<T> {
  return Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined)) as Defined<T>;
}
