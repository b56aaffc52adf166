/** The fixture of the conformance suite as a stdio server of both eras (SDK 2). Run as a program, it serves. */
import { fileURLToPath } from 'node:url';
import { McpServer } from '@modelcontextprotocol/server';
import { serveStdio } from '@modelcontextprotocol/server/stdio';
import * as z from 'zod';
import { registerConstantTools, registerPrompts, registerResources } from './conformance/fixture-content.ts';
import { registerInteractiveTools } from './conformance/fixture-interactive.ts';
import { registerRounds, roundSeal } from './conformance/fixture-rounds.ts';

export const STDIO_SERVER = fileURLToPath(import.meta.url);

function createServer(): McpServer {
  const server = new McpServer(
    { name: 'verbatim-stdio-fixture', version: '1.0.0' },
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
  registerInteractiveTools(server, {
    toolsChanged: () => server.sendToolListChanged(),
    promptsChanged: () => server.sendPromptListChanged(),
    resourceUpdated: (uri) => void server.server.sendResourceUpdated({ uri }).catch(() => undefined),
  });
  registerRounds(server);
  registerResources(server);
  registerPrompts(server);
  server.registerTool('process', { description: 'Its process id', inputSchema: z.object({}) }, () => ({
    content: [{ type: 'text', text: String(process.pid) }],
  }));
  let waited = '';
  server.registerTool(
    'wait',
    { description: 'Ends when it is cancelled', inputSchema: z.object({ name: z.string() }) },
    (input, ctx) =>
      new Promise((done) => {
        ctx.mcpReq.signal.addEventListener('abort', () => {
          waited = input.name;
          done({ content: [] });
        });
        process.stderr.write(`waiting ${input.name}\n`);
      }),
  );
  server.registerTool('waited', { description: 'Who was cancelled last', inputSchema: z.object({}) }, () => ({
    content: [{ type: 'text', text: waited }],
  }));
  server.server.setRequestHandler('completion/complete', () => ({
    completion: { values: ['paris', 'park'], total: 2, hasMore: false },
  }));
  server.server.setRequestHandler('resources/subscribe', () => ({}));
  server.server.setRequestHandler('resources/unsubscribe', () => ({}));
  return server;
}

if (process.argv[1] === STDIO_SERVER) serveStdio(createServer);
