/** Attacks of clients and strangers: authorization requests, ways back, ids, registrations. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { sealClientId } from '../gateway/identity/clients/registration.ts';
import { createKeyring } from '../gateway/identity/keyring.ts';
import { type Attack, refuseAll } from './login-attack-cases.ts';
import { freshSecret, startAttackWorld } from './login-attack-world.ts';
import { createVisitor, logIn, redeem, refusalIn, requestFor, tokensIn } from './login-visitor.ts';

const world = await startAttackWorld({ login: { clientMetadataHosts: ['app.localhost'] } });
after(() => world[Symbol.asyncDispose]());

const RECORDED = { name: 'refused', reason: 'login_refused', connection: 'fixture' };
const mcp = `${world.origin}/fixture/mcp`;

/** An authorization request that the client is told of, at its own address. */
function told(
  error: string,
  changed: Record<string, string | undefined>,
  name = Object.keys(changed).join(', '),
): Attack {
  return {
    name: `${name}: ${Object.values(changed).join(', ')}`,
    run: async (by) => refusalIn(await by.send(requestFor(world, { changed }).url)),
    refused: [303, error],
    recorded: { ...RECORDED, detail: error },
  };
}

/** One that nobody is sent anywhere for: a page says why. */
function shown(error: string, changed: Record<string, string | undefined>, client = 'alpha'): Attack {
  return {
    name: Object.values(changed).join(', '),
    run: async (by) => refusalIn(await by.send(requestFor(world, { client, changed }).url)),
    refused: [400, error],
    recorded: { ...RECORDED, detail: error },
  };
}

function twice(name: string, values: readonly string[], error: string, status: number): Attack {
  return {
    name: `${name} twice`,
    async run(by) {
      const { url } = requestFor(world, { changed: { [name]: undefined } });
      for (const value of values) url.searchParams.append(name, value);
      return refusalIn(await by.send(url));
    },
    refused: [status, error],
    recorded: RECORDED,
  };
}

refuseAll('authorization requests', world, [
  told('invalid_request', { code_challenge: undefined, code_challenge_method: undefined }, 'no PKCE'),
  told('invalid_request', { code_challenge_method: 'plain' }),
  told('invalid_request', { code_challenge_method: undefined }, 'PKCE without a method'),
  told('invalid_request', { code_challenge: 'short' }),
  told('invalid_request', { response_type: 'token' }),
  told('invalid_request', { response_type: 'code id_token' }),
  told('unsupported_response_type', { response_type: 'none' }),
  told('request_not_supported', { request: 'eyJhbGciOiJub25lIn0.e30.' }),
  told('request_uri_not_supported', { request_uri: 'https://evil.example/request' }),
  told('registration_not_supported', { registration: '{}' }),
  told('login_required', { prompt: 'none' }),
  told('invalid_request', { prompt: 'none login' }),
  told('invalid_request', { id_token_hint: 'garbage' }),
  told('invalid_target', { resource: `${world.origin}/other/mcp` }),
  told('invalid_target', { resource: `${mcp}#fragment` }),
  told('invalid_target', { resource: `${mcp}/` }),
  told('invalid_target', { resource: '/fixture/mcp' }),
  told('invalid_target', { resource: 'https://evil.example/fixture/mcp' }),
  twice('resource', [mcp, mcp], 'invalid_target', 303),
  twice('resource', [mcp, `${world.origin}/other/mcp`], 'invalid_target', 303),
  twice('state', ['a', 'b'], 'invalid_request', 303),
  twice('redirect_uri', ['http://127.0.0.1:9/callback', 'https://evil.example/'], 'invalid_request', 303),
  twice('client_id', ['alpha', 'beta'], 'invalid_request', 400),
  twice('response_mode', ['query', 'form_post'], 'response_mode', 400),
  ...['form_post', 'fragment', 'web_message', 'jwt', 'query.jwt'].map((mode) => ({
    ...shown('response_mode', { response_mode: mode }),
  })),
]);

const LOOPBACK = [
  'http://127.0.0.1:9/callback/more',
  'http://127.0.0.1:9/callback?next=https://evil.example',
  'http://127.0.0.1:9/callback/../elsewhere',
  'http://127.0.0.1:9/%63allback',
  'http://127.0.0.1:9/CALLBACK',
  'http://127.0.0.1:9/callback#fragment',
  'http://ana@127.0.0.1:9/callback',
  'http://127.0.0.1:9@evil.example/callback',
  'http://127.0.0.1.evil.example/callback',
  'http://localhost:9/callback',
  'http://[::1]:9/callback',
  'http://127.1/callback',
  'https://127.0.0.1:9/callback',
  'javascript:alert(1)',
  'data:text/html,<script>alert(1)</script>',
  '/callback',
];
const WEB = [
  'https://app.example.com.evil.example/callback',
  'https://app.example.com:8443/callback',
  'https://evil.example/https://app.example.com/callback',
  'https://app.example.com@evil.example/callback',
  'https://app.example.com/callback/',
  'https://APP.example.com/callback',
  'http://app.example.com/callback',
];

refuseAll('ways back that are not the client’s', world, [
  ...LOOPBACK.map((redirect_uri) => shown('invalid_redirect_uri', { redirect_uri })),
  ...WEB.map((redirect_uri) => shown('invalid_redirect_uri', { redirect_uri }, 'web')),
]);

