/** The conformance suite of the MCP project against the gateway as an authorization server. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { loginAs } from '../../gateway/cli/login-as.ts';
import { freePort } from '../gateway-under-test.ts';
import { startLoginWorld } from '../login-world.ts';
import { conformanceCommand } from './suite.ts';

/** Logs in at each address that the suite prints, as the person whom it asks to. */
async function runAuthorization(args: readonly string[]): Promise<string> {
  const output = await mkdtemp(join(tmpdir(), 'verbatim-conformance-'));
  const child = spawn(process.execPath, [...(await conformanceCommand()), 'authorization', ...args, '-o', output], {
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd: output,
    timeout: 60_000,
    killSignal: 'SIGKILL',
  });
  let said = '';
  const failures: unknown[] = [];
  const read = (line: string): void => {
    said += `${line}\n`;
    const [url] = /https?:\/\/\S+\/oauth\/authorize\?\S+/.exec(line) ?? [];
    if (url === undefined) return;
    const authorizationUrl = new URL(url);
    const redirectUri = authorizationUrl.searchParams.get('redirect_uri') ?? '';
    loginAs('ana', { authorizationUrl, redirectUri, fetch }).catch((error: unknown) => failures.push(error));
  };
  for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on('line', read);
  try {
    await new Promise<void>((resolve, reject) => child.once('error', reject).once('close', () => resolve()));
    assert.deepEqual(failures, []);
    return said;
  } finally {
    await rm(output, { recursive: true, force: true });
  }
}

test('conformance authorization: every scenario passes', async () => {
  const port = await freePort();
  await using world = await startLoginWorld({
    // Metadata says that documents are read where some host's are.
    login: {
      clientMetadataHosts: ['claude.ai'],
      clients: { conformance: { redirectUris: [`http://127.0.0.1:${port}/callback`] } },
    },
  });
  const issuer = world.mcp.replace(/\/mcp$/, '');
  const said = await runAuthorization([
    '--url',
    issuer,
    '--client-id',
    'conformance',
    '--resource',
    world.mcp,
    '-p',
    String(port),
  ]);
  const [, passed = 0] = /^Total: (\d+) passed, 0 failed$/m.exec(said) ?? [];
  assert.ok(Number(passed) >= 3, said);
});
