import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { inspect } from 'node:util';
import { decodeJwt } from 'jose';
import { type Api, type GoogleDouble, startGoogle, type Trouble } from '../../test/google/google.ts';
import type { CredentialConfig, OAuthClientConfig } from '../config-credential.ts';
import { GatewayError } from '../errors.ts';
import { createGoogleIdentity } from '../google-identity.ts';
import { type Credential, createCredential } from './credential.ts';
import { CredentialFailure, isTransient, loggableReason } from './credential-error.ts';
import { type CredentialFetch, createCredentialFetch } from './credential-fetch.ts';

const ACCOUNT = 'orders@verbatim.iam.gserviceaccount.com';
const CLOUD_RUN = 'https://orders-abc.a.run.app';
const BIGQUERY = 'https://bigquery.googleapis.com';
const LATEST = 'gcp-secret:projects/verbatim/secrets/orders-key/versions/latest';

const folder = mkdtempSync(join(tmpdir(), 'verbatim-credential-'));
let time = Date.now();
let double: GoogleDouble;
before(async () => {
  double = await startGoogle(() => time);
  double.impersonable.add(ACCOUNT);
  double.secretManager.add('orders-key', 'CANARY-secret-1-of-orders');
  double.oauth.rotate('CANARY/client+secret:1 of orders');
});
after(async () => {
  await double.close();
  rmSync(folder, { recursive: true });
});
afterEach(() => {
  for (const api of Object.keys(double.calls) as Api[]) double.trouble(api, undefined);
  double.oauth.answers = {};
});

function open(
  config: Exclude<CredentialConfig, { userOauth: unknown }>,
  origin = CLOUD_RUN,
  fetch?: CredentialFetch,
): Credential {
  const upstream = { url: origin, allowAddresses: [], connections: 1, connectTimeout: 1000 };
  return createCredential(config, upstream, {
    now: () => time,
    google: double.google,
    closed: new AbortController().signal,
    identity: createGoogleIdentity(),
    // Long enough for a loopback, short enough for a test of silence.
    fetch: fetch ?? createCredentialFetch(400),
  });
}

function file(name: string, content: string): string {
  writeFileSync(join(folder, name), content);
  return `file:${join(folder, name)}`;
}

async function headerOf(credential: Credential): Promise<string> {
  const { headers } = await credential.current();
  assert.equal(headers.length, 1);
  assert.equal(headers[0]?.[0], 'authorization');
  return headers[0][1];
}

/** It failed in words, and nothing of what is secret is anywhere in the error, its cause or what they print as. */
async function refused(credential: Credential): Promise<GatewayError> {
  const error = await credential.current().then(
    () => assert.fail('it did not fail'),
    (found: unknown) => found,
  );
  assert.ok(error instanceof GatewayError && error.cause instanceof CredentialFailure);
  assert.deepEqual([error.code, error.fate], ['credential_unavailable', 'not_forwarded']);
  const printed = inspect(error, { depth: 20, showHidden: true }) + JSON.stringify(error) + String(error.stack);
  for (const secret of double.secrets) assert.ok(!printed.includes(secret), 'a secret is in the error');
  assert.doesNotMatch(printed, /CANARY/);
  assert.ok(!error.message.includes('verbatim.iam') && !error.message.includes('orders-key'), 'told to the client');
  return error;
}

test('none: no header, no version, nothing to renew', async () => {
  const none = open({ none: true });
  assert.deepEqual(await none.current(), { headers: [] });
  assert.equal(await none.renew({ headers: [] }), undefined);
});

test('bearer and header: from a file, read again after 10 s and when the upstream refused', async () => {
  const ref = file('bearer', 'a-secret-of-more-than-16\n');
  const bearer = open({ bearer: ref });
  const first = await bearer.current();
  assert.deepEqual(first.headers, [['authorization', 'Bearer a-secret-of-more-than-16']]);
  assert.match(first.version ?? '', /^[0-9a-f]{12}$/);
  const header = open({ header: 'X-Api-Key', value: ref });
  assert.deepEqual((await header.current()).headers, [['x-api-key', 'a-secret-of-more-than-16']]);
  assert.equal(await bearer.renew(first), undefined);
  file('bearer', 'another-secret-of-more');
  assert.deepEqual(await bearer.current(), first);
  time += 10_000;
  const second = await bearer.current();
  assert.deepEqual(second.headers, [['authorization', 'Bearer another-secret-of-more']]);
  assert.notEqual(second.version, first.version);
  file('bearer', 'a-third-secret-of-more');
  assert.deepEqual((await bearer.renew(second))?.headers, [['authorization', 'Bearer a-third-secret-of-more']]);
});

