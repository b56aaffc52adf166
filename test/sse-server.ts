/** A server of the 2024-11-05 transport, on SDK 1's own: GET /sse names /message?sessionId=…, answers come on the stream. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { SSEServerTransport } from '@modelcontextprotocol/sdk/server/sse.js';
import { z } from 'zod';

export interface SseServer {
  /** The address of its stream. */
  readonly url: string;
  /** Sessions that are open, by the ids that only the server knows. */
  ids(): string[];
  close(): Promise<void>;
}

export async function startSseServer(): Promise<SseServer> {
  const open = new Map<string, SSEServerTransport>();
  const http = createServer(async (request, response) => {
    const url = new URL(request.url ?? '/', 'http://localhost');
    if (request.method === 'GET' && url.pathname === '/sse') {
      const transport = new SSEServerTransport('/message', response);
      open.set(transport.sessionId, transport);
      response.on('close', () => open.delete(transport.sessionId));
      await createSampleServer().connect(transport);
      return;
    }
    const transport = open.get(url.searchParams.get('sessionId') ?? '');
    if (request.method !== 'POST' || url.pathname !== '/message' || transport === undefined) {
      response.writeHead(404).end();
      return;
    }
    await transport.handlePostMessage(request, response);
  });
  await new Promise<void>((done) => http.listen(0, '127.0.0.1', done));
  return {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}/sse`,
    ids: () => [...open.keys()],
    async close() {
      const closed = new Promise<void>((done) => http.close(() => done()));
      http.closeAllConnections();
      await closed;
    },
  };
}

function createSampleServer(): McpServer {
  const server = new McpServer({ name: 'sse-sample', version: '1.0.0' });
  server.registerTool('echo', { inputSchema: { text: z.string() } }, ({ text }) => ({
    content: [{ type: 'text', text }],
  }));
  server.registerTool('ask', {}, async () => {
    const answer = await server.server.createMessage({
      messages: [{ role: 'user', content: { type: 'text', text: 'The capital of France?' } }],
      maxTokens: 10,
    });
    return { content: [{ type: 'text', text: JSON.stringify(answer.content) }] };
  });
  return server;
}
