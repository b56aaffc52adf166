import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createPlainServer, type RequestListener } from 'node:http';
import { createServer } from 'node:https';
import { type AddressInfo, createServer as createNetServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { inspect } from 'node:util';
import { request } from 'undici';
import { type GoogleDouble, startGoogle } from '../../test/google/google.ts';
import { CERTIFICATE, PRIVATE_KEY } from '../../test/google/tls-certificate.ts';
import { type ConnectionConfig, parseConfig } from '../config.ts';
import { GatewayError } from '../errors.ts';
import { createGoogleIdentity } from '../google-identity.ts';
import { loggableReason } from './credential-error.ts';
import { openUpstream, reachReason, type Upstream, upstreamError } from './upstream.ts';

const ANALYSTS = 'analysts@verbatim.iam.gserviceaccount.com';
const ADMINS = 'admins@verbatim.iam.gserviceaccount.com';

const folder = mkdtempSync(join(tmpdir(), 'verbatim-upstream-'));
let double: GoogleDouble;
before(async () => {
  double = await startGoogle();
  double.impersonable.add(ANALYSTS).add(ADMINS);
});
after(async () => {
  await double.close();
  rmSync(folder, { recursive: true });
});

function connectionOf(written: Record<string, unknown>): ConnectionConfig {
  const config = parseConfig({
    listen: { host: '127.0.0.1', port: 0 },
    publicUrl: 'http://127.0.0.1:1',
    data: folder,
    stores: { recordings: `file://${folder}/store` },
    policies: 'allow-all',
    issuers: { test: { issuer: 'http://127.0.0.1:2' } },
    connections: { one: { groups: ['all'], ...written } },
  });
  const { one } = config.connections;
  assert.ok(one);
  return one;
}

function open(connection: ConnectionConfig, addresses = ['127.0.0.1']): Promise<Upstream> {
  return openUpstream(connection, {
    now: Date.now,
    google: double.google,
    identity: createGoogleIdentity(),
    resolve: async () => addresses.map((address) => ({ address, family: 4 })),
  });
}

test('credentialFor: the first entry that names a group wins, the same object for the same credential', async () => {
  const none = { none: true };
  const upstream = await open(
    connectionOf({
      upstream: { url: 'https://orders.example' },
      groups: ['admins', 'owners', 'guests', 'bots', 'others'],
      credential: { googleIdToken: { serviceAccount: ANALYSTS } },
      credentialByGroup: [
        { groups: ['admins', 'owners'], credential: { googleIdToken: { serviceAccount: ADMINS } } },
        { groups: ['guests', 'admins'], credential: none },
        { groups: ['bots'], credential: none },
      ],
    }),
  );
  const versionFor = async (...groups: string[]) => (await upstream.credentialFor({ groups }).current()).version;
  assert.equal(await versionFor(), `impersonated:${ANALYSTS}`);
  assert.equal(await versionFor('others'), `impersonated:${ANALYSTS}`);
  assert.equal(await versionFor('guests', 'owners'), `impersonated:${ADMINS}`);
  assert.equal(await versionFor('guests'), undefined);
  assert.equal(upstream.credentialFor({ groups: ['bots'] }), upstream.credentialFor({ groups: ['guests'] }));
  assert.equal(upstream.credentialFor({ groups: ['admins'] }), upstream.credentialFor({ groups: ['owners'] }));
  assert.notEqual(upstream.credentialFor({ groups: [] }), upstream.credentialFor({ groups: ['admins'] }));
  await upstream.close();
});

async function startGoogleApi(answer: RequestListener): Promise<{ port: number; close(): Promise<void> }> {
  const server = createServer({ cert: CERTIFICATE, key: PRIVATE_KEY }, answer);
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      server.closeAllConnections();
      await new Promise<void>((done) => server.close(() => done()));
    },
  };
}

test('a Google API over TLS gets the access token of the connection’s account, and not the gateway’s own', async () => {
  const seen: (string | string[] | undefined)[][] = [];
  const api = await startGoogleApi((request, response) => {
    seen.push([request.headers.authorization, request.headers['x-goog-user-project']]);
    response.end('{}');
  });
  const ca = join(folder, 'ca.pem');
  writeFileSync(ca, CERTIFICATE);
  const url = `https://bigquery.googleapis.com:${api.port}`;
  const scopes = ['https://www.googleapis.com/auth/bigquery.readonly'];
  const upstream = await open(
    connectionOf({
      upstream: { url, allowAddresses: ['loopback'], ca: `file:${ca}` },
      credential: { googleAccessToken: { serviceAccount: ANALYSTS, scopes, quotaProject: 'my-project' } },
    }),
  );
  const { headers } = await upstream.credentialFor({ groups: [] }).current();
  const { dispatcher } = upstream;
  const answer = await request(`${url}/mcp`, { dispatcher, headers: Object.fromEntries(headers) });
  await answer.body.dump();
  assert.equal(answer.statusCode, 200);
  assert.deepEqual(seen, [[headers[0]?.[1], 'my-project']]);
  assert.match(headers[0]?.[1] ?? '', /^Bearer ya29\.CANARY-access-\d+-analysts@.*bigquery\.readonly$/);
  await upstream.close();
  await api.close();
});

