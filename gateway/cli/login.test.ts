import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { decodeJwt } from 'jose';
import { DEMO_CLIENT, startIdp } from '../../demo/idp.ts';
import { startOrders } from '../../demo/orders.ts';
import { issued } from '../../test/canaries.ts';
import { startGatewayInFrontOf } from '../../test/gateway-under-test.ts';
import { login } from './login.ts';
import { loginAs } from './login-as.ts';
import type { LoginErrorCode } from './login-error.ts';

type Handle = (request: IncomingMessage, response: ServerResponse) => void;

/** A server of the test's own on loopback. */
async function serve(handle: Handle) {
  const server = createServer(handle);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

function json(response: ServerResponse, body: unknown, status = 200, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(body));
}

/** A gateway before the demo's identity provider; what stands in front of it may spoil some of its answers. */
let front: Awaited<ReturnType<typeof serve>>;
let idp: Awaited<ReturnType<typeof startIdp>>;
let answers: Map<string, Handle> = new Map();
const stack = new AsyncDisposableStack();
const METADATA = '/.well-known/oauth-protected-resource/fixture/mcp';
const url = () => `${front.origin}/fixture/mcp`;
const issuer = () => `${front.origin}/fixture`;

before(async () => {
  const adopt = <T extends { close(): Promise<void> }>(one: T): T => stack.adopt(one, (open) => open.close());
  let behind = '';
  front = stack.adopt(
    await serve((incoming, response) => {
      const handle = answers.get(incoming.url ?? '');
      if (handle) return handle(incoming, response);
      const { method, headers } = incoming;
      const on = request(`${behind}${incoming.url}`, { method, headers }, (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
      });
      incoming.pipe(on);
    }),
    ({ close }) => close(),
  );
  const clientSecret = 'what the gateway of this test shows';
  const folder = stack.adopt(await mkdtemp(join(tmpdir(), 'verbatim-cli-login-')), (path) =>
    rm(path, { recursive: true }),
  );
  await writeFile(join(folder, 'secret'), clientSecret);
  idp = adopt(await startIdp({ port: 0, callbacks: () => [`${front.origin}/oauth/callback/demo`], clientSecret }));
  const orders = adopt(await startOrders({ port: 0 }));
  const oidc = { issuer: idp.issuer, clientId: DEMO_CLIENT, clientSecret: `file:${join(folder, 'secret')}` };
  const config = { publicUrl: front.origin, issuers: {}, login: { providers: { demo: { oidc } } } };
  const connection = { title: 'Orders of a test', groups: ['analysts', 'engineers'] };
  const { gateway } = adopt(await startGatewayInFrontOf(orders.url, { config, connection }));
  behind = gateway.url;
});
after(() => stack.disposeAsync());

/** From now on `change` spoils what the gateway says of a connection. */
function gateway(change: { challenge?: string; metadata?: Record<string, unknown>; at?: string } = {}): void {
  const at = change.at ?? METADATA;
  const challenge = change.challenge ?? `Bearer error="invalid_token", resource_metadata="${front.origin}${at}"`;
  answers = new Map<string, Handle>([
    ['/fixture/mcp', (_request, response) => json(response, {}, 401, { 'www-authenticate': challenge })],
    [
      at,
      (_request, response) =>
        json(response, {
          resource: url(),
          authorization_servers: [issuer()],
          scopes_supported: ['mcp'],
          ...change.metadata,
        }),
    ],
  ]);
}

/** What the gateway says when it is called with a token. */
async function callWith(token: string): Promise<number> {
  answers = new Map();
  const response = await fetch(url(), {
    method: 'POST',
    headers: {
      authorization: `Bearer ${token}`,
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
    },
    body: JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: 'initialize',
      params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'test', version: '1' } },
    }),
  });
  await response.body?.cancel();
  return response.status;
}

/** What is said of the person in a token: an id of the gateway's own, and the session. */
function facts(token: string) {
  issued(token, 'a token that the command line got');
  const { iss, aud, sub, session, client_id: client, ...rest } = decodeJwt(token);
  assert.match(String(sub), /^[0-9a-f]{32}$/);
  assert.match(String(session), /^[0-9a-f-]{36}$/);
  return { iss, aud, sub, session, client, rest: Object.keys(rest).sort() };
}

const silent = () => {};

async function fails(code: LoginErrorCode, options: Partial<Parameters<typeof login>[0]> = {}, words?: RegExp) {
  await assert.rejects(login({ mcpUrl: url(), as: 'ana', write: silent, ...options }), (error: Error) => {
    assert.deepEqual(
      { name: error.name, code: 'code' in error && error.code },
      { name: 'LoginError', code },
      error.message,
    );
    if (words) assert.match(error.message, words);
    return true;
  });
}

