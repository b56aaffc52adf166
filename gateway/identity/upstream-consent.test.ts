import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { inspect } from 'node:util';
import { startUpstreamOAuth, type UpstreamOAuth } from '../../test/upstream-oauth.ts';
import { CALLBACK, openReplica, personOf, type UserReplica, userConnection } from '../../test/user-replica.ts';
import { createMemoryStore } from '../store/memory.ts';
import type { Store } from '../store/store.ts';
import { type LoginRefusal, LoginRefused } from './broker/identity-provider.ts';

const ana = personOf('ana');
let double: UpstreamOAuth;
let state: Store;
let replica: UserReplica;
before(async () => {
  double = await startUpstreamOAuth();
});
after(() => double.close());
beforeEach(async () => {
  state = createMemoryStore();
  replica = await openReplica({ state, now: Date.now, connection: userConnection(double.url) });
  double.metadata = {};
  double.answerToBrowser = (url) => url;
});

async function refused(step: Promise<unknown>, code: LoginRefusal): Promise<void> {
  await assert.rejects(step, (error) => {
    assert.ok(error instanceof LoginRefused);
    assert.equal(error.code, code, error.message);
    assert.doesNotMatch(inspect(error, { depth: 10, showHidden: true }), /code=|[?&]state=/);
    return true;
  });
}

const begin = (at: UserReplica, connection = at.connection) =>
  at.consent.begin({ connection, principal: ana, state: 'a-state' });

test('begin: PKCE, the resource, the scope that the server asks for, and a callback of the connection’s own', async () => {
  const { url, memory } = await begin(replica);
  const { origin, searchParams } = new URL(url);
  assert.equal(origin, double.issuer);
  const { client_id, code_challenge, ...asked } = Object.fromEntries(searchParams);
  assert.deepEqual(asked, {
    response_type: 'code',
    redirect_uri: CALLBACK,
    state: 'a-state',
    resource: double.url,
    code_challenge_method: 'S256',
    scope: 'orders:read offline_access',
    prompt: 'consent',
  });
  assert.match(code_challenge ?? '', /^[\w-]{43}$/);
  assert.ok(!url.includes(memory.verifier ?? '-'));
  const again = await begin(replica);
  assert.notEqual(again.memory.verifier, memory.verifier);
  assert.equal(new URL(again.url).searchParams.get('client_id'), client_id);
});

test('scopes: those of the configuration, and nothing besides', async () => {
  const connection = userConnection(double.url, { scopes: ['orders:write', 'offline_access'] });
  const { url } = await begin(await openReplica({ state, now: Date.now, connection }));
  const { searchParams } = new URL(url);
  assert.equal(searchParams.get('scope'), 'orders:write offline_access');
  assert.equal(searchParams.get('prompt'), 'consent');
});

test('scopes: none where nobody says one', async () => {
  const connection = userConnection(double.url, { authorizationServer: double.issuer });
  const { url } = await begin(await openReplica({ state, now: Date.now, connection }));
  const { searchParams } = new URL(url);
  assert.deepEqual([searchParams.get('scope'), searchParams.get('prompt')], [null, null]);
});

test('one replica begins, another finishes, and a third one calls', async () => {
  const at = () => openReplica({ state, now: Date.now, connection: replica.connection });
  const { url, memory } = await begin(replica);
  const back = await double.visit(url, 'ana', CALLBACK);
  const { connection } = replica;
  await (await at()).consent.finish({ connection, principal: ana, url: back, memory });
  const third = await at();
  assert.equal((await third.call('ana')).who, 'ana');
  assert.equal((await third.credentials.stateOf(connection, ana)).kind, 'connected');
  assert.equal((await third.credentials.stateOf(connection, personOf('ben'))).kind, 'none');
});

