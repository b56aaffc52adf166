import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, test } from 'node:test';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import { type OidcIdp, startOidcIdp } from './oidc-idp.ts';

const CALLBACK = 'https://mcp.example.com/oauth/callback/double';
const VERIFIER = 'v'.repeat(43);

let idp: OidcIdp;
before(async () => {
  idp = await startOidcIdp({ redirectUris: [CALLBACK] });
  idp.people.set('1', { email: 'ana@example.com', groups: ['analysts'] });
  idp.people.set('2', { email: 'bob@example.com', groups: [] });
  idp.chosen = '1';
});
after(() => idp.close());

function authorizationUrl(changes: Record<string, string> = {}): string {
  const asked = {
    response_type: 'code',
    client_id: idp.clientId,
    redirect_uri: CALLBACK,
    scope: 'openid offline_access',
    state: 'state-1',
    nonce: 'nonce-1',
    code_challenge: createHash('sha256').update(VERIFIER).digest('base64url'),
    code_challenge_method: 'S256',
  };
  return `${idp.issuer}/authorize?${new URLSearchParams({ ...asked, ...changes })}`;
}

async function token(form: Record<string, string>): Promise<[number, Record<string, string>]> {
  const client = { client_id: idp.clientId, client_secret: idp.clientSecret };
  const body = new URLSearchParams({ ...client, ...form });
  const response = await fetch(`${idp.issuer}/token`, { method: 'POST', body });
  return [response.status, (await response.json()) as Record<string, string>];
}

async function codeFor(changes: Record<string, string> = {}): Promise<string> {
  const back = await idp.browse(authorizationUrl(changes));
  return back.searchParams.get('code') ?? '';
}

const exchange = (code: string, changes: Record<string, string> = {}) =>
  token({ grant_type: 'authorization_code', code, redirect_uri: CALLBACK, code_verifier: VERIFIER, ...changes });

test('a code brings tokens once, to who proves that it is theirs', async () => {
  const code = await codeFor();
  const [status, tokens] = await exchange(code);
  assert.equal(status, 200);
  const keys = createRemoteJWKSet(new URL(`${idp.issuer}/jwks`));
  const { payload } = await jwtVerify(tokens.id_token ?? '', keys, { issuer: idp.issuer, audience: idp.clientId });
  assert.deepEqual([payload.sub, payload.nonce, payload.groups], ['1', 'nonce-1', ['analysts']]);
  const headers = { authorization: `Bearer ${tokens.access_token}` };
  const userinfo = await fetch(`${idp.issuer}/userinfo`, { headers });
  assert.equal(((await userinfo.json()) as { sub: string }).sub, '1');
  assert.equal((await fetch(`${idp.issuer}/userinfo`)).status, 401);
  assert.equal((await exchange(code))[0], 400);
  const refresh = { grant_type: 'refresh_token', refresh_token: tokens.refresh_token ?? '' };
  assert.equal((await token(refresh))[0], 400, 'what came of a code that was used twice is dead');
});

test('refused: another verifier, callback, secret, client, challenge', async () => {
  assert.equal((await exchange(await codeFor(), { code_verifier: 'w'.repeat(43) }))[1].error, 'invalid_grant');
  assert.equal((await exchange(await codeFor(), { redirect_uri: `${CALLBACK}/x` }))[1].error, 'invalid_grant');
  assert.equal((await exchange(await codeFor(), { client_secret: 'other' }))[1].error, 'invalid_client');
  await assert.rejects(idp.browse(authorizationUrl({ client_id: 'other' })));
  await assert.rejects(idp.browse(authorizationUrl({ redirect_uri: 'https://evil.example.com/' })));
  const back = await idp.browse(authorizationUrl({ code_challenge_method: 'plain' }));
  assert.deepEqual(
    ['error', 'state', 'iss'].map((name) => back.searchParams.get(name)),
    ['invalid_request', 'state-1', idp.issuer],
  );
});

test('refresh tokens rotate, and a second use ends the family', async () => {
  const [, { refresh_token: first = '' }] = await exchange(await codeFor({ login_hint: 'bob@example.com' }));
  const [, { refresh_token: second = '' }] = await token({ grant_type: 'refresh_token', refresh_token: first });
  assert.notEqual(second, first);
  assert.equal((await token({ grant_type: 'refresh_token', refresh_token: first }))[0], 400);
  assert.equal((await token({ grant_type: 'refresh_token', refresh_token: second }))[0], 400);
  const [, none] = await exchange(await codeFor({ scope: 'openid' }));
  assert.equal(none.refresh_token, undefined);
});
