import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import {
  localhostHostValidation,
  localhostOriginValidation,
  NodeStreamableHTTPServerTransport,
  toNodeHandler,
  toWebRequest,
} from '@modelcontextprotocol/node';
import { createMcpHandler, isInitializeRequest, isLegacyRequest, McpServer } from '@modelcontextprotocol/server';

import { createEventStore } from './event-store.ts';
import { registerConstantTools, registerPrompts, registerResources } from './fixture-content.ts';
import { type Announcer, registerInteractiveTools } from './fixture-interactive.ts';
import { registerRounds, roundSeal } from './fixture-rounds.ts';

/** What a client is told to wait before it resumes (ms): short, because the suite waits that long. */
const retryInterval = 500;

function createFixtureServer(announcerOf: (server: McpServer) => Announcer): McpServer {
  const server = new McpServer(
    { name: 'verbatim-fixture', version: '1.0.0' },
    {
      capabilities: {
        tools: { listChanged: true },
        resources: { subscribe: true, listChanged: true },
        prompts: { listChanged: true },
        logging: {},
        completions: {},
      },
      requestState: { verify: roundSeal.verify },
    },
  );
  registerConstantTools(server);
  registerInteractiveTools(server, announcerOf(server));
  registerRounds(server);
  registerResources(server);
  registerPrompts(server);
  server.server.setRequestHandler('completion/complete', () => ({
    completion: { values: ['paris', 'park'], total: 2, hasMore: false },
  }));
  server.server.setRequestHandler('resources/subscribe', () => ({}));
  server.server.setRequestHandler('resources/unsubscribe', () => ({}));
  return server;
}

/** Changes of a legacy session go to its GET stream. */
function legacyAnnouncer(server: McpServer): Announcer {
  // A session without a GET stream just does not hear of it, as the transport specifies.
  const send = (announcement: Promise<void>) => void announcement.catch(() => undefined);
  return {
    toolsChanged: () => server.sendToolListChanged(),
    promptsChanged: () => server.sendPromptListChanged(),
    resourceUpdated: (uri) => send(server.server.sendResourceUpdated({ uri })),
  };
}

function refuse(res: ServerResponse, status: number, code: number, message: string): void {
  res.writeHead(status, { 'content-type': 'application/json' });
  res.end(JSON.stringify({ jsonrpc: '2.0', id: null, error: { code, message } }));
}

/** The sessions of the 2025 revisions: one transport and one server each, ended by DELETE. */
function createLegacyEra() {
  const sessions = new Map<string, NodeStreamableHTTPServerTransport>();

  async function open(req: IncomingMessage, res: ServerResponse, body: unknown): Promise<void> {
    const transport = new NodeStreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      eventStore: createEventStore(),
      retryInterval,
      onsessioninitialized: (id) => void sessions.set(id, transport),
      onsessionclosed: (id) => void sessions.delete(id),
    });
    await createFixtureServer(legacyAnnouncer).connect(transport);
    await transport.handleRequest(req, res, body);
  }

  return {
    async handle(req: IncomingMessage, res: ServerResponse, body: unknown): Promise<void> {
      const id = req.headers['mcp-session-id'];
      if (typeof id !== 'string') {
        if (isInitializeRequest(body)) return open(req, res, body);
        return refuse(res, 400, -32_000, 'Mcp-Session-Id is required');
      }
      const transport = sessions.get(id);
      if (!transport) return refuse(res, 404, -32_001, 'no such session');
      return transport.handleRequest(req, res, body);
    },
    async close(): Promise<void> {
      await Promise.all([...sessions.values()].map((transport) => transport.close()));
    },
  };
}

async function listen(server: Server, port: number): Promise<string> {
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`;
}

/**
 * Starts the MCP server that the conformance suite is run against: all tools, prompts and resources that its scenarios
 * name, on the official SDK, for the sessions of 2025-03-26 to 2025-11-25 (with GET streams and resumption) and for the
 * stateless requests of 2026-07-28, at one address.
 *
 * @returns `url` of the MCP endpoint on loopback; `close` ends all streams and the listener.
 */
export async function startFixture({ port }: { port: number }): Promise<{ url: string; close(): Promise<void> }> {
  const legacy = createLegacyEra();
  const modern = createMcpHandler(() => createFixtureServer(() => modern.notify), { legacy: 'reject' });
  const serveModern = toNodeHandler(modern);
  const hostAllowed = localhostHostValidation();
  const originAllowed = localhostOriginValidation();

  async function serve(message: IncomingMessage, res: ServerResponse): Promise<void> {
    // A server's message always has both; the SDK's types ask for that.
    const req = Object.assign(message, { method: message.method ?? '', url: message.url ?? '' });
    if (!hostAllowed(req, res) || !originAllowed(req, res)) return;
    if (new URL(req.url, 'http://fixture').pathname !== '/mcp') return refuse(res, 404, -32_000, 'no such path');
    if (req.method !== 'POST') {
      return req.headers['mcp-session-id'] ? legacy.handle(req, res, undefined) : serveModern(req, res);
    }
    const body = await json(req).catch(() => undefined);
    if (body === undefined) return refuse(res, 400, -32_700, 'the body is not JSON');
    if (await isLegacyRequest(await toWebRequest(req, body), body)) return legacy.handle(req, res, body);
    return serveModern(req, res, body);
  }

  const server = createServer((req, res) => {
    serve(req, res).catch(() => (res.headersSent ? res.destroy() : refuse(res, 500, -32_603, 'internal error')));
  });
  const url = await listen(server, port);
  return {
    url,
    async close() {
      await Promise.all([legacy.close(), modern.close()]);
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
