import type { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import type { Waiting } from './lead.ts';

export interface Conversation {
  /** The connection's URL at the gateway, or the server's own. */
  readonly mcpUrl: string;
  /** Ana's access token. Sent as a header, as clients without a login of their own do. */
  readonly token: string;
  /** Approves a call of hers that waits. Left out where nobody may: then she asks for no refund. */
  readonly approve?: ((waiting: Waiting) => Promise<void>) | undefined;
}

interface Step {
  readonly client: Client;
  readonly approve: Conversation['approve'];
}

/**
 * Ana's sample conversation with the `orders` server, by the official client: what a visitor of the demo then reads
 * back from the recording. It says nothing itself. What the gateway's rules refuse is an answer like any other: rules may
 * have been edited.
 *
 * @throws Error that names the step that failed, with the client's own error as cause.
 */
export async function converse({ mcpUrl, token, approve }: Conversation): Promise<void> {
  const { Client, StreamableHTTPClientTransport } = await import('@modelcontextprotocol/client');
  const transport = new StreamableHTTPClientTransport(new URL(mcpUrl), {
    requestInit: { headers: { Authorization: `Bearer ${token}` } },
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
      await ask({ client, approve }).catch(unlessRefused);
    }
    step = 'goodbye';
    await goodbye(client, transport);
  } catch (error) {
    throw new Error(`Ana's sample conversation failed at its step "${step}" with ${mcpUrl}.`, { cause: error });
  } finally {
    await client.close();
  }
}

const STEPS: readonly (readonly [name: string, ask: (step: Step) => Promise<unknown>])[] = [
  ['list tools', ({ client }) => client.listTools()],
  ['read the schema', ({ client }) => client.readResource({ uri: 'orders://schema' })],
  [
    'query orders',
    ({ client }) =>
      call(client, 'query', {
        sql: 'SELECT o.id, c.name, c.email, c.card, o.item, o.amount_cents FROM orders o JOIN customers c ON c.id = o.customer_id ORDER BY o.amount_cents DESC LIMIT 5',
      }),
  ],
  [
    'query with a mistake',
    ({ client }) => call(client, 'query', { sql: 'SELECT total FROM orders' }, { toFail: true }),
  ],
  ['monthly report', ({ client }) => call(client, 'monthly_report', { month: '2026-10' }, { progress: true })],
  ['refund', refund],
  ['delete a customer', ({ client }) => call(client, 'delete_customer', { customer_id: 9 })],
  ['get a prompt', ({ client }) => client.getPrompt({ name: 'summarise-customer', arguments: { customer_id: '3' } })],
  // The last: where nothing denies it, nothing is asked of that table any more.
  ['drop a table', ({ client }) => call(client, 'query', { sql: 'DROP TABLE customers' })],
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

/** While the gateway holds it, its client is told where it waits; who approves reads that from ana's screen. */
async function refund({ client, approve }: Step): Promise<void> {
  if (approve === undefined) return;
  const given = new AbortController();
  let approving: Promise<void> | undefined;
  const input = { order_id: 7, amount_cents: 500, reason: 'Arrived late' };
  const answer = client.callTool(
    { name: 'refund_order', arguments: input },
    {
      signal: given.signal,
      onprogress: ({ message = '' }) => {
        const [, id, code] = /\/approvals\/([0-9a-f-]{36}) \(code ([0-9A-Z-]+)\)/.exec(message) ?? [];
        if (id === undefined || code === undefined) return;
        // It would wait for half a minute.
        approving ??= approve({ id, code }).catch((error: unknown) => given.abort(error));
      },
    },
  );
  try {
    const { isError = false } = await answer;
    if (isError) throw new Error('The tool refund_order failed.');
  } catch (error) {
    await approving;
    if (!given.signal.aborted) throw error;
  }
}

const REFUSED = new Set(['denied', 'approval_pending', 'approval_denied']);

/** What the gateway refuses by its rules, it says so of in the error's data. */
function unlessRefused(error: unknown): void {
  const data: unknown = error instanceof Error && 'data' in error ? error.data : undefined;
  const code = typeof data === 'object' && data !== null && 'code' in data ? String(data.code) : '';
  if (!REFUSED.has(code)) throw error;
}

/** Ends the session on the server too (DELETE), so that its recording ends where the conversation does. */
async function goodbye(client: Client, transport: StreamableHTTPClientTransport): Promise<void> {
  await transport.terminateSession();
  await client.close();
}
