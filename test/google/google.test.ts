import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
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