test('gcp-secret: latest is resolved, seen within 60 s, and renewed at once after a refusal', async () => {
  const bearer = open({ bearer: LATEST });
  const first = await bearer.current();
  assert.deepEqual(first, {
    headers: [['authorization', 'Bearer CANARY-secret-1-of-orders']],
    version: 'projects/123456789/secrets/orders-key/versions/1',
  });
  const calls = double.calls.access;
  double.secretManager.add('orders-key', 'CANARY-secret-2-of-orders');
  time += 44_000;
  assert.deepEqual(await bearer.current(), first);
  assert.equal(double.calls.access, calls);
  time += 16_000;
  assert.match((await bearer.current()).version ?? '', /\/versions\/2$/);
  const second = await bearer.current();
  double.secretManager.add('orders-key', 'CANARY-secret-3-of-orders');
  assert.match((await bearer.renew(second))?.version ?? '', /\/versions\/3$/);
});

for (const trouble of ['stall', 429, 500, 503, 'garbage', 'redirect', 'huge'] as const) {
  test(`gcp-secret: the last one is kept for 10 minutes while Secret Manager answers with ${trouble}`, async () => {
    const bearer = open({ bearer: LATEST });
    const first = await bearer.current();
    double.trouble('access', trouble);
    time += 599_000;
    assert.deepEqual(await bearer.current(), first);
    time += 31_000;
    await refused(bearer);
  });
}

for (const state of ['DISABLED', 'DESTROYED', 403, 404] as const) {
  test(`gcp-secret: ${state} fails within a minute, though there is a last one`, async () => {
    const name = double.secretManager.add('other', 'CANARY-other');
    const bearer = open({ bearer: `gcp-secret:${name}` });
    await bearer.current();
    if (typeof state === 'number') double.trouble('access', state);
    else double.secretManager.setState('other', Number(name.split('/').at(-1)), state);
    time += 60_000;
    const error = await refused(bearer);
    assert.equal(isTransient(error), false);
    assert.ok(loggableReason(error).startsWith(`gcp-secret:${name}: HTTP 4`));
  });
}

test('gcp-secret: what is damaged, not text or would forge a header is refused', async () => {
  double.secretManager.checksum('wrong');
  await refused(open({ bearer: LATEST }));
  double.secretManager.checksum('none');
  await open({ bearer: LATEST }).current();
  double.secretManager.checksum('right');
  for (const value of [Buffer.from([0xff, 0xfe]), 'CANARY\r\nx-forged: 1', '']) {
    await refused(open({ bearer: `gcp-secret:${double.secretManager.add('bad', value)}` }));
  }
});

test("the gateway's own token, once revoked, is replaced", async () => {
  const bearer = open({ bearer: LATEST });
  await bearer.current();
  double.revokeOwnToken();
  time += 61_000;
  double.secretManager.add('orders-key', 'CANARY-secret-4-of-orders');
  assert.equal(await headerOf(bearer), 'Bearer CANARY-secret-4-of-orders');
});

test('an ID token of the connection’s own account, for the upstream’s origin or the audience that is written', async () => {
  const credential = open({ googleIdToken: { serviceAccount: ACCOUNT } });
  const calls = double.calls.generateIdToken;
  const all = await Promise.all(Array.from({ length: 50 }, () => credential.current()));
  assert.equal(double.calls.generateIdToken, calls + 1);
  assert.equal(new Set(all).size, 1);
  assert.equal(all[0]?.version, `impersonated:${ACCOUNT}`);
  const token = (await headerOf(credential)).replace(/^Bearer /, '');
  assert.deepEqual([decodeJwt(token).aud, decodeJwt(token).email], [CLOUD_RUN, ACCOUNT]);
  const other = open({ googleIdToken: { serviceAccount: ACCOUNT, audience: 'https://custom.example' } });
  assert.equal(decodeJwt((await headerOf(other)).slice(7)).aud, 'https://custom.example');
});

test('a token is minted anew 5 minutes before its end, in the background, and when the upstream refused', async () => {
  const credential = open({ googleAccessToken: { serviceAccount: ACCOUNT, scopes: ['a', 'b'] } }, BIGQUERY);
  const first = await credential.current();
  const calls = double.calls.generateAccessToken;
  const renewed = await Promise.all(Array.from({ length: 50 }, () => credential.renew(first)));
  assert.equal(double.calls.generateAccessToken, calls + 1);
  assert.equal(new Set(renewed.map((one) => one?.headers[0]?.[1])).size, 1);
  assert.notDeepEqual(renewed[0], first);
  time += 56 * 60_000;
  assert.deepEqual(await credential.current(), renewed[0]);
  time += 5 * 60_000;
  assert.notDeepEqual((await credential.current()).headers, renewed[0]?.headers);
});

