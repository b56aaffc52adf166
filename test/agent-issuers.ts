/** Issuers of agents' tokens, each on loopback in place of the real one: discovery, keys over HTTP, RS256 signatures. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { secret } from './canaries.ts';

export interface AgentIssuer {
  /** `iss` of its tokens. */
  readonly url: string;
  /** A token with exactly these claims beside `iss` and the times; a header member that is `undefined` is left out. */
  token(claims: Record<string, unknown>, header?: Record<string, unknown>): Promise<string>;
  close(): Promise<void>;
}

/** `path` is that of the real issuer: its metadata is below it. */
export async function startAgentIssuer(path = ''): Promise<AgentIssuer> {
  const { publicKey, privateKey } = await generateKeyPair('RS256');
  const kid = `kid-${path.length}`;
  const jwk = { ...(await exportJWK(publicKey)), kid, alg: 'RS256', use: 'sig' };
  let url = '';
  const server = createServer((request, response) => {
    const documents: Record<string, unknown> = {
      [`${path}/.well-known/openid-configuration`]: { issuer: url, jwks_uri: `${url}/jwks` },
      [`${path}/jwks`]: { keys: [jwk] },
    };
    const document = documents[request.url ?? ''];
    response.statusCode = document === undefined ? 404 : 200;
    response.setHeader('content-type', 'application/json').end(JSON.stringify(document ?? {}));
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`;
  return {
    url,
    async token(claims, header = {}) {
      const now = Math.floor(Date.now() / 1000);
      const whole = { alg: 'RS256', typ: 'JWT', kid, ...header };
      const protectedHeader = Object.fromEntries(Object.entries(whole).filter(([, value]) => value !== undefined));
      const token = await new SignJWT({ iss: url, iat: now, exp: now + 3600, ...claims })
        .setProtectedHeader({ alg: 'RS256', ...protectedHeader })
        .sign(privateKey);
      return secret(token, "a token of an agent's issuer");
    },
    close: () => new Promise((done) => server.close(() => done())),
  };
}
