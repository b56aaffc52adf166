import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { test } from 'node:test';
import { converse } from './conversation.ts';
import { startOrders } from './orders.ts';

interface Seen {
  readonly http: string | undefined;
  readonly authorization: string | undefined;
  readonly session: boolean;
  readonly message: { method?: string; params?: { name?: string }; result?: unknown } | undefined;
}

/** Forwards to `url`, streaming, and notes what passes. */
async function startWitness(url: string) {
  const seen: Seen[] = [];
  const server = createServer(async (request, response) => {
    const body = await text(request);
    const {
      authorization,
      host: _host,
      connection: _connection,
      'content-length': _length,
      ...headers
    } = request.headers;
    seen.push({
      http: request.method,
      authorization,
      session: 'mcp-session-id' in headers,
      message: body === '' ? undefined : JSON.parse(body),
    });
    const gone = new AbortController();
    response.on('close', () => gone.abort());
    try {
      const answer = await fetch(url, {
        method: request.method ?? 'GET',
        headers: headers as Record<string, string>,
        signal: gone.signal,
        ...(body !== '' && { body }),
      });
      response.writeHead(answer.status, Object.fromEntries(answer.headers));
      response.flushHeaders();
      if (answer.body === null) response.end();
      else await pipeline(Readable.fromWeb(answer.body), response);
    } catch {
      response.destroy();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`,
    seen,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

test('the whole conversation, from initialize to DELETE, with the token on every request', async () => {
  const orders = await startOrders({ port: 0 });
  const witness = await startWitness(orders.url);
  try {
    await converse({ mcpUrl: witness.url, token: 'the.token' });
  } finally {
    witness.close();
    await orders.close();
  }
  const posts = witness.seen.filter(({ http }) => http === 'POST').map(({ message }) => message);
  assert.deepEqual(
    posts.map((message) =>
      [message?.method ?? 'response', message?.params?.name].filter((part) => part !== undefined).join(' '),
    ),
    [
      'initialize',
      'notifications/initialized',
      'tools/list',
      'resources/read',
      'tools/call query',
      'tools/call query',
      'tools/call monthly_report',
      'tools/call refund_order',
      'tools/call delete_customer',
      'response',
      'prompts/get summarise-customer',
    ],
  );
  assert.deepEqual(posts.find((message) => message?.result)?.result, { action: 'accept', content: { confirm: true } });
  assert.ok(witness.seen.some(({ http }) => http === 'GET'));
  assert.equal(witness.seen.at(-1)?.http, 'DELETE');
  assert.ok(witness.seen.every(({ authorization }) => authorization === 'Bearer the.token'));
  assert.ok(witness.seen.slice(1).every(({ session }) => session));
});

test('a failure names its step', async () => {
  const orders = await startOrders({ port: 0 });
  await orders.close();
  await assert.rejects(converse({ mcpUrl: orders.url, token: 'secret-token' }), (error: Error) => {
    assert.match(error.message, /its step "initialize"/);
    assert.ok(!error.message.includes('secret-token'));
    return true;
  });
});
