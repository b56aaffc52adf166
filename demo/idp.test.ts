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
import { DEMO_CLIENT, type Idp, type IdpOptions, startIdp } from './idp.ts';
import { loginPage } from './idp-page.ts';
import type { People } from './people.ts';
import { DEMO_USERS, type DemoUser } from './users.ts';

const REDIRECT = 'http://127.0.0.1:8080/oauth/callback/demo';
const OTHER = 'https://mcp.example.com/oauth/callback/demo';
const SECRET = 'what the gateway shows, with % and :';

/** With what every one of them has. */
function start(options: Partial<IdpOptions> = {}): Promise<Idp> {
  return startIdp({ port: 0, callbacks: () => [REDIRECT, OTHER], clientSecret: SECRET, ...options });
}

let idp: Idp;
let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'verbatim-idp-'));
  idp = await start();
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
    client_id: DEMO_CLIENT,
    response_type: 'code',
    redirect_uri: REDIRECT,
    scope: 'openid profile email',
    nonce: 'a nonce',
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

/** RFC 6749, section 2.3.1: both parts are form-encoded first. */
function basic(secret: string, id: string = DEMO_CLIENT): string {
  const encode = (text: string): string => new URLSearchParams({ x: text }).toString().slice(2);
  return `Basic ${Buffer.from(`${encode(id)}:${encode(secret)}`).toString('base64')}`;
}

async function askForTokens(
  issuer: string,
  form: Record<string, string>,
  authorization: string | undefined = basic(SECRET),
): Promise<Response> {
  return fetch(`${issuer}/token`, {
    method: 'POST',
    body: new URLSearchParams(form),
    headers: authorization === undefined ? {} : { authorization },
  });
}

async function redeem(
  issuer: string,
  code: string,
  changes: Record<string, string> = {},
  authorization?: string,
): Promise<Response> {
  const form = { grant_type: 'authorization_code', redirect_uri: REDIRECT, code, code_verifier: VERIFIER, ...changes };
  return askForTokens(issuer, form, authorization);
}

function refresh(issuer: string, token: string): Promise<Response> {
  return askForTokens(issuer, { grant_type: 'refresh_token', refresh_token: token });
}

interface Tokens {
  readonly access_token: string;
  readonly id_token: string;
  readonly refresh_token: string;
}

async function tokensIn(response: Response): Promise<Tokens> {
  const body = await response.text();
  assert.equal(response.status, 200, body);
  return JSON.parse(body) as Tokens;
}

async function tokensOf(issuer: string, user: string): Promise<Tokens> {
  const answer = await answerLogin(issuer, { user });
  assert.equal(answer.get('iss'), issuer);
  assert.equal(answer.get('state'), 'a state');
  return tokensIn(await redeem(issuer, answer.get('code') ?? ''));
}

async function json(response: Response | Promise<Response>): Promise<Record<string, unknown>> {
  return (await (await response).json()) as Record<string, unknown>;
}

async function publicKeys(issuer: string): Promise<Record<string, unknown>[]> {
  return (await json(fetch(`${issuer}/jwks`))).keys as Record<string, unknown>[];
}

/** After a restart on the same port: connections that fetch keeps are found dead first. */
async function reachable(issuer: string): Promise<void> {
  for (;;) {
    const response = await fetch(`${issuer}/jwks`).catch(() => undefined);
    if (response?.ok === true) return;
  }
}

async function claimsOf(issuer: string, { id_token }: Tokens) {
  const keys = createRemoteJWKSet(new URL(`${issuer}/jwks`));
  return (await jwtVerify(id_token, keys, { issuer, audience: DEMO_CLIENT, algorithms: ['ES256'] })).payload;
}

test('each person’s ID token says who it is, with a verified e-mail address and groups', async () => {
  for (const user of DEMO_USERS) {
    const tokens = await tokensOf(idp.issuer, user.name);
    const payload = await claimsOf(idp.issuer, tokens);
    assert.equal(payload.sub, user.name);
    assert.equal(payload.name, user.fullName);
    assert.equal(payload.email, user.email);
    assert.equal(payload.email_verified, true);
    assert.deepEqual(payload.groups, user.groups);
    assert.equal(payload.aud, DEMO_CLIENT);
    assert.equal(payload.nonce, 'a nonce');
    assert.equal((payload.exp ?? 0) - (payload.iat ?? 0), 600);
  }
});

