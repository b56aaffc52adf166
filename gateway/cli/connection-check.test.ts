import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { SSEServerTransport } from '@modelcontextprotocol/sdk/server/sse.js';
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
  readonly code: string;
  readonly words: string;
  readonly step: string;
}

async function check(connection: Record<string, unknown>, group?: string): Promise<Checked> {
  const at = { folder, issuer: { url: 'http://127.0.0.1:1' }, port: 8080, origin: server.url, pathname: '/mcp' };
  const sse = { path: '/sse', messages: '/message' };
  const config = configurationFor(at, { connection: { sse, ...connection }, config: { google: google.google } });
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

test('--group takes the credential of that group', async () => {
  const credential = { googleIdToken: { serviceAccount: ACCOUNT } };
  const connection = { credential: { none: true }, credentialByGroup: [{ groups: ['analysts'], credential }] };
  assert.equal((await check(connection, 'analysts')).json.credential, `readable, version impersonated:${ACCOUNT}`);
  const { exit, json } = await check(connection, 'others');
  assert.deepEqual([exit, json.credential, json.problem?.code], [1, 'none', 'upstream_refused_credential']);
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