test('--as logs in without a browser: a session of its own for each login, for the person who was chosen', async () => {
  const seen: ReturnType<typeof facts>[] = [];
  for (const user of ['ana', 'bob', 'ana']) {
    // The gateway's own words, unspoiled.
    answers = new Map();
    const lines: string[] = [];
    const token = await login({ mcpUrl: url(), as: user, write: (line) => lines.push(line) });
    const said = facts(token);
    assert.deepEqual([said.iss, said.aud, said.client], [issuer(), url(), 'verbatim-cli']);
    // Nothing of the person: a client learns that from nobody.
    assert.deepEqual(said.rest, ['exp', 'iat', 'jti', 'scope']);
    assert.ok(lines.every((line) => !line.includes(token) && !line.includes('\n')));
    assert.equal(await callWith(token), 200, user);
    seen.push(said);
  }
  const [ana, bob, again] = seen;
  assert.notEqual(ana?.sub, bob?.sub);
  assert.equal(ana?.sub, again?.sub);
  assert.equal(new Set(seen.map(({ session }) => session)).size, 3);
});

test('--as of somebody who may not in: the page says why, and so does the client’s answer', async () => {
  gateway();
  await fails('refused', { as: 'carol' }, /None of your groups may open a session on Orders of a test.*access_denied/);
});

test('--as shows each site the cookies of that site alone', async () => {
  gateway();
  const set = new Map<string, Set<string>>();
  const shown: (readonly [origin: string, names: string[]])[] = [];
  const watched: typeof fetch = async (input, init) => {
    const { origin } = new URL(input instanceof Request ? input.url : input);
    const sent = new Headers(init?.headers).get('cookie')?.split('; ') ?? [];
    if (sent.length > 0) shown.push([origin, sent.map((pair) => pair.split('=')[0] ?? '')]);
    const response = await fetch(input, init);
    const names = response.headers.getSetCookie().map((line) => line.split('=')[0] ?? '');
    set.set(origin, new Set([...(set.get(origin) ?? []), ...names]));
    return response;
  };
  await login({ mcpUrl: url(), as: 'ana', write: silent, fetch: watched });
  // Both are on 127.0.0.1: a jar that went by the host's name would mix them.
  assert.deepEqual([...new Set(shown.map(([origin]) => origin))].sort(), [front.origin, idp.issuer].sort());
  for (const [origin, names] of shown) for (const name of names) assert.ok(set.get(origin)?.has(name), name);
});

test('the metadata is found where the 401 says, else at the well-known path', async () => {
  gateway({ at: '/elsewhere' });
  assert.ok(await login({ mcpUrl: url(), as: 'ana', write: silent }));
  gateway({ challenge: 'Basic realm="x"' });
  assert.ok(await login({ mcpUrl: url(), as: 'ana', write: silent }));
  answers.set('/fixture/mcp', (_request, response) => json(response, {}, 405));
  assert.ok(await login({ mcpUrl: url(), as: 'ana', write: silent }));
});

/** What a person does in a browser, up to the last page: that of the command line. */
async function browse(shown: URL, user: string): Promise<Response> {
  const redirectUri = shown.searchParams.get('redirect_uri') ?? '';
  const last = Promise.withResolvers<Response>();
  await loginAs(user, {
    authorizationUrl: shown,
    redirectUri,
    async fetch(input, init) {
      const target = new URL(input instanceof Request ? input.url : input);
      if (`${target.origin}${target.pathname}` !== redirectUri) return fetch(input, init);
      const response = await fetch(input, init);
      last.resolve(response.clone());
      return response;
    },
  });
  return last.promise;
}

/** Says no on the gateway's own page. */
async function cancel(shown: URL): Promise<Response> {
  const cookies = new Map<string, string>();
  const go = async (target: string | URL, body?: URLSearchParams): Promise<Response> => {
    const response = await fetch(target, {
      redirect: 'manual',
      headers: { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') },
      ...(body === undefined ? {} : { method: 'POST', body }),
    });
    for (const line of response.headers.getSetCookie()) {
      const [name = '', value = ''] = line.split(';')[0]?.split('=') ?? [];
      cookies.set(name, value);
    }
    return response;
  };
  const page = (await go(shown)).headers.get('location') ?? '';
  const csrf = /name="csrf" value="([^"]+)"/.exec(await (await go(page)).text())?.[1] ?? '';
  const resumed = await go(page, new URLSearchParams({ csrf, action: 'cancel' }));
  const back = await go(resumed.headers.get('location') ?? '');
  return fetch(back.headers.get('location') ?? '');
}