test('a Google access token goes to https://*.googleapis.com alone, with the project that is charged', async () => {
  const config = { googleAccessToken: { serviceAccount: ACCOUNT, scopes: ['a'], quotaProject: 'my-project' } };
  const { headers, version } = await open(config, BIGQUERY).current();
  assert.deepEqual(headers[1], ['x-goog-user-project', 'my-project']);
  assert.equal(version, `impersonated:${ACCOUNT}`);
  const calls = double.calls.generateAccessToken;
  for (const origin of [
    'http://bigquery.googleapis.com',
    'https://googleapis.com.evil.example',
    'https://evilgoogleapis.com',
    CLOUD_RUN,
  ]) {
    await refused(open(config, origin));
  }
  assert.equal(double.calls.generateAccessToken, calls);
});

test("the gateway's own token never leaves for an API that is not Google's", async () => {
  const closed = new AbortController().signal;
  const own = createCredential(
    { bearer: LATEST },
    { url: CLOUD_RUN, allowAddresses: [], connections: 1, connectTimeout: 1000 },
    {
      now: () => time,
      google: { secretManager: 'https://secretmanager.example.com' },
      closed,
      identity: { accessToken: () => assert.fail('asked for the own token'), forget() {} },
      fetch: () => assert.fail('sent something'),
    },
  );
  await refused(own);
});

test('no own identity: in words, whatever the metadata server answers', async () => {
  for (const trouble of [403, 404, 'garbage'] as const) {
    double.trouble('metadata', trouble);
    assert.match(loggableReason(await refused(open({ bearer: LATEST }))), /Google identity/);
  }
});

test('a metadata server that is silent: a deadline, and the next attempt is a new one', async () => {
  double.trouble('metadata', 'stall');
  const identity = createGoogleIdentity(150);
  await assert.rejects(identity.accessToken(), { code: 'credential_unavailable' });
  double.trouble('metadata', undefined);
  assert.match(await identity.accessToken(), /^ya29\./);
});

test('a service-account key: an ID token, an access token, the version is the id of the key', async () => {
  const ref = file('key.json', double.keys.keyJson(ACCOUNT));
  const id = await open({ googleIdToken: { key: ref } }).current();
  assert.equal(id.version, 'key:key-1');
  assert.deepEqual(decodeJwt(id.headers[0]?.[1].slice(7) ?? '').aud, CLOUD_RUN);
  const access = open({ googleAccessToken: { key: ref, scopes: ['a', 'b'] } }, BIGQUERY);
  assert.match(await headerOf(access), /^Bearer ya29\.CANARY-key-\d+-orders@.*-a\+b$/);
  const remote = double.secretManager.add('key-json', double.keys.keyJson(ACCOUNT));
  const fromSecret = open({ googleIdToken: { key: `gcp-secret:${remote}` } });
  assert.equal((await fromSecret.current()).version, 'key:key-1');
});

const OTHER_KEYS: readonly [string, Record<string, unknown> | string][] = [
  ['an endpoint that is not Google’s', { token_uri: 'https://oauth2.googleapis.com.evil.example/token' }],
  ['an endpoint on another path', { token_uri: 'https://oauth2.googleapis.com/other' }],
  ['the metadata server as endpoint', { token_uri: 'http://169.254.169.254/token' }],
  ['another kind of credential', { type: 'external_account' }],
  ['another universe', { universe_domain: 'evil.example' }],
  ['an id that would forge a version', { private_key_id: 'a\nb' }],
  [
    'a private key that is none',
    { private_key: '-----BEGIN PRIVATE KEY-----\nCANARYBADKEY\n-----END PRIVATE KEY-----\n' },
  ],
  ['no JSON', '{"private_key":"CANARY'],
];
for (const [name, overrides] of OTHER_KEYS) {
  test(`a service-account key that is refused: ${name}`, async () => {
    const text = typeof overrides === 'string' ? overrides : double.keys.keyJson(ACCOUNT, overrides);
    const asked: string[] = [];
    const fetch: CredentialFetch = async (url) => {
      asked.push(url);
      return new Response('{}');
    };
    await refused(open({ googleIdToken: { key: file('other.json', text) } }, CLOUD_RUN, fetch));
    assert.deepEqual(asked, []);
  });
}

const oauthConfig = (more: Partial<OAuthClientConfig> = {}): { oauthClient: OAuthClientConfig } => ({
  oauthClient: {
    tokenUrl: double.oauth.url,
    clientId: double.oauth.clientId,
    clientSecret: file('client-secret', 'CANARY/client+secret:1 of orders'),
    clientAuth: 'client_secret_basic',
    scopes: [],
    ...more,
  },
});

