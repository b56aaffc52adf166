import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { after, before, test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { ANA, createFixture, type Fixture } from '../recording/fixture.ts';
import { createFilesystemStore } from '../store/filesystem.ts';

const BIN = fileURLToPath(new URL('./bin.js', import.meta.url));
const S1 = '019aa000-0000-7000-8000-000000000001';
const S2 = '019bb000-0000-7000-8000-000000000002';

/** An older Node of the host where there is one: then every test here goes through the re-execution too. */
const NODE = olderNode() ?? process.execPath;

function olderNode(): string | undefined {
  return ['/usr/bin/node', '/usr/local/bin/node'].find((path) => {
    const version = existsSync(path)
      ? spawnSync(path, ['-p', 'process.versions.node'], { encoding: 'utf8' }).stdout
      : '';
    return /^(18|20|22)\./.test(version);
  });
}

let folder: string;
let fixture: Fixture;
let url: string;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'verbatim-cli-'));
  fixture = createFixture('disk1');
  const ana = fixture.begin(S1, 'orders');
  ana.call({ exchange: 'e1', id: 1, tool: 'query', answer: 'red \u001b[31m \u202e hidden' });
  ana.call({ exchange: 'e2', id: 2, tool: 'query', answer: 'no table', isError: true });
  ana.add({
    type: 'gap',
    gap: { reason: 'disk \u001b[2Jdetached', from: '2026-11-22T18:00:00Z', to: '2026-11-22T18:00:01Z' },
  });
  ana.end('signed out');
  const bob = fixture.begin(S2, 'tickets', { principal: { ...ANA, subject: 'bob', email: 'bob@example.com' } });
  bob.call({ exchange: 'e3', id: 'x' as never, tool: 'close', answer: '', effect: 'deny' });
  bob.cut();
  await fixture.seal({ signerDown: true });
  await fixture.seal();
  url = await storeIn('store', fixture.objects);
  const audit = createFilesystemStore(`${url}-audit`);
  const opened = {
    v: 1,
    at: '2026-11-22T18:00:00Z',
    kind: 'ledger.opened',
    ledger: 'disk1',
    details: { verifierKey: fixture.verifierKey },
  };
  await audit.create('audit/dt=2026-11-22/1.json', Buffer.from(JSON.stringify(opened)));
});

after(() => rm(folder, { recursive: true, force: true }));

async function storeIn(name: string, objects: ReadonlyMap<string, Buffer>): Promise<string> {
  const path = join(folder, name);
  await mkdir(path, { recursive: true });
  const address = pathToFileURL(path).href;
  const store = createFilesystemStore(address);
  for (const [object, bytes] of objects) await store.create(object, bytes);
  return address;
}

function verbatim(args: readonly string[], options: { cwd?: string; env?: Record<string, string> } = {}) {
  const env = { PATH: process.env.PATH ?? '', HOME: folder, ...options.env };
  const { status, stdout, stderr } = spawnSync(NODE, [BIN, ...args], {
    cwd: options.cwd ?? folder,
    env,
    timeout: 30_000,
  });
  return { status, stdout: stdout.toString(), stderr: stderr.toString(), bytes: stdout };
}

test('help comes with examples and exit code 0; nonsense is exit code 2', () => {
  const help = verbatim(['--help']);
  assert.equal(help.status, 0);
  assert.match(help.stdout, /npx verbatim verify --all/);
  for (const command of [
    'gateway',
    'demo',
    'login',
    'sessions',
    'show',
    'tail',
    'verify',
    'config',
    'connection',
    'freeze',
    'stdio',
  ]) {
    const own = verbatim(
      command === 'config' || command === 'connection' ? [command, 'check', '--help'] : [command, '--help'],
    );
    assert.deepEqual(
      [own.status, /npx verbatim/.test(own.stdout), /--json/.test(own.stdout)],
      [0, true, true],
      command,
    );
  }
  assert.equal(verbatim(['nonsense']).status, 2);
  for (const command of ['sessions', 'freeze', 'config check', 'connection check', 'stdio']) {
    const wrong = verbatim([...command.split(' '), '--nonsense']);
    assert.equal(wrong.status, 2);
    assert.match(wrong.stderr, new RegExp(`\\(npx verbatim ${command} --help tells more\\)`));
  }
  assert.equal(verbatim(['show']).status, 2);
  assert.equal(verbatim(['verify', '--store', url]).status, 2);
  assert.equal(verbatim(['sessions', '--store', url, '--since', 'soon']).status, 2);
});