test('with a browser: the URL is printed, the page at the end says how it went', async () => {
  gateway();
  const lines: string[] = [];
  let page: Promise<Response> | undefined;
  const token = await login({
    mcpUrl: url(),
    write: (line) => lines.push(line),
    openBrowser: async (shown) => {
      page = browse(shown, 'bob');
    },
  });
  assert.equal(facts(token).aud, url());
  const last = await page;
  assert.equal(last?.status, 200);
  assert.match(last.headers.get('content-security-policy') ?? '', /^default-src 'none'/);
  assert.match(await last.text(), /You are logged in/);
  const shown = new URL(lines.at(-1) ?? '');
  assert.equal(`${shown.origin}${shown.pathname}`, `${issuer()}/oauth/authorize`);
  assert.equal(shown.searchParams.get('resource'), url());
  assert.equal(shown.searchParams.get('code_challenge_method'), 'S256');
  assert.match(shown.searchParams.get('redirect_uri') ?? '', /^http:\/\/127\.0\.0\.1:\d+\/callback$/);
});

test('cancelled in the browser', async () => {
  gateway();
  let page: Promise<Response> | undefined;
  await fails(
    'refused',
    {
      as: undefined,
      openBrowser: async (shown: URL) => {
        page = cancel(shown);
      },
    },
    /access_denied/,
  );
  assert.equal((await page)?.status, 400);
});

test('a browser that does not open is a line, and the printed URL still works', async () => {
  gateway();
  const lines: string[] = [];
  const token = await login({
    mcpUrl: url(),
    write: (line) => {
      lines.push(line);
      if (line.includes('could not be opened (no\\u{1b}[2J such program)'))
        void browse(new URL(lines.at(-2) ?? ''), 'bob');
    },
    openBrowser: async () => {
      throw new Error('no\u001b[2J such program');
    },
  });
  assert.equal(facts(token).aud, url());
});

test('strangers at the loopback listener change nothing', async () => {
  gateway();
  const seen: unknown[] = [];
  const token = await login({
    mcpUrl: url(),
    write: silent,
    openBrowser: async (shown) => {
      const redirect = shown.searchParams.get('redirect_uri') ?? '';
      const state = shown.searchParams.get('state') ?? '';
      const ask = (target: string, host?: string, method = 'GET') =>
        new Promise((resolve, reject) => {
          request(target, { method, ...(host && { headers: { host } }) }, (response) => {
            response.resume();
            resolve(response.statusCode);
          })
            .on('error', reject)
            .end();
        });
      seen.push(
        await ask(`${redirect}?code=stolen&state=wrong`),
        await ask(`${redirect}?code=stolen`),
        await ask(`${redirect}?code=stolen&state=${state}&state=${state}`),
        await ask(`${redirect}?error=access_denied&state=wrong`),
        await ask(`${redirect}?code=stolen&state=${state}`, 'attacker.example'),
        await ask(`${redirect}?code=stolen&state=${state}`, undefined, 'POST'),
        await ask(new URL(`/other?code=stolen&state=${state}`, redirect).href),
      );
      void browse(shown, 'ana');
    },
  });
  assert.deepEqual(seen, [400, 400, 400, 400, 404, 404, 404]);
  assert.equal(facts(token).aud, url());
});

test('an answer with a wrong or missing iss is refused (RFC 9207)', async () => {
  gateway();
  for (const iss of ['http://127.0.0.1:1', undefined])
    await fails('exchange_failed', {
      as: undefined,
      openBrowser: async (shown: URL) => {
        const answer = new URL(shown.searchParams.get('redirect_uri') ?? '');
        answer.searchParams.set('code', 'a-code');
        answer.searchParams.set('state', shown.searchParams.get('state') ?? '');
        if (iss) answer.searchParams.set('iss', iss);
        void fetch(answer);
      },
    });
});

test('an invented code is refused', async () => {
  gateway();
  await fails(
    'exchange_failed',
    {
      as: undefined,
      openBrowser: async (shown: URL) => {
        const answer = new URL(shown.searchParams.get('redirect_uri') ?? '');
        answer.search = String(
          new URLSearchParams({ code: 'invented', iss: issuer(), state: shown.searchParams.get('state') ?? '' }),
        );
        void fetch(answer);
      },
    },
    /invalid_grant/,
  );
});

test('nobody comes: it ends in time', async () => {
  gateway();
  await assert.rejects(login({ mcpUrl: url(), write: silent, timeout: 20 }), { code: 'timed_out' });
});

