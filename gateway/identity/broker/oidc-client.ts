import { type CredentialFetch, createCredentialFetch } from '../../proxy/credential-fetch.ts';
import type { Claims } from './groups-claim.ts';
import type { LoginAnswer } from './identity-provider.ts';
import { createDiscovery, type Registration } from './oidc-discovery.ts';
import { refusalOf } from './oidc-refusal.ts';
import { refusal } from './refusal.ts';

type Library = typeof import('openid-client');

/** Nothing of it leaves this gateway. */
export interface OidcTokens {
  /** Of the ID token: signature, issuer, audience, times and, at a login, nonce are right. Absent: there was none. */
  readonly claims?: Claims;
  readonly accessToken: string;
  readonly refreshToken?: string;
}

interface Begun {
  readonly state: string;
  readonly callback: string;
  readonly memory: Readonly<Record<string, string>>;
}

/**
 * One confidential client of one OpenID Connect provider: authorization code, PKCE S256, nonce, state, and `iss` of the
 * answer (RFC 9207) where the provider announces it. All functions throw `LoginRefused`.
 */
export interface OidcClient {
  begin(
    login: { state: string; callback: string; loginHint?: string; fresh?: true },
    /** `offline`: `offline_access` is asked for where the provider has it. */
    asked: { scopes: readonly string[]; offline: boolean; parameters?: Readonly<Record<string, string>> },
  ): Promise<{ url: string; memory: Readonly<Record<string, string>> }>;
  finish(answer: LoginAnswer, login: Begun): Promise<OidcTokens & { readonly claims: Claims }>;
  refresh(refreshToken: string): Promise<OidcTokens>;
  /** Undefined where the provider has none. Another person's is refused. */
  userinfo(accessToken: string, subject: string, step: 'login' | 'recheck'): Promise<Claims | undefined>;
  /** A token of this gateway's own (client credentials), and milliseconds for which it is good. */
  ownToken(scope: string): Promise<{ token: string; life: number }>;
}

/** For an answer without `expires_in`, which is only recommended. */
const UNSAID_LIFE_S = 300;

export function createOidcClient(
  deps: Registration & { fetch?: CredentialFetch | undefined; now?: (() => number) | undefined },
): OidcClient {
  const { issuer, clientId, clientSecret, now = Date.now, fetch = createCredentialFetch() } = deps;
  const discovery = createDiscovery({ issuer, clientId, clientSecret: readable(clientSecret), fetch, now });

  async function ask<T>(
    step: 'login' | 'recheck',
    use: (library: Library, configuration: Awaited<ReturnType<typeof discovery.configuration>>) => Promise<T>,
  ): Promise<T> {
    const library = await import('openid-client');
    const configuration = await discovery.configuration();
    try {
      return await use(library, configuration);
    } catch (error) {
      throw refusalOf(library, error, step);
    }
  }

  /** OpenID Connect Core, section 3.1.3.7: the library looks at `azp` only where there are several audiences. */
  const forUs = (claims: Claims | undefined): Claims | undefined => {
    if (claims?.azp === undefined || claims.azp === clientId) return claims;
    throw refusal('answer_invalid', 'azp is another client');
  };

  return {
    begin: ({ state, callback, loginHint, fresh }, { scopes, offline, parameters = {} }) =>
      ask('login', async (library, configuration) => {
        const verifier = library.randomPKCECodeVerifier();
        const nonce = library.randomNonce();
        const { scopes_supported = [] } = configuration.serverMetadata();
        const offered = offline && scopes_supported.includes('offline_access') ? ['offline_access'] : [];
        const url = library.buildAuthorizationUrl(configuration, {
          // OpenID Connect Core, section 3.1.2.1: with `max_age` the ID token says when they did.
          ...(fresh === undefined ? {} : { prompt: 'login', max_age: '0' }),
          ...parameters,
          redirect_uri: new URL(callback).href,
          scope: [...new Set(['openid', ...scopes, ...offered])].join(' '),
          code_challenge: await library.calculatePKCECodeChallenge(verifier),
          code_challenge_method: 'S256',
          state,
          nonce,
          ...(loginHint === undefined ? {} : { login_hint: loginHint }),
        });
        return { url: url.href, memory: { issuer, verifier, nonce } };
      }),

    async finish({ url }, { state, callback, memory }) {
      const { verifier, nonce } = memory;
      // Mix-up defence where a provider does not say who it is: what began at one provider does not end at another.
      if (memory.issuer !== issuer || verifier === undefined || nonce === undefined) {
        throw refusal('answer_invalid', 'this login began at another provider');
      }
      const answered = new URL(callback);
      answered.search = url.search;
      return ask('login', async (library, configuration) => {
        const tokens = await library.authorizationCodeGrant(configuration, answered, {
          expectedState: state,
          expectedNonce: nonce,
          pkceCodeVerifier: verifier,
          idTokenExpected: true,
        });
        const claims = forUs(tokens.claims());
        if (claims === undefined) throw refusal('answer_invalid', 'there is no ID token');
        return { ...tokensOf(tokens), claims };
      });
    },

    refresh: (refreshToken) =>
      ask('recheck', async (library, configuration) => {
        const tokens = await library.refreshTokenGrant(configuration, refreshToken);
        const claims = forUs(tokens.claims());
        return { ...tokensOf(tokens), ...(claims === undefined ? {} : { claims }) };
      }),

    userinfo: (accessToken, subject, step) =>
      ask(step, async (library, configuration) => {
        if (configuration.serverMetadata().userinfo_endpoint === undefined) return undefined;
        return library.fetchUserInfo(configuration, accessToken, subject);
      }),

    ownToken: (scope) =>
      ask('recheck', async (library, configuration) => {
        const tokens = await library.clientCredentialsGrant(configuration, { scope });
        return { token: tokens.access_token, life: (tokens.expires_in ?? UNSAID_LIFE_S) * 1000 };
      }),
  };
}

function tokensOf(tokens: { access_token: string; refresh_token?: string }): Omit<OidcTokens, 'claims'> {
  const { access_token: accessToken, refresh_token: refreshToken } = tokens;
  return { accessToken, ...(refreshToken === undefined ? {} : { refreshToken }) };
}

/** A secret that can not be read is nobody's fault who logs in. */
function readable(clientSecret: () => Promise<string>): () => Promise<string> {
  return async () => {
    const secret = await clientSecret().catch(() => '');
    if (secret === '') throw refusal('provider_unavailable', 'the client secret can not be read');
    return secret;
  };
}

/** The value of `state` in an answer; undefined where there is none, or several. */
export function stateOf({ url }: LoginAnswer): string | undefined {
  const [state, ...more] = url.searchParams.getAll('state');
  return more.length > 0 || state === '' ? undefined : state;
}
