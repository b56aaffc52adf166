import assert from 'node:assert/strict';
import { request } from 'node:http';
import { after, before, test } from 'node:test';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { Client as Client1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as Transport1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { Transport as TransportOf1 } from '@modelcontextprotocol/sdk/shared/transport.js';
import { ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { type Orders, startOrders } from './orders.ts';
import { createOrdersDatabase } from './orders-database.ts';

let orders: Orders;
before(async () => {
  orders = await startOrders({ port: 0 });
});
after(() => orders.close());

type Answer = { action: 'accept' | 'decline' | 'cancel'; content?: { confirm: boolean } };
interface Person {
  call(
    name: string,
    input: Record<string, unknown>,
    onprogress?: (progress: { progress: number }) => void,
  ): Promise<Result>;
  version(): string | undefined;
  goodbye(): Promise<void>;
}
interface Result {
  isError?: boolean | undefined;
  content?: unknown;
  structuredContent?: unknown;
}

/** SDK 2.4, at the era asked for. */
async function sdk2(mode: 'legacy' | 'auto' | { pin: string }, answer: Answer = { action: 'accept' }): Promise<Person> {
  const transport = new StreamableHTTPClientTransport(new URL(orders.url));
  const client = new Client(
    { name: 'test', version: '1' },
    { capabilities: { elicitation: { form: {} } }, versionNegotiation: { mode } },
  );
  client.setRequestHandler('elicitation/create', () => answer);
  await client.connect(transport);
  return {
    call: (name, input, onprogress) => client.callTool({ name, arguments: input }, onprogress ? { onprogress } : {}),
    version: () => client.getNegotiatedProtocolVersion(),
    async goodbye() {
      await transport.terminateSession();
      await client.close();
    },
  };
}

async function sdk1(answer: Answer = { action: 'accept' }): Promise<Person> {
  const transport = new Transport1(new URL(orders.url));
  const client = new Client1({ name: 'test', version: '1' }, { capabilities: { elicitation: { form: {} } } });
  client.setRequestHandler(ElicitRequestSchema, () => answer);
  await client.connect(transport as TransportOf1);
  return {
    call: async (name, input, onprogress) =>
      (await client.callTool({ name, arguments: input }, undefined, onprogress ? { onprogress } : {})) as Result,
    version: () => transport.protocolVersion,
    async goodbye() {
      await transport.terminateSession();
      await client.close();
    },
  };
}

const CLIENTS: readonly (readonly [string, string, (answer?: Answer) => Promise<Person>])[] = [
  ['SDK 1.32', '2025-11-25', sdk1],
  ['SDK 2.4, default', '2025-11-25', (answer) => sdk2('legacy', answer)],
  ['SDK 2.4, auto', '2026-07-28', (answer) => sdk2('auto', answer)],
  ['SDK 2.4, pinned', '2026-07-28', (answer) => sdk2({ pin: '2026-07-28' }, answer)],
];

for (const [name, version, connect] of CLIENTS) {
  test(`${name}: query, mistake, progress, refund and elicitation`, async () => {
    const person = await connect({ action: 'accept', content: { confirm: true } });
    try {
      assert.equal(person.version(), version);
      const found = await person.call('query', {
        sql: 'SELECT c.id, o.id, c.email FROM orders o JOIN customers c ON c.id = o.customer_id WHERE o.id = 1',
      });
      assert.deepEqual(found.structuredContent, {
        columns: ['id', 'id_2', 'email'],
        rows: [{ id: 1, id_2: 1, email: 'maya.okonkwo@example.com' }],
        truncated: false,
      });
      assert.deepEqual(found.content, [{ type: 'text', text: 'id | id_2 | email\n1 | 1 | maya.okonkwo@example.com' }]);

      const mistaken = await person.call('query', { sql: 'SELEKT' });
      assert.equal(mistaken.isError, true);
      assert.deepEqual(mistaken.content, [{ type: 'text', text: 'near "SELEKT": syntax error' }]);

      const steps: number[] = [];
      await person.call('monthly_report', { month: '2026-09' }, ({ progress }) => steps.push(progress));
      assert.deepEqual(steps, [1, 2, 3, 4, 5]);

      const refund = await person.call('refund_order', { order_id: 2, amount_cents: 1, reason: 'test' });
      assert.equal((refund.structuredContent as { refunded_cents: number }).refunded_cents, 1);
      assert.equal((await person.call('refund_order', { order_id: 2, amount_cents: 1e6, reason: 'x' })).isError, true);
      assert.equal((await person.call('refund_order', { order_id: 999, amount_cents: 1, reason: 'x' })).isError, true);

      await person.call('query', { sql: "INSERT INTO customers VALUES (90, 'n', 'n@example.com', '4242', 'c')" });
      const deleted = await person.call('delete_customer', { customer_id: 90 });
      assert.deepEqual(deleted.content, [{ type: 'text', text: 'Deleted customer 90 and 0 orders.' }]);
      assert.equal((await person.call('delete_customer', { customer_id: 90 })).isError, true);
    } finally {
      await person.goodbye();
    }
  });

  for (const answer of [
    { action: 'decline' },
    { action: 'cancel' },
    { action: 'accept', content: { confirm: false } },
  ] as const)
    test(`${name}: nothing is deleted on ${JSON.stringify(answer)}`, async () => {
      const person = await connect(answer);
      try {
        const { content } = await person.call('delete_customer', { customer_id: 1 });
        assert.deepEqual(content, [{ type: 'text', text: 'Not confirmed: nothing was deleted.' }]);
        const left = await person.call('query', { sql: 'SELECT count(*) AS n FROM customers WHERE id = 1' });
        assert.deepEqual((left.structuredContent as { rows: unknown }).rows, [{ n: 1 }]);
      } finally {
        await person.goodbye();
      }
    });
}

test('resource, prompt and annotations', async () => {
  const client = new Client({ name: 'test', version: '1' });
  await client.connect(new StreamableHTTPClientTransport(new URL(orders.url)));
  try {
    const { tools } = await client.listTools();
    const hints = Object.fromEntries(tools.map(({ name, annotations }) => [name, annotations?.destructiveHint]));
    const destructive = { query: true, refund_order: true, delete_customer: true };
    assert.deepEqual(hints, { ...destructive, monthly_report: undefined, export_customers: undefined });
    const exported = await client.callTool({ name: 'export_customers', arguments: {} });
    assert.match(JSON.stringify(exported.content), /Maya Okonkwo \| maya\.okonkwo@example\.com \| 4242/);
    const { contents } = await client.readResource({ uri: 'orders://schema' });
    assert.match(JSON.stringify(contents), /CREATE TABLE customers/);
    const prompt = await client.getPrompt({ name: 'summarise-customer', arguments: { customer_id: '3' } });
    assert.match(JSON.stringify(prompt.messages), /Zoë Laurent/);
    await assert.rejects(client.getPrompt({ name: 'summarise-customer', arguments: { customer_id: 'x' } }), {
      code: -32602,
    });
    // A client that can't ask its person gets no deletion.
    assert.equal((await client.callTool({ name: 'delete_customer', arguments: { customer_id: 1 } })).isError, true);
  } finally {
    await client.close();
  }
});

const HEADERS = {
  'content-type': 'application/json',
  accept: 'application/json, text/event-stream',
  'mcp-protocol-version': '2025-11-25',
};

function post(message: unknown, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(orders.url, { method: 'POST', headers: { ...HEADERS, ...headers }, body: JSON.stringify(message) });
}

async function initialize(): Promise<string> {
  const response = await post({
    jsonrpc: '2.0',
    id: 0,
    method: 'initialize',
    params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'raw', version: '1' } },
  });
  assert.equal(response.status, 200);
  await response.text();
  const session = response.headers.get('mcp-session-id') ?? '';
  await (await post({ jsonrpc: '2.0', method: 'notifications/initialized' }, { 'mcp-session-id': session })).text();
  return session;
}

