/**
 * A server on TypeScript SDK 1.x as people put it on Cloud Run: no session, one JSON body an answer, a server object for
 * each request.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import { z } from 'zod';

export interface LoopbackServer extends AsyncDisposable {
  readonly url: string;
}

export async function startSdk1Server(): Promise<LoopbackServer> {
  const server = createServer(async (request, response) => {
    if (request.method !== 'POST') return void response.writeHead(405, { allow: 'POST' }).end();
    const mcp = new McpServer({ name: 'sdk1-server', version: '1.0.0' });
    const inputSchema = { name: z.string() };
    mcp.registerTool('greet', { description: 'Greets somebody.', inputSchema }, ({ name }) => ({
      content: [{ type: 'text', text: `Grüezi ${name}` }],
    }));
    const transport = new StreamableHTTPServerTransport({ enableJsonResponse: true });
    response.on('close', () => void mcp.close());
    // The SDK is not typed for exactOptionalPropertyTypes: its own transport is not its Transport.
    await mcp.connect(transport as Transport);
    await transport.handleRequest(request, response);
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}
