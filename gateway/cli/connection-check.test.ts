import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { SSEServerTransport } from '@modelcontextprotocol/sdk/server/sse.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { stringify } from 'yaml';
import { configurationFor } from '../../test/gateway-under-test.ts';
import { type GoogleDouble, startGoogle } from '../../test/google/google.ts';
import { runConnectionCheck } from './connection-check.ts';
import { createContext } from './context.ts';

const ACCOUNT = 'orders@verbatim.iam.gserviceaccount.com';

const folder = mkdtempSync(join(tmpdir(), 'verbatim-check-'));
const configFile = join(folder, 'verbatim.yaml');
let google: GoogleDouble;
let server: Awaited<ReturnType<typeof startSseServer>>;
before(async () => {
  google = await startGoogle();
  google.impersonable.add(ACCOUNT);
  google.secretManager.add('key', 'CANARY-key');
  server = await startSseServer();
});
after(async () => {
  await server.close();
  await google.close();
  rmSync(folder, { recursive: true });
});

async function listening(listener: RequestListener): Promise<{ url: string; close(): Promise<void> }> {
  const http = createServer(listener);
  await new Promise<void>((done) => http.listen(0, '127.0.0.1', done));
  return {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
    async close() {
      http.closeAllConnections();
      await new Promise<void>((done) => http.close(() => done()));
    },
  };
}

/** A server of 2024-11-05, on the official SDK, that wants a bearer. */
async function startSseServer() {
  const transports = new Map<string, SSEServerTransport>();
  const authorized = (request: IncomingMessage): boolean =>
    /^Bearer (CANARY-key|ey.*)$/.test(request.headers.authorization ?? '');
  const endpoint = { path: '/message' };
  const http = await listening((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://x');
    if (!authorized(request)) return void response.writeHead(401).end();
    if (request.method === 'POST') {
      return void transports.get(searchParams.get('sessionId') ?? '')?.handlePostMessage(request, response);
    }
    if (pathname !== '/sse') return void response.writeHead(404).end();
    if (endpoint.path.startsWith('http:')) {
      // The SDK's server would make it relative.
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      return void response.write(`event: endpoint\ndata: ${endpoint.path}\n\n`);
    }
    const transport = new SSEServerTransport(endpoint.path, response);
    transports.set(transport.sessionId, transport);
    const mcp = new McpServer({ name: 'old', version: '1.0.0' });
    mcp.registerTool('count', {}, () => ({ content: [] }));
    void mcp.connect(transport);
  });
  return { ...http, endpoint };
}

interface Checked {
  readonly exit: number;
  readonly out: string;
  readonly json: { ok: boolean; credential?: string; server?: string; tools?: string[]; problem?: Problem };
}
interface Problem {
  readonly reason?: string;
  readonly code: string;
  readonly words: string;
  readonly step: string;
}

interface Asked {
  readonly group?: string;
  /** Where the server is, and whether it has Streamable HTTP in the place of HTTP+SSE. */
  readonly at?: string;
  readonly streamable?: boolean;
}

async function check(connection: Record<string, unknown>, { group, at, streamable }: Asked = {}): Promise<Checked> {
  const origin = at ?? server.url;
  const place = { folder, issuer: { url: 'http://127.0.0.1:1' }, port: 8080, origin, pathname: '/mcp' };
  const sse = streamable ? {} : { sse: { path: '/sse', messages: '/message' } };
  const config = configurationFor(place, { connection: { ...sse, ...connection }, config: { google: google.google } });
  const { fixture } = config.connections as { fixture: Record<string, unknown> };
  delete fixture.paths;
  writeFileSync(configFile, stringify(config));
  const run = async (json: boolean): Promise<{ exit: number; out: string }> => {
    const out = new PassThrough();
    const context = createContext({ stdout: out, stderr: out, env: {}, cwd: () => folder });
    const options = { config: configFile, json, ...(group === undefined ? {} : { group }) };
    const exit = await runConnectionCheck(context, 'fixture', options);
    out.end();
    return { exit, out: await text(out) };
  };
  const { exit, out } = await run(false);
  const { out: json } = await run(true);
  for (const secret of google.secrets) assert.ok(!(out + json).includes(secret));
  return { exit, out, json: JSON.parse(json) as Checked['json'] };
}

