/** The secret of logins is changed while people work, in the steps of docs/configuration.md, on two replicas. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { parse, stringify } from 'yaml';
import { issued, secret } from './canaries.ts';
import { createLoginStorage, loginWithSdk } from './login-storage.ts';
import { startLoginWorld } from './login-world.ts';
import { call } from './raw-client.ts';

const message = (id: number, method: string, params: Record<string, unknown> = {}): string =>
  JSON.stringify({ jsonrpc: '2.0', id, method, params });
const INITIALIZE = message(1, 'initialize', {
  protocolVersion: '2025-11-25',
  capabilities: {},
  clientInfo: { name: 'works-on', version: '1' },
});

test('nobody notices: tokens, refreshes, registrations and MCP sessions go on, whichever replica serves them', async () => {
  const names = ['VERBATIM_TEST_LOGIN_OLD', 'VERBATIM_TEST_LOGIN_NEW'] as const;
  for (const name of names) process.env[name] = secret(randomBytes(36).toString('base64url'), name);
  const [old, fresh] = names.map((name) => `env:${name}`);
  await using world = await startLoginWorld({ replicas: 2, login: { secrets: [old] } });
  const storage = createLoginStorage('ana');
  await loginWithSdk(world.mcp, storage);
  const clientId = String((await storage.clientInformation())?.client_id);
  let { accessToken, refreshToken } = storage.kept();
  const pathname = new URL(world.mcp).pathname;

  const at = (replica: number, path: string): string => `http://127.0.0.1:${world.replicas[replica]?.port}${path}`;
  /** What a replica answers in the MCP session that the client has, with the id that it says. */
  async function ask(replica: number, body: string, mcpSession?: string) {
    const headers = mcpSession === undefined ? {} : { 'mcp-session-id': mcpSession };
    const answer = await call(at(replica, pathname), { token: accessToken, body, headers }).answer;
    await answer.whole();
    return { status: answer.status, mcpSession: answer.headers['mcp-session-id'] };
  }

  async function refresh(replica: number): Promise<void> {
    const body = new URLSearchParams({
      grant_type: 'refresh_token',
      refresh_token: refreshToken,
      client_id: clientId,
      resource: world.mcp,
    });
    const response = await fetch(at(replica, '/fixture/oauth/token'), { method: 'POST', body });
    const tokens = (await response.json()) as Record<string, string>;
    assert.equal(response.status, 200, JSON.stringify(tokens));
    accessToken = issued(tokens.access_token ?? '', 'an access token after a refresh');
    refreshToken = issued(tokens.refresh_token ?? '', 'a refresh token after a refresh');
  }

  /** Whether the client that registered itself is still known. */
  async function isKnown(replica: number): Promise<boolean> {
    const url = new URL(at(replica, '/fixture/oauth/authorize'));
    url.search = new URLSearchParams({
      client_id: clientId,
      response_type: 'code',
      redirect_uri: 'http://127.0.0.1:9/callback',
      code_challenge: 'a'.repeat(43),
      code_challenge_method: 'S256',
    }).toString();
    return (await fetch(url, { redirect: 'manual' })).status === 303;
  }

  async function load(replica: number, secrets: readonly unknown[]): Promise<void> {
    const { configFile, gateway } = world.replicas[replica] ?? assert.fail();
    const written = parse(await readFile(configFile, 'utf8'));
    await writeFile(configFile, stringify({ ...written, login: { ...written.login, secrets } }));
    await gateway.reload();
  }

  const { mcpSession } = await ask(0, INITIALIZE);
  assert.equal(typeof mcpSession, 'string');
  const first = accessToken;
  for (const secrets of [
    [old, fresh],
    [fresh, old],
  ]) {
    for (const changed of [0, 1]) {
      await load(changed, secrets);
      for (const replica of [0, 1]) {
        const answer = await ask(replica, message(2, 'tools/list'), String(mcpSession));
        assert.equal(answer.status, 200);
        // Clients compare: the Go SDK ends its session over another id.
        assert.ok(answer.mcpSession === undefined || answer.mcpSession === mcpSession);
        await refresh(replica);
        assert.ok(await isKnown(replica));
      }
      const begun = await ask(changed, INITIALIZE);
      assert.equal((await ask(1 - changed, message(3, 'tools/list'), String(begun.mcpSession))).status, 200);
    }
  }
  assert.equal(storage.logins(), 1);

  for (const replica of [0, 1]) await load(replica, [fresh]);
  assert.equal(await isKnown(0), false, 'an id ends with the last secret that opens it');
  accessToken = first;
  assert.equal((await ask(0, INITIALIZE)).status, 401, 'so does a token');
});
