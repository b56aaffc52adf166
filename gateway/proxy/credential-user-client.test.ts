import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { userConnection } from '../../test/user-replica.ts';
import type { UserOauthConfig } from '../config-credential.ts';
import { userOauthOf } from '../config-credential.ts';
import { createKeyring } from '../identity/keyring.ts';
import { createMemoryStore } from '../store/memory.ts';
import type { Store } from '../store/store.ts';
import { clientDocument, createUpstreamClients, upstreamCallback } from './credential-user-client.ts';
import type { AuthorizationServer } from './credential-user-discovery.ts';
import type { UserFetch } from './credential-user-fetch.ts';

const PUBLIC_URL = 'https://mcp.example.com';
const SERVER: AuthorizationServer = {
  issuer: 'https://as.example.com',
  authorization_endpoint: 'https://as.example.com/authorize',
  token_endpoint: 'https://as.example.com/token',
  registration_endpoint: 'https://as.example.com/register',
};
const DOCUMENTS = { ...SERVER, client_id_metadata_document_supported: true };

let time: number;
let state: Store;
/** Bodies of registrations; `answer` is what the next one gets. */
let registrations: Record<string, unknown>[];
let answer: (serial: number) => { status: number; body: unknown };
const fetch: UserFetch = async (_url, { body = '' }) => {
  registrations.push(JSON.parse(body));
  const { status, body: said } = answer(registrations.length);
  return new Response(JSON.stringify(said), { status });
};
beforeEach(() => {
  time = Date.now();
  state = createMemoryStore();
  registrations = [];
  answer = (serial) => ({
    status: 201,
    body: { client_id: `c${serial}`, client_secret: `CANARY-secret-${serial}`, client_secret_expires_at: 0 },
  });
});

function replica(publicUrl = PUBLIC_URL) {
  const keyring = createKeyring([Buffer.alloc(32, 'k')]);
  return createUpstreamClients({ state, keyring, now: () => time, publicUrl: () => publicUrl });
}

function choose(config: Partial<UserOauthConfig>, server = SERVER, at = replica()) {
  const connection = userConnection('https://orders.example.com/mcp', config);
  return at.choose(connection, userOauthOf(connection) ?? assert.fail(), server, fetch);
}

test('a client by hand comes before all others, with its secret as it is now', async () => {
  process.env.USER_CLIENT_TEST = 'CANARY-by-hand-1';
  const client = { id: 'by-hand', secret: 'env:USER_CLIENT_TEST', auth: 'client_secret_post' } as const;
  const chosen = await choose({ client }, DOCUMENTS);
  assert.deepEqual(chosen, { ...client, secret: 'CANARY-by-hand-1', from: 'configured' });
  assert.deepEqual(await choose({ client: { id: 'open', auth: 'none' } }), {
    id: 'open',
    auth: 'none',
    from: 'configured',
  });
});

test('its own document where the server reads those, unless the configuration says otherwise', async () => {
  const document = clientDocument(PUBLIC_URL, { name: 'orders', title: 'Orders' });
  assert.deepEqual(document, {
    client_id: 'https://mcp.example.com/oauth/client/orders.json',
    client_name: 'Verbatim at mcp.example.com: Orders',
    client_uri: PUBLIC_URL,
    redirect_uris: [upstreamCallback(PUBLIC_URL, 'orders')],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: 'none',
  });
  assert.deepEqual(await choose({}, DOCUMENTS), { id: document.client_id, auth: 'none', from: 'document' });
  assert.equal((await choose({ registration: 'dynamic' }, DOCUMENTS)).id, 'c1');
  await assert.rejects(choose({ registration: 'document' }, SERVER), { code: 'credential_unavailable' });
  // A server can not read a document at an address that is this machine's.
  assert.equal((await choose({}, DOCUMENTS, replica('http://127.0.0.1:8080'))).id, 'c2');
});

test('registered once for all replicas, sealed; another server or address is another registration', async () => {
  const together = await Promise.all([choose({}), choose({}), choose({})]);
  const [first] = together;
  assert.deepEqual(new Set(together.map(({ id }) => id)).size, 1);
  assert.match(first?.from ?? '', /^user-clients\/[0-9a-f]{64}\/000001\.json$/);
  assert.deepEqual(await choose({}), first);
  const before = registrations.length;
  await choose({}, { ...SERVER, issuer: 'https://other.example.com' });
  await choose({}, SERVER, replica('https://else.example.com'));
  assert.equal(registrations.length, before + 2);
  for await (const name of state.list('')) {
    assert.ok(!Buffer.from((await state.get(name)) ?? '').includes('CANARY'), name);
  }
});

for (const [name, supported, said, auth] of [
  ['Basic where nothing is said', undefined, {}, 'client_secret_basic'],
  ['a secret before none', ['none', 'client_secret_post'], {}, 'client_secret_post'],
  ['none where nothing else is known', ['none', 'private_key_jwt'], {}, 'none'],
  ['what the server made of it', undefined, { token_endpoint_auth_method: 'client_secret_post' }, 'client_secret_post'],
  ['none where the server gave no secret', undefined, { client_secret: undefined }, 'none'],
] as const) {
  test(`how it authenticates: ${name}`, async () => {
    answer = () => ({ status: 201, body: { client_id: 'c', client_secret: 'CANARY-secret', ...said } });
    const methods = supported === undefined ? {} : { token_endpoint_auth_methods_supported: [...supported] };
    const chosen = await choose({}, { ...SERVER, ...methods });
    assert.equal(chosen.auth, auth);
    assert.equal(chosen.secret, auth === 'none' ? undefined : 'CANARY-secret');
  });
}

test('a secret that ends, and a client that its server forgot, are registered anew', async () => {
  const ends = Math.floor(time / 1000) + 3600;
  answer = (serial) => ({
    status: 201,
    body: { client_id: `c${serial}`, client_secret: 'CANARY-secret', client_secret_expires_at: ends * serial },
  });
  assert.equal((await choose({})).id, 'c1');
  time += 3_500_000;
  const second = await choose({});
  assert.equal(second.id, 'c2');
  await replica().bury(second);
  assert.equal((await choose({})).id, 'c3');
});

test('find: the client of a token set, and no other', async () => {
  const at = replica();
  const connection = userConnection('https://orders.example.com/mcp');
  const config = userOauthOf(connection) ?? assert.fail();
  const { id, from } = await choose({});
  assert.equal((await at.find(connection, config, id, from))?.id, id);
  assert.equal(await at.find(connection, config, 'another', from), undefined);
  assert.equal(await at.find(connection, config, id, 'configured'), undefined);
  assert.equal(await at.find(connection, config, id, 'document'), undefined);
  assert.equal(await at.find(connection, config, id, from.replace('1.json', '2.json')), undefined);
});

test('a server that refuses, or answers something else, in words without its own', async () => {
  for (const [status, body] of [
    [400, { error: 'invalid_request', error_description: 'CANARY' }],
    [201, { client_id: 7 }],
    [201, 'CANARY'],
    [302, {}],
  ] as const) {
    answer = () => ({ status, body });
    await assert.rejects(choose({}), (error: Error) => {
      assert.equal((error as { code?: unknown }).code, 'credential_unavailable');
      assert.doesNotMatch(error.message, /CANARY/);
      return true;
    });
  }
  const { registration_endpoint: _, ...closed } = SERVER;
  await assert.rejects(choose({}, closed), { code: 'credential_unavailable' });
  for await (const name of state.list('')) assert.fail(name);
});