test('a server of 2024-11-05 behind a secret of Secret Manager: reached, tools listed, the version named', async () => {
  const name = 'projects/verbatim/secrets/key/versions/latest';
  const { exit, out, json } = await check({ credential: { bearer: `gcp-secret:${name}` } });
  assert.deepEqual(
    [exit, json.ok, json.server, json.tools, json.credential],
    [0, true, 'old 1.0.0', ['count'], 'readable, version projects/123456789/secrets/key/versions/1'],
  );
  assert.match(out, /upstream {4}http:\/\/127\.0\.0\.1:\d+\/sse\n/);
});

test('a server of Streamable HTTP, with a session and a stream of its own: reached, tools listed, session ended', async (t) => {
  const ended: string[] = [];
  const transport = new StreamableHTTPServerTransport({
    sessionIdGenerator: () => 'one',
    onsessionclosed: (id) => void ended.push(id),
  });
  const mcp = new McpServer({ name: 'new', version: '2.0.0' });
  mcp.registerTool('CANARY-key', {}, () => ({ content: [] }));
  await mcp.connect(transport as Parameters<typeof mcp.connect>[0]);
  const at = await listening((request, response) => void transport.handleRequest(request, response));
  t.after(() => at.close());
  const name = 'projects/verbatim/secrets/key/versions/1';
  const context = { credential: { bearer: `gcp-secret:${name}` } };
  // The second check finds a server that is initialized already, so only the first can be good.
  const { exit, out } = await check(context, { at: at.url, streamable: true });
  assert.equal(exit, 0, out);
  assert.match(out, /server {6}new 2\.0\.0\ntools {7}1: \(the credential\)\n/);
  assert.deepEqual(ended, ['one']);
});

test('--group takes the credential of that group', async () => {
  const credential = { googleIdToken: { serviceAccount: ACCOUNT } };
  const connection = { credential: { none: true }, credentialByGroup: [{ groups: ['analysts'], credential }] };
  const asked = await check(connection, { group: 'analysts' });
  assert.equal(asked.json.credential, `readable, version impersonated:${ACCOUNT}`);
  const { exit, json } = await check({ ...connection, groups: ['analysts', 'others'] }, { group: 'others' });
  assert.deepEqual([exit, json.credential, json.problem?.code], [1, 'none', 'upstream_refused_credential']);
  await assert.rejects(check(connection, { group: 'nosuch' }), {
    exitCode: 2,
    message: 'fixture: group "nosuch" may not open a session (groups: analysts).',
  });
});

test('a server that answered was reached: its status and its error are said, the credential never', async (t) => {
  let answer: RequestListener = () => {};
  const odd = await listening((request, response) => answer(request, response));
  t.after(() => odd.close());
  const credential = { bearer: 'gcp-secret:projects/verbatim/secrets/key/versions/1' };
  const status =
    (code: number): RequestListener =>
    (_, response) =>
      void response.writeHead(code).end('CANARY-body');
  const rpc =
    (message: string): RequestListener =>
    (request, response) =>
      void text(request).then((body) => {
        response.writeHead(200, { 'content-type': 'application/json' });
        const { id } = JSON.parse(body) as { id?: unknown };
        response.end(JSON.stringify({ jsonrpc: '2.0', id, error: { code: -32603, message } }));
      });
  const html: RequestListener = (_, response) => {
    response.writeHead(200, { 'content-type': 'text/html' }).end('<html>');
  };
  const hangUp: RequestListener = (request) => void request.socket.destroy();
  const said: unknown[] = [];
  for (const [one, streamable] of [
    [status(401), true],
    [status(403), false],
    [status(404), true],
    [status(405), false],
    [status(500), true],
    [status(302), true],
    [rpc(`no \u001b[31m ${'x'.repeat(300)}`), true],
    [rpc('I got Bearer CANARY-key'), true],
    [html, true],
    [hangUp, true],
    [hangUp, false],
  ] as const) {
    answer = one;
    const { exit, out, json } = await check({ credential }, { at: odd.url, streamable });
    assert.equal(exit, 1);
    assert.doesNotMatch(out, /CANARY|\u001b/);
    assert.ok(out.includes(json.problem?.words ?? '-'), out);
    said.push([json.problem?.code, json.problem?.reason ?? json.problem?.words]);
  }
  const path = (code: number, at: string): string =>
    `The server answered ${code} at ${at}. Is that its path (\`paths\`)? A 2024-11-05 server needs \`sse\`.`;
  const cut = `no \\u{1b}[31m ${'x'.repeat(300)}`.slice(0, 199);
  const closed = ['upstream_unreachable', 'UND_ERR_SOCKET (the server closed the connection)'];
  assert.deepEqual(said, [
    ['upstream_refused_credential', 'The server answered 401: it refuses this credential.'],
    ['upstream_refused_credential', 'The server answered 403: it refuses this credential.'],
    ['upstream_wrong_path', path(404, '/mcp')],
    ['upstream_wrong_path', path(405, '/sse')],
    ['upstream_error', 'The server answered HTTP 500.'],
    ['upstream_redirect', 'The MCP server redirected; redirects are never followed.'],
    ['upstream_error', `The server answered with an error: ${cut}… (JSON-RPC -32603).`],
    ['upstream_error', 'The server answered with an error: I got (the credential) (JSON-RPC -32603).'],
    ['upstream_not_mcp', 'The server answered HTTP 200, but not as MCP says: Unexpected content type: text/html.'],
    closed,
    closed,
  ]);
});