test('the certificate authority may stand in Secret Manager; addresses are checked whatever resolves them', async () => {
  const api = await startGoogleApi((_, response) => response.end('{}'));
  const ca = `gcp-secret:${double.secretManager.add('ca', CERTIFICATE)}`;
  const url = `https://x.googleapis.com:${api.port}`;
  const get = async (upstream: Upstream): Promise<number> => {
    const { statusCode, body } = await request(url, { dispatcher: upstream.dispatcher });
    await body.dump();
    return statusCode;
  };
  const credential = { none: true };
  const good = await open(connectionOf({ upstream: { url, allowAddresses: ['loopback'], ca }, credential }));
  assert.equal(await get(good), 200);
  const untrusted = await open(connectionOf({ upstream: { url, allowAddresses: ['loopback'] }, credential }));
  await assert.rejects(get(untrusted), { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' });
  const closed = connectionOf({ upstream: { url, ca }, credential });
  for (const upstream of [await open(closed), await open(closed, ['169.254.169.254'])]) {
    await assert.rejects(get(upstream), { code: 'upstream_address_refused' });
    await upstream.close();
  }
  await Promise.all([good.close(), untrusted.close(), api.close()]);
  const missing = connectionOf({ upstream: { url, ca: ca.replace('/ca/', '/none/') }, credential });
  await assert.rejects(open(missing), { code: 'credential_unavailable' });
});

test('why it was not reached: a code, host and port, and nothing that anybody else wrote', async () => {
  const tls = await startGoogleApi((_, response) => response.end('{}'));
  const plain = createPlainServer((_, response) => response.end('{}'));
  const broken = createNetServer((socket) => {
    socket.on('error', () => {});
    socket.end('CANARY-no-http\r\n\r\n', () => socket.destroy());
  });
  await Promise.all([plain, broken].map((one) => new Promise<void>((done) => one.listen(0, '127.0.0.1', done))));
  const portOf = (one: typeof plain | typeof broken): number => (one.address() as AddressInfo).port;
  const refused = async (url: string, addresses: string[] | Error) => {
    const upstream = await openUpstream(
      connectionOf({ upstream: { url, allowAddresses: ['loopback'] }, credential: { none: true } }),
      {
        now: Date.now,
        google: double.google,
        resolve: async () => {
          if (addresses instanceof Error) throw addresses;
          return addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
        },
      },
    );
    const error = await request(url, { dispatcher: upstream.dispatcher }).then(
      () => assert.fail(),
      (found) => found,
    );
    await upstream.dispatcher.destroy();
    const made = upstreamError(error, false);
    // Kept by what calls are refused with; the library's own error is not.
    assert.equal(reachReason(made), reachReason(error));
    assert.doesNotMatch(inspect(made, { depth: 9 }), /CANARY/);
    return [made.code, reachReason(made)];
  };
  const notFound = Object.assign(new Error('CANARY-words'), {
    code: 'ENOTFOUND',
    syscall: 'getaddrinfo',
    hostname: 'orders.nope.invalid',
  });
  const gone = portOf(plain);
  const wrongRecord = await refused(`https://127.0.0.1:${gone}`, []);
  plain.closeAllConnections();
  await new Promise<void>((done) => plain.close(() => done()));
  assert.deepEqual(
    [
      wrongRecord,
      await refused(`http://127.0.0.1:${gone}`, []),
      await refused('http://orders.nope.invalid', notFound),
      await refused(`https://127.0.0.1:${tls.port}`, []),
      (await refused(`http://127.0.0.1:${portOf(broken)}`, []))[0],
    ],
    [
      ['upstream_tls', 'ERR_SSL_WRONG_VERSION_NUMBER (the answer is no TLS: is it http://?)'],
      ['upstream_unreachable', `ECONNREFUSED 127.0.0.1:${gone}`],
      ['upstream_unreachable', 'ENOTFOUND orders.nope.invalid'],
      ['upstream_tls', 'DEPTH_ZERO_SELF_SIGNED_CERT (its certificate is not trusted: see `upstream.ca`)'],
      'upstream_unreachable',
    ],
  );
  await tls.close();
  await new Promise<void>((done) => broken.close(() => done()));
});

test('reachReason: attempts are told apart, the bare summary is left out, and what is no code is not said', () => {
  const attempt = (address: string) => Object.assign(new Error('x'), { code: 'ECONNREFUSED', address, port: 19 });
  const all = Object.assign(new AggregateError([attempt('::1'), attempt('127.0.0.1')]), { code: 'ECONNREFUSED' });
  assert.equal(
    reachReason(new TypeError('fetch failed', { cause: all })),
    'ECONNREFUSED [::1]:19, ECONNREFUSED 127.0.0.1:19',
  );
  assert.equal(reachReason(Object.assign(new Error('x'), { code: 'Bearer CANARY', hostname: 'a' })), undefined);
  assert.equal(reachReason(Object.assign(new Error('x'), { code: 'EPIPE', hostname: 'a\r\nCANARY' })), 'EPIPE');
  assert.equal(reachReason(new GatewayError('upstream_address_refused')), undefined);
});

test('closing ends a token that is being fetched', async () => {
  double.trouble('generateIdToken', 'stall');
  const upstream = await open(
    connectionOf({
      upstream: { url: 'https://orders.example' },
      credential: { googleIdToken: { serviceAccount: ANALYSTS } },
    }),
  );
  const calls = double.calls.generateIdToken;
  const waiting = assert.rejects(upstream.credentialFor({ groups: [] }).current(), (error) =>
    /ABORTED/.test(loggableReason(error)),
  );
  while (double.calls.generateIdToken === calls) await new Promise((done) => setImmediate(done));
  await upstream.close();
  await waiting;
  double.trouble('generateIdToken', undefined);
});
