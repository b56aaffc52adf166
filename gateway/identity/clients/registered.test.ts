import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { type LoginConfig, login } from '../../config-login.ts';
import { ClientNotUsable, commandLineClient, type ReadReferences, registeredClients } from './registered.ts';

const SECRET = 'not-a-real-secret-0123456789';
const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const publicKey = { ...pair.publicKey.export({ format: 'jwk' }), kid: 'one', alg: 'ES256' };
const JWKS = JSON.stringify({ keys: [publicKey] });
const PROVIDERS = { corp: { oidc: { issuer: 'https://idp.example', clientId: 'x', clientSecret: 'env:X' } } };

function configured(clients: Record<string, unknown>): LoginConfig['clients'] {
  return login.parse({ providers: PROVIDERS, clients }).clients;
}

function only(client: Record<string, unknown>, read: ReadReferences = {}) {
  return registeredClients(configured({ one: client }), { one: read }).get('one');
}

const common = { client_id: 'one', application_type: 'native', id_token_signed_response_alg: 'ES256' };
const person = {
  ...common,
  grant_types: ['authorization_code', 'refresh_token'],
  response_types: ['code'],
  response_modes: ['query'],
};
const agent = { ...common, redirect_uris: [], grant_types: ['client_credentials'], response_types: [] };
const redirectUris = ['https://ide.example:8443/cb', 'http://127.0.0.1/cb'];
const groups = { groups: ['ci'], owner: 'platform' };

test('clients of the configuration, as oidc-provider reads them', () => {
  assert.deepEqual(only({ name: 'IDE', redirectUris }), {
    ...person,
    client_name: 'IDE',
    redirect_uris: redirectUris,
    token_endpoint_auth_method: 'none',
  });
  assert.deepEqual(only({ redirectUris, secret: 'env:S' }, { secret: SECRET }), {
    ...person,
    redirect_uris: redirectUris,
    token_endpoint_auth_method: 'client_secret_basic',
    client_secret: SECRET,
  });
  assert.deepEqual(only({ agent: groups, secret: 'env:S', secretAuth: 'client_secret_post' }, { secret: SECRET }), {
    ...agent,
    token_endpoint_auth_method: 'client_secret_post',
    client_secret: SECRET,
  });
  assert.deepEqual(only({ agent: groups, jwks: 'file:/jwks' }, { jwks: JWKS }), {
    ...agent,
    token_endpoint_auth_method: 'private_key_jwt',
    jwks: { keys: [publicKey] },
  });
  assert.deepEqual(only({ agent: groups, jwksUri: 'https://ci.example/jwks' }), {
    ...agent,
    token_endpoint_auth_method: 'private_key_jwt',
    jwks_uri: 'https://ci.example/jwks',
  });
});

test("a document's address may be registered, so that it is not fetched", () => {
  const id = 'https://claude.ai/oauth/claude-code-client-metadata';
  assert.equal(registeredClients(configured({ [id]: { redirectUris } })).get(id)?.client_id, id);
});

test('the command line is a public client of loopback addresses', () => {
  assert.equal(commandLineClient.client_id, 'verbatim-cli');
  assert.equal(commandLineClient.token_endpoint_auth_method, 'none');
  assert.deepEqual(commandLineClient.redirect_uris, ['http://127.0.0.1/callback']);
});

const symmetric = JSON.stringify({ keys: [{ kty: 'oct', k: 'c2VjcmV0' }] });
const secretKey = JSON.stringify({ keys: [pair.privateKey.export({ format: 'jwk' })] });

const REFUSED: readonly [string, () => unknown, readonly string[]][] = [
  ['no secret read', () => only({ redirectUris, secret: 'env:S' }), ['one', 'secret']],
  ['a short one', () => only({ redirectUris, secret: 'env:S' }, { secret: 'short' }), ['one', 'secret']],
  ['several lines', () => only({ redirectUris, secret: 'env:S' }, { secret: `${SECRET}\n` }), ['one', 'secret']],
  ['keys of no JSON', () => only({ redirectUris, jwks: 'file:/j' }, { jwks: 'x' }), ['one', 'jwks']],
  ['no keys', () => only({ redirectUris, jwks: 'file:/j' }, { jwks: '{"keys":[]}' }), ['one', 'jwks']],
  ['a symmetric key', () => only({ redirectUris, jwks: 'file:/j' }, { jwks: symmetric }), ['one', 'jwks']],
  ['a private key', () => only({ redirectUris, jwks: 'file:/j' }, { jwks: secretKey }), ['one', 'jwks']],
  ['userinfo', () => only({ redirectUris: [...redirectUris, 'https://a@b.example/'] }), ['one', 'redirectUris', '2']],
  ['dot segments', () => only({ redirectUris: ['https://b.example/../x'] }), ['one', 'redirectUris', '0']],
  [
    'an agent that redirects',
    () => only({ agent: groups, redirectUris, secret: 'env:S' }, { secret: SECRET }),
    ['one', 'redirectUris'],
  ],
  [
    "the command line's id",
    () => registeredClients(configured({ 'verbatim-cli': { redirectUris } })),
    ['verbatim-cli'],
  ],
  ['an id like a sealed one', () => registeredClients(configured({ 'v1.x': { redirectUris } })), ['v1.x']],
  ['a space in an id', () => registeredClients(configured({ 'a b': { redirectUris } })), ['"a b"']],
];

for (const [what, act, path] of REFUSED) {
  test(`a client is not usable: ${what}`, () => {
    assert.throws(act, (error: unknown) => {
      assert.ok(error instanceof ClientNotUsable);
      assert.deepEqual(error.path, path);
      assert.equal(error.message.includes(SECRET), false);
      return true;
    });
  });
}
