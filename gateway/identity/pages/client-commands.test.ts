import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { clientCommands, type HowTo, INSPECTOR, MCP_REMOTE, shellWord } from './client-commands.ts';

const run = promisify(execFile);
const URL_ = 'https://mcp.example.com/orders/mcp';
/** Not possible by configuration: what would happen if it were. */
const HOSTILE = `o'r"d$(touch pwned)\`touch pwned\`;touch pwned&|<>*?[!]{}~#\\ \t\nend`;

let folder: string;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'verbatim-client-commands-'));
  await mkdir(join(folder, 'bin'));
  for (const program of ['claude', 'codex', 'gemini', 'npx']) {
    const script = `#!/bin/sh\nprintf '%s\\0' "$(basename "$0")" "$@"\n`;
    await writeFile(join(folder, 'bin', program), script, { mode: 0o755 });
  }
});
after(() => rm(folder, { recursive: true, force: true }));

/** The words that a real shell hands to the program. */
async function wordsOf(text: string): Promise<string[]> {
  const path = `${join(folder, 'bin')}:/usr/bin:/bin`;
  const { stdout } = await run('/bin/sh', ['-c', text], { cwd: folder, env: { PATH: path, HOME: folder } });
  return stdout.split('\0').slice(0, -1);
}

function waysOf(client: string, name = 'orders', url = URL_): readonly HowTo[] {
  const found = clientCommands(name, url).find((one) => one.client.startsWith(client));
  assert.ok(found);
  return found.ways;
}

async function commandsOf(client: string, name?: string, url?: string): Promise<string[][]> {
  const texts = waysOf(client, name, url).flatMap((way) => (way.kind === 'command' ? [way.text] : []));
  return Promise.all(texts.map(wordsOf));
}

for (const [name, url] of [
  ['orders', URL_],
  [HOSTILE, `https://mcp.example.com/o'r;touch%20pwned/$(touch pwned)?a=1&b=2`],
] as const) {
  test(`a shell hands each program the words that it should get: ${JSON.stringify(name.slice(0, 8))}`, async () => {
    assert.deepEqual(await commandsOf('Claude Code', name, url), [
      ['claude', 'mcp', 'add', '--scope', 'user', '--transport', 'http', name, url],
    ]);
    assert.deepEqual(await commandsOf('Codex', name, url), [['codex', 'mcp', 'add', name, '--url', url]]);
    assert.deepEqual(await commandsOf('Gemini', name, url), [
      ['gemini', 'mcp', 'add', '--scope', 'user', '--transport', 'http', name, url],
    ]);
    assert.deepEqual(await commandsOf('MCP Inspector', name, url), [
      ['npx', '-y', INSPECTOR, '--server-url', url, '--transport', 'http'],
    ]);
    await assert.rejects(readFile(join(folder, 'pwned')));
  });
}

test('what needs no quotes has none', () => {
  assert.equal(shellWord(URL_), URL_);
  assert.equal(shellWord(''), "''");
  assert.equal(shellWord('~/x'), "'~/x'");
});

function linkOf(client: string): string {
  const href = waysOf(client, 'orders', `${URL_}?a=1&b=+ü`).find((way) => way.kind === 'link')?.href;
  assert.ok(href);
  return href;
}

test('Cursor reads name and configuration from its link', () => {
  const link = new URL(linkOf('Cursor'));
  assert.equal(`${link.protocol}//${link.host}${link.pathname}`, 'cursor://anysphere.cursor-deeplink/mcp/install');
  assert.equal(link.searchParams.get('name'), 'orders');
  const config = Buffer.from(link.searchParams.get('config') ?? '', 'base64').toString();
  assert.deepEqual(JSON.parse(config), { url: `${URL_}?a=1&b=+ü` });
});

test('VS Code reads what --add-mcp takes from its link', () => {
  const [address, query] = linkOf('VS Code').split('?');
  assert.equal(address, 'vscode:mcp/install');
  assert.deepEqual(JSON.parse(decodeURIComponent(query ?? '')), {
    name: 'orders',
    type: 'http',
    url: `${URL_}?a=1&b=+ü`,
  });
});

test('every JSON names the connection and its address, and nothing holds a token', () => {
  for (const { ways } of clientCommands('orders', URL_)) {
    for (const way of ways) {
      if (way.kind !== 'json') continue;
      const [servers] = Object.values(JSON.parse(way.text) as Record<string, Record<string, unknown>>);
      assert.match(JSON.stringify(servers?.orders), /https:\/\/mcp\.example\.com\/orders\/mcp/);
    }
  }
  assert.doesNotMatch(JSON.stringify(clientCommands('orders', URL_)), /authorization|bearer|token|secret/i);
});

for (const [pinned, tool] of [
  [INSPECTOR, 'inspector'],
  [MCP_REMOTE, 'mcp-remote'],
] as const) {
  test(`${pinned} is the version that test/compat runs`, async () => {
    const file = join(import.meta.dirname, '../../../test/compat/npm', tool, 'package.json');
    const { dependencies } = JSON.parse(await readFile(file, 'utf8')) as { dependencies: Record<string, string> };
    const name = pinned.slice(0, pinned.lastIndexOf('@'));
    assert.equal(dependencies[name], pinned.slice(name.length + 1));
  });
}