test('sessions: an array of objects, filtered; a table without tabs where nobody looks', () => {
  const json = verbatim(['sessions', '--store', url, '--json']);
  assert.equal(json.status, 0, json.stderr);
  const sessions = JSON.parse(json.stdout) as { session: string; state: string }[];
  assert.deepEqual(
    sessions.map(({ session, state }) => [session, state]),
    [
      [S2, 'live'],
      [S1, 'ended'],
    ],
  );
  assert.equal(JSON.parse(verbatim(['sessions', '--store', url, '--json', '--denied']).stdout).length, 1);
  assert.equal(
    JSON.parse(verbatim(['sessions', '--store', url, '--json', '--user', 'bob@example.com']).stdout)[0].session,
    S2,
  );
  assert.deepEqual(JSON.parse(verbatim(['sessions', '--store', url, '--json', '--connection', 'none']).stdout), []);
  const plain = verbatim(['sessions'], { env: { VERBATIM_STORE: url } });
  const rows = plain.stdout.trimEnd().split('\n');
  assert.equal(rows.length, 3);
  assert.match(rows[1] ?? '', new RegExp(`^${S2} .* live, silent since 2026-11-22T18:00Z$`));
  assert.match(rows[2] ?? '', new RegExp(`^${S1} {2}2026-11-22 18:00:00 {2}ana@example.com .* ended, 1 gap$`));
  assert.equal(/[\t\u001b]/.test(plain.stdout), false);
});

test('the store of the demo in this folder is the default; without any the error says how to give one', async () => {
  const here = join(folder, 'here');
  await storeIn('here/.verbatim/demo/store', fixture.objects);
  assert.equal(JSON.parse(verbatim(['sessions', '--json'], { cwd: here }).stdout).length, 2);
  const none = verbatim(['sessions']);
  assert.equal(none.status, 2);
  assert.match(none.stderr, /VERBATIM_STORE/);
  assert.equal(verbatim(['sessions', '--store', 'file:///nowhere/at/all']).status, 1);
  assert.equal(verbatim(['sessions', '--store', 'nonsense:']).status, 2);
  const path = verbatim(['sessions', '--store', '/tmp/x']);
  assert.deepEqual(
    [path.status, path.stderr],
    [2, 'verbatim: "/tmp/x" is not the address of a store. Write file:///tmp/x.\n'],
  );
});

test('show: every message, exact, and nothing that a terminal would obey', () => {
  const shown = verbatim(['show', '019aa', '--store', url]);
  assert.equal(shown.status, 0, shown.stderr);
  const { stdout } = shown;
  for (const part of [
    'ana@example.com (human; groups analysts; ana of https://idp.example.com)',
    '→ tools/call query id 1  allow (no-policy)',
    '← answer to tools/call query id 1  ok',
    '"n": 1.00',
    '← answer to tools/call query id 2  tool isError',
    'HTTP 200 · JSON-RPC ok · tool isError · complete',
    '· exchange e2',
    '!! gap: disk \\u{1b}[2Jdetached',
    '── ended: signed out',
  ]) {
    assert.equal(stdout.includes(part), true, `${part}\n${stdout}`);
  }
  // JSON has escaped the control already; the bidi override came raw and is written out.
  assert.equal(stdout.includes('red \\u001b[31m \\u{202e} hidden'), true, stdout);
  assert.equal(/[\u001b\u202e]/.test(stdout), false);
  const denied = verbatim(['show', S2, '--store', url]).stdout;
  assert.equal(denied.includes('← gateway answer to'), true, denied);
  assert.equal(denied.includes('HTTP 200 · JSON-RPC error -32003 · tool - · denied'), true, denied);
});

test('show --json gives the recorded lines; --raw the exact bytes', () => {
  const lines = verbatim(['show', S1, '--store', url, '--json']).stdout.trimEnd().split('\n');
  const types = lines.map((line) => (JSON.parse(line) as { type: string }).type);
  const call = ['request', 'response', 'data', 'end'];
  assert.deepEqual(types, ['session.start', ...call, ...call, 'gap', 'strand.end']);
  const raw = (...more: string[]) => verbatim(['show', S1, '--store', url, '--raw', ...more]);
  const answer =
    'event: message\r\ndata: {"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"red \\u001b[31m \u202e hidden"}]}}\r\n\r\n';
  assert.deepEqual(raw('--exchange', 'e1', '--side', 'response').bytes, Buffer.from(answer));
  const request = raw('--exchange', 'e1', '--side', 'request').stdout;
  assert.match(request, /^\{"jsonrpc".*"n":1\.00\}\}\}$/);
  assert.equal(raw('--exchange', 'e1').stdout, request + answer);
  assert.equal(raw().stdout.startsWith(request + answer), true);
  assert.equal(raw('--exchange', 'e9').status, 1);
  assert.equal(verbatim(['show', S1, '--store', url, '--side', 'request']).status, 2);
  assert.equal(verbatim(['show', 'latest', '--store', url, '--json']).stdout.includes(S2), true);
});

test('show: a prefix must mean one session', () => {
  assert.equal(verbatim(['show', '019', '--store', url]).status, 2);
  assert.equal(verbatim(['show', 'fff', '--store', url]).status, 1);
});