test('what is asked for and refused has words', async () => {
  gateway();
  await fails('no_such_user', { as: 'mallory' }, /--as ana, bob, carol/);
  await fails(
    'refused',
    { mcpUrl: `${url()}2`, fetch: pretend(`${url()}2`) },
    /invalid_target\)\. It gives no tokens for http:\S+\/fixture\/mcp2\. Tell the owner of http:\S+\.$/,
  );
  await fails('not_the_demo', { clientId: 'nobody' });
});

/** The metadata says `resource`; the authorization server that it names does not know it. */
function pretend(resource: string): typeof fetch {
  return async (input, init) => {
    const target = String(input instanceof Request ? input.url : input);
    if (target === resource) return new Response(null, { status: 404 });
    if (target.includes('/.well-known/oauth-protected-resource'))
      return Response.json({ resource, authorization_servers: [issuer()] });
    return fetch(input, init);
  };
}

for (const [what, code, change] of [
  ['the resource is another', 'resource_mismatch', () => ({ metadata: { resource: `${url()}/` } })],
  ['the resource is missing', 'no_metadata', () => ({ metadata: { resource: undefined } })],
  ['no authorization server', 'no_metadata', () => ({ metadata: { authorization_servers: [] } })],
  ['an http issuer', 'bad_issuer', () => ({ metadata: { authorization_servers: ['http://idp.example'] } })],
  ['an issuer that is no URL', 'bad_issuer', () => ({ metadata: { authorization_servers: ['idp'] } })],
  ['a scope with a space', 'no_metadata', () => ({ metadata: { scopes_supported: ['a b'] } })],
  [
    'an issuer under another name',
    'discovery_failed',
    () => ({ metadata: { authorization_servers: [`${issuer()}/x`] } }),
  ],
  [
    'metadata at another origin',
    'no_metadata',
    () => ({ challenge: 'Bearer resource_metadata="https://attacker.example/x"' }),
  ],
] as const) {
  test(`refused: ${what}`, async () => {
    gateway(change());
    await fails(code);
  });
}

for (const [what, mcpUrl] of [
  ['no URL', 'orders'],
  ['http to another machine', 'http://gateway.example/orders/mcp'],
  ['a password', 'https://a:b@gateway.example/orders/mcp'],
  ['a fragment', 'https://gateway.example/orders/mcp#x'],
  ['another scheme', 'file:///etc/passwd'],
] as const) {
  test(`a bad MCP URL: ${what}`, () => fails('bad_url', { mcpUrl }));
}

test('metadata that is absent, no JSON, too long or moved', async () => {
  gateway();
  answers.set(METADATA, (_request, response) => json(response, {}, 404));
  await fails('no_metadata', {}, /404/);
  for (const handle of [
    (_request, response) => response.end('<html>'),
    (_request, response) =>
      json(response, { resource: url(), authorization_servers: [issuer()], pad: 'x'.repeat(70_000) }),
    (_request, response) => {
      response.writeHead(302, { location: '/elsewhere' });
      response.end();
    },
  ] satisfies Handle[]) {
    answers.set(METADATA, handle);
    await fails('no_metadata');
  }
});

test('a name that the gateway does not know (421)', async () => {
  gateway();
  const misdirected: Handle = (_request, response) => json(response, {}, 421);
  const words = /^The gateway does not know the host 127\.0\.0\.1\. Use the address that it prints\.$/;
  answers.set('/fixture/mcp', misdirected);
  await fails('no_metadata', {}, words);
  gateway();
  answers.set(METADATA, misdirected);
  await fails('no_metadata', {}, words);
});

test('nothing listens there', async () => {
  const gone = await serve(() => {});
  gone.close();
  await fails('unreachable', { mcpUrl: `${gone.origin}/orders/mcp` }, /ECONNREFUSED|Is it running there/);
  gateway({ metadata: { authorization_servers: [gone.origin] } });
  await fails('discovery_failed');
});

/** An authorization server whose metadata and login the test chooses. */
async function withServer(
  metadata: (origin: string) => Record<string, unknown>,
  run: () => Promise<void>,
  authorize: Handle,
) {
  const server = await serve((request, response) => {
    if (request.url?.startsWith('/.well-known/')) json(response, metadata(server.origin));
    else authorize(request, response);
  });
  gateway({ metadata: { authorization_servers: [server.origin] } });
  try {
    await run();
  } finally {
    server.close();
  }
}

const good = (origin: string) => ({
  issuer: origin,
  authorization_endpoint: `${origin}/authorize`,
  token_endpoint: `${origin}/token`,
  code_challenge_methods_supported: ['S256'],
});
const unused: Handle = (_request, response) => response.end();

