/**
 * The wire behaviour of Google's remote MCP servers, on loopback, as far as it is documented or was seen by others:
 * docs/servers.md names the sources. No session, one JSON body an answer, `initialize` for anybody, a tool call for
 * nobody without an access token.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import type { LoopbackServer } from './sdk1-server.ts';

/** What Google's servers are at. The revision is what clients of theirs ask for, not what Google promises. */
const REVISION = '2025-06-18';
const METADATA = '/.well-known/oauth-protected-resource/mcp';

interface Asked {
  readonly id?: string | number;
  readonly method?: string;
  readonly params?: { readonly name?: string; readonly arguments?: { readonly query?: string } };
}

const executeSql = {
  name: 'execute_sql',
  description: 'Runs a query and returns its rows.',
  inputSchema: {
    type: 'object',
    properties: { projectId: { type: 'string' }, query: { type: 'string' } },
    required: ['projectId', 'query'],
  },
};

/** @param accessToken the one that is valid. */
export async function startGoogleDouble(accessToken: string): Promise<LoopbackServer> {
  const server = createServer(async (request, response) => {
    if (request.url === METADATA) return void send(response, 200, metadata(request));
    if (request.url !== '/mcp') return void send(response, 404, { error: { code: 404, status: 'NOT_FOUND' } });
    if (request.method !== 'POST') return void response.writeHead(405, { allow: 'POST' }).end();
    const { id, method, params } = (await json(request)) as Asked;
    if (id === undefined) return void response.writeHead(202).end();
    if (method === 'tools/call' && request.headers.authorization !== `Bearer ${accessToken}`) {
      const challenge = `Bearer resource_metadata="http://${request.headers.host}${METADATA}"`;
      response.setHeader('www-authenticate', challenge);
      return void send(response, 401, { error: { code: 401, status: 'UNAUTHENTICATED' } });
    }
    send(response, 200, { jsonrpc: '2.0', id, ...answer(method, params) });
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

function answer(method: string | undefined, params: Asked['params']): object {
  if (method === 'initialize') {
    const serverInfo = { name: 'google-double', version: '1.0.0' };
    return { result: { protocolVersion: REVISION, capabilities: { tools: {} }, serverInfo } };
  }
  if (method === 'tools/list') return { result: { tools: [executeSql] } };
  if (method === 'tools/call' && params?.name === executeSql.name) {
    const rows = [{ query: params.arguments?.query }];
    return { result: { content: [{ type: 'text', text: JSON.stringify(rows) }], structuredContent: { rows } } };
  }
  return { error: { code: -32601, message: 'Method not found' } };
}

const metadata = ({ headers: { host } }: IncomingMessage): object => ({
  resource: `http://${host}/mcp`,
  authorization_servers: ['https://accounts.google.com/'],
  bearer_methods_supported: ['header'],
});

function send(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json; charset=UTF-8' }).end(JSON.stringify(body));
}