test('a broken stream goes on where it was, by Last-Event-ID', async () => {
  const session = { 'mcp-session-id': await initialize() };
  const call = {
    jsonrpc: '2.0',
    id: 1,
    method: 'tools/call',
    params: { name: 'monthly_report', arguments: { month: '2026-09' }, _meta: { progressToken: 'p' } },
  };
  const response = await post(call, session);
  const reader = response.body?.getReader();
  assert.ok(reader);
  let seen = '';
  while (!seen.includes('"progress":1')) seen += new TextDecoder().decode((await reader.read()).value);
  await reader.cancel();
  const last = [...seen.matchAll(/^id: (.+)$/gm)].at(-1)?.[1] ?? '';
  const resume = () =>
    fetch(orders.url, { headers: { ...HEADERS, ...session, accept: 'text/event-stream', 'last-event-id': last } });
  let rest = await resume();
  // 409 until the server has noticed that the first connection is gone.
  for (let tries = 0; rest.status === 409 && tries < 1000; tries++) rest = await resume();
  assert.equal(rest.status, 200);
  const text = await rest.text();
  const messages = [...text.matchAll(/^data: (.+)$/gm)].map(([, data]) => JSON.parse(data ?? ''));
  assert.deepEqual(
    messages.slice(0, -1).map(({ params }) => params.progress),
    [2, 3, 4, 5],
  );
  assert.equal(messages.at(-1).id, 1);
  assert.match(messages.at(-1).result.content[0].text, /^2026-09: /);
});

