import type { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';

/**
 * Ana's sample conversation with the `orders` server, by the official client: what a visitor of the demo then reads
 * back from the recording. It says nothing itself.
 *
 * @param options.mcpUrl the connection's URL at the gateway, or the server's own.
 * @param options.token ana's access token. Sent as a header, as clients without a login of their own do.
 * @throws Error that names the step that failed, with the client's own error as cause.
 */
export async function converse(options: { mcpUrl: string; token: string }): Promise<void> {
  const { Client, StreamableHTTPClientTransport } = await import('@modelcontextprotocol/client');
  const transport = new StreamableHTTPClientTransport(new URL(options.mcpUrl), {
    requestInit: { headers: { Authorization: `Bearer ${options.token}` } },
  });
  const client = new Client(
    { name: 'verbatim-demo', title: "Ana's assistant", version: '1.0.0' },
    { capabilities: { elicitation: { form: {} } } },
  );
  client.setRequestHandler('elicitation/create', () => ({ action: 'accept', content: { confirm: true } }));
  let step = 'initialize';
  try {
    await client.connect(transport);
    for (const [name, ask] of STEPS) {
      step = name;
      await ask(client);
    }
    step = 'goodbye';
    await goodbye(client, transport);
  } catch (error) {
    throw new Error(`Ana's sample conversation failed at its step "${step}" with ${options.mcpUrl}.`, { cause: error });
  } finally {
    await client.close();
  }
}

const STEPS: readonly (readonly [name: string, ask: (client: Client) => Promise<void>])[] = [
  ['list tools', async (client) => void (await client.listTools())],
  ['read the schema', async (client) => void (await client.readResource({ uri: 'orders://schema' }))],
  [
    'query orders',
    (client) =>
      call(client, 'query', {
        sql: 'SELECT o.id, c.name, c.email, c.card, o.item, o.amount_cents FROM orders o JOIN customers c ON c.id = o.customer_id ORDER BY o.amount_cents DESC LIMIT 5',
      }),
  ],
  [
    'query with a mistake',
    (client) => call(client, 'query', { sql: 'SELECT total FROM orders WHERE placed_on > ' }, { toFail: true }),
  ],
  ['monthly report', (client) => call(client, 'monthly_report', { month: '2026-10' }, { progress: true })],
  ['refund', (client) => call(client, 'refund_order', { order_id: 7, amount_cents: 500, reason: 'Arrived late' })],
  ['delete a customer', (client) => call(client, 'delete_customer', { customer_id: 9 })],
  [
    'get a prompt',
    async (client) => void (await client.getPrompt({ name: 'summarise-customer', arguments: { customer_id: '3' } })),
  ],
];

async function call(
  client: Client,
  name: string,
  input: Record<string, unknown>,
  expected: { toFail?: true; progress?: true } = {},
): Promise<void> {
  const { isError = false } = await client.callTool(
    { name, arguments: input },
    // With a listener the client asks for progress by a token of its own.
    expected.progress ? { onprogress: () => {} } : {},
  );
  if (isError !== (expected.toFail ?? false))
    throw new Error(isError ? `The tool ${name} failed.` : `The tool ${name} was expected to fail.`);
}

/** Ends the session on the server too (DELETE), so that its recording ends where the conversation does. */
async function goodbye(client: Client, transport: StreamableHTTPClientTransport): Promise<void> {
  await transport.terminateSession();
  await client.close();
}
