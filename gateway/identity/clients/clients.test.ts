/** The clients of this folder in a real oidc-provider, over HTTP: which may begin a login, and where it comes back to. */
import assert from 'node:assert/strict';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { after, test } from 'node:test';
import { importJWK, SignJWT } from 'jose';
import Provider, { type AdapterPayload } from 'oidc-provider';
import { CERTIFICATE, PRIVATE_KEY } from '../../../test/tls-certificate.ts';
import { login } from '../../config-login.ts';
import { createKeyring } from '../keyring.ts';
import { type ClientOrigin, createClients } from './clients.ts';
import { createMetadataDocuments } from './metadata-document.ts';
import { registeredClients } from './registered.ts';
import { type RegisteredMetadata, readRegistration, sealClientId } from './registration.ts';

const SECRET = 'not-a-real-secret-0123456789';
const keyring = createKeyring([randomBytes(32)]);
const agentKey = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const redirectHosts = ['claude.ai'];

const documentServer = createTlsServer({ cert: CERTIFICATE, key: PRIVATE_KEY }, (_request, response) => {
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(
    JSON.stringify({
      client_id: DOCUMENT,
      client_name: 'An IDE',
      redirect_uris: ['http://127.0.0.1/callback', `${ORIGIN}/redirect`],
      token_endpoint_auth_method: 'none',
    }),
  );
});
const ORIGIN = `https://ide.example:${await listening(documentServer)}`;
const DOCUMENT = `${ORIGIN}/client.json`;

const config = login.parse({
  providers: { corp: { oidc: { issuer: 'https://idp.example', clientId: 'x', clientSecret: 'env:X' } } },
  clients: {
    ide: { redirectUris: ['https://ide.example/cb', 'http://localhost/cb', 'com.example.ide:/cb'] },
    'ide-with-secret': { redirectUris: ['https://ide.example/cb'], secret: 'env:SECRET' },
    'agent-basic': { agent: { groups: ['ci'], owner: 'platform' }, secret: 'env:SECRET' },
    'agent-post': {
      agent: { groups: ['ci'], owner: 'platform' },
      secret: 'env:SECRET',
      secretAuth: 'client_secret_post',
    },
    'agent-key': { agent: { groups: ['ci'], owner: 'platform' }, jwks: 'file:/jwks' },
  },
});
const jwks = JSON.stringify({ keys: [{ ...agentKey.publicKey.export({ format: 'jwk' }), kid: 'one' }] });
const references = { secret: SECRET, jwks };
const clients = createClients({
  registered: registeredClients(
    config.clients,
    Object.fromEntries(Object.keys(config.clients).map((id) => [id, references])),
  ),
  documents: createMetadataDocuments({
    hosts: [new URL(ORIGIN).host],
    redirectHosts,
    now: Date.now,
    network: {
      resolve: async () => [{ address: '127.0.0.1', family: 4 }],
      mayReach: (kind) => kind === 'loopback',
      tls: { ca: CERTIFICATE, servername: 'localhost' },
    },
  }),
  registration: { keyring, redirectHosts },
});

const server = createServer();
const issuer = `http://127.0.0.1:${await listening(server)}`;
const resource = `${issuer}/orders/mcp`;
const stored = new Map<string, AdapterPayload>();
const provider = new Provider(issuer, {
  adapter: (model) => ({
    find: async (id) => {
      if (model !== 'Client') return stored.get(`${model} ${id}`);
      // oidc-provider's type wants arrays that can be changed; it copies what it changes.
      return (await clients.find(id))?.metadata as AdapterPayload | undefined;
    },
    upsert: async (id, payload) => void stored.set(`${model} ${id}`, payload),
    consume: async () => {},
    destroy: async () => {},
    revokeByGrantId: async () => {},
    findByUid: async () => undefined,
    findByUserCode: async () => undefined,
  }),
  jwks: { keys: keyring.signingKeys.map((key) => ({ ...key })) as never[] },
  cookies: { keys: [...keyring.cookieKeys] },
  scopes: ['openid', 'mcp'],
  // Without this and without offline_access oidc-provider knows no grant refresh_token, and refuses every client with it.
  issueRefreshToken: async (_ctx, client) => client.grantTypeAllowed('refresh_token'),
  responseTypes: ['code'],
  clientAuthMethods: ['none', 'client_secret_basic', 'client_secret_post', 'private_key_jwt'],
  pkce: { required: () => true },
  interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: () => ({
        scope: 'mcp',
        audience: resource,
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: 'ES256' } },
      }),
    },
  },
});
server.on('request', provider.callback());
after(() => {
  for (const one of [server, documentServer]) {
    one.closeAllConnections();
    one.close();
  }
});