test('a GET stream opens at once, and a second one is refused', async () => {
  const headers = { ...HEADERS, accept: 'text/event-stream', 'mcp-session-id': await initialize() };
  const stream = await fetch(orders.url, { headers });
  assert.equal(stream.status, 200);
  const second = await fetch(orders.url, { headers });
  assert.equal(second.status, 409);
  await stream.body?.cancel();
});

test('sessions: unknown, missing, ended', async () => {
  const ping = { jsonrpc: '2.0', id: 1, method: 'ping' };
  assert.equal((await post(ping, { 'mcp-session-id': 'unknown' })).status, 404);
  assert.equal((await post(ping)).status, 400);
  const session = { 'mcp-session-id': await initialize() };
  assert.equal((await post(ping, session)).status, 200);
  assert.equal((await fetch(orders.url, { method: 'DELETE', headers: { ...HEADERS, ...session } })).status, 200);
  assert.equal((await post(ping, session)).status, 404);
});

test('other paths, foreign hosts and origins, and bodies over 4 MiB are refused', async () => {
  assert.equal((await fetch(new URL('/', orders.url))).status, 404);
  assert.equal((await post({}, { origin: 'http://attacker.example' })).status, 403);
  assert.equal((await post('x'.repeat(5 * 1024 * 1024))).status, 413);
  const status = await new Promise((resolve, reject) => {
    request(orders.url, { method: 'POST', headers: { host: 'attacker.example' } }, (response) => {
      response.resume();
      resolve(response.statusCode);
    })
      .on('error', reject)
      .end();
  });
  assert.equal(status, 403);
});

test('a taken port is named', async () => {
  const port = Number(new URL(orders.url).port);
  await assert.rejects(startOrders({ port }), new RegExp(`Port ${port}`));
});

for (const sql of [
  "ATTACH DATABASE '/tmp/verbatim-stolen.db' AS other",
  "VACUUM INTO '/tmp/verbatim-stolen.db'",
  'PRAGMA writable_schema = 1',
  'WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n',
  'BEGIN',
  "SELECT load_extension('x')",
  'SELECT zeroblob(1000000000)',
  '',
]) {
  test(`the database refuses: ${sql}`, () => {
    const database = createOrdersDatabase();
    assert.throws(() => database.query(sql));
    database.close();
  });
}

test('the database gives at most 200 rows, and what JSON can hold', () => {
  const database = createOrdersDatabase();
  const many = database.query('SELECT a.id FROM orders a, orders b');
  assert.deepEqual([many.rows.length, many.truncated], [200, true]);
  assert.deepEqual(database.query("SELECT x'00ff' AS b, NULL AS n, 1.5 AS f").rows, [
    { b: "x'00ff'", n: null, f: 1.5 },
  ]);
  assert.deepEqual(database.query('DELETE FROM refunds').columns, []);
  assert.equal(database.month('1999-01').best_seller, null);
  database.close();
});
