/**
 * Google tokens of a connection's own service account, by the IAM Credentials API: the gateway's identity may create
 * tokens for it (`roles/iam.serviceAccountTokenCreator` on that account alone), and no key exists.
 */
import type { AskedOfGoogle, Minting } from './credential.ts';
import { bearerHeader, expiryOfIdToken } from './credential-answer.ts';
import { type Fresh, freshToken } from './credential-cache.ts';
import { credentialError } from './credential-error.ts';

export async function mintAsServiceAccount(
  serviceAccount: string,
  asked: AskedOfGoogle,
  { now, api, signal }: Minting,
): Promise<Fresh> {
  const obtained = now();
  const what = `impersonating ${serviceAccount}`;
  const path = `/v1/projects/-/serviceAccounts/${serviceAccount}`;
  const version = `impersonated:${serviceAccount}`;
  if (asked.kind === 'idToken') {
    const body = { audience: asked.audience, includeEmail: true };
    const { token } = await api.call('iamCredentials', `${path}:generateIdToken`, what, { body, signal });
    return freshToken({ headers: [bearerHeader(token, what)], version }, obtained, expiryOfIdToken(token, what));
  }
  const body = { scope: asked.scopes, lifetime: '3600s' };
  const answer = await api.call('iamCredentials', `${path}:generateAccessToken`, what, { body, signal });
  const expires = typeof answer.expireTime === 'string' ? Date.parse(answer.expireTime) : Number.NaN;
  if (Number.isNaN(expires))
    throw credentialError('The answer of its issuer is not a token.', `${what}: no expireTime`);
  return freshToken({ headers: [bearerHeader(answer.accessToken, what)], version }, obtained, expires);
}
