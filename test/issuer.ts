/** An issuer for whole-system tests: a real JWKS over HTTP and tokens signed with its key. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { secret } from './canaries.ts';

export interface TestIssuer {
  readonly url: string;
  /** A token for `audience`; `claims` are added or override. `typ`: `at+jwt` unless said otherwise. */
  token(audience: string, claims?: Record<string, unknown>, typ?: string): Promise<string>;
  close(): Promise<void>;
}

export async function startIssuer(): Promise<TestIssuer> {
  const { publicKey, privateKey } = await generateKeyPair('ES256');
  const jwk = { ...(await exportJWK(publicKey)), kid: 'test', alg: 'ES256', use: 'sig' };
  let url = '';
  const server = createServer((request, response) => {
    const documents: Record<string, unknown> = {
      '/jwks': { keys: [jwk] },
      '/.well-known/openid-configuration': { issuer: url, jwks_uri: `${url}/jwks` },
    };
    const document = documents[request.url ?? ''];
    if (document === undefined) response.writeHead(404).end();
    else response.setHeader('content-type', 'application/json').end(JSON.stringify(document));
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  let serial = 0;
  return {
    url,
    async token(audience, claims = {}, typ = 'at+jwt') {
      serial++;
      const now = Math.floor(Date.now() / 1000);
      const token = await new SignJWT({
        iss: url,
        sub: 'ana',
        email: 'ana@example.com',
        groups: ['analysts'],
        client_id: 'test-client',
        aud: audience,
        iat: now,
        exp: now + 3600,
        jti: `token-${serial}`,
        ...claims,
      })
        .setProtectedHeader({ alg: 'ES256', kid: 'test', typ })
        .sign(privateKey);
      return secret(token, 'a token of the test issuer');
    },
    close: () => new Promise((done) => server.close(() => done())),
  };
}
