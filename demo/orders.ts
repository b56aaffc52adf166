import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { NodeIncomingMessageLike } from '@modelcontextprotocol/node';
import type { McpServer, WebStandardStreamableHTTPServerTransport } from '@modelcontextprotocol/server';
import { createEventStore } from './event-store.ts';
import { createOrdersDatabase, type OrdersDatabase } from './orders-database.ts';

const PATH = '/mcp';
/** Clients that never say goodbye must not fill the memory: beyond this the oldest session is closed. */
const MOST_SESSIONS = 100;

export interface Orders {
  /** `http://127.0.0.1:<port>/mcp` */
  readonly url: string;
  close(): Promise<void>;
}

type Sdk = typeof import('@modelcontextprotocol/server');
type ServerFactory = () => McpServer;

/**
 * The demo's MCP server: a sample shop, on the official SDK. It listens on loopback only and asks nobody who they are:
 * that is what the gateway in front of it is for.
 *
 * It speaks the revisions with sessions (2025-03-26 … 2025-11-25: `Mcp-Session-Id`, GET streams, resumption, DELETE) and
 * the stateless one (2026-07-28) at the same address.
 *
 * @param options.port 0 takes any free port.
 */
export async function startOrders(options: { port: number }): Promise<Orders> {
  const [sdk, node, { createOrdersServer }] = await Promise.all([
    import('@modelcontextprotocol/server'),
    import('@modelcontextprotocol/node'),
    import('./orders-tools.ts'),
  ]);
  const database: OrdersDatabase = createOrdersDatabase();
  const makeServer = () => createOrdersServer(database);
  const sessions = createSessions(sdk, makeServer);
  const modern = sdk.createMcpHandler(makeServer, { legacy: 'reject' });

  async function answer(request: Request): Promise<Response> {
    if (new URL(request.url).pathname !== PATH) return new Response(null, { status: 404 });
    return (await sdk.isLegacyRequest(request)) ? sessions.answer(request) : modern.fetch(request);
  }

  const validHost = node.localhostHostValidation();
  const validOrigin = node.localhostOriginValidation();
  const server = createServer(async (request, response) => {
    if (!validHost(request, response) || !validOrigin(request, response)) return;
    const gone = new AbortController();
    response.on('close', () => gone.abort());
    try {
      await send(
        await answer(await node.toWebRequest(request as NodeIncomingMessageLike, undefined, { signal: gone.signal })),
        response,
      );
    } catch (error) {
      fail(request, response, error);
    }
  });
  const port = await listen(server, options.port);

  return {
    url: `http://127.0.0.1:${port}${PATH}`,
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      await Promise.all([sessions.close(), modern.close()]);
      server.closeAllConnections();
      await closed;
      database.close();
    },
  };
}

/** The sessions of the 2025 revisions: a server and a transport each, found by `Mcp-Session-Id`. */
function createSessions(sdk: Sdk, makeServer: ServerFactory) {
  const open = new Map<string, { server: McpServer; transport: WebStandardStreamableHTTPServerTransport }>();

  async function begin(request: Request): Promise<Response> {
    const server = makeServer();
    const transport = new sdk.WebStandardStreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      eventStore: createEventStore(),
      onsessioninitialized: (id) => {
        open.set(id, { server, transport });
      },
      onsessionclosed: (id) => {
        open.delete(id);
      },
    });
    await server.connect(transport);
    const response = await transport.handleRequest(request);
    // Anything but a good `initialize` opens no session; the transport has answered with the reason.
    if (transport.sessionId === undefined) await server.close();
    for (const [id, oldest] of open) {
      if (open.size <= MOST_SESSIONS) break;
      open.delete(id);
      await oldest.server.close();
    }
    return response;
  }

  return {
    async answer(request: Request): Promise<Response> {
      const id = request.headers.get('mcp-session-id');
      if (id === null) return begin(request);
      const session = open.get(id);
      if (session !== undefined) return session.transport.handleRequest(request);
      // 404 tells the client that the session is over and that it should initialize again.
      return Response.json(
        { jsonrpc: '2.0', id: null, error: { code: -32001, message: 'Session not found' } },
        { status: 404 },
      );
    },
    async close(): Promise<void> {
      await Promise.all([...open.values()].map(({ server }) => server.close()));
      open.clear();
    },
  };
}

async function send(answer: Response, response: ServerResponse): Promise<void> {
  response.writeHead(answer.status, Object.fromEntries(answer.headers));
  if (answer.body === null) {
    response.end();
    return;
  }
  // A stream may be silent for long; its client waits for the headers to know that it is open.
  response.flushHeaders();
  // Rejects when the client leaves, which cancels the answer's body and so ends the stream inside the SDK.
  await pipeline(Readable.fromWeb(answer.body), response).catch(() => {});
}

function fail(request: IncomingMessage, response: ServerResponse, error: unknown): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const tooLarge = error instanceof Error && 'status' in error && error.status === 413;
  const reason = tooLarge
    ? { code: -32600, message: 'The request body is too large' }
    : { code: -32603, message: 'Internal error' };
  response.writeHead(tooLarge ? 413 : 500, { 'Content-Type': 'application/json', Connection: 'close' });
  response.end(JSON.stringify({ jsonrpc: '2.0', id: null, error: reason }));
  request.resume();
}

async function listen(server: ReturnType<typeof createServer>, port: number): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) =>
      reject(
        'code' in error && error.code === 'EADDRINUSE'
          ? new Error(`Port ${port} of 127.0.0.1 is taken: the sample MCP server needs another.`)
          : error,
      ),
    );
    server.listen(port, '127.0.0.1', resolve);
  });
  return (server.address() as AddressInfo).port;
}
