import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { generateKeyPair, SignJWT, UnsecuredJWT } from 'jose';
import { type SigningGateway, startSigningGateway } from '../../test/signing-gateway.ts';
import { StdioFailure } from './failure.ts';
import { createIdentityCheck } from './identity.ts';

let gateway: SigningGateway;
before(async () => {
  gateway = await startSigningGateway();
});
after(() => gateway.close());

const checkAt = (now = Date.now) => createIdentityCheck({ gateway: gateway.url, connection: 'orders', now });
const seconds = (): number => Math.floor(Date.now() / 1000);
const is = (code: string) => (error: unknown) => error instanceof StdioFailure && error.code === code;

test('a header is good for one request and names the session', async () => {
  const identity = checkAt();
  const header = await gateway.sign({ session: 'session-7' });
  assert.deepEqual(await identity.check(header), { session: 'session-7' });
  await assert.rejects(identity.check(header), is('identity_refused'));
  assert.deepEqual(await identity.check(await gateway.sign()), { session: 'session-1' });
});

test('two uses at once are one too many', async () => {
  const identity = checkAt();
  const header = await gateway.sign();
  const results = await Promise.allSettled([identity.check(header), identity.check(header)]);
  assert.deepEqual(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
});

test('every claim and member is checked', async (t) => {
  const identity = checkAt();
  const now = seconds();
  const wrong: [string, Record<string, unknown>, Record<string, unknown>?][] = [
    ['another issuer', { iss: 'https://evil.example' }],
    ['a slash more', { iss: `${gateway.url}/` }],
    ['another connection', { aud: 'tickets' }],
    ['two audiences', { aud: ['orders', 'tickets'] }],
    ['no subject', { sub: undefined }],
    ['no session', { session: undefined }],
    ['an empty session', { session: '' }],
    ['a session that is no text', { session: 7 }],
    ['no jti', { jti: undefined }],
    ['no expiry', { exp: undefined }],
    ['expired', { iat: now - 70, exp: now - 10 }],
    ['old though not expired', { iat: now - 120, exp: now + 10 }],
    ['a long life', { exp: now + 3600 }],
    ['of the future', { iat: now + 600, exp: now + 660 }],
    ['another type', {}, { typ: 'at+jwt' }],
    ['no type', {}, { typ: undefined }],
    ['no key', {}, { kid: undefined }],
    ['an unknown key', {}, { kid: 'two' }],
  ];
  for (const [name, claims, header] of wrong) {
    await t.test(name, async () => {
      await assert.rejects(identity.check(await gateway.sign(claims, header)), is('identity_refused'));
    });
  }
});

test('what another key or none signed, and what is no JWS, is refused', async () => {
  const identity = checkAt();
  const [, payload = ''] = (await gateway.sign()).split('.');
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString());
  const { privateKey } = await generateKeyPair('ES256');
  const header = { alg: 'ES256', kid: 'one', typ: 'verbatim-identity+jwt' };
  const forged = await new SignJWT(claims).setProtectedHeader(header).sign(privateKey);
  const symmetric = await new SignJWT(claims)
    .setProtectedHeader({ ...header, alg: 'HS256' })
    .sign(Buffer.from('x'.repeat(32)));
  const unsecured = new UnsecuredJWT(claims).encode();
  // A key that the gateway publishes does not make its algorithm acceptable.
  const curve = await gateway.sign({}, { alg: 'EdDSA', kid: 'curve' });
  for (const one of [undefined, '', 'x', forged, symmetric, unsecured, curve]) {
    await assert.rejects(identity.check(one), is('identity_refused'));
  }
});

test('without keys nothing passes, a redirect is not followed, and the gateway is left alone for a moment', async () => {
  let asked = 0;
  const elsewhere = createServer((_request, response) => {
    asked++;
    response.writeHead(302, { location: `${gateway.url}/.well-known/verbatim-identity/jwks.json` }).end();
  });
  await new Promise<void>((done) => elsewhere.listen(0, '127.0.0.1', done));
  const url = `http://127.0.0.1:${(elsewhere.address() as AddressInfo).port}`;
  const identity = createIdentityCheck({ gateway: url, connection: 'orders', now: Date.now });
  const header = await gateway.sign({ iss: url });
  for (let i = 0; i < 3; i++) await assert.rejects(identity.check(header), is('identity_unavailable'));
  assert.equal(asked, 1);
  elsewhere.close();
});