test('an authorization server without S256, or with unsafe endpoints, is refused', async () => {
  await withServer(
    (origin) => ({ ...good(origin), code_challenge_methods_supported: ['plain'] }),
    () => fails('pkce_missing'),
    unused,
  );
  for (const endpoint of ['http://attacker.example/authorize', 'file:///etc/passwd', undefined])
    await withServer(
      (origin) => ({ ...good(origin), authorization_endpoint: endpoint }),
      () => fails('discovery_failed'),
      unused,
    );
});

const CONSENT = (action: string) =>
  `<title>Allow access · Verbatim</title><form method="post" action="${action}"><input type="hidden" name="csrf" value="x"></form>`;
const ONWARD = (href: string) => `<meta http-equiv="refresh" content="0; url=${href}">`;
const BACK = (href: string) => `<a class="button" href="${href}">Back</a>`;
const DEMO =
  '<meta name="verbatim-demo" content="login"><form method="post"><button name="user" value="ana">Ana</button>';
const html: (text: string, status?: number) => Handle =
  (text, status = 200) =>
  (_request, response) =>
    response.writeHead(status, { 'content-type': 'text/html' }).end(text);
const to: (location: string) => Handle = (location) => (_request, response) =>
  response.writeHead(302, { location }).end();

for (const [what, code, page] of [
  ['a form that is nobody’s', 'not_the_demo', html('<form method="post"><button name="user" value="ana"></form>')],
  ['a form for consent of another program', 'not_the_demo', html(CONSENT('/x').replace('Verbatim', 'Other'))],
  ['a form that leads to another site', 'not_the_demo', html(CONSENT('https://attacker.example/'))],
  ['a form that leads to another port', 'not_the_demo', html(CONSENT('http://127.0.0.1:1/'))],
  ['a page that goes on to another machine', 'not_the_demo', html(ONWARD('https://attacker.example/'))],
  ['a page that goes on to no address', 'not_the_demo', html(ONWARD('http://'))],
  ['a page that goes on to another scheme', 'not_the_demo', html(ONWARD('file:///etc/passwd'))],
  ['a way back to another machine', 'not_the_demo', html(BACK('https://attacker.example/?told=1'))],
  ['a redirect to another machine', 'not_the_demo', to('http://attacker.example/')],
  ['a redirect to a name like this machine’s', 'not_the_demo', to('http://127.0.0.1.attacker.example/')],
  ['a redirect to a user at another machine', 'not_the_demo', to('http://127.0.0.1@attacker.example/')],
  ['a redirect to no address', 'not_the_demo', to('http://')],
  ['a page without a form', 'not_the_demo', html('<p>Maintenance', 503)],
  ['redirects in circles', 'refused', to('/authorize')],
  [
    'pages in circles',
    'refused',
    (request, response) => html(ONWARD(`http://${request.headers.host}/on`))(request, response),
  ],
] as const satisfies readonly (readonly [string, LoginErrorCode, Handle])[]) {
  test(`--as meets ${what}: it answers nothing and goes nowhere`, async () => {
    const reached: string[] = [];
    const methods = new Set<string | undefined>();
    await withServer(
      good,
      () =>
        fails(code, {
          async fetch(input, init) {
            const target = new URL(input instanceof Request ? input.url : input);
            reached.push(target.hostname);
            return fetch(input, init);
          },
        }),
      (request, response) => {
        methods.add(request.method);
        page(request, response);
      },
    );
    assert.deepEqual([...methods], ['GET']);
    assert.deepEqual([...new Set(reached)], ['127.0.0.1']);
  });
}

test('--as agrees and goes on for the site where the login began alone', async () => {
  const posted: string[] = [];
  for (const text of [CONSENT('/agree'), ONWARD('http://127.0.0.1:1/'), BACK('/?told=1')]) {
    const other = await serve((request, response) => {
      if (request.method === 'POST') posted.push(request.url ?? '');
      html(text)(request, response);
    });
    try {
      await withServer(good, () => fails('not_the_demo'), to(`${other.origin}/page`));
    } finally {
      other.close();
    }
  }
  assert.deepEqual(posted, []);
});

test('--as chooses a name once: a demo that asks again is no demo', async () => {
  let posts = 0;
  await withServer(
    good,
    () => fails('not_the_demo'),
    (request, response) => {
      if (request.method === 'POST') posts++;
      html(DEMO)(request, response);
    },
  );
  assert.equal(posts, 1);
});

test("a server's words can not drive the terminal", async () => {
  gateway({ metadata: { resource: '\u001b]0;owned\u0007\u202e' } });
  await fails('resource_mismatch', {}, /describes \\u\{1b\}\]0;owned\\u\{7\}\\u\{202e\}, not/);
});
