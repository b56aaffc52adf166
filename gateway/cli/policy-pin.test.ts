import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { json, text } from 'node:stream/consumers';
import { after, before, beforeEach, test } from 'node:test';
import { stringify } from 'yaml';
import { configurationFor } from '../../test/gateway-under-test.ts';
import { readPins } from '../policy/pins.ts';
import { createContext } from './context.ts';
import { type PolicyPinOptions, runPolicyPin } from './policy-pin.ts';

const folder = mkdtempSync(join(tmpdir(), 'verbatim-pin-'));
const configFile = join(folder, 'verbatim.yaml');
const pinFile = join(folder, 'policies', 'tools', 'fixture.json');

/** What the server lists: pages of tools, each a JSON text. */
let pages: string[][] = [];
let cursors = (at: number): string | undefined => (at + 1 < pages.length ? String(at + 1) : undefined);
let server: Server;

before(async () => {
  server = createServer(async (request, response) => {
    if (request.method !== 'POST') return void response.writeHead(405).end();
    if (request.headers.authorization !== 'Bearer CANARY-key') return void response.writeHead(401).end();
    const { id, method, params } = (await json(request)) as { id?: number; method: string; params?: never };
    if (id === undefined) return void response.writeHead(202).end();
    const at = Number((params as { cursor?: string } | undefined)?.cursor ?? 0);
    const next = cursors(at);
    const result =
      method === 'initialize'
        ? '{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"orders","version":"1"}}'
        : `{"tools":[${pages[at]?.join()}]${next === undefined ? '' : `,"nextCursor":"${next}"`}}`;
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(`{"jsonrpc":"2.0","id":${id},"result":${result}}`);
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  process.env.VERBATIM_TEST_PIN_KEY = 'CANARY-key';
});
after(async () => {
  delete process.env.VERBATIM_TEST_PIN_KEY;
  server.closeAllConnections();
  await new Promise<void>((done) => server.close(() => done()));
  rmSync(folder, { recursive: true });
});
beforeEach(() => {
  rmSync(join(folder, 'policies'), { recursive: true, force: true });
  cursors = (at) => (at + 1 < pages.length ? String(at + 1) : undefined);
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const place = { folder, issuer: { url: 'http://127.0.0.1:1' }, port: 8080, origin, pathname: '/mcp' };
  const connection = { credential: { bearer: 'env:VERBATIM_TEST_PIN_KEY' } };
  writeFileSync(configFile, stringify(configurationFor(place, { connection, config: { policies: './policies' } })));
});

async function pin(options: PolicyPinOptions = {}): Promise<{ exit: number; out: string }> {
  const out = new PassThrough();
  const context = createContext({ stdout: out, stderr: out, env: {}, cwd: () => folder });
  const exit = await runPolicyPin(context, 'fixture', { config: configFile, ...options });
  out.end();
  return { exit, out: await text(out) };
}

const SEND = '{"name":"send","inputSchema":{"type":"object"},"description":"Sends.","execution":{"x":1},"icons":[]}';
const LIST = '{"inputSchema":{"type":"object","x-mcp-header":"A"},"name":"list","_meta":{"trace":"t"}}';

test('all pages are pinned, with every member, and the same list gives the same file', async () => {
  pages = [[SEND], [LIST]];
  const { exit, out } = await pin();
  assert.equal(exit, 0);
  assert.match(
    out,
    /^connection {2}fixture\ntools {7}2: 2 added, 0 changed, 0 removed\nadded {7}list\nadded {7}send\n/,
  );
  assert.match(out, /\nwritten {5}policies\/tools\/fixture\.json\nNext: /);
  const written = readFileSync(pinFile, 'utf8');
  const read = readPins({ path: pinFile, text: written });
  assert.ok(read.ok);
  assert.deepEqual(
    read.pins.tools.map(({ name, other, inputSchema }) => ({ name, other, inputSchema })),
    [
      { name: 'list', other: undefined, inputSchema: { type: 'object', 'x-mcp-header': 'A' } },
      { name: 'send', other: { execution: { x: 1 }, icons: [] }, inputSchema: { type: 'object' } },
    ],
  );
  pages = [[LIST, SEND]];
  assert.match((await pin()).out, /Nothing to do/);
  assert.equal(readFileSync(pinFile, 'utf8'), written);
  assert.deepEqual(await pin({ check: true }), {
    exit: 0,
    out: 'connection  fixture\ntools       2: 0 added, 0 changed, 0 removed\nGood: as pinned in policies/tools/fixture.json.\n',
  });
});

test('--check names what has changed, and writes nothing', async () => {
  pages = [[SEND, LIST]];
  const none = await pin({ check: true });
  assert.equal(none.exit, 1);
  assert.match(none.out, /does not exist: nothing is pinned/);
  assert.ok(!existsSync(pinFile));
  await pin();
  const written = readFileSync(pinFile, 'utf8');
  pages = [[SEND.replace('Sends.', 'Sends. \u202eevil').replace('"x":1', '"x":2'), '{"name":"d\\u001b[2Jrop"}']];
  const changed = await pin({ check: true });
  assert.equal(changed.exit, 1);
  assert.match(changed.out, /\ntools {7}2: 1 added, 1 changed, 1 removed\n/);
  assert.match(changed.out, /\nadded {7}d\\u\{1b\}\[2Jrop\nchanged {5}send \(description, other\)\nremoved {5}list\n/);
  assert.match(changed.out, /\nNot as pinned in policies\/tools\/fixture\.json\./);
  assert.equal(readFileSync(pinFile, 'utf8'), written);
});

test('a file that was edited by hand is said to be so, and written anew', async () => {
  pages = [[SEND]];
  await pin();
  const written = readFileSync(pinFile, 'utf8');
  writeFileSync(pinFile, written.replace('Sends.', 'Sends!'));
  const found = await pin({ check: true });
  assert.deepEqual([found.exit, /tools\.0\.digest is not of the tool/.test(found.out)], [1, true], found.out);
  await pin();
  assert.equal(readFileSync(pinFile, 'utf8'), written);
});

test('--out is where the file goes', async () => {
  pages = [[SEND]];
  await pin({ out: 'elsewhere' });
  assert.ok(existsSync(join(folder, 'elsewhere', 'fixture.json')) && !existsSync(pinFile));
});

test('what can not be pinned is not written', async () => {
  for (const [listed, words] of [
    [[SEND, SEND], /Two tools have one name/],
    [['{"inputSchema":{}}'], /A tool has no name/],
    [['{"name":"x","description":"Use Bearer CANARY-key"}'], /holds the connection's credential/],
    [['{"name":"x","inputSchema":{"maximum":18446744073709551615}}'], /too large to be read alike/],
    [['7'], /not as MCP says/],
  ] as const) {
    pages = [[...listed]];
    await assert.rejects(pin(), (error: Error & { exitCode: number }) => {
      assert.deepEqual([error.exitCode, words.test(error.message)], [1, true], error.message);
      assert.doesNotMatch(error.message, /CANARY/);
      return true;
    });
  }
  pages = [[SEND], [LIST]];
  cursors = () => '1';
  await assert.rejects(pin(), /comes back to a page/);
  cursors = (at) => String(at + 1);
  pages = [['']];
  await assert.rejects(pin(), { exitCode: 1 });
  assert.ok(!existsSync(pinFile));
});

test('a server that refuses the credential is said to', async () => {
  process.env.VERBATIM_TEST_PIN_KEY = 'other';
  try {
    await assert.rejects(pin(), { exitCode: 1, message: /refuses this credential/ });
  } finally {
    process.env.VERBATIM_TEST_PIN_KEY = 'CANARY-key';
  }
});
