import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { crc32c } from '../../gateway/google-crc32c.ts';
import { type GoogleDouble, startGoogle } from './google.ts';

let double: GoogleDouble;
before(async () => {
  double = await startGoogle();
});
after(() => double.close());

const ACCOUNT = 'orders@verbatim.iam.gserviceaccount.com';

async function status(path: string, init: RequestInit = {}): Promise<number> {
  return (await fetch(double.url + path, init)).status;
}

test('the metadata server answers who names it, and nobody whose request was forwarded', async () => {
  const path = '/computeMetadata/v1/instance/service-accounts/default/token';
  assert.equal(await status(path), 403);
  const flavor = { 'metadata-flavor': 'Google' };
  assert.equal(await status(path, { headers: { ...flavor, 'x-forwarded-for': '10.0.0.1' } }), 403);
  const answer = await fetch(double.url + path, { headers: flavor });
  assert.equal(answer.headers.get('metadata-flavor'), 'Google');
  assert.equal(await status('/computeMetadata/v1/nothing', { headers: flavor }), 404);
});

test('the APIs want their bearer, their grants and their fields', async () => {
  const own = { authorization: 'Bearer ya29.CANARY-own-token-1', 'content-type': 'application/json' };
  const iam = `/v1/projects/-/serviceAccounts/${ACCOUNT}:generateAccessToken`;
  const post = (body: unknown, headers: Record<string, string> = own) => ({
    method: 'POST',
    headers,
    body: JSON.stringify(body),
  });
  const good = { scope: ['a'], lifetime: '3600s' };
  assert.equal(await status(iam, post(good)), 403);
  double.impersonable.add(ACCOUNT);
  assert.equal(await status(iam, post(good)), 200);
  assert.equal(await status(iam, post({ ...good, scope: [] })), 400);
  assert.equal(await status(iam, post(good, { ...own, authorization: 'Bearer other' })), 401);
  double.secretManager.add('key', 'value');
  const secret = '/v1/projects/verbatim/secrets/key/versions';
  assert.equal(await status(`${secret}/1:access`), 401);
  assert.equal(await status(`${secret}/1:access`, { headers: own }), 200);
  assert.equal(await status(`${secret}/2:access`, { headers: own }), 404);
  double.secretManager.setState('key', 1, 'DISABLED');
  assert.equal(await status(`${secret}/latest:access`, { headers: own }), 400);
  double.revokeOwnToken();
  assert.equal(await status(`${secret}/1:access`, { headers: own }), 401);
});

test('KMS wants its bearer, its permissions, an enabled version and the checksum of what it signs', async () => {
  const own = { authorization: 'Bearer ya29.CANARY-own-token-2', 'content-type': 'application/json' };
  const version = `/v1/${double.kms.add('k')}`;
  const data = Buffer.from('text').toString('base64');
  const sign = (body: unknown, headers: Record<string, string> = own) =>
    status(`${version}:asymmetricSign`, { method: 'POST', headers, body: JSON.stringify(body) });
  assert.equal(await sign({ data, dataCrc32c: String(crc32c(Buffer.from('text'))) }), 200);
  assert.equal(await sign({ data }), 200);
  assert.equal(await sign({ data, dataCrc32c: '1' }), 400);
  assert.equal(await sign({ digest: { sha256: data } }), 400);
  assert.equal(await sign({ data }, { ...own, authorization: 'Bearer other' }), 401);
  assert.equal(await status(`${version}/publicKey`), 401);
  assert.equal(await status(`${version}/publicKey`, { headers: own }), 200);
  double.kms.granted.delete('viewPublicKey');
  assert.equal(await status(`${version}/publicKey`, { headers: own }), 403);
  double.kms.granted.delete('useToSign');
  assert.equal(await sign({ data }), 403);
});

test('the token endpoints want their grant and their proof', async () => {
  const form = (fields: Record<string, string>) => ({ method: 'POST', body: new URLSearchParams(fields) });
  const jwtBearer = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
  assert.equal(await status('/token', form({ grant_type: 'client_credentials' })), 400);
  assert.equal(await status('/token', form({ grant_type: jwtBearer, assertion: 'e30.e30.x' })), 400);
  const { clientId } = double.oauth;
  const grant = { grant_type: 'client_credentials', client_id: clientId, client_secret: 'right' };
  double.oauth.authMethod = 'client_secret_post';
  assert.equal(await status('/oauth/token', form(grant)), 401);
  double.oauth.rotate('right');
  assert.equal(await status('/oauth/token', form(grant)), 200);
  double.oauth.authMethod = 'client_secret_basic';
  assert.equal(await status('/oauth/token', form(grant)), 401);
});

test('groups: one query is understood, a stranger’s group hides all, delegation is for who has it', async () => {
  const own = { authorization: `Bearer ya29.CANARY-own-token-2`, 'content-type': 'application/json' };
  const { groups } = double;
  groups.of.set("o'brien@example.com", ['a@example.com']);
  groups.of.set('a@example.com', ['b@other.example']);
  const search = (query: string) => `/v1/groups/-/memberships:searchTransitiveGroups?${new URLSearchParams({ query })}`;
  const label = "'cloudidentity.googleapis.com/groups.discussion_forum' in labels";
  const right = String.raw`member_key_id == 'o\'brien@example.com' && ${label}`;
  assert.equal(await status(search(right), { headers: own }), 200);
  assert.equal(await status(search(right)), 401);
  assert.equal(await status(search(right.replace('\\', '')), { headers: own }), 400);
  assert.equal(await status(search(`member_key_id == 'x' || true && ${label}`), { headers: own }), 400);
  groups.foreign.add('b@other.example');
  assert.equal(await status(search(right), { headers: own }), 403);
  assert.equal(await status(search(`${right} && parent == 'customers/C046psxkn'`), { headers: own }), 200);

  const claims = (changes: object) => {
    const iat = Math.floor(Date.now() / 1000);
    const scope = 'https://www.googleapis.com/auth/admin.directory.group.readonly';
    const aud = 'https://oauth2.googleapis.com/token';
    const all = { iss: ACCOUNT, sub: 'admin@example.com', scope, aud, iat, exp: iat + 3600, ...changes };
    return { payload: JSON.stringify(all) };
  };
  const delegated = async (changes: object = {}) => {
    const body = JSON.stringify(claims(changes));
    const path = `${double.url}/v1/projects/-/serviceAccounts/${ACCOUNT}:signJwt`;
    const { signedJwt } = (await (await fetch(path, { method: 'POST', headers: own, body })).json()) as Claims;
    const form = { grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion: signedJwt ?? '' };
    return fetch(double.google.token, { method: 'POST', body: new URLSearchParams(form) });
  };
  assert.equal((await delegated()).status, 401);
  groups.delegations.add(`${ACCOUNT} admin@example.com`);
  assert.equal((await delegated({ aud: 'https://example.com' })).status, 400);
  assert.equal((await delegated({ scope: 'other' })).status, 401);
  const { access_token } = (await (await delegated()).json()) as Claims;
  const list = '/admin/directory/v1/groups?userKey=';
  const bearer = { headers: { authorization: `Bearer ${access_token}` } };
  assert.equal(await status(`${list}${encodeURIComponent("o'brien@example.com")}`, bearer), 200);
  assert.equal(await status(`${list}nobody@example.com`, bearer), 404);
  assert.equal(await status(`${list}nobody@example.com`, { headers: own }), 401);
});

type Claims = Record<string, string>;