function listening(one: Server): Promise<number> {
  return new Promise((done) => one.listen(0, '127.0.0.1', () => done((one.address() as AddressInfo).port)));
}

/** `login`: the interaction begins. Otherwise the error, and where the browser is sent with it, if anywhere. */
async function authorize(clientId: string, redirectUri: string, more: Record<string, string> = {}): Promise<string> {
  const query = new URLSearchParams({
    client_id: clientId,
    redirect_uri: redirectUri,
    response_type: 'code',
    scope: 'openid mcp',
    code_challenge: randomBytes(32).toString('base64url'),
    code_challenge_method: 'S256',
    resource,
    ...more,
  });
  const answer = await fetch(`${issuer}/auth?${query}`, { redirect: 'manual', headers: { accept: 'text/html' } });
  const location = answer.headers.get('location') ?? '';
  if (location.startsWith('/interaction/')) return 'login';
  const body = await answer.text();
  const error = new URLSearchParams(location.split('?')[1]).get('error') ?? /invalid_[a-z_]+/.exec(body)?.[0];
  return `${error}${location === '' ? '' : ' redirected'}`;
}

function registration(redirectUris: readonly string[]): string {
  const read = readRegistration({ redirect_uris: redirectUris, client_name: 'Some client' }, { redirectHosts });
  assert.ok(read.ok);
  return sealClientId(keyring, read.metadata, Date.now());
}

const DYNAMIC = registration(['http://localhost/callback', 'https://claude.ai/cb', 'cursor://host/callback']);

const ACCEPTED: readonly [ClientOrigin, string, readonly string[]][] = [
  ['registered', 'ide', ['https://ide.example/cb', 'http://localhost:50001/cb', 'com.example.ide:/cb']],
  ['registered', 'ide-with-secret', ['https://ide.example/cb']],
  ['builtIn', 'verbatim-cli', ['http://127.0.0.1:50001/callback', 'http://127.0.0.1/callback']],
  ['dynamic', DYNAMIC, ['http://localhost:50001/callback', 'https://claude.ai/cb', 'cursor://host/callback']],
  ['document', DOCUMENT, ['http://127.0.0.1:50001/callback', `${ORIGIN}/redirect`]],
];

