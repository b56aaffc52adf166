import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, beforeEach, test } from 'node:test';
import { userConnection } from '../../test/user-replica.ts';
import type { UserOauthConfig } from '../config-credential.ts';
import { isTransient, loggableReason } from './credential-error.ts';
import { discoverResource, discoverServer, sameUrl } from './credential-user-discovery.ts';
import { addressProblem, createUserFetch } from './credential-user-fetch.ts';

type Document = Record<string, unknown> | ((request: IncomingMessage, response: ServerResponse) => void);

/** What stands at each path; all else is 404. */
let documents: Record<string, Document>;
let asked: string[];
let origin: string;
const server = createServer((request, response) => {
  asked.push(request.url ?? '');
  const document = documents[request.url ?? ''];
  if (typeof document === 'function') document(request, response);
  else if (document === undefined) response.writeHead(404).end('<p>Not here');
  else response.setHeader('content-type', 'application/json').end(JSON.stringify(document));
});
before(async () => {
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
after(() => {
  server.closeAllConnections();
  server.close();
});
beforeEach(() => {
  [documents, asked] = [{}, []];
});

const LOOPBACK = { allowAddresses: ['loopback'] };
const RESOURCE = '/.well-known/oauth-protected-resource';
const SERVER = '/.well-known/oauth-authorization-server';

function discover(config: Partial<UserOauthConfig> = {}, path = '/mcp') {
  const connection = userConnection(`${origin}${path}`, config, LOOPBACK);
  const { credential, upstream } = connection;
  assert.ok('userOauth' in credential);
  return discoverResource(connection, credential.userOauth, createUserFetch(upstream, { deadline: 300 }));
}

function serverOf(issuer: string, allow = ['loopback']) {
  const { upstream } = userConnection(`${origin}/mcp`, {}, LOOPBACK);
  return discoverServer(issuer, allow, createUserFetch(upstream, { deadline: 300 }));
}

const challenge =
  (value: string): Document =>
  (_request, response) =>
    void response.writeHead(401, { 'www-authenticate': value }).end();
const metadata = (over: Record<string, unknown> = {}) => ({
  resource: `${origin}/mcp`,
  authorization_servers: ['https://as.example.com'],
  ...over,
});

async function reasonOf(step: Promise<unknown>): Promise<string> {
  const error = await step.then(
    () => assert.fail('it did not fail'),
    (found: unknown) => found,
  );
  return loggableReason(error);
}

for (const [name, value] of [
  ['quoted', (at: string) => `Bearer error="invalid_token", resource_metadata="${at}", scope="a b"`],
  ['bare', (at: string) => `Basic realm=x, bearer scope="a b",resource_metadata=${at}`],
] as const) {
  test(`the resource's metadata by the challenge, ${name}: its scopes are what a call takes`, async () => {
    documents = { '/mcp': challenge(value(`${origin}/meta`)), '/meta': metadata({ scopes_supported: ['all'] }) };
    const issuer = 'https://as.example.com';
    assert.deepEqual(await discover(), { resource: `${origin}/mcp`, issuer, scopes: ['a', 'b'] });
    assert.deepEqual(asked, ['/mcp', '/meta']);
  });
}

test('without a challenge at the well-known places: the path’s first, then the origin’s', async () => {
  documents = { [`${RESOURCE}/mcp`]: metadata({ scopes_supported: ['all'] }) };
  assert.deepEqual((await discover()).scopes, ['all']);
  documents = { [RESOURCE]: metadata() };
  asked = [];
  assert.equal((await discover()).scopes, undefined);
  assert.deepEqual(asked, ['/mcp', `${RESOURCE}/mcp`, RESOURCE]);
  documents = {};
  assert.match(await reasonOf(discover()), /^no protected resource metadata at /);
});

test('a server that opens a stream to everybody is not listened to', async () => {
  documents = {
    '/mcp': (_request, response) => void response.writeHead(200, { 'content-type': 'text/event-stream' }).write(':\n'),
    [RESOURCE]: metadata(),
  };
  assert.equal((await discover()).issuer, 'https://as.example.com');
});

test('with a server in the configuration the upstream is not asked', async () => {
  const found = await discover({ authorizationServer: 'https://as.example.com/one' });
  assert.deepEqual(found, { resource: `${origin}/mcp`, issuer: 'https://as.example.com/one', scopes: undefined });
  assert.deepEqual(asked, []);
});

for (const [a, b, same] of [
  ['https://h/mcp', 'https://h/mcp', true],
  ['HTTPS://H:443/mcp', 'https://h/mcp', true],
  ['https://h', 'https://h/', true],
  ['https://h/mcp/', 'https://h/mcp', false],
  ['https://h/MCP', 'https://h/mcp', false],
  ['https://h/mcp?a=1', 'https://h/mcp', false],
  ['https://h/mcp/tools', 'https://h/mcp', false],
  ['https://h', 'https://h/mcp', false],
  ['https://h:8443/mcp', 'https://h/mcp', false],
  ['http://h/mcp', 'https://h/mcp', false],
  ['https://h.example/mcp', 'https://h/mcp', false],
  ['https://h/%6dcp', 'https://h/mcp', false],
] as const) {
  test(`${a} is ${same ? '' : 'not '}the resource ${b}`, () => assert.equal(sameUrl(a, b), same));
}

const described = (issuer: string, over: Record<string, unknown> = {}) => ({
  issuer,
  authorization_endpoint: `${origin}/authorize`,
  token_endpoint: `${origin}/token`,
  code_challenge_methods_supported: ['S256'],
  ...over,
});

test('a server’s metadata: with a path in three places, without one in two', async () => {
  const issuer = `${origin}/tenant`;
  const places = [
    `${SERVER}/tenant`,
    '/.well-known/openid-configuration/tenant',
    '/tenant/.well-known/openid-configuration',
  ];
  for (const [index, place] of places.entries()) {
    documents = { [place]: described(issuer) };
    asked = [];
    assert.equal((await serverOf(issuer)).issuer, issuer);
    assert.deepEqual(asked, places.slice(0, index + 1));
  }
  documents = {};
  asked = [];
  assert.match(await reasonOf(serverOf(origin)), /has no metadata$/);
  assert.deepEqual(asked, [SERVER, '/.well-known/openid-configuration']);
});

const REFUSED: readonly [string, Record<string, unknown>, RegExp][] = [
  ['another issuer', { issuer: 'https://as.example.com' }, /says that it is/],
  ['PKCE that it does not say', { code_challenge_methods_supported: undefined }, /PKCE/],
  ['plain PKCE alone', { code_challenge_methods_supported: ['plain'] }, /PKCE/],
  ['a token endpoint without TLS', { token_endpoint: 'http://10.0.0.1/token' }, /is not https$/],
  ['a token endpoint on a metadata address', { token_endpoint: 'https://169.254.169.254/' }, /metadata address$/],
  ['a page without TLS', { authorization_endpoint: 'http://10.0.0.1/authorize' }, /is not https$/],
  ['registration on a link-local address', { registration_endpoint: 'https://169.254.1.1/' }, /linkLocal address$/],
  ['revocation in clear', { revocation_endpoint: 'http://as.example.com/' }, /is not https$/],
  ['a page that is a script', { authorization_endpoint: 'javascript:alert(1)' }, /has no metadata$/],
  ['no token endpoint', { token_endpoint: undefined }, /has no metadata$/],
];
for (const [name, over, reason] of REFUSED) {
  test(`a server with ${name}`, async () => {
    documents = { [SERVER]: described(origin, over) };
    assert.match(await reasonOf(serverOf(origin)), reason);
  });
}

test('a server whose name is none', async () => {
  for (const issuer of ['', 'as.example.com', 'https://as.example.com/?a=1', 'https://a@as.example.com', 'file:///x']) {
    assert.match(await reasonOf(serverOf(issuer)), /no usable identifier$/, issuer);
  }
  assert.deepEqual(asked, []);
});

test('what is asked may not redirect, grow without end or take for ever', async () => {
  const at = `${RESOURCE}/mcp`;
  documents = {
    [at]: (_request, response) => void response.writeHead(302, { location: `${origin}/meta` }).end(),
    '/meta': metadata(),
  };
  assert.match(await reasonOf(discover()), /^no protected resource metadata/);
  assert.ok(!asked.includes('/meta'));
  documents = { [at]: (_request, response) => void response.end(Buffer.alloc(300_000, ' ')) };
  assert.match(await reasonOf(discover()), /sent more than \d+ bytes$/);
  documents = { [at]: () => {} };
  const error = await discover().catch((found: unknown) => found);
  assert.match(loggableReason(error), /^no answer from 127\.0\.0\.1:\d+ \(TIMEOUT\)$/);
  assert.ok(isTransient(error));
});

test('names are resolved and held to the connection’s addresses', async () => {
  for (const [address, allow] of [
    ['127.0.0.1', []],
    ['169.254.169.254', ['loopback', 'linkLocal']],
    ['::ffff:169.254.169.254', ['loopback']],
    ['0.0.0.0', ['loopback']],
  ] as const) {
    const { upstream } = userConnection('https://mcp.example.com/mcp', {}, { allowAddresses: [...allow] });
    const resolve = async () => [{ address, family: address.includes(':') ? 6 : 4 }];
    const fetch = createUserFetch(upstream, { resolve, deadline: 300 });
    const step = fetch('https://as.example.com/token', { method: 'GET', headers: {} });
    assert.equal(await reasonOf(step), 'as.example.com has a refused address', address);
  }
});

for (const [url, allow, problem] of [
  ['https://as.example.com/', [], undefined],
  ['https://10.0.0.1/', [], undefined],
  ['http://127.0.0.1:1/', ['loopback'], undefined],
  ['http://localhost:1/', ['loopback'], undefined],
  ['http://127.0.0.1:1/', [], 'is a loopback address'],
  ['https://[::1]/', [], 'is a loopback address'],
  ['http://10.0.0.1/', ['loopback'], 'is not https'],
  ['http://as.example.com/', ['loopback'], 'is not https'],
  ['https://a:b@as.example.com/', [], 'has a user name or password'],
  ['https://metadata.google.internal/', ['loopback'], 'is a metadata address'],
] as const) {
  test(`${url} with [${allow.join()}]: ${problem ?? 'may be asked'}`, () =>
    assert.equal(addressProblem(url, allow), problem));
}
