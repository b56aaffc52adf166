/** What a gateway is to the server behind it: each request passes on with a signed identity header; keys are published. */
import { createServer, request as forward } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';

export interface SigningGateway {
  readonly url: string;
  /** A header value for the connection `orders`; claims and header members are added or override, `undefined` removes. */
  sign(claims?: Record<string, unknown>, header?: Record<string, unknown>): Promise<string>;
  /** From now on requests to `url` go to this address, as the Verbatim session `session` says. */
  pass(target: string, session: () => string): void;
  /** How often the keys were fetched. */
  fetched(): number;
  close(): Promise<void>;
}

export async function startSigningGateway(): Promise<SigningGateway> {
  const { publicKey, privateKey } = await generateKeyPair('ES256');
  const jwk = { ...(await exportJWK(publicKey)), kid: 'one', alg: 'ES256', use: 'sig' };
  // A second key, of an algorithm that no identity header has.
  const curve = await generateKeyPair('EdDSA');
  const curveJwk = { ...(await exportJWK(curve.publicKey)), kid: 'curve', alg: 'EdDSA', use: 'sig' };
  let target: { url: string; session: () => string } | undefined;
  let fetched = 0;
  let serial = 0;

  const server = createServer((request, response) => {
    if (request.url === '/.well-known/verbatim-identity/jwks.json') {
      fetched++;
      response.setHeader('content-type', 'application/json').end(JSON.stringify({ keys: [jwk, curveJwk] }));
      return;
    }
    const to = target;
    if (to === undefined) return void response.writeHead(404).end();
    void sign({ session: to.session() }).then((identity) => {
      const { host: _, authorization: __, ...rest } = request.headers;
      const headers = { ...rest, 'x-verbatim-identity': identity };
      const outgoing = forward(to.url, { method: request.method, headers, agent: false }, (incoming) => {
        response.writeHead(incoming.statusCode ?? 502, incoming.headers);
        response.flushHeaders();
        incoming.on('error', () => response.destroy()).pipe(response);
      });
      outgoing.on('error', () => response.destroy());
      response.on('close', () => outgoing.destroy());
      request.pipe(outgoing);
    });
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  function sign(claims: Record<string, unknown> = {}, header: Record<string, unknown> = {}): Promise<string> {
    serial++;
    const now = Math.floor(Date.now() / 1000);
    const all = {
      iss: url,
      aud: 'orders',
      sub: 'ana',
      kind: 'human',
      email: 'ana@example.com',
      groups: ['analysts'],
      session: 'session-1',
      jti: `exchange-${serial}`,
      iat: now,
      exp: now + 60,
      ...claims,
    };
    const kept = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
    return new SignJWT(kept)
      .setProtectedHeader({ alg: 'ES256', kid: 'one', typ: 'verbatim-identity+jwt', ...header })
      .sign(header.alg === 'EdDSA' ? curve.privateKey : privateKey);
  }

  return {
    url,
    sign,
    pass(to, session) {
      target = { url: to, session };
    },
    fetched: () => fetched,
    close() {
      server.closeAllConnections();
      return new Promise((done) => server.close(() => done()));
    },
  };
}
