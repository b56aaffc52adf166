import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import { type Idp, startIdp } from './idp.ts';
import { loginPage } from './idp-page.ts';
import { DEMO_USERS } from './users.ts';

const ORDERS = 'http://127.0.0.1:8080/orders/mcp';
const YOURS = 'http://127.0.0.1:8080/yours/mcp';
const REDIRECT = 'http://127.0.0.1:49152/callback';

let idp: Idp;
let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'verbatim-idp-'));
  idp = await startIdp({ port: 0, resources: () => [ORDERS, YOURS] });
});
after(async () => {
  await idp.close();
  await rm(directory, { recursive: true });
});

const VERIFIER = randomBytes(32).toString('base64url');
const CHALLENGE = createHash('sha256').update(VERIFIER).digest('base64url');

type Parameters = Record<string, string | readonly string[] | undefined>;

function authorizationUrl(issuer: string, changes: Parameters = {}): string {
  const url = new URL(`${issuer}/auth`);
  const parameters: Parameters = {
    client_id: 'verbatim-cli',
    response_type: 'code',
    redirect_uri: REDIRECT,
    scope: 'openid',
    resource: ORDERS,
    state: 'a state',
    code_challenge: CHALLENGE,
    code_challenge_method: 'S256',
    ...changes,
  };
  for (const [name, values] of Object.entries(parameters))
    for (const value of [values ?? []].flat()) url.searchParams.append(name, value);
  return url.href;
}

/** A browser without a cookie jar: it shows every cookie that it was ever given. */
function createBrowser() {
  const cookies = new Map<string, string>();
  return {
    async go(url: string, form?: Record<string, string>, headers: Record<string, string> = {}): Promise<Response> {
      const response = await fetch(url, {
        redirect: 'manual',
        headers: {
          accept: 'text/html',
          cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; '),
          ...headers,
        },
        ...(form && { method: 'POST', body: new URLSearchParams(form) }),
      });
      for (const line of response.headers.getSetCookie()) {
        const [name = '', value = ''] = line.split(';')[0]?.split('=') ?? [];
        cookies.set(name, value);
      }
      return response;
    },
  };
}

async function openLoginPage(issuer: string, changes: Parameters = {}) {
  const browser = createBrowser();
  const start = await browser.go(authorizationUrl(issuer, changes));
  const page = new URL(start.headers.get('location') ?? '', issuer).href;
  return { browser, page };
}

/** Where the browser ends: the query of the redirect to the client. */
async function answerLogin(issuer: string, form: Record<string, string>, changes: Parameters = {}) {
  const { browser, page } = await openLoginPage(issuer, changes);
  const resumed = await browser.go(page, form);
  assert.equal(resumed.status, 303);
  const done = await browser.go(resumed.headers.get('location') ?? '');
  const answer = new URL(done.headers.get('location') ?? '');
  assert.equal(`${answer.origin}${answer.pathname}`, changes.redirect_uri ?? REDIRECT);
  return answer.searchParams;
}

