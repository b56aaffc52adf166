/** What an SDK client keeps of its login, with a browser that logs in as somebody of the demo. */
import * as sdk2 from '@modelcontextprotocol/client';
import type { OAuthClientProvider } from '@modelcontextprotocol/sdk/client/auth.js';
import { loginAs } from '../gateway/cli/login-as.ts';
import { issued } from './canaries.ts';

export interface LoginStorage extends OAuthClientProvider {
  /** Where the browser came back to, last. */
  arrived(): URL;
  /** How often somebody had to log in. */
  logins(): number;
  spoilAccessToken(): void;
  kept(): { readonly accessToken: string; readonly refreshToken: string };
}

type Tokens = Parameters<OAuthClientProvider['saveTokens']>[0];
type Client = Awaited<ReturnType<OAuthClientProvider['clientInformation']>>;

const REDIRECT = 'http://127.0.0.1:9/callback';

/** Sites of a login that `loginAs` does not know: where the browser is sent from there, or undefined. */
type Elsewhere = (url: URL) => Promise<URL | undefined>;

export function createLoginStorage(user: string, elsewhere?: Elsewhere): LoginStorage {
  let client: Client;
  let tokens: Tokens | undefined;
  let verifier = '';
  let arrived: URL | undefined;
  let logins = 0;
  return {
    redirectUrl: REDIRECT,
    clientMetadata: { client_name: 'A test', redirect_uris: [REDIRECT] },
    clientInformation: () => client,
    saveClientInformation(registered) {
      client = registered;
    },
    tokens: () => tokens,
    saveTokens(got) {
      issued(got.access_token, 'an access token of the gateway');
      if (got.refresh_token !== undefined) issued(got.refresh_token, 'a refresh token of the gateway');
      tokens = got;
    },
    codeVerifier: () => verifier,
    saveCodeVerifier(made) {
      verifier = made;
    },
    async redirectToAuthorization(authorizationUrl) {
      logins++;
      arrived = await authorize(user, authorizationUrl, REDIRECT, elsewhere);
    },
    arrived() {
      if (arrived === undefined) throw new Error('Nobody has logged in.');
      return arrived;
    },
    logins: () => logins,
    spoilAccessToken() {
      if (tokens !== undefined) tokens = { ...tokens, access_token: 'dead' };
    },
    kept: () => ({ accessToken: tokens?.access_token ?? '', refreshToken: tokens?.refresh_token ?? '' }),
  };
}

/** Where the browser comes back to the client, with a code or an error, when `user` has logged in. */
async function authorize(
  user: string,
  authorizationUrl: URL,
  redirectUri: string,
  elsewhere: Elsewhere = async () => undefined,
): Promise<URL> {
  const back = Promise.withResolvers<URL>();
  await loginAs(user, {
    authorizationUrl,
    redirectUri,
    async fetch(input, init) {
      const url = new URL(input instanceof Request ? input.url : input);
      const onward = await elsewhere(url);
      if (onward !== undefined) return new Response(null, { status: 303, headers: { location: onward.href } });
      if (`${url.origin}${url.pathname}` !== redirectUri) return fetch(input, init);
      back.resolve(url);
      return new Response('');
    },
  });
  return back.promise;
}

/** Registers a client of SDK 2.x, logs in and redeems the code: from then on the storage has its tokens. */
export async function loginWithSdk(url: string, storage: LoginStorage): Promise<void> {
  const authProvider = storage as sdk2.OAuthClientProvider;
  const transport = new sdk2.StreamableHTTPClientTransport(new URL(url), { authProvider });
  const client = new sdk2.Client({ name: 'a-test', version: '1' });
  await client.connect(transport).then(
    () => client.close(),
    async () => transport.finishAuth(storage.arrived().searchParams),
  );
}
