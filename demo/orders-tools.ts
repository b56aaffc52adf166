import { setTimeout as pause } from 'node:timers/promises';
import { inputRequired, inputResponse, McpServer, type ServerContext } from '@modelcontextprotocol/server';
import { z } from 'zod';
import type { OrdersDatabase, QueryResult } from './orders-database.ts';

const REPORT_STEPS = ['reading orders', 'adding up revenue', 'adding up refunds', 'ranking items', 'writing it down'];
const REPORT_STEP_MS = 150;

const Id = z.int().positive();

/** The `orders` server: what it offers, for one connection (2025 revisions) or one request (2026-07-28). */
export function createOrdersServer(database: OrdersDatabase): McpServer {
  const server = new McpServer(
    { name: 'orders', title: 'Orders (sample)', version: '1.0.0' },
    { instructions: 'A sample shop with made-up customers. Read orders://schema before you write SQL.' },
  );
  addQuery(server, database);
  addRefund(server, database);
  addReport(server, database);
  addDeletion(server, database);
  addExport(server, database);
  addReading(server, database);
  return server;
}

function addQuery(server: McpServer, database: OrdersDatabase): void {
  server.registerTool(
    'query',
    {
      title: 'Query',
      description: 'Runs one SQL statement (SQLite) against customers, orders and refunds.',
      inputSchema: z.object({ sql: z.string().min(1).max(20_000).describe('One SQL statement') }),
      outputSchema: z.object({
        columns: z.array(z.string()),
        rows: z.array(z.record(z.string(), z.union([z.string(), z.number(), z.null()]))),
        truncated: z.boolean().describe('True where there are more rows than are returned'),
      }),
      annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: false, openWorldHint: false },
    },
    ({ sql }) =>
      orToolError(() => {
        const result = database.query(sql);
        return { content: [{ type: 'text', text: asTable(result) }], structuredContent: { ...result } };
      }),
  );
}

function addRefund(server: McpServer, database: OrdersDatabase): void {
  server.registerTool(
    'refund_order',
    {
      title: 'Refund an order',
      description: 'Pays an order back, whole or in part. It can not be undone.',
      inputSchema: z.object({
        order_id: Id,
        amount_cents: z.int().positive().describe('In cents'),
        reason: z.string().min(1).max(500),
      }),
      outputSchema: z.object({ order_id: z.int(), refunded_cents: z.int(), left_cents: z.int() }),
      annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: false, openWorldHint: false },
    },
    ({ order_id, amount_cents, reason }) =>
      orToolError(() => {
        const refund = database.refund(order_id, amount_cents, reason);
        return {
          content: [
            {
              type: 'text',
              text: `Refunded ${money(refund.refunded_cents)} of order ${order_id}; ${money(refund.left_cents)} are left.`,
            },
          ],
          structuredContent: { order_id, ...refund },
        };
      }),
  );
}

function addReport(server: McpServer, database: OrdersDatabase): void {
  server.registerTool(
    'monthly_report',
    {
      title: 'Monthly report',
      description: 'Adds up a month, slowly, and says how far it is.',
      inputSchema: z.object({
        month: z
          .string()
          .regex(/^\d{4}-(0[1-9]|1[0-2])$/)
          .describe('YYYY-MM'),
      }),
      annotations: { readOnlyHint: true, openWorldHint: false },
    },
    async ({ month }, context) => {
      const total = REPORT_STEPS.length;
      for (const [index, step] of REPORT_STEPS.entries()) {
        await pause(REPORT_STEP_MS, undefined, { signal: context.mcpReq.signal });
        await notifyProgress(context, index + 1, total, step);
      }
      const { orders, revenue_cents, refunded_cents, best_seller } = database.month(month);
      const text = `${month}: ${orders} orders, ${money(revenue_cents)}, of which ${money(refunded_cents)} refunded. Best seller: ${best_seller ?? 'none'}.`;
      return { content: [{ type: 'text', text }] };
    },
  );
}

/** Only where the caller asked for it: a progress token is the caller's, never made up here. */
async function notifyProgress(context: ServerContext, progress: number, total: number, message: string): Promise<void> {
  const progressToken = context.mcpReq._meta?.progressToken;
  if (progressToken === undefined) return;
  await context.mcpReq.notify({
    method: 'notifications/progress',
    params: { progressToken, progress, total, message },
  });
}