test('an access token is no token for anybody else', async () => {
  const { access_token } = await tokensOf(idp.issuer, 'bob');
  assert.match(access_token, /^[\w-]{20,}$/, 'nothing that a resource server could take for a JWT');
});

test('each of the ways back is taken, to the letter', async () => {
  for (const redirect_uri of [REDIRECT, OTHER]) {
    const answer = await answerLogin(idp.issuer, { user: 'ana' }, { redirect_uri });
    assert.equal((await redeem(idp.issuer, answer.get('code') ?? '', { redirect_uri })).status, 200);
  }
});

test('a way back that is added while it runs counts from then on', async () => {
  let callbacks = [REDIRECT];
  const own = await start({ callbacks: () => callbacks });
  try {
    const page = async () => (await createBrowser().go(authorizationUrl(own.issuer, { redirect_uri: OTHER }))).status;
    assert.equal(await page(), 400);
    callbacks = [OTHER];
    assert.equal(await page(), 303);
  } finally {
    await own.close();
  }
});

for (const [what, changes, error] of [
  ['a resource', { resource: 'http://127.0.0.1:8080/orders/mcp' }, 'invalid_target'],
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
  ['another path', { redirect_uri: 'http://127.0.0.1:8080/oauth/callback/other' }],
  ['more than the path', { redirect_uri: `${REDIRECT}/` }],
  ['a query', { redirect_uri: `${REDIRECT}?x=1` }],
  ['another port', { redirect_uri: 'http://127.0.0.1:8081/oauth/callback/demo' }],
  ['another host', { redirect_uri: 'http://attacker.example/oauth/callback/demo' }],
  ['another loopback name', { redirect_uri: 'http://localhost:8080/oauth/callback/demo' }],
  ['a user name in it', { redirect_uri: 'http://127.0.0.1:8080@attacker.example/oauth/callback/demo' }],
  ['the client of the command line', { client_id: 'verbatim-cli' }],
  ['an unknown client', { client_id: 'someone' }],
] as const) {
  test(`an authorization ends on a page, never in a redirect: ${what}`, async () => {
    const response = await createBrowser().go(authorizationUrl(idp.issuer, changes));
    assert.equal(response.status, 400);
    assert.equal(response.headers.get('location'), null);
    assert.match(response.headers.get('content-security-policy') ?? '', /^default-src 'none'/);
  });
}

test('a code works once, with its verifier, its way back and the client’s secret only', async () => {
  const code = async () => (await answerLogin(idp.issuer, { user: 'ana' })).get('code') ?? '';
  for (const [changes, error] of [
    [{ code_verifier: randomBytes(32).toString('base64url') }, 'invalid_grant'],
    [{ resource: 'http://127.0.0.1:8080/orders/mcp' }, 'invalid_target'],
    [{ redirect_uri: OTHER }, 'invalid_grant'],
  ] as const) {
    const response = await redeem(idp.issuer, await code(), changes);
    assert.equal(response.status, 400);
    assert.equal((await json(response)).error, error);
  }
  for (const [changes, authorization, error] of [
    [{}, basic('another secret'), 'invalid_client'],
    [{}, basic(SECRET, 'verbatim-cli'), 'invalid_client'],
    [{ client_id: DEMO_CLIENT, client_secret: 'another secret' }, '', 'invalid_client'],
    [{ client_id: DEMO_CLIENT }, '', 'invalid_request'],
  ] as const) {
    const response = await redeem(idp.issuer, await code(), changes, authorization);
    assert.deepEqual([response.ok, (await json(response)).error], [false, error]);
  }
  const one = await code();
  const results = await Promise.all([1, 2, 3].map(async () => (await redeem(idp.issuer, one)).status));
  assert.deepEqual(results.sort(), [200, 400, 400]);
});

