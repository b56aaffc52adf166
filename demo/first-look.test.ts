import assert from 'node:assert/strict';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { lookAt } from './first-look.ts';
import { startOrders } from './orders.ts';

async function serve(t: TestContext, answer: RequestListener): Promise<string> {
  const server = createServer(answer);
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`;
}

/** Answers each request with an error, as the gateway does. */
const refusing =
  (code: string): RequestListener =>
  async (request, response) => {
    const { id } = (await new Response(request as unknown as ReadableStream).json()) as { id: number };
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ jsonrpc: '2.0', id, error: { code: -32010, message: 'No.', data: { code } } }));
  };

test('a server that answers: its name and how many tools it has', async (t) => {
  const orders = await startOrders({ port: 0 });
  t.after(() => orders.close());
  const look = await lookAt({ mcpUrl: orders.url, token: 'any' });
  assert.equal(look.reached, true);
  assert.match(look.words, /^\S+ \d+\.\d+\.\d+, [2-9] tools$/);
});

test('one that does not: why, in words, within the limit', async (t) => {
  for (const [answer, words] of [
    [refusing('upstream_unreachable'), 'it could not be reached'],
    [refusing('upstream_refused_credential'), 'it lets nobody in without the right key (--bearer env:NAME gives one)'],
    [refusing('another'), 'No'],
    [(_request, response) => response.writeHead(500).end('<html>'), 'it answered HTTP 500'],
    [(_request, response) => response.writeHead(404).end('<html>'), 'it answered HTTP 404'],
    [() => {}, 'no answer within 0.3 s'],
  ] satisfies [RequestListener, string][]) {
    const mcpUrl = await serve(t, answer);
    assert.deepEqual(await lookAt({ mcpUrl, token: 'any', limit: words.includes('0.3') ? 300 : 5000 }), {
      reached: false,
      words,
    });
  }
});