const metadata = {
  redirect_uris: ['http://127.0.0.1/callback'],
  grant_types: ['authorization_code' as const],
  response_types: ['code'] as const,
  token_endpoint_auth_method: 'none' as const,
  application_type: 'native' as const,
  scope: 'mcp' as const,
};
const genuine = sealClientId(world.keyring, metadata, Date.now());
const flipped = genuine.slice(0, -8) + (genuine.at(-8) === 'A' ? 'B' : 'A') + genuine.slice(-7);
const evil = { ...metadata, redirect_uris: ['https://evil.example/callback'] };

refuseAll('clients of nobody', world, [
  ...[
    ['unknown', 'nobody'],
    ['none', ''],
    ['a forged one', flipped],
    [
      'one that another gateway gave out',
      sealClientId(createKeyring([Buffer.from(freshSecret())]), metadata, Date.now()),
    ],
    [
      'the text of one, unsealed',
      `v1.${Buffer.from(JSON.stringify({ t: 0, r: metadata.redirect_uris })).toString('base64url')}`,
    ],
    ['one whose way back is not allowed here', sealClientId(world.keyring, evil, Date.now())],
    ['a name of every object', 'constructor'],
    ['another name of every object', '__proto__'],
    ['a document of a host that is not listed', 'https://evil.example/client.json'],
    ['a document at an address', 'https://127.0.0.1/client.json'],
    ['a document at the cloud’s metadata server', 'https://169.254.169.254/client.json'],
    ['a document by http', 'http://app.localhost/client.json'],
    ['a document without a path', 'https://app.localhost/'],
    ['a document by another way', 'https://app.localhost/x/../client.json'],
    ['a document on a private address', 'https://app.localhost/client.json'],
  ].map(
    ([name = '', client_id = '']): Attack => ({
      name,
      run: async (by) => refusalIn(await by.send(requestFor(world, { changed: { client_id } }).url)),
      refused: [400, client_id === '' ? 'invalid_request' : 'invalid_client'],
      recorded: RECORDED,
    }),
  ),
]);

function registration(name: string, body: unknown, error: string): Attack {
  return {
    name,
    async run(by) {
      const text = typeof body === 'string' ? body : JSON.stringify(body);
      const answer = await by.send('/fixture/oauth/register', {
        body: text,
        headers: { 'content-type': 'application/json' },
      });
      return [answer.status, JSON.parse(answer.body).error];
    },
    refused: [400, error],
    recorded: { name: 'refused', reason: 'registration_refused', detail: error, connection: 'fixture' },
  };
}

refuseAll('registrations', world, [
  ...[
    'javascript:alert(1)',
    'data:text/html,x',
    'JavaScript:alert(1)',
    'file:///etc/passwd',
    'https://evil.example/callback',
    'http://evil.example/callback',
    'https://claude.ai.evil.example/callback',
    'https://claude.ai@evil.example/callback',
    'http://127.0.0.1:9/callback#fragment',
    'http://ana@127.0.0.1/callback',
    'http://127.0.0.1/a/../callback',
    '//evil.example/callback',
  ].map((uri) => registration(uri, { redirect_uris: [uri] }, 'invalid_redirect_uri')),
  registration(
    'one good, one bad',
    { redirect_uris: ['http://127.0.0.1/callback', 'javascript:alert(1)'] },
    'invalid_redirect_uri',
  ),
  registration('no way back', {}, 'invalid_redirect_uri'),
  registration(
    'longer than it may be',
    { redirect_uris: ['http://127.0.0.1/callback'], more: 'x'.repeat(17_000) },
    'invalid_client_metadata',
  ),
  registration('no JSON', 'redirect_uris=http://127.0.0.1/callback', 'invalid_client_metadata'),
  registration(
    'another grant',
    { redirect_uris: ['http://127.0.0.1/'], grant_types: ['client_credentials'] },
    'invalid_client_metadata',
  ),
  registration(
    'another response',
    { redirect_uris: ['http://127.0.0.1/'], response_types: ['token'] },
    'invalid_client_metadata',
  ),
]);

test('a registration gets no secret and nothing that it was not offered', async () => {
  const by = createVisitor(world);
  // A name must not become that of an event.
  const asked = {
    client_name: 'session.revoked',
    redirect_uris: ['http://127.0.0.1/callback'],
    token_endpoint_auth_method: 'client_secret_basic',
  };
  const body = JSON.stringify({
    ...asked,
    jwks_uri: 'http://127.0.0.1/',
    logo_uri: 'https://evil.example/',
    scope: 'admin',
  });
  const answer = await by.send('/fixture/oauth/register', { body, headers: { 'content-type': 'application/json' } });
  const registered = JSON.parse(answer.body);
  assert.equal(answer.status, 201);
  assert.deepEqual(
    [
      registered.token_endpoint_auth_method,
      registered.client_secret,
      registered.jwks_uri,
      registered.logo_uri,
      registered.scope,
    ],
    ['none', undefined, undefined, undefined, 'mcp'],
  );
  const { client } = await world.eventually(
    ({ name, address }) => name === 'client.registered' && address === by.address,
  );
  assert.equal(client, 'session.revoked');
  assert.ok(!(await world.events()).some(({ name }) => name === 'session.revoked'));
});

test('claims that are asked for are not given, scopes neither', async () => {
  const claims = JSON.stringify({ id_token: { email: { essential: true } }, userinfo: { groups: null } });
  const login = await logIn(world, { changed: { claims, scope: 'openid mcp admin offline_access' } });
  const { json } = await redeem(login);
  assert.equal(json.scope, 'mcp');
  const { id } = tokensIn({ status: 200, headers: {}, json });
  const said = JSON.parse(Buffer.from(id.split('.')[1] ?? '', 'base64url').toString());
  assert.deepEqual(Object.keys(said).sort(), ['aud', 'exp', 'iat', 'iss', 'sub']);
});
