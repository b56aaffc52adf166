import { SignJWT } from 'jose';
import { GoogleError } from './answer.ts';
import type { Answering, Ground } from './google.ts';

/** https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts */
export function createIamCredentials({ now, ownToken, secrets }: Ground, impersonable: ReadonlySet<string>): Answering {
  let serial = 0;
  return async (request, url, body) => {
    if (request.method !== 'POST' || request.headers['content-type'] !== 'application/json') {
      throw new GoogleError(400, 'INVALID_ARGUMENT');
    }
    if (request.headers.authorization !== `Bearer ${ownToken()}`) throw new GoogleError(401, 'UNAUTHENTICATED');
    const [, account = '', verb] = /^\/v1\/projects\/-\/serviceAccounts\/([^/:]+):(\w+)$/.exec(url.pathname) ?? [];
    if (!impersonable.has(account)) throw new GoogleError(403, 'PERMISSION_DENIED');
    const asked = JSON.parse(body) as Record<string, unknown>;
    serial++;
    if (verb === 'generateAccessToken') {
      const { scope, lifetime } = asked;
      if (!Array.isArray(scope) || scope.length === 0 || lifetime !== '3600s')
        throw new GoogleError(400, 'INVALID_ARGUMENT');
      const accessToken = `ya29.CANARY-access-${serial}-${account}-${scope.join('+')}`;
      secrets.add(accessToken);
      return { accessToken, expireTime: new Date(now() + 3_600_000).toISOString().replace(/\.\d+Z$/, 'Z') };
    }
    const { audience, includeEmail } = asked;
    if (typeof audience !== 'string' || audience === '') throw new GoogleError(400, 'INVALID_ARGUMENT');
    const token = await idToken({
      audience,
      account,
      expires: now() + 3_600_000,
      serial,
      email: includeEmail === true,
    });
    secrets.add(token);
    return { token };
  };
}

/** An ID token of the double: signed with a key that nobody checks, with a canary among its claims. */
export function idToken(of: { audience: string; account: string; expires: number; serial: number; email: boolean }) {
  const { audience, account, expires, serial, email } = of;
  return new SignJWT({ canary: `CANARY-${serial}`, ...(email ? { email: account, email_verified: true } : {}) })
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
    .setIssuer('https://accounts.google.com')
    .setSubject(account)
    .setAudience(audience)
    .setExpirationTime(Math.floor(expires / 1000))
    .sign(new TextEncoder().encode('nobody checks this key of a double'));
}