test('an OAuth client: both ways to authenticate, and what it asks for', async () => {
  for (const clientAuth of ['client_secret_basic', 'client_secret_post'] as const) {
    double.oauth.authMethod = clientAuth;
    const credential = open(oauthConfig({ clientAuth }));
    assert.match(await headerOf(credential), /^Bearer CANARY-oauth-token-\d+$/);
    assert.deepEqual(double.oauth.last(), {});
    assert.match((await credential.current()).version ?? '', /^[0-9a-f]{12}$/);
  }
  double.oauth.authMethod = 'client_secret_basic';
  const asked = { resource: 'https://mcp.example.com/mcp', audience: 'orders' };
  await open(oauthConfig({ ...asked, scopes: ['read', 'write'] })).current();
  assert.deepEqual(double.oauth.last(), { ...asked, scope: 'read write' });
});

test('an OAuth client: a rotated secret is read for the next token', async () => {
  const credential = open(oauthConfig());
  const first = await credential.current();
  double.oauth.rotate('CANARY/client+secret:2 of orders');
  assert.equal(await credential.renew(first), undefined);
  file('client-secret', 'CANARY/client+secret:2 of orders');
  time += 1000;
  const second = await credential.renew(first);
  assert.notEqual(second?.version, first.version);
  double.oauth.rotate('CANARY/client+secret:1 of orders');
});

test('an OAuth client: an answer that says not how long is good for 5 minutes', async () => {
  double.oauth.answers = { expires_in: undefined };
  const credential = open(oauthConfig());
  const first = await credential.current();
  time += 239_000;
  assert.deepEqual(await credential.current(), first);
  time += 61_000;
  assert.notDeepEqual(await credential.current(), first);
});

for (const [name, answers] of [
  ['a token of another type', { token_type: 'DPoP' }],
  ['a token with a line end', { access_token: 'CANARY\r\nx-forged: 1' }],
  ['no token', { access_token: undefined }],
] as const) {
  test(`an OAuth client refuses ${name}`, async () => {
    double.oauth.answers = answers;
    await refused(open(oauthConfig()));
  });
}

const KINDS: readonly [Api, () => Credential][] = [
  ['access', () => open({ bearer: LATEST })],
  ['generateIdToken', () => open({ googleIdToken: { serviceAccount: ACCOUNT } })],
  ['generateAccessToken', () => open({ googleAccessToken: { serviceAccount: ACCOUNT, scopes: ['a'] } }, BIGQUERY)],
  ['token', () => open({ googleIdToken: { key: file('key.json', double.keys.keyJson(ACCOUNT)) } })],
  ['oauth', () => open(oauthConfig())],
];
const TROUBLES: readonly Trouble[] = [400, 403, 404, 429, 503, 'stall', 'redirect', 'huge', 'garbage', 'echo'];
for (const [api, openOne] of KINDS) {
  test(`${api}: every trouble ends in words without secrets, in time, and ends with the trouble`, async () => {
    const credential = openOne();
    for (const trouble of TROUBLES) {
      double.trouble(api, trouble);
      const error = await refused(credential);
      const definite = [400, 403, 404].includes(trouble as number);
      if (definite || trouble === 429 || trouble === 503 || trouble === 'stall') {
        assert.equal(isTransient(error), !definite, String(trouble));
      }
      time += 31_000;
    }
    double.trouble(api, undefined);
    await credential.current();
  });
}

test('an account that may not be impersonated, in words that name it to the log alone', async () => {
  const error = await refused(open({ googleIdToken: { serviceAccount: 'other@verbatim.iam.gserviceaccount.com' } }));
  assert.equal(
    loggableReason(error),
    'impersonating other@verbatim.iam.gserviceaccount.com: HTTP 403 PERMISSION_DENIED',
  );
});

test('closing ends what is being fetched', async () => {
  double.trouble('generateIdToken', 'stall');
  const closing = new AbortController();
  const credential = createCredential(
    { googleIdToken: { serviceAccount: ACCOUNT } },
    { url: CLOUD_RUN, allowAddresses: [], connections: 1, connectTimeout: 1000 },
    { now: () => time, google: double.google, closed: closing.signal, identity: createGoogleIdentity() },
  );
  const calls = double.calls.generateIdToken;
  const waiting = refused(credential);
  while (double.calls.generateIdToken === calls) await new Promise((done) => setImmediate(done));
  closing.abort();
  await waiting;
});

test('an issuer whose address is one of a machine’s own secrets is not asked', async () => {
  const fetch = createCredentialFetch(400);
  for (const url of ['https://169.254.169.254/token', 'https://metadata.google.internal/token', 'https://0.0.0.0/']) {
    await assert.rejects(fetch(url, { method: 'GET', headers: {} }), (error) =>
      / is a (metadata|unspecified) address$/.test(loggableReason(error)),
    );
  }
});

test('an issuer’s answer that is too large is not read to its end', async () => {
  double.trouble('oauth', 'huge');
  const fetch = createCredentialFetch();
  await assert.rejects(fetch(double.oauth.url, { method: 'POST', headers: {} }), (error) =>
    / sent more than 262144 bytes$/.test(loggableReason(error)),
  );
});
