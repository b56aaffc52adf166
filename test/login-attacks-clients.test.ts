/** Attacks of clients and strangers: authorization requests, registrations, floods, addresses. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { sealClientId } from '../gateway/identity/clients/registration.ts';
import { createKeyring } from '../gateway/identity/keyring.ts';
import { type Attack, refuseAll } from './login-attack-cases.ts';
import { freshSecret, startAttackWorld } from './login-attack-world.ts';
import { createVisitor, logIn, post, redeem, refusalIn, requestFor, tokensIn, type Visitor } from './login-visitor.ts';

const world = await startAttackWorld({
  login: { clientMetadataHosts: ['app.localhost'] },
  connections: { crm: { host: 'crm.example.com' } },
});
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

interface Place {
  readonly name: string;
  readonly path: string;
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly status?: number;
  readonly reason?: string;
}

const token = '/fixture/oauth/token';
const PLACES: readonly Place[] = [
  {
    name: 'a foreign Host',
    path: '/fixture/oauth/jwks',
    headers: { host: 'evil.example' },
    status: 421,
    reason: 'host_refused',
  },
  { name: 'a dot segment', path: '/fixture/oauth/x/../token', status: 400, reason: 'bad_http' },
  { name: 'an encoded dot segment', path: '/fixture/oauth/%2e%2e/token', status: 400, reason: 'bad_http' },
  { name: 'an encoded slash', path: '/fixture%2foauth/token', status: 400, reason: 'bad_http' },
  { name: 'an empty segment', path: '/fixture//oauth/token', status: 400, reason: 'bad_http' },
  { name: 'an encoded letter', path: '/fixture/oauth/%74oken' },
  { name: 'capitals', path: '/fixture/OAUTH/TOKEN' },
  { name: 'a slash behind', path: `${token}/` },
  { name: 'a slash behind the first step', path: '/fixture/oauth/authorize/?response_mode=form_post' },
  { name: 'more behind', path: `${token}/more` },
  ...[
    'userinfo',
    'introspect',
    'par',
    'request',
    'end',
    'end/confirm',
    'device',
    'backchannel',
    'challenge',
    'register/x',
  ].map((path): Place => ({ name: `an endpoint that is not offered: ${path}`, path: `/fixture/oauth/${path}` })),
  { name: 'no connection', path: '/oauth/authorize' },
  { name: 'a connection of nobody', path: '/nobody/oauth/jwks' },
  { name: 'a name of every object', path: '/constructor/oauth/jwks' },
  { name: 'another name of every object', path: '/__proto__/oauth/jwks' },
  { name: 'an identity provider of that name', path: '/oauth/saml/constructor' },
  { name: 'the issuer of a host under the public one', path: '/crm/oauth/jwks' },
  { name: 'another issuer at a connection’s host', path: '/fixture/oauth/jwks', headers: { host: 'crm.example.com' } },
  { name: 'the pages at a connection’s host', path: '/connect', headers: { host: 'crm.example.com' } },
  {
    name: 'the way back at a connection’s host',
    path: '/oauth/callback/corp?state=x',
    headers: { host: 'crm.example.com' },
  },
  { name: 'a client’s registration by GET', path: '/fixture/oauth/register' },
  { name: 'a consent by PUT', path: '/fixture/oauth/interaction/aaaaaaaaaaaaaaaaaaaaa', method: 'PUT' },
  { name: 'a consent by HEAD', path: '/fixture/oauth/interaction/aaaaaaaaaaaaaaaaaaaaa', method: 'HEAD' },
  { name: 'pages by DELETE', path: '/connect', method: 'DELETE' },
  { name: 'the end of a login by HEAD', path: '/connect/finish?ticket=x', method: 'HEAD' },
];

refuseAll(
  'addresses that are none',
  world,
  PLACES.map(({ name, path, method = 'GET', headers, status = 404, reason = 'not_found' }) => ({
    name,
    async run(by: Visitor) {
      const answer = await by.send(path, { method, ...(headers === undefined ? {} : { headers }) });
      return [answer.status, undefined] as const;
    },
    refused: [status, undefined] as const,
    recorded: { name: 'refused', reason },
  })),
);

test('no header of a client’s says where the gateway is', async () => {
  const by = createVisitor(world);
  const lies = {
    'x-forwarded-host': 'evil.example',
    'x-forwarded-proto': 'gopher',
    'x-forwarded-prefix': '/evil',
    forwarded: 'host=evil.example;proto=http',
    'x-original-url': '/evil',
    'x-rewrite-url': '/evil',
  };
  for (const path of [
    '/fixture/.well-known/openid-configuration',
    '/.well-known/oauth-authorization-server/fixture',
    '/.well-known/oauth-protected-resource/fixture/mcp',
  ]) {
    const plain = await by.send(path);
    assert.equal(plain.status, 200);
    assert.equal((await by.send(path, { headers: lies })).body, plain.body, path);
  }
  const begun = await by.send(requestFor(world).url, { headers: lies });
  assert.equal(begun.onward?.origin, world.origin);
  const consent = await by.send(begun.onward ?? '', { headers: lies });
  assert.match(consent.body, new RegExp(`action="${world.origin}/fixture/oauth/interaction/`));
  assert.ok(!consent.body.includes('evil'));
});

test('a connection with a host of its own is an issuer there', async () => {
  const by = createVisitor(world);
  const { body } = await by.send('/.well-known/openid-configuration', { headers: { host: 'crm.example.com' } });
  const { issuer } = JSON.parse(body);
  assert.match(issuer, /^http:\/\/crm\.example\.com:\d+$/);
  const answer = await post(
    by,
    '/oauth/token',
    { grant_type: 'refresh_token', refresh_token: 'x', client_id: 'alpha' },
    { host: 'crm.example.com' },
  );
  assert.deepEqual([answer.status, answer.json.error], [400, 'invalid_grant']);
});

interface Flood {
  readonly what: string;
  readonly requests: number;
  send(by: Visitor): Promise<{ readonly status: number; readonly headers: Readonly<Record<string, unknown>> }>;
}

const FLOODS: readonly Flood[] = [
  {
    what: 'registrations',
    requests: 25,
    send: (by) =>
      by.send('/fixture/oauth/register', {
        body: JSON.stringify({ redirect_uris: metadata.redirect_uris }),
        headers: { 'content-type': 'application/json' },
      }),
  },
  { what: 'authorization requests', requests: 125, send: (by) => by.send(requestFor(world).url) },
  { what: 'token requests', requests: 245, send: (by) => by.send(token, { form: { grant_type: 'refresh_token' } }) },
  {
    what: 'logins that are none',
    requests: 485,
    send: (by) => by.send('/fixture/oauth/interaction/aaaaaaaaaaaaaaaaaaaaa'),
  },
  { what: 'answers of nobody', requests: 485, send: (by) => by.send('/oauth/callback/corp?state=x&code=x') },
  { what: 'pages', requests: 485, send: (by) => by.send('/connect/finish?ticket=x') },
];

test('floods from one address are refused, and are one event; others are served', async (t) => {
  for (const { what, requests, send } of FLOODS) {
    await t.test(what, async () => {
      const flooder = createVisitor(world);
      const answers = [];
      for (let sent = 0; sent < requests; sent += 25) {
        answers.push(
          ...(await Promise.all(Array.from({ length: Math.min(25, requests - sent) }, () => send(flooder)))),
        );
      }
      const refused = answers.filter(({ status }) => status === 429);
      assert.ok(refused.length >= 1 && refused.length <= 10, `${refused.length}`);
      for (const { headers } of refused) assert.equal(headers['retry-after'], '60');
      assert.notEqual((await send(createVisitor(world))).status, 429);
      const events = (await world.events()).filter(({ address }) => address === flooder.address);
      assert.equal(events.filter(({ reason }) => reason === 'too_many_logins').length, 1);
      assert.ok(what === 'registrations' || events.length <= 3, `${events.length} events`);
    });
  }
});
