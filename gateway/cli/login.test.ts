import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { decodeJwt } from 'jose';
import { startIdp } from '../../demo/idp.ts';
import { login } from './login.ts';
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

/** Plays the gateway: `/<any>/mcp` answers 401 with its metadata, which `change` may spoil. */
let resource: Awaited<ReturnType<typeof serve>>;
let idp: Awaited<ReturnType<typeof startIdp>>;
const METADATA = '/.well-known/oauth-protected-resource/orders/mcp';
let answers: Map<string, Handle> = new Map();

before(async () => {
  resource = await serve((request, response) => {
    const handle = answers.get(request.url ?? '');
    if (handle) handle(request, response);
    else json(response, {}, 404);
  });
  idp = await startIdp({ port: 0, resources: () => [url()] });
});
after(async () => {
  resource.close();
  await idp.close();
});

const url = () => `${resource.origin}/orders/mcp`;

function gateway(change: { challenge?: string; metadata?: Record<string, unknown>; at?: string } = {}): void {
  const at = change.at ?? METADATA;
  const challenge = change.challenge ?? `Bearer error="invalid_token", resource_metadata="${resource.origin}${at}"`;
  answers = new Map<string, Handle>([
    ['/orders/mcp', (_request, response) => json(response, {}, 401, { 'www-authenticate': challenge })],
    [
      at,
      (_request, response) =>
        json(response, {
          resource: url(),
          authorization_servers: [idp.issuer],
          scopes_supported: ['mcp'],
          ...change.metadata,
        }),
    ],
  ]);
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

test('--as logs in without a browser', async () => {
  gateway();
  for (const [user, group] of [
    ['ana', 'analysts'],
    ['bob', 'engineers'],
    ['carol', 'auditors'],
  ] as const) {
    const lines: string[] = [];
    const token = await login({ mcpUrl: url(), as: user, write: (line) => lines.push(line) });
    const claims = decodeJwt(token);
    assert.deepEqual([claims.iss, claims.aud, claims.sub, claims.groups], [idp.issuer, url(), user, [group]]);
    assert.ok(lines.every((line) => !line.includes(token) && !line.includes('\n')));
  }
});

test('the metadata is found where the 401 says, else at the well-known path', async () => {
  gateway({ at: '/elsewhere' });
  assert.ok(await login({ mcpUrl: url(), as: 'ana', write: silent }));
  gateway({ challenge: 'Basic realm="x"' });
  assert.ok(await login({ mcpUrl: url(), as: 'ana', write: silent }));
  answers.set('/orders/mcp', (_request, response) => json(response, {}, 405));
  assert.ok(await login({ mcpUrl: url(), as: 'ana', write: silent }));
});

/** What a person's browser does: shows the page, keeps cookies, presses a button, follows redirects. */
async function browse(start: URL, form: Record<string, string>): Promise<Response> {
  const cookies = new Map<string, string>();
  const go = async (target: string, body?: Record<string, string>) => {
    const response = await fetch(target, {
      redirect: 'manual',
      headers: { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') },
      ...(body && { method: 'POST', body: new URLSearchParams(body) }),
    });
    for (const line of response.headers.getSetCookie()) {
      const [name = '', value = ''] = line.split(';')[0]?.split('=') ?? [];
      cookies.set(name, value);
    }
    return response;
  };
  const page = new URL((await go(start.href)).headers.get('location') ?? '', start).href;
  const resumed = await go(page, form);
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
      page = browse(shown, { user: 'carol' });
    },
  });
  assert.equal(decodeJwt(token).sub, 'carol');
  const last = await page;
  assert.equal(last?.status, 200);
  assert.match(last.headers.get('content-security-policy') ?? '', /^default-src 'none'/);
  assert.match(await last.text(), /You are logged in/);
  const shown = new URL(lines.at(-1) ?? '');
  assert.equal(shown.origin, idp.issuer);
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
        page = browse(shown, { cancel: 'yes' });
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
        void browse(new URL(lines.at(-2) ?? ''), { user: 'bob' });
    },
    openBrowser: async () => {
      throw new Error('no\u001b[2J such program');
    },
  });
  assert.equal(decodeJwt(token).sub, 'bob');
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
      void browse(shown, { user: 'ana' });
    },
  });
  assert.deepEqual(seen, [400, 400, 400, 400, 404, 404, 404]);
  assert.equal(decodeJwt(token).sub, 'ana');
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
          new URLSearchParams({ code: 'invented', iss: idp.issuer, state: shown.searchParams.get('state') ?? '' }),
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
    { clientId: 'verbatim-cli', mcpUrl: `${url()}2`, fetch: pretend(`${url()}2`) },
    /invalid_target\)\..* in docs\/configuration\.md\.$/,
  );
  await fails('not_the_demo', { clientId: 'nobody' });
});

/** The metadata says `resource`; the identity provider does not know it. */
function pretend(resource: string): typeof fetch {
  return async (input, init) => {
    const target = String(input instanceof Request ? input.url : input);
    if (target === resource) return new Response(null, { status: 404 });
    if (target.includes('/.well-known/oauth-protected-resource'))
      return Response.json({ resource, authorization_servers: [idp.issuer] });
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
    () => ({ metadata: { authorization_servers: [`${idp.issuer}/x`] } }),
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
  answers.delete(METADATA);
  await fails('no_metadata', {}, /404/);
  for (const handle of [
    (_request, response) => response.end('<html>'),
    (_request, response) =>
      json(response, { resource: url(), authorization_servers: [idp.issuer], pad: 'x'.repeat(70_000) }),
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
  answers.set('/orders/mcp', misdirected);
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

test('--as fills in no foreign form and follows no foreign redirect', async () => {
  const methods: (string | undefined)[] = [];
  await withServer(
    good,
    () => fails('not_the_demo'),
    ({ method }, response) => {
      methods.push(method);
      response.end('<form method="post"><button name="user" value="ana"></form>');
    },
  );
  assert.deepEqual(methods, ['GET']);
  await withServer(
    good,
    () => fails('not_the_demo'),
    (_request, response) => {
      response.writeHead(302, { location: 'http://attacker.example/' });
      response.end();
    },
  );
  await withServer(
    good,
    () => fails('refused'),
    (_request, response) => {
      response.writeHead(302, { location: '/authorize' });
      response.end();
    },
  );
});

test("a server's words can not drive the terminal", async () => {
  gateway({ metadata: { resource: '\u001b]0;owned\u0007\u202e' } });
  await fails('resource_mismatch', {}, /describes \\u\{1b\}\]0;owned\\u\{7\}\\u\{202e\}, not/);
});