async function redeem(issuer: string, code: string, changes: Record<string, string> = {}): Promise<Response> {
  return fetch(`${issuer}/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'authorization_code',
      client_id: 'verbatim-cli',
      redirect_uri: REDIRECT,
      code,
      code_verifier: VERIFIER,
      resource: ORDERS,
      ...changes,
    }),
  });
}

async function tokensOf(issuer: string, user: string) {
  const answer = await answerLogin(issuer, { user });
  assert.equal(answer.get('iss'), issuer);
  assert.equal(answer.get('state'), 'a state');
  const response = await redeem(issuer, answer.get('code') ?? '');
  assert.equal(response.status, 200);
  return (await response.json()) as { access_token: string; id_token: string };
}

async function json(response: Response | Promise<Response>): Promise<Record<string, unknown>> {
  return (await (await response).json()) as Record<string, unknown>;
}

async function publicKeys(issuer: string): Promise<Record<string, unknown>[]> {
  return (await json(fetch(`${issuer}/jwks`))).keys as Record<string, unknown>[];
}

function verify(issuer: string, token: string, audience: string) {
  return jwtVerify(token, createRemoteJWKSet(new URL(`${issuer}/jwks`)), {
    issuer,
    audience,
    typ: 'at+jwt',
    algorithms: ['ES256'],
  });
}

test('each person gets a token for the resource, with e-mail and groups', async () => {
  for (const user of DEMO_USERS) {
    const { access_token } = await tokensOf(idp.issuer, user.name);
    const { payload } = await verify(idp.issuer, access_token, ORDERS);
    assert.equal(payload.sub, user.name);
    assert.equal(payload.email, user.email);
    assert.deepEqual(payload.groups, user.groups);
    assert.equal(payload.client_id, 'verbatim-cli');
    assert.match(payload.jti ?? '', /^[\w-]{20,}$/);
    assert.equal((payload.exp ?? 0) - (payload.iat ?? 0), 8 * 3600);
    assert.equal(payload.aud, ORDERS);
  }
});

test('the ID token carries the groups too, and is no access token', async () => {
  const { id_token } = await tokensOf(idp.issuer, 'bob');
  const jwks = createRemoteJWKSet(new URL(`${idp.issuer}/jwks`));
  const { payload } = await jwtVerify(id_token, jwks, { issuer: idp.issuer, audience: 'verbatim-cli' });
  assert.deepEqual(payload.groups, ['engineers']);
  await assert.rejects(verify(idp.issuer, id_token, 'verbatim-cli'), { code: 'ERR_JWT_CLAIM_VALIDATION_FAILED' });
});

test('any port of the loopback redirect is taken', async () => {
  const answer = await answerLogin(idp.issuer, { user: 'ana' }, { redirect_uri: 'http://127.0.0.1:1025/callback' });
  assert.ok(answer.get('code'));
});

for (const [what, changes, error] of [
  ['no resource', { resource: undefined }, 'invalid_target'],
  ['an unknown resource', { resource: 'http://127.0.0.1:8080/other/mcp' }, 'invalid_target'],
  ['almost the resource', { resource: `${ORDERS}/` }, 'invalid_target'],
  ['two resources', { resource: [ORDERS, YOURS] }, 'invalid_target'],
  ['no PKCE', { code_challenge: undefined, code_challenge_method: undefined }, 'invalid_request'],
  ['plain PKCE', { code_challenge_method: 'plain' }, 'invalid_request'],
  ['an implicit token', { response_type: 'id_token' }, 'unsupported_response_type'],
  ['no page allowed', { prompt: 'none' }, 'login_required'],
] as const) {
  test(`an authorization is refused at the client: ${what}`, async () => {
    const response = await createBrowser().go(authorizationUrl(idp.issuer, changes));
    const location = new URL(response.headers.get('location') ?? '', idp.issuer);
    const parameters = new URLSearchParams(location.search || location.hash.slice(1));
    assert.equal(`${location.origin}${location.pathname}`, REDIRECT);
    assert.equal(parameters.get('error'), error);
    assert.equal(parameters.get('code'), null);
  });
}

for (const [what, changes] of [
  ['another path', { redirect_uri: 'http://127.0.0.1:49152/other' }],
  ['another host', { redirect_uri: 'http://attacker.example/callback' }],
  ['another loopback name', { redirect_uri: 'http://localhost:49152/callback' }],
  ['a user name in it', { redirect_uri: 'http://127.0.0.1@attacker.example/callback' }],
  ['an unknown client', { client_id: 'someone' }],
] as const) {
  test(`an authorization ends on a page, never in a redirect: ${what}`, async () => {
    const response = await createBrowser().go(authorizationUrl(idp.issuer, changes));
    assert.equal(response.status, 400);
    assert.equal(response.headers.get('location'), null);
    assert.match(response.headers.get('content-security-policy') ?? '', /^default-src 'none'/);
  });
}

test('a code works once, with its verifier and its resource only', async () => {
  const code = async () => (await answerLogin(idp.issuer, { user: 'ana' })).get('code') ?? '';
  for (const [changes, error] of [
    [{ code_verifier: randomBytes(32).toString('base64url') }, 'invalid_grant'],
    [{ resource: YOURS }, 'invalid_target'],
    [{ redirect_uri: 'http://127.0.0.1:49153/callback' }, 'invalid_grant'],
  ] as const) {
    const response = await redeem(idp.issuer, await code(), changes);
    assert.equal(response.status, 400);
    assert.equal((await json(response)).error, error);
  }
  const one = await code();
  const results = await Promise.all([1, 2, 3].map(async () => (await redeem(idp.issuer, one)).status));
  assert.deepEqual(results.sort(), [200, 400, 400]);
});

test('nothing registers, introspects or tells who a token is for', async () => {
  for (const path of ['/reg', '/me', '/token/introspection', '/token/revocation', '/request', '/session/end'])
    assert.equal((await fetch(`${idp.issuer}${path}`, { method: 'POST', body: '{}' })).status, 404, path);
  const metadata = await json(fetch(`${idp.issuer}/.well-known/openid-configuration`));
  assert.equal(metadata.issuer, idp.issuer);
  assert.equal(metadata.registration_endpoint, undefined);
  assert.deepEqual(metadata.code_challenge_methods_supported, ['S256']);
  assert.equal(metadata.authorization_response_iss_parameter_supported, true);
});

test('cancelling tells the client', async () => {
  const answer = await answerLogin(idp.issuer, { cancel: 'yes' });
  assert.equal(answer.get('error'), 'access_denied');
  assert.equal(answer.get('code'), null);
});

test('the login page is strict, and its form may lead to this client only', async () => {
  const { browser, page } = await openLoginPage(idp.issuer);
  const response = await browser.go(page);
  const html = await response.text();
  const policy = response.headers.get('content-security-policy') ?? '';
  assert.match(
    policy,
    /^default-src 'none'; style-src 'sha256-[^']+'; form-action 'self' http:\/\/127\.0\.0\.1:49152; frame-ancestors 'none'; base-uri 'none'$/,
  );
  const style = /<style>(.*?)<\/style>/s.exec(html)?.[1] ?? '';
  assert.ok(policy.includes(createHash('sha256').update(style).digest('base64')));
  assert.equal(response.headers.get('cache-control'), 'no-store');
  assert.doesNotMatch(html, /<script|\son\w+=|javascript:/i);
  for (const { name } of DEMO_USERS) assert.ok(html.includes(`<button name="user" value="${name}">`));
  assert.match(html, /without passwords/);
});

test('what a page shows is escaped', () => {
  const [user] = DEMO_USERS;
  assert.ok(user);
  const { html } = loginPage([{ ...user, fullName: '<i>"\'&' }], '<b>', 'http://x/"><script>', 'http://127.0.0.1:1/cb');
  assert.ok(html.includes('&lt;i&gt;&quot;&#39;&amp;'));
  assert.ok(html.includes('&lt;b&gt;'));
  assert.ok(!html.includes('<script>'));
});

test('a login page without its cookie, from another origin, or for nobody, logs nobody in', async () => {
  const { browser, page } = await openLoginPage(idp.issuer);
  assert.equal((await createBrowser().go(page, { user: 'ana' })).status, 400);
  assert.equal((await browser.go(page, { user: 'ana' }, { origin: 'http://attacker.example' })).status, 403);
  assert.equal((await browser.go(page, { user: 'ana' }, { origin: 'null' })).status, 403);
  assert.equal((await browser.go(page, { user: 'mallory' })).status, 400);
  assert.equal((await browser.go(page, { user: 'a'.repeat(2000) })).status, 413);
  assert.equal((await browser.go(page.replace(/.$/, '!'), { user: 'ana' })).status, 400);
  assert.equal((await browser.go(page, { user: 'ana' }, { origin: idp.issuer })).status, 303);
});

test('only the issuer itself is a Host (DNS rebinding)', async () => {
  const status = await new Promise((resolve, reject) => {
    request(`${idp.issuer}/.well-known/openid-configuration`, { headers: { host: 'attacker.example' } }, (response) => {
      response.resume();
      resolve(response.statusCode);
    })
      .on('error', reject)
      .end();
  });
  assert.equal(status, 421);
});

test('with a key file, tokens outlive a restart; the file is private', async () => {
  const keyFile = join(directory, 'fresh', 'idp-key.json');
  const first = await startIdp({ port: 0, resources: () => [ORDERS], keyFile });
  const { access_token } = await tokensOf(first.issuer, 'ana').finally(() => first.close());
  assert.equal((await stat(keyFile)).mode & 0o777, 0o600);
  const second = await startIdp({ port: Number(new URL(first.issuer).port), resources: () => [ORDERS], keyFile });
  try {
    assert.equal((await verify(second.issuer, access_token, ORDERS)).payload.sub, 'ana');
    const keys = await publicKeys(second.issuer);
    assert.equal(keys.length, 1);
    assert.equal(keys[0]?.d, undefined);
  } finally {
    await second.close();
  }
});

test('two starts at once agree on one key', async () => {
  const keyFile = join(directory, 'race.json');
  const both = await Promise.all([1, 2].map(() => startIdp({ port: 0, resources: () => [], keyFile })));
  const kids = await Promise.all(both.map(async ({ issuer }) => (await publicKeys(issuer))[0]?.kid));
  await Promise.all(both.map(({ close }) => close()));
  assert.equal(kids[0], kids[1]);
});

test('a key file that is open to others, or no key, stops the start without showing the key', async () => {
  const keyFile = join(directory, 'bad.json');
  await writeFile(keyFile, '{"kty":"EC","d":"secret-part"}', { mode: 0o600 });
  await assert.rejects(startIdp({ port: 0, resources: () => [], keyFile }), (error: Error) => {
    assert.match(error.message, /is not an ES256 private key/);
    assert.ok(!`${error.message}${error.stack}${error.cause}`.includes('secret-part'));
    return true;
  });
  await chmod(keyFile, 0o644);
  await assert.rejects(startIdp({ port: 0, resources: () => [], keyFile }), /chmod 600/);
  assert.equal(await readFile(keyFile, 'utf8'), '{"kty":"EC","d":"secret-part"}');
});

test('a taken port is named', async () => {
  const port = Number(new URL(idp.issuer).port);
  await assert.rejects(startIdp({ port, resources: () => [] }), new RegExp(`Port ${port}`));
});

test('a whole login prints nothing', async () => {
  const script = `
    const { startIdp } = await import(${JSON.stringify(new URL('idp.ts', import.meta.url).href)});
    const { loginAs } = await import(${JSON.stringify(new URL('../gateway/cli/login-as.ts', import.meta.url).href)});
    const idp = await startIdp({ port: 0, resources: () => [${JSON.stringify(ORDERS)}] });
    const url = new URL(${JSON.stringify(authorizationUrl('http://127.0.0.1:1'))});
    url.port = new URL(idp.issuer).port;
    await loginAs('ana', { authorizationUrl: url, redirectUri: ${JSON.stringify(REDIRECT)}, fetch: (...args) => {
      if (String(args[0]).startsWith(${JSON.stringify(REDIRECT)})) process.exitCode = 7;
      return fetch(...args);
    } });
    await fetch(idp.issuer + '/token', { method: 'POST', headers: { origin: 'http://web.example' }, body: new URLSearchParams({ grant_type: 'authorization_code', client_id: 'verbatim-cli', code: 'x' }) });
    await fetch(idp.issuer + '/auth?client_id=nobody', { headers: { accept: 'text/html' } });
    await idp.close();
  `;
  const run = promisify(execFile)(process.execPath, ['--input-type=module', '-e', script]);
  // 7: the login came as far as the client's redirect.
  await assert.rejects(run, (error: Error & { code: number; stdout: string; stderr: string }) => {
    assert.deepEqual([error.stdout, error.stderr, error.code], ['', '', 7]);
    return true;
  });
});
