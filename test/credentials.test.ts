/**
 * Upstream credentials through a whole gateway: each kind arrives once and is nowhere else. Google access tokens are in
 * gateway/proxy/upstream.test.ts: they go to *.googleapis.com alone, which no test can serve without changing DNS.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { decodeJwt } from 'jose';
import { freePort, type GatewayUnderTest, startGatewayInFrontOf } from './gateway-under-test.ts';
import { type Api, type GoogleDouble, startGoogle } from './google/google.ts';
import { call, toolCall } from './raw-client.ts';
import { framesOf } from './recorded.ts';

const ANALYSTS = 'analysts@verbatim.iam.gserviceaccount.com';
const ADMINS = 'admins@verbatim.iam.gserviceaccount.com';

interface RecordingUpstream {
  readonly url: string;
  /** Values of the headers that carry credentials, a list a request. */
  readonly seen: string[][];
  /** Answers 401 to what this says. */
  refuse(when: (credentials: string[]) => boolean): void;
  close(): Promise<void>;
}

async function startRecordingUpstream(): Promise<RecordingUpstream> {
  const seen: string[][] = [];
  let refuse: (credentials: string[]) => boolean = () => false;
  const server = createServer((request, response) => {
    const { rawHeaders } = request;
    const credentials = rawHeaders.filter((_, index) =>
      /^(authorization|x-api-key)$/i.test(rawHeaders[index - 1] ?? ''),
    );
    seen.push(credentials);
    request.resume().on('end', () => {
      const refused = refuse(credentials);
      // A careless server: it tells the client what it got, and what it wants.
      const headers = { 'content-type': 'application/json', 'www-authenticate': `Bearer realm="${credentials}"` };
      response.writeHead(refused ? 401 : 200, headers);
      response.end(refused ? JSON.stringify({ error: credentials }) : '{"jsonrpc":"2.0","id":1,"result":{}}');
    });
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`,
    seen,
    refuse: (when) => {
      refuse = when;
    },
    async close() {
      server.closeAllConnections();
      await new Promise<void>((done) => server.close(() => done()));
    },
  };
}

const secretsFolder = mkdtempSync(join(tmpdir(), 'verbatim-secrets-'));
const opened = new AsyncDisposableStack();
let google: GoogleDouble;
let upstream: RecordingUpstream;
let gateway: GatewayUnderTest;
let metricsUrl: string;
/** All that clients were answered. */
const answered: string[] = [];

before(async () => {
  google = opened.adopt(await startGoogle(), (one) => one.close());
  google.impersonable.add(ANALYSTS).add(ADMINS);
  google.secretManager.add('orders', 'CANARY-orders-1-of-a-good-length');
  google.secretManager.add('rotated', 'CANARY-rotated-1-of-a-good-length');
  google.secretManager.add('disabled', 'CANARY-disabled-of-a-good-length');
  google.oauth.rotate('CANARY-client-secret/1');
  google.secretManager.add('client', 'CANARY-client-secret/1');
  const fileSecret = 'CANARY-api-key-of-a-good-length';
  google.secrets.add(fileSecret);
  writeFileSync(join(secretsFolder, 'api-key'), `${fileSecret}\n`);
  writeFileSync(join(secretsFolder, 'key.json'), google.keys.keyJson(ANALYSTS));
  upstream = opened.adopt(await startRecordingUpstream(), (one) => one.close());
  const secret = (name: string) => `gcp-secret:projects/verbatim/secrets/${name}/versions/latest`;
  const idToken = (serviceAccount: string) => ({ googleIdToken: { serviceAccount } });
  const oauthClient = { tokenUrl: google.oauth.url, clientId: google.oauth.clientId, clientSecret: secret('client') };
  const groups = ['analysts', 'admins'];
  const connection = (credential: unknown, more = {}) => ({ credential, groups, ...more });
  const metricsPort = await freePort();
  metricsUrl = `http://127.0.0.1:${metricsPort}/metrics`;
  const started = await startGatewayInFrontOf(upstream.url, {
    connection: connection({ bearer: secret('orders') }),
    connections: {
      header: connection({ header: 'X-Api-Key', value: `file:${join(secretsFolder, 'api-key')}` }),
      impersonated: connection(idToken(ANALYSTS), {
        credentialByGroup: [{ groups: ['admins'], credential: idToken(ADMINS) }],
      }),
      key: connection({
        googleIdToken: { key: `file:${join(secretsFolder, 'key.json')}`, audience: 'https://orders' },
      }),
      client: connection({ oauthClient }),
      rotated: connection({ bearer: secret('rotated') }),
      disabled: connection({ bearer: secret('disabled') }),
      parallel: connection(idToken(ANALYSTS)),
      down: connection({ oauthClient: { ...oauthClient, scopes: ['down'] } }),
      lost: connection(idToken('lost@verbatim.iam.gserviceaccount.com')),
    },
    config: { google: google.google, metrics: { host: '127.0.0.1', port: metricsPort } },
  });
  gateway = opened.adopt(started, (one) => one.close());
});
after(async () => {
  await opened.disposeAsync();
  rmSync(secretsFolder, { recursive: true });
});
afterEach(() => {
  for (const api of Object.keys(google.calls) as Api[]) google.trouble(api, undefined);
  upstream.refuse(() => false);
});

async function callOn(
  connection: string,
  claims: Record<string, unknown> = {},
): Promise<{ status: number; body: string }> {
  const token = await gateway.tokenFor(claims, connection);
  const url = `${gateway.gateway.url}/${connection}/mcp`;
  const answer = await call(url, { token, body: toolCall(1), headers: { 'x-api-key': 'of the client' } }).answer;
  const body = (await answer.whole()).toString();
  answered.push(JSON.stringify(answer.headers) + body);
  return { status: answer.status, body };
}

/** Makes a call that must succeed; what the upstream was shown in it. */
async function shownOn(connection: string, claims: Record<string, unknown> = {}): Promise<string[]> {
  const before = upstream.seen.length;
  const { status, body } = await callOn(connection, claims);
  assert.deepEqual([status, body], [200, '{"jsonrpc":"2.0","id":1,"result":{}}']);
  assert.equal(upstream.seen.length, before + 1);
  return upstream.seen.at(-1) ?? [];
}

async function failureOn(connection: string, fate = 'not_forwarded'): Promise<{ code: string; message: string }> {
  const { error } = JSON.parse((await callOn(connection)).body) as {
    error: { message: string; data: { code: string; fate: string } };
  };
  assert.equal(error.data.fate, fate);
  return { code: error.data.code, message: error.message };
}

async function everythingIn(folder: string): Promise<string> {
  const found: string[] = [];
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const bytes = await readFile(join(entry.parentPath, entry.name));
    found.push((entry.name.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('latin1'));
  }
  return found.join('\n');
}

const idTokenOf = ([header = '', ...more]: string[]) => {
  assert.deepEqual(more, []);
  return decodeJwt(header.replace(/^Bearer /, ''));
};

test('each kind arrives once, in the place of what the client sent', async () => {
  assert.deepEqual(await shownOn('fixture'), ['Bearer CANARY-orders-1-of-a-good-length']);
  assert.deepEqual(await shownOn('header'), ['CANARY-api-key-of-a-good-length']);
  const impersonated = idTokenOf(await shownOn('impersonated'));
  assert.deepEqual([impersonated.aud, impersonated.email], [new URL(upstream.url).origin, ANALYSTS]);
  const byKey = idTokenOf(await shownOn('key'));
  assert.deepEqual([byKey.aud, byKey.email], ['https://orders', ANALYSTS]);
  assert.match((await shownOn('client')).join(), /^Bearer CANARY-oauth-token-\d+$/);
});

test('a group has a service account of its own, and each session says which', async () => {
  assert.equal(idTokenOf(await shownOn('impersonated', { groups: ['admins', 'analysts'] })).email, ADMINS);
  assert.equal(idTokenOf(await shownOn('impersonated', { groups: ['analysts'] })).email, ANALYSTS);
  const starts = (await framesOf(gateway)).flatMap((frame) => (frame.type === 'session.start' ? [frame.start] : []));
  const said = starts.filter((start) => start.connection === 'impersonated').map((start) => start.credential);
  assert.deepEqual(new Set(said), new Set([`impersonated:${ADMINS}`, `impersonated:${ANALYSTS}`]));
});

test('fifty calls at once: one token', async () => {
  const before = google.calls.generateIdToken;
  const jti = { jti: 'one session' };
  const calls = await Promise.all(Array.from({ length: 50 }, () => callOn('parallel', jti)));
  assert.deepEqual(new Set(calls.map(({ status }) => status)), new Set([200]));
  assert.equal(google.calls.generateIdToken, before + 1);
});

test('a rotated `latest` is used at once where the upstream refuses the one before; each version is recorded', async () => {
  assert.deepEqual(await shownOn('rotated'), ['Bearer CANARY-rotated-1-of-a-good-length']);
  google.secretManager.add('rotated', 'CANARY-rotated-2-of-a-good-length');
  assert.deepEqual(await shownOn('rotated'), ['Bearer CANARY-rotated-1-of-a-good-length']);
  upstream.refuse((credentials) => !credentials.join().includes('rotated-2'));
  const { status } = await callOn('rotated');
  assert.equal(status, 200);
  assert.deepEqual(upstream.seen.at(-1), ['Bearer CANARY-rotated-2-of-a-good-length']);
  const recorded = JSON.stringify(await framesOf(gateway));
  for (const version of [1, 2]) {
    assert.ok(recorded.includes(`"projects/123456789/secrets/rotated/versions/${version}"`), String(version));
  }
});

test('a disabled version, an account that may not be used, a token endpoint that is down: nothing was forwarded', async () => {
  google.secretManager.setState('disabled', 1, 'DISABLED');
  google.trouble('oauth', 503);
  const before = upstream.seen.length;
  for (const [connection, words] of [
    ['disabled', 'Google answered HTTP 400 FAILED_PRECONDITION.'],
    ['lost', 'Google answered HTTP 403 PERMISSION_DENIED.'],
    ['down', 'Its token endpoint answered HTTP 503.'],
  ] as const) {
    const { code, message } = await failureOn(connection);
    assert.equal(code, 'credential_unavailable');
    assert.ok(message.includes(words), message);
  }
  assert.equal(upstream.seen.length, before);
});

test('no token and no secret is in a recording, a log, a metric, on the disk or in an answer to a client', async () => {
  await shownOn('fixture');
  upstream.refuse(() => true);
  assert.equal((await failureOn('impersonated', 'outcome_withheld')).code, 'upstream_refused_credential');
  await gateway.gateway.seal();
  const places = {
    clients: answered.join('\n'),
    logs: gateway.logged.join(''),
    metrics: await (await fetch(metricsUrl)).text(),
    disk: await everythingIn(gateway.folder),
  };
  assert.ok(
    google.secrets.size > 10 && places.disk.includes('"session.start"') && places.metrics.includes('verbatim_'),
  );
  for (const [place, text] of Object.entries(places)) {
    assert.doesNotMatch(text, /CANARY/, place);
    for (const secret of google.secrets) assert.ok(!text.includes(secret), `a secret in ${place}`);
  }
});