const UNKNOWN_CODE = 'a code that the server did not give';
const ANSWERS: readonly [string, LoginRefusal, (url: URL) => URL][] = [
  ['iss of another server (mix-up)', 'answer_invalid', (url) => changed(url, 'iss', 'https://other.example.com')],
  ['iss with a slash more', 'answer_invalid', (url) => changed(url, 'iss', `${url.searchParams.get('iss')}/`)],
  ['no iss, which the server promises', 'answer_invalid', (url) => changed(url, 'iss', undefined)],
  ['another state', 'answer_invalid', (url) => changed(url, 'state', 'b-state')],
  ['no state', 'answer_invalid', (url) => changed(url, 'state', undefined)],
  ['no code', 'answer_invalid', (url) => changed(url, 'code', undefined)],
  [UNKNOWN_CODE, 'answer_invalid', (url) => changed(url, 'code', 'another-code')],
  ['two codes', 'answer_invalid', (url) => new URL(`${url}&code=another`)],
  ['the callback of another connection', 'answer_invalid', (url) => new URL(url.href.replace('/orders?', '/wiki?'))],
  ['another host', 'answer_invalid', (url) => new URL(url.href.replace('mcp.', 'evil.'))],
  ['a no', 'provider_refused', (url) => changed(changed(url, 'code', undefined), 'error', 'access_denied')],
  [
    'a no of another server',
    'answer_invalid',
    (url) => changed(changed(url, 'iss', 'https://other.example.com'), 'error', 'access_denied'),
  ],
];
for (const [name, code, change] of ANSWERS) {
  test(`finish: ${name}`, async () => {
    const { connection, consent, credentials } = replica;
    const { url, memory } = await begin(replica);
    const back = change(await double.visit(url, 'ana', CALLBACK));
    const { authorization_code: exchanged, refused: before } = double.granted;
    await refused(consent.finish({ connection, principal: ana, url: back, memory }), code);
    assert.equal(double.granted.authorization_code, exchanged);
    // Only what looks like an answer to this consent is shown to its server.
    assert.equal(double.granted.refused, name === UNKNOWN_CODE ? before + 1 : before);
    assert.deepEqual(await credentials.stateOf(connection, ana), { kind: 'none' });
  });
}

function changed(url: URL, name: string, value: string | undefined): URL {
  const next = new URL(url);
  if (value === undefined) next.searchParams.delete(name);
  else next.searchParams.set(name, value);
  return next;
}

test('finish: a consent is its beginner’s, for its connection, and once', async () => {
  const { connection, consent, credentials } = replica;
  const { url, memory } = await begin(replica);
  const back = await double.visit(url, 'ana', CALLBACK);
  await refused(consent.finish({ connection, principal: personOf('ben'), url: back, memory }), 'login_over');
  const other = { ...connection, name: 'wiki' };
  await refused(consent.finish({ connection: other, principal: ana, url: back, memory }), 'login_over');
  await refused(consent.finish({ connection, principal: ana, url: back, memory: {} }), 'login_over');
  await consent.finish({ connection, principal: ana, url: back, memory });
  await refused(consent.finish({ connection, principal: ana, url: back, memory }), 'answer_invalid');
  assert.equal((await credentials.stateOf(connection, personOf('ben'))).kind, 'none');
});

test('finish: a verifier of another consent opens nothing', async () => {
  const { connection, consent } = replica;
  const { url, memory } = await begin(replica);
  const { verifier = '' } = (await begin(replica)).memory;
  const back = await double.visit(url, 'ana', CALLBACK);
  const mixed = { ...memory, verifier };
  await refused(consent.finish({ connection, principal: ana, url: back, memory: mixed }), 'answer_invalid');
});

const METADATA: readonly [string, Record<string, unknown>][] = [
  ['another resource', { resource: 'https://other.example.com/mcp' }],
  ['the origin alone', { resource: 'ORIGIN' }],
  ['a server on a metadata address', { authorization_servers: ['https://169.254.169.254'] }],
  ['a server on a link-local address', { authorization_servers: ['https://[fe80::1]'] }],
  ['a server on a name of metadata', { authorization_servers: ['https://metadata.google.internal'] }],
  ['a server without TLS', { authorization_servers: ['http://10.255.255.1'] }],
  ['no server', { authorization_servers: [] }],
  ['a server that says it is another', { authorization_servers: ['ISSUER/'] }],
];
for (const [name, metadata] of METADATA) {
  test(`begin: metadata with ${name}`, async () => {
    const text = JSON.stringify(metadata).replace('ORIGIN', double.origin).replace('ISSUER', double.issuer);
    double.metadata = JSON.parse(text) as Record<string, unknown>;
    const registered = double.registered();
    await refused(begin(replica), 'provider_unavailable');
    assert.equal(double.registered(), registered);
  });
}

test('begin: loopback addresses are there only where the connection allows them', async () => {
  const connection = { ...replica.connection, upstream: { ...replica.connection.upstream, allowAddresses: [] } };
  await refused(begin(replica, connection), 'provider_unavailable');
});

test('begin: a resource that the configuration names is good where the metadata has it', async () => {
  double.metadata = { resource: `${double.origin}/` };
  const connection = userConnection(double.url, { resource: double.origin });
  const { url } = await begin(await openReplica({ state, now: Date.now, connection }));
  assert.equal(new URL(url).searchParams.get('resource'), `${double.origin}/`);
});