test('show of a damaged recording says so in its place and exits 1', async () => {
  const objects = new Map(fixture.objects);
  const segment = [...objects.keys()].find((name) => name.includes(`${S1}.disk1.00000`)) ?? '';
  objects.delete(segment);
  const store = await storeIn('damaged', objects);
  const shown = verbatim(['show', S1, '--store', store]);
  assert.equal(shown.status, 1);
  assert.equal(shown.stdout.includes(`!! segment_missing ${segment}`), true, shown.stdout);
  const json = verbatim(['show', S1, '--store', store, '--json']);
  assert.deepEqual([json.status, json.stdout, json.stderr.includes('segment_missing')], [1, '', true]);
});

test('verify --all: proves with the audit store’s key or a given one, and names what is wrong', async () => {
  const good = verbatim(['verify', '--all', '--store', url]);
  assert.equal(good.status, 0, good.stdout + good.stderr);
  assert.match(good.stdout, /trust on first use/);
  const given = verbatim(['verify', '--all', '--store', url, '--key', fixture.verifierKey, '--json']);
  const result = JSON.parse(given.stdout) as { ok: boolean; trust: string; frames: number };
  assert.deepEqual([given.status, result.ok, result.trust, result.frames], [0, true, 'given', 16]);
  assert.equal(verbatim(['verify', '--all', '--store', url, '--key', 'x']).status, 2);
  const objects = new Map(fixture.objects);
  const segment = [...objects.keys()].find((name) => name.includes(`${S1}.disk1.00000`)) ?? '';
  const bytes = Buffer.from(objects.get(segment) ?? []);
  bytes[20] = (bytes[20] ?? 0) ^ 1;
  objects.set(segment, bytes);
  const store = await storeIn('tampered', objects);
  const bad = verbatim(['verify', '--all', '--store', store, '--key', fixture.verifierKey]);
  assert.equal(bad.status, 1);
  assert.equal(bad.stdout.includes(`segment_hash ${segment}:`), true, bad.stdout);
});

test('tail shows what is sealed from now on, and SIGINT ends it with 0', async () => {
  const growing = createFixture('disk1');
  const strand = growing.begin(S1, 'orders');
  strand.cut();
  await growing.seal();
  const address = await storeIn('growing', growing.objects);
  const child = spawn(NODE, [BIN, 'tail', '--store', address], { cwd: folder, env: { PATH: process.env.PATH ?? '' } });
  const ended = new Promise<[number | null, NodeJS.Signals | null]>((resolve) =>
    child.on('exit', (...end) => resolve(end)),
  );
  try {
    await until(child.stderr, 'Following');
    strand.call({ exchange: 'e1', id: 1, tool: 'query', answer: 'x' });
    strand.cut();
    await growing.seal();
    await storeIn('growing', growing.objects);
    const text = await until(child.stdout, 'answer to');
    assert.match(text, /orders …00000001 → tools\/call query id 1 {2}allow \(no-policy\)/);
  } finally {
    child.kill('SIGINT');
  }
  assert.deepEqual(await ended, [0, null]);
});

async function until(stream: Readable, wanted: string): Promise<string> {
  let text = '';
  for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
    text += String(chunk);
    if (text.includes(wanted)) return text;
  }
  throw new Error(`ended without ${wanted}: ${text}`);
}

test('a reader that goes away ends the command quietly', async () => {
  const child = spawn(NODE, [BIN, 'show', S1, '--store', url], { cwd: folder });
  let stderr = '';
  child.stderr.on('data', (chunk) => {
    stderr += String(chunk);
  });
  child.stdout.destroy();
  const code = await new Promise((resolve) => child.on('close', resolve));
  assert.deepEqual([code, stderr], [0, '']);
});

test('config check: file, line, column, key, problem and fix', async () => {
  const file = join(folder, 'bad.yaml');
  await writeFile(file, 'connections: 7\n');
  const bad = verbatim(['config', 'check', file]);
  assert.equal(bad.status, 1, bad.stderr);
  assert.equal(
    bad.stdout
      .split('\n')
      .some((line) => line.startsWith(`${file}:1:`) && line.includes('connections: ') && line.includes('Fix: ')),
    true,
    bad.stdout,
  );
  const json = verbatim(['config', 'check', file, '--json']);
  assert.equal(json.status, 1);
  assert.equal((JSON.parse(json.stdout) as { ok: boolean }).ok, false);
  const gone = verbatim(['config', 'check', 'nope.yaml']);
  assert.deepEqual([gone.status, gone.stdout], [1, 'nope.yaml does not exist.\n']);
  await writeFile(file, 'a: 1\na: 2\n');
  const twice = verbatim(['config', 'check', file]).stdout;
  assert.equal(twice, `${file}:2:1 is a key that is there twice. Fix: Take one of the two out.\n`);
});