for (const [origin, id, uris] of ACCEPTED) {
  test(`${origin} ${id.slice(0, 30)}: a login begins, and nowhere else`, async () => {
    assert.equal((await clients.find(id))?.origin, origin);
    for (const uri of uris) {
      assert.equal(await authorize(id, uri), 'login', uri);
      // The code goes into the query, and nowhere else. (Of form_post oidc-provider says so by a form that posts itself.)
      assert.equal(await authorize(id, uri, { response_mode: 'fragment' }), 'invalid_request redirected');
      assert.equal(await authorize(id, uri, { response_mode: 'form_post' }), 'invalid_request');
      for (const hostile of [
        `${uri}/more`,
        `${uri}?more=1`,
        `${uri}#more`,
        uri.replace('://', '://user@'),
        uri.replace('://', '://evil.example/'),
        uri.replace(/^(https:\/\/[^/:]+)(:\d+)?\//, '$1:8443/'),
        uri.replace(/^(https:\/\/[^/:]+)/, '$1.evil.example'),
        uri.replace('127.0.0.1', '[::1]'),
        uri.replace('localhost', '127.0.0.1'),
        'https://evil.example/callback',
        'javascript:alert(1)',
        'data:text/html,x',
      ]) {
        if (hostile !== uri) assert.equal(await authorize(id, hostile), 'invalid_redirect_uri', hostile);
      }
    }
  });
}

test('an id of nobody begins nothing, and is sent nowhere', async () => {
  const foreign: RegisteredMetadata = {
    redirect_uris: ['https://evil.example/callback'],
    grant_types: ['authorization_code'],
    response_types: ['code'],
    token_endpoint_auth_method: 'none',
    application_type: 'native',
    scope: 'mcp',
  };
  const forged = sealClientId(createKeyring([randomBytes(32)]), foreign, Date.now());
  for (const id of [forged, `${DYNAMIC}A`, 'nobody', '__proto__', 'https://evil.example/client.json', `${ORIGIN}/`]) {
    assert.equal(await authorize(id, 'https://evil.example/callback'), 'invalid_client', id);
  }
});

test('with registration off its ids are nobody', async () => {
  const off = createClients({
    registered: new Map(),
    documents: { find: async () => undefined },
    registration: undefined,
  });
  assert.equal(await off.find(DYNAMIC), undefined);
  assert.equal((await off.find('verbatim-cli'))?.origin, 'builtIn');
});

async function token(form: Record<string, string>, headers: Record<string, string> = {}): Promise<[number, unknown]> {
  const body = new URLSearchParams({ grant_type: 'client_credentials', scope: 'mcp', resource, ...form });
  const answer = await fetch(`${issuer}/token`, { method: 'POST', body, headers });
  const { error, scope } = (await answer.json()) as { error?: string; scope?: string };
  return [answer.status, error ?? scope];
}

async function assertion(claims: Record<string, unknown> = {}): Promise<Record<string, string>> {
  const key = await importJWK(agentKey.privateKey.export({ format: 'jwk' }) as never, 'ES256');
  const jwt = await new SignJWT({ jti: randomBytes(8).toString('hex'), ...claims })
    .setProtectedHeader({ alg: 'ES256', kid: 'one' })
    .setIssuer('agent-key')
    .setSubject('agent-key')
    .setAudience(issuer)
    .setExpirationTime('1m')
    .sign(key);
  return {
    client_assertion: jwt,
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
  };
}

test('agents get in by the way that is written for them, and no other', async () => {
  const basic = (id: string, secret: string) => ({
    authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`,
  });
  assert.deepEqual(await token({}, basic('agent-basic', SECRET)), [200, 'mcp']);
  assert.deepEqual(await token({ client_id: 'agent-post', client_secret: SECRET }), [200, 'mcp']);
  assert.deepEqual(await token(await assertion()), [200, 'mcp']);

  assert.deepEqual(await token({}, basic('agent-basic', `${SECRET}x`)), [401, 'invalid_client']);
  assert.deepEqual(await token({}, basic('agent-key', SECRET)), [401, 'invalid_client']);
  assert.deepEqual(await token({ client_id: 'agent-basic' }), [401, 'invalid_client']);
  const foreign = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const forged = await new SignJWT({ jti: 'x' })
    .setProtectedHeader({ alg: 'ES256', kid: 'one' })
    .setIssuer('agent-key')
    .setSubject('agent-key')
    .setAudience(issuer)
    .setExpirationTime('1m')
    .sign(foreign.privateKey);
  assert.deepEqual(await token({ ...(await assertion()), client_assertion: forged }), [401, 'invalid_client']);
  // An agent has no browser, and who has one is no agent.
  assert.equal(await authorize('agent-basic', 'https://ide.example/cb'), 'invalid_redirect_uri');
  assert.deepEqual(await token({}, basic('ide-with-secret', SECRET)), [400, 'invalid_request']);
  assert.deepEqual(await token({ client_id: 'verbatim-cli' }), [400, 'invalid_request']);
  assert.deepEqual(await token({ client_id: DYNAMIC }), [400, 'invalid_request']);
});