function addDeletion(server: McpServer, database: OrdersDatabase): void {
  server.registerTool(
    'delete_customer',
    {
      title: 'Delete a customer',
      description: 'Deletes a customer with all orders, after asking the person in front of the client.',
      inputSchema: z.object({ customer_id: Id }),
      annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: true, openWorldHint: false },
    },
    ({ customer_id }, context) => {
      const customer = database.customer(customer_id);
      if (customer === undefined) return toolError(`There is no customer ${customer_id}.`);
      // One way of asking for both eras: on 2026-07-28 the client repeats the call with the answer, on 2025 revisions
      // the SDK sends `elicitation/create` on this call's own stream and then comes back here.
      const answer = inputResponse(context.mcpReq.inputResponses, 'confirm');
      if (answer.kind === 'missing')
        return inputRequired({
          inputRequests: {
            confirm: inputRequired.elicit({
              message: `Delete ${customer.name} and ${customer.orders} orders? This can not be undone.`,
              requestedSchema: {
                type: 'object',
                properties: { confirm: { type: 'boolean', title: 'Yes, delete', default: false } },
                required: ['confirm'],
              },
            }),
          },
        });
      const confirmed = answer.kind === 'elicit' && answer.action === 'accept' && answer.content?.confirm === true;
      if (!confirmed) return { content: [{ type: 'text', text: 'Not confirmed: nothing was deleted.' }] };
      const orders = database.deleteCustomer(customer_id);
      return { content: [{ type: 'text', text: `Deleted customer ${customer_id} and ${orders} orders.` }] };
    },
  );
}

function addExport(server: McpServer, database: OrdersDatabase): void {
  server.registerTool(
    'export_customers',
    {
      title: 'Export customers',
      description: 'All customers, with e-mail addresses and cards, as a table.',
      inputSchema: z.object({}),
      annotations: { readOnlyHint: true, openWorldHint: false },
    },
    () => ({ content: [{ type: 'text', text: asTable(database.query('SELECT * FROM customers ORDER BY id')) }] }),
  );
}

function addReading(server: McpServer, database: OrdersDatabase): void {
  server.registerResource(
    'schema',
    'orders://schema',
    { title: 'Schema', description: 'The tables as SQL', mimeType: 'application/sql' },
    (uri) => ({ contents: [{ uri: uri.href, mimeType: 'application/sql', text: database.schema() }] }),
  );
  server.registerPrompt(
    'summarise-customer',
    {
      title: 'Summarise a customer',
      description: 'Asks a model for a short account of a customer.',
      // Prompt arguments are always strings (specification, prompts).
      argsSchema: z.object({ customer_id: z.string().regex(/^[1-9]\d{0,8}$/, 'a positive number') }),
    },
    ({ customer_id }) => {
      const customer = database.customer(Number(customer_id));
      if (customer === undefined) throw new Error(`There is no customer ${customer_id}.`);
      const text = `Summarise in three sentences what ${customer.name} (${customer.email}, ${customer.city}) bought in ${customer.orders} orders. Query the orders of customer ${customer_id} first.`;
      return { messages: [{ role: 'user', content: { type: 'text', text } }] };
    },
  );
}

/** A tool that failed is a result that says so, not a protocol error (specification, tools, error handling). */
function orToolError<Result>(run: () => Result): Result | ReturnType<typeof toolError> {
  try {
    return run();
  } catch (error) {
    return toolError(error instanceof Error ? error.message : 'It failed.');
  }
}

function toolError(text: string): { content: { type: 'text'; text: string }[]; isError: true } {
  return { content: [{ type: 'text', text }], isError: true };
}

function asTable({ columns, rows, truncated }: QueryResult): string {
  if (columns.length === 0) return 'Done.';
  const lines = [columns, ...rows.map((row) => columns.map((column) => String(row[column] ?? 'NULL')))];
  const end = truncated ? `\nThe first ${rows.length} rows; there are more.` : '';
  return lines.map((cells) => cells.join(' | ')).join('\n') + end;
}

function money(cents: number): string {
  return `${(cents / 100).toFixed(2)} EUR`;
}
