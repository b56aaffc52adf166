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

/**
 * Forwards to `url`, streaming, and notes what passes. It answers as a gateway does that refuses a tool's call with the code
 * that `refusal` gives.
 */
async function startWitness(url: string, refusal: (tool: string | undefined) => string | undefined = () => undefined) {
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
    const message = body === '' ? undefined : JSON.parse(body);
    seen.push({ http: request.method, authorization, session: 'mcp-session-id' in headers, message });
    const code = message?.method === 'tools/call' ? refusal(message.params.name) : undefined;
    if (code !== undefined) {
      const error = { code: -32003, message: 'No.', data: { code } };
      response.writeHead(200, { 'content-type': 'application/json' });
      return void response.end(JSON.stringify({ jsonrpc: '2.0', id: message.id, error }));
    }
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
    const approve = () => assert.fail('nothing waits here');
    await converse({ mcpUrl: witness.url, token: 'the.token', approve });
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
      'tools/call query',
    ],
  );
  assert.deepEqual(posts.find((message) => message?.result)?.result, { action: 'accept', content: { confirm: true } });
  assert.ok(witness.seen.some(({ http }) => http === 'GET'));
  assert.equal(witness.seen.at(-1)?.http, 'DELETE');
  assert.ok(witness.seen.every(({ authorization }) => authorization === 'Bearer the.token'));
  assert.ok(witness.seen.slice(1).every(({ session }) => session));
});

test('where nobody may approve, no refund is asked for', async () => {
  const orders = await startOrders({ port: 0 });
  const witness = await startWitness(orders.url);
  try {
    await converse({ mcpUrl: witness.url, token: 'the.token' });
  } finally {
    witness.close();
    await orders.close();
  }
  const tools = witness.seen.flatMap(({ message }) => message?.params?.name ?? []);
  assert.ok(tools.includes('delete_customer') && !tools.includes('refund_order'), tools.join());
});

test('what rules refuse is an answer, and another error of the gateway is a failure', async () => {
  const orders = await startOrders({ port: 0 });
  const refusing = await startWitness(orders.url, () => 'denied');
  const failing = await startWitness(orders.url, (tool) => (tool === 'query' ? 'upstream_unreachable' : undefined));
  try {
    await converse({ mcpUrl: refusing.url, token: 'the.token' });
    await assert.rejects(converse({ mcpUrl: failing.url, token: 'the.token' }), /its step "query orders"/);
  } finally {
    refusing.close();
    failing.close();
    await orders.close();
  }
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
