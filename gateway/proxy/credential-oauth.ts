/** Access tokens by OAuth's client credentials grant (RFC 6749, section 4.4). */
import type { OAuthClientConfig } from '../config-credential.ts';
import { readSecret } from '../secret-ref.ts';
import type { Minting } from './credential.ts';
import { bearerHeader, refusedByIssuer } from './credential-answer.ts';
import { type Fresh, freshToken } from './credential-cache.ts';
import { ownError } from './credential-error.ts';

/** For an answer without `expires_in`, which is only recommended: short, since nobody says how long it is good. */
const UNSAID_LIFE_S = 300;

export async function mintAsOAuthClient(config: OAuthClientConfig, minting: Minting): Promise<Fresh> {
  const { now, fetch, signal } = minting;
  const { tokenUrl, clientId, clientAuth, scopes, resource, audience } = config;
  const secret = await readSecret(config.clientSecret, minting);
  const oauth = await import('openid-client');
  const authenticate = clientAuth === 'client_secret_basic' ? oauth.ClientSecretBasic : oauth.ClientSecretPost;
  const server = { issuer: new URL(tokenUrl).origin, token_endpoint: tokenUrl };
  const client = new oauth.Configuration(server, clientId, {}, authenticate(secret.value));
  if (tokenUrl.startsWith('http:')) oauth.allowInsecureRequests(client);
  let status: number | undefined;
  client[oauth.customFetch] = async (url, { method, headers, body }) => {
    if (method !== 'POST' || !(body instanceof URLSearchParams)) throw new Error('not a token request');
    const response = await fetch(url, { method, headers, body: body.toString(), signal });
    status = response.status;
    return response;
  };
  const obtained = now();
  const parameters = {
    ...(scopes.length === 0 ? {} : { scope: scopes.join(' ') }),
    ...(resource === undefined ? {} : { resource }),
    ...(audience === undefined ? {} : { audience }),
  };
  const tokens = await oauth.clientCredentialsGrant(client, parameters).catch((error: unknown) => {
    throw ownError(error) ?? refusedByIssuer(tokenUrl, status, (error as { error?: unknown }).error);
  });
  if (tokens.token_type.toLowerCase() !== 'bearer') throw refusedByIssuer(tokenUrl, status, undefined);
  const life = (tokens.expires_in ?? UNSAID_LIFE_S) * 1000;
  const header = bearerHeader(tokens.access_token, tokenUrl);
  return freshToken({ headers: [header], version: secret.version }, obtained, obtained + life);
}