test('a server that is not there: why, in words and as JSON', async () => {
  const gone = await listening(() => {});
  await gone.close();
  for (const streamable of [true, false]) {
    const { out, json } = await check({ credential: { none: true } }, { at: gone.url, streamable });
    const reason = `ECONNREFUSED ${new URL(gone.url).host}`;
    assert.deepEqual([json.problem?.code, json.problem?.reason], ['upstream_unreachable', reason]);
    assert.ok(out.includes(`could not be reached. Reason: ${reason}. (upstream_unreachable)`), out);
  }
});

test('the configuration: the one of --config, else the demo of this folder; one that is not there is named', async () => {
  const context = (cwd: string) =>
    createContext({ stdout: new PassThrough(), stderr: new PassThrough(), env: {}, cwd: () => cwd });
  const asking = (cwd: string, options: { config?: string } = {}) =>
    runConnectionCheck(context(cwd), 'nosuch', options);
  await assert.rejects(asking(folder), { exitCode: 2, message: /--config FILE/ });
  await assert.rejects(asking(folder, { config: 'nope.yaml' }), { exitCode: 1, message: 'nope.yaml does not exist.' });
  await check({ credential: { none: true } });
  const demo = join(folder, '.verbatim', 'demo');
  mkdirSync(demo, { recursive: true });
  copyFileSync(configFile, join(demo, 'verbatim.yaml'));
  await assert.rejects(asking(folder), { exitCode: 2, message: /has no connection "nosuch"\. It has: fixture\./ });
});

test('what is missing is named to who runs it', async () => {
  for (const [credential, named] of [
    [{ bearer: 'env:VERBATIM_TEST_UNSET' }, 'env:VERBATIM_TEST_UNSET'],
    [{ bearer: 'file:/nowhere/key' }, 'file:/nowhere/key'],
    [
      { header: 'X-Key', value: 'gcp-secret:projects/verbatim/secrets/none/versions/3' },
      'secrets/none/versions/3: HTTP 404',
    ],
    [{ googleIdToken: { serviceAccount: 'x@verbatim.iam.gserviceaccount.com' } }, 'impersonating x@verbatim.iam'],
  ] as const) {
    const { exit, out, json } = await check({ credential });
    assert.deepEqual(
      [exit, json.problem?.code, json.problem?.step],
      [1, 'credential_unavailable', 'reading the credential'],
    );
    assert.ok(json.problem?.words.includes(named) && out.includes(named), out);
  }
});

test('the credential goes to the path for messages alone, wherever the server points', async (t) => {
  const seen: (string | undefined)[] = [];
  const elsewhere = await listening((request, response) => {
    seen.push(request.headers.authorization);
    response.writeHead(404).end();
  });
  t.after(() => elsewhere.close());
  for (const path of ['/other', `${elsewhere.url}/message`]) {
    server.endpoint.path = path;
    const { exit } = await check({ credential: { bearer: 'gcp-secret:projects/verbatim/secrets/key/versions/1' } });
    assert.equal(exit, 1);
  }
  assert.deepEqual(seen, []);
  server.endpoint.path = '/message';
});
