/** Real clients log in by themselves: registration, consent, the identity provider, tokens, calls. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as sdk2 from '@modelcontextprotocol/client';
import { Client as Client1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as Transport1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import { createLoginStorage, type LoginStorage } from './login-storage.ts';
import { type LoginWorld, startLoginWorld } from './login-world.ts';
import { framesOf } from './recorded.ts';

interface Connected {
  listTools(): Promise<{ readonly tools: readonly unknown[] }>;
  close(): Promise<void>;
}

/** The first connection is refused and sends the person to log in; the second has the tokens. */
async function connectSdk1(url: string, authProvider: LoginStorage): Promise<Connected> {
  const client = new Client1({ name: 'sdk1', version: '1' });
  const open = (): Transport1 => new Transport1(new URL(url), { authProvider });
  const first = open();
  await assert.rejects(client.connect(first as Transport));
  await first.finishAuth(authProvider.arrived().searchParams.get('code') ?? '');
  await client.connect(open() as Transport);
  return client;
}

async function connectSdk2(url: string, storage: LoginStorage): Promise<Connected> {
  const authProvider = storage as sdk2.OAuthClientProvider;
  const client = new sdk2.Client({ name: 'sdk2', version: '1' });
  const open = () => new sdk2.StreamableHTTPClientTransport(new URL(url), { authProvider });
  const first = open();
  await assert.rejects(client.connect(first));
  await first.finishAuth(storage.arrived().searchParams);
  await client.connect(open());
  return client;
}

async function sessionsOf(world: LoginWorld): Promise<unknown[][]> {
  await world.gateway.gateway.seal();
  return (await framesOf(world.gateway)).flatMap((frame) => {
    const principal = frame.type === 'session.start' ? frame.start.principal : undefined;
    return principal === undefined ? [] : [[principal.subject, principal.email, principal.groups]];
  });
}

for (const [name, connect] of [
  ['1.x', connectSdk1],
  ['2.x', connectSdk2],
] as const) {
  test(`SDK ${name} registers, logs in, calls, and refreshes four times at once: one session, one login`, async () => {
    await using world = await startLoginWorld();
    const storage = createLoginStorage('ana');
    const client = await connect(world.mcp, storage);
    assert.ok((await client.listTools()).tools.length > 3);
    storage.spoilAccessToken();
    await Promise.all([1, 2, 3, 4].map(() => client.listTools()));
    assert.equal(storage.logins(), 1);
    await client.close();
    assert.deepEqual(await sessionsOf(world), [['ana', 'ana@example.com', ['analysts']]]);
  });
}