test('a refresh token is used up by use; who comes with it again ends what it stands for', async () => {
  const first = await tokensOf(idp.issuer, 'ana');
  const second = await tokensIn(await refresh(idp.issuer, first.refresh_token));
  assert.notEqual(second.refresh_token, first.refresh_token);
  assert.equal((await claimsOf(idp.issuer, second)).sub, 'ana');
  const again = await refresh(idp.issuer, first.refresh_token);
  assert.deepEqual([again.status, (await json(again)).error], [400, 'invalid_grant']);
  assert.equal((await refresh(idp.issuer, second.refresh_token)).status, 400, 'the thief’s or the owner’s: neither');
});

test('of many uses of a refresh token at once, one succeeds', async () => {
  const { refresh_token } = await tokensOf(idp.issuer, 'ana');
  const results = await Promise.all([1, 2, 3].map(async () => (await refresh(idp.issuer, refresh_token)).status));
  assert.deepEqual(results.sort(), [200, 400, 400]);
});

test('a refresh tells the groups of now, and nothing of somebody who is not there any more', async () => {
  let people = DEMO_USERS;
  const changing: People = { all: () => people, find: (name) => people.find((user) => user.name === name) };
  const own = await start({ people: changing });
  try {
    const first = await tokensOf(own.issuer, 'ana');
    people = DEMO_USERS.map((user): DemoUser => ({ ...user, groups: ['engineers', 'auditors'] }));
    const second = await tokensIn(await refresh(own.issuer, first.refresh_token));
    assert.deepEqual((await claimsOf(own.issuer, second)).groups, ['engineers', 'auditors']);
    people = DEMO_USERS.filter(({ name }) => name !== 'ana');
    const gone = await refresh(own.issuer, second.refresh_token);
    assert.deepEqual([gone.status, (await json(gone)).error], [400, 'invalid_grant']);
    const { browser, page } = await openLoginPage(own.issuer);
    assert.ok(!(await (await browser.go(page)).text()).includes('value="ana"'));
    assert.equal((await browser.go(page, { user: 'ana' })).status, 400);
  } finally {
    await own.close();
  }
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
    /^default-src 'none'; style-src 'sha256-[^']+'; form-action 'self' http:\/\/127\.0\.0\.1:8080; frame-ancestors 'none'; base-uri 'none'$/,
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
  const hostile = { ...user, name: '"><script>', fullName: '<i>"\'&', groups: ['<b>'], work: '<u>' };
  const { html } = loginPage([hostile], 'http://127.0.0.1:1/cb');
  assert.ok(html.includes('&lt;i&gt;&quot;&#39;&amp;'));
  assert.ok(html.includes('&lt;b&gt; · &lt;u&gt;'));
  assert.ok(html.includes('value="&quot;&gt;&lt;script&gt;"'));
  assert.ok(!/<(script|i|b|u)>/.test(html));
  // Not a URL of anybody's: it got here as a registered way back.
  assert.throws(() => loginPage([], '"><script>'), TypeError);
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

test('with its files, keys and logins outlive a restart; the files are private', async () => {
  const keyFile = join(directory, 'fresh', 'idp-key.json');
  const grantsFile = join(directory, 'fresh', 'idp-grants.json');
  const first = await start({ keyFile, grantsFile });
  const tokens = await tokensOf(first.issuer, 'ana').finally(() => first.close());
  for (const file of [keyFile, grantsFile]) assert.equal((await stat(file)).mode & 0o777, 0o600, file);
  const second = await start({ port: Number(new URL(first.issuer).port), keyFile, grantsFile });
  try {
    await reachable(second.issuer);
    assert.equal((await claimsOf(second.issuer, tokens)).sub, 'ana');
    const renewed = await tokensIn(await refresh(second.issuer, tokens.refresh_token));
    assert.equal((await claimsOf(second.issuer, renewed)).sub, 'ana');
    assert.equal((await refresh(second.issuer, tokens.refresh_token)).status, 400, 'it was used up by then');
    const keys = await publicKeys(second.issuer);
    assert.equal(keys.length, 1);
    assert.equal(keys[0]?.d, undefined);
  } finally {
    await second.close();
  }
});

test('without a file for them, logins do not outlive it', async () => {
  const first = await start();
  const { refresh_token } = await tokensOf(first.issuer, 'ana').finally(() => first.close());
  const second = await start();
  try {
    assert.equal((await refresh(second.issuer, refresh_token)).status, 400);
  } finally {
    await second.close();
  }
});

test('two starts at once agree on one key', async () => {
  const keyFile = join(directory, 'race.json');
  const both = await Promise.all([1, 2].map(() => start({ keyFile })));
  const kids = await Promise.all(both.map(async ({ issuer }) => (await publicKeys(issuer))[0]?.kid));
  await Promise.all(both.map(({ close }) => close()));
  assert.equal(kids[0], kids[1]);
});

test('a key file that is open to others, or no key, stops the start without showing the key', async () => {
  const keyFile = join(directory, 'bad.json');
  await writeFile(keyFile, '{"kty":"EC","d":"secret-part"}', { mode: 0o600 });
  await assert.rejects(start({ keyFile }), (error: Error) => {
    assert.match(error.message, /is not an ES256 private key/);
    assert.ok(!`${error.message}${error.stack}${error.cause}`.includes('secret-part'));
    return true;
  });
  await chmod(keyFile, 0o644);
  await assert.rejects(start({ keyFile }), /chmod 600/);
  assert.equal(await readFile(keyFile, 'utf8'), '{"kty":"EC","d":"secret-part"}');
});

test('a taken port is named', async () => {
  const port = Number(new URL(idp.issuer).port);
  await assert.rejects(start({ port }), new RegExp(`Port ${port}`));
});

test('a whole login prints nothing', async () => {
  const script = `
    const { startIdp } = await import(${JSON.stringify(new URL('idp.ts', import.meta.url).href)});
    const { loginAs } = await import(${JSON.stringify(new URL('../gateway/cli/login-as.ts', import.meta.url).href)});
    const idp = await startIdp({ port: 0, callbacks: () => [${JSON.stringify(REDIRECT)}], clientSecret: ${JSON.stringify(SECRET)} });
    const url = new URL(${JSON.stringify(authorizationUrl('http://127.0.0.1:1'))});
    url.port = new URL(idp.issuer).port;
    const token = (form, more) => fetch(idp.issuer + '/token', { method: 'POST', headers: { authorization: ${JSON.stringify(basic(SECRET))}, ...more }, body: new URLSearchParams(form) });
    await loginAs('ana', { authorizationUrl: url, redirectUri: ${JSON.stringify(REDIRECT)}, fetch: async (...args) => {
      if (!String(args[0]).startsWith(${JSON.stringify(REDIRECT)})) return fetch(...args);
      const code = new URL(args[0]).searchParams.get('code');
      const redeemed = await token({ grant_type: 'authorization_code', redirect_uri: ${JSON.stringify(REDIRECT)}, code, code_verifier: ${JSON.stringify(VERIFIER)} });
      const { refresh_token } = await redeemed.json();
      const refreshed = await token({ grant_type: 'refresh_token', refresh_token });
      if (redeemed.status === 200 && refreshed.status === 200) process.exitCode = 7;
      await token({ grant_type: 'authorization_code', code: 'x' }, { origin: 'http://web.example' });
      await fetch(${JSON.stringify(authorizationUrl('http://127.0.0.1:1', { resource: 'http://127.0.0.1:1/mcp' }))}.replace('http://127.0.0.1:1', idp.issuer), { redirect: 'manual' });
      await fetch(idp.issuer + '/auth?client_id=nobody', { headers: { accept: 'text/html' } });
      await idp.close();
      return new Response('');
    } });
  `;
  const run = promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], { timeout: 20_000 });
  // 7: the login came as far as the client's redirect, and on to its tokens.
  await assert.rejects(run, (error: Error & { code: number; stdout: string; stderr: string }) => {
    assert.deepEqual([error.stdout, error.stderr, error.code], ['', '', 7]);
    return true;
  });
});
