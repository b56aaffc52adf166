/** Programs that nobody here wrote log in by themselves: given the address alone, they open a browser that is ana's. */
import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { loginAs } from '../gateway/cli/login-as.ts';
import { converse, createHome, run } from './compat/child.ts';
import { install, ToolMissing } from './compat/tools.ts';
import { freePort } from './gateway-under-test.ts';
import { startLoginWorld } from './login-world.ts';
import { framesOf } from './recorded.ts';

const INPUT = { sql: "select 'grüezi' as word" };

/** Opens the address of a login that a program prints, once, as its person would. */
function createPerson() {
  const logins: Promise<void>[] = [];
  return {
    logins,
    heard(line: string) {
      const [url] = /https?:\/\/\S+\/oauth\/authorize\?\S+/.exec(line) ?? [];
      if (url === undefined || logins.length > 0) return;
      const authorizationUrl = new URL(url);
      const redirectUri = authorizationUrl.searchParams.get('redirect_uri') ?? '';
      logins.push(loginAs('ana', { authorizationUrl, redirectUri, fetch }));
    },
  };
}

async function tool(
  name: 'codex' | 'mcp-remote' | 'inspector',
  skip: (why: string) => void,
): Promise<string | undefined> {
  try {
    return await install(name);
  } catch (error) {
    if (!(error instanceof ToolMissing) || process.env.VERBATIM_REQUIRE_TOOLS === '1') throw error;
    skip(error.message);
    return undefined;
  }
}

test('mcp-remote', async (t) => {
  const folder = await tool('mcp-remote', (why) => t.skip(why));
  if (folder === undefined) return;
  await using world = await startLoginWorld();
  await using home = await createHome();
  const person = createPerson();
  await using client = converse({
    command: join(folder, 'node_modules', '.bin', 'mcp-remote'),
    args: [world.mcp, '--transport', 'http-only'],
    env: { MCP_REMOTE_CONFIG_DIR: join(home.path, 'mcp-remote') },
    home: home.path,
    heard: person.heard,
  });
  const clientInfo = { name: 'a-host', version: '1.0.0' };
  await client.ask('initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo });
  client.notify('notifications/initialized');
  const answer = await client.ask('tools/call', { name: 'query', arguments: INPUT });
  assert.match(JSON.stringify(answer), /grüezi/);
  await Promise.all(person.logins);
  assert.equal(person.logins.length, 1);
});

test('Inspector', async (t) => {
  const folder = await tool('inspector', (why) => t.skip(why));
  if (folder === undefined) return;
  await using world = await startLoginWorld();
  await using home = await createHome();
  const person = createPerson();
  const said = await run({
    command: join(folder, 'node_modules', '.bin', 'mcp-inspector'),
    args: [
      ...['--cli', world.mcp, '--transport', 'http', '--format', 'json'],
      ...['--callback-url', `http://127.0.0.1:${await freePort()}/oauth/callback`],
      ...['--method', 'tools/call', '--tool-name', 'query', '--tool-args-json', JSON.stringify(INPUT)],
    ],
    // It asks for a terminal or a browser; the one that it opens is not there, and the address is printed all the same.
    env: { MCP_AUTO_OPEN_ENABLED: 'true' },
    home: home.path,
    heard: person.heard,
  });
  assert.match(said, /grüezi/);
  await Promise.all(person.logins);
  await world.gateway.gateway.seal();
  assert.ok(
    (await framesOf(world.gateway)).some(
      (frame) => frame.type === 'session.start' && frame.start.principal?.subject === 'ana',
    ),
  );
});

test('Codex', async (t) => {
  const folder = await tool('codex', (why) => t.skip(why));
  if (folder === undefined) return;
  await using world = await startLoginWorld();
  await using home = await createHome();
  const person = createPerson();
  const codex = {
    command: join(folder, 'node_modules', '.bin', 'codex'),
    env: { CODEX_HOME: join(home.path, 'codex') },
    home: home.path,
  };
  await mkdir(join(home.path, 'codex'));
  // Of itself it keeps what it gets in the keyring of the desktop, which is not there.
  await writeFile(join(home.path, 'codex', 'config.toml'), 'mcp_oauth_credentials_store = "file"\n');
  await run({ ...codex, args: ['mcp', 'add', 'orders', '--url', world.mcp], heard: person.heard });
  await Promise.all(person.logins);
  await using app = converse({ ...codex, args: ['app-server'] });
  await app.ask('initialize', { clientInfo: { name: 'compat', version: '1.0.0' } });
  app.notify('initialized');
  const started = await app.ask('thread/start', { cwd: home.path });
  const threadId = (started.result as { thread: { id: string } }).thread.id;
  const call = { threadId, server: 'orders', tool: 'query', arguments: INPUT };
  assert.match(JSON.stringify(await app.ask('mcpServer/tool/call', call)), /grüezi/);
  assert.equal(person.logins.length, 1);
});
