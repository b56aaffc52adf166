import { exportPKCS8, generateKeyPair, jwtVerify } from 'jose';
import { OAuthError } from './answer.ts';
import type { Answering, Ground } from './google.ts';
import { idToken } from './iam-credentials.ts';

export interface TokenEndpoint {
  /** The JSON of a key that this endpoint accepts; `overrides` make it one that it, or the gateway, must not. */
  keyJson(account: string, overrides?: Record<string, unknown>): string;
  readonly answer: Answering;
}

/** https://developers.google.com/identity/protocols/oauth2/service-account: assertions signed with a key (RFC 7523). */
export async function createTokenEndpoint({ now, secrets }: Ground, url: string): Promise<TokenEndpoint> {
  const { publicKey, privateKey } = await generateKeyPair('RS256', { extractable: true });
  const pem = await exportPKCS8(privateKey);
  const [, secretLine = pem] = pem.split('\n');
  secrets.add(secretLine);
  let serial = 0;
  return {
    keyJson: (account, overrides = {}) =>
      JSON.stringify(
        {
          type: 'service_account',
          project_id: 'verbatim',
          private_key_id: 'key-1',
          private_key: pem,
          client_email: account,
          token_uri: url,
          universe_domain: 'googleapis.com',
          ...overrides,
        },
        null,
        2,
      ),
    async answer(request, _url, body) {
      const form = new URLSearchParams(body);
      const grant = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
      if (request.method !== 'POST' || form.get('grant_type') !== grant)
        throw new OAuthError(400, 'unsupported_grant_type');
      const assertion = form.get('assertion') ?? '';
      secrets.add(assertion);
      const options = {
        audience: url,
        currentDate: new Date(now()),
        algorithms: ['RS256'],
        requiredClaims: ['iat', 'exp'],
      };
      const { payload, protectedHeader } = await jwtVerify(assertion, publicKey, options).catch(() => {
        throw new OAuthError(400, 'invalid_grant');
      });
      if (protectedHeader.kid !== 'key-1' || (payload.exp ?? 0) - (payload.iat ?? 0) > 3600) {
        throw new OAuthError(400, 'invalid_grant');
      }
      serial++;
      const account = String(payload.iss);
      if (typeof payload.target_audience === 'string') {
        const of = { audience: payload.target_audience, account, expires: now() + 3_600_000, serial, email: true };
        const token = await idToken(of);
        secrets.add(token);
        return { id_token: token };
      }
      if (typeof payload.scope !== 'string' || payload.scope === '') throw new OAuthError(400, 'invalid_scope');
      const token = `ya29.CANARY-key-${serial}-${account}-${payload.scope}`.replaceAll(' ', '+');
      secrets.add(token);
      return { access_token: token, expires_in: 3599, token_type: 'Bearer' };
    },
  };
}
