/** People's own credentials through a whole gateway: asked for consent, then each call has its own person's token. */
import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { loadConfigFile } from '../gateway/config-file.ts';
import { createKeyring } from '../gateway/identity/keyring.ts';
import { openUserCredentials } from '../gateway/identity/upstream-consent.ts';
import { createBlock } from '../gateway/sessions/block-record.ts';
import { openStore } from '../gateway/store/open.ts';
import { secret } from './canaries.ts';
import { type GatewayUnderTest, startGatewayInFrontOf } from './gateway-under-test.ts';
import { createLoginStorage, loginWithSdk } from './login-storage.ts';
import { startLoginWorld } from './login-world.ts';
import { call as rawCall } from './raw-client.ts';
import { startUpstreamOAuth, type UpstreamOAuth } from './upstream-oauth.ts';

const LOGIN_SECRET = secret('the-login-secret-of-this-test-of-32-bytes-and-more', 'the login secret');
const secretFile = join(tmpdir(), `verbatim-login-secret-${process.pid}`);
const BOB = { name: 'bob', fullName: 'Bob', email: 'bob@example.com', work: 'a test', groups: ['engineers'] };
const LIST = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list' });
let double: UpstreamOAuth;
let gateway: GatewayUnderTest;
before(async () => {
  double = await startUpstreamOAuth();
  await writeFile(secretFile, LOGIN_SECRET, { mode: 0o400 });
  const oidc = { issuer: 'https://idp.example.com', clientId: 'verbatim', clientSecret: `file:${secretFile}` };
  gateway = await startGatewayInFrontOf(double.url, {
    config: { login: { secrets: [`file:${secretFile}`], providers: { corp: { oidc } } } },
    connection: { credential: { userOauth: {} } },
  });
});
after(async () => {
  await gateway.close();
  await double.close();
  await rm(secretFile, { force: true });
});

async function call(token: string): Promise<Record<string, unknown>> {
  const answer = await fetch(gateway.url, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${token}`,
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
    },
    body: LIST,
  });
  return (await answer.json()) as Record<string, unknown>;
}

/** As another replica does it, with the state and the secret that the gateway has. */
async function connect(subject: string): Promise<void> {
  const loaded = loadConfigFile(gateway.configFile);
  assert.ok(loaded.ok);
  const { stores, publicUrl, connections } = loaded.config;
  const connection = connections.fixture ?? assert.fail();
  const { consent } = openUserCredentials({
    state: openStore(stores.state),
    keyring: createKeyring([Buffer.from(LOGIN_SECRET)]),
    now: Date.now,
    publicUrl: () => publicUrl,
  });
  const principal = { issuer: gateway.issuer.url, subject };
  const { url, memory } = await consent.begin({ connection, principal, state: 'state' });
  const back = await double.visit(url, subject, publicUrl);
  await consent.finish({ connection, principal, url: back, memory });
}

test('each person is asked once, and their calls have their own token', async () => {
  const { error } = (await call(gateway.token)) as { error: { data: unknown } };
  const { port } = new URL(gateway.url);
  assert.deepEqual(error.data, {
    code: 'user_consent_needed',
    fate: 'not_forwarded',
    url: `http://127.0.0.1:${port}/connect/fixture`,
  });
  await connect('ana');
  await connect('ben');
  const ben = await gateway.tokenFor({ sub: 'ben' });
  assert.deepEqual((await call(gateway.token)).result, { who: 'ana' });
  assert.deepEqual((await call(ben)).result, { who: 'ben' });
  const cleo = await gateway.tokenFor({ sub: 'cleo' });
  assert.ok('error' in (await call(cleo)));
  assert.deepEqual(double.calls, ['ana', 'ben']);
});

test('a login goes through the upstream’s consent once, and /connect says so', async () => {
  await using world = await startLoginWorld({ upstream: double.url, connection: { credential: { userOauth: {} } } });
  const { origin } = new URL(world.mcp);
  const before = double.granted.authorization_code;
  for (const expected of [1, 1]) {
    const storage = createLoginStorage('ana', async (url) =>
      url.href.startsWith(`${double.issuer}/`) ? double.visit(url.href, 'ana', origin) : undefined,
    );
    await loginWithSdk(world.mcp, storage);
    assert.equal(double.granted.authorization_code - before, expected);
    const answer = await rawCall(world.mcp, { token: storage.kept().accessToken, body: LIST }).answer;
    assert.deepEqual(JSON.parse((await answer.whole()).toString()).result, { who: 'ana' });
  }
});

test('whose principal is blocked, whose own token goes: here, and at its server', async () => {
  await using world = await startLoginWorld({ upstream: double.url, connection: { credential: { userOauth: {} } } });
  const { origin } = new URL(world.mcp);
  const storage = createLoginStorage('bob', async (url) =>
    url.href.startsWith(`${double.issuer}/`) ? double.visit(url.href, 'bob', origin) : undefined,
  );
  world.setPeople([{ ...BOB, groups: ['analysts'] }]);
  await loginWithSdk(world.mcp, storage);
  const loaded = loadConfigFile(world.gateway.configFile);
  assert.ok(loaded.ok);
  const { state, audit } = loaded.config.stores;
  const revoked = double.revoked();
  await createBlock(
    { state: openStore(state), audit: openStore(audit), now: Date.now },
    { who: { principal: 'bob', issuer: world.idp.issuer }, reason: 'a test', actor: 'os:test' },
  );
  while (double.revoked() === revoked) await new Promise((done) => setTimeout(done, 50));
  assert.equal(double.revoked(), revoked + 1);
});
