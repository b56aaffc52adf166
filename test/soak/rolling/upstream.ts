/** The upstream of rolling updates: it remembers what reached it, asks its clients, and counts in streams that go on. */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

export interface RollingUpstream {
  readonly url: string;
  /** Bodies of calls that reached it, in order. */
  readonly reached: readonly string[];
  close(): Promise<void>;
}

interface Message {
  readonly id?: number | string;
  readonly method?: string;
  readonly params?: { readonly name?: string };
}

const COUNT_EVERY_MS = 50;
const SLOW_MS = 200;

export function resultOf(id: number | string): string {
  return `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":{"content":[{"type":"text","text":"ok  ${id} é"}],"n":1.00}}`;
}

function counted(n: number): string {
  return `{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":${n}}}`;
}

/**
 * Tools: `json` answers whole, `sse` with progress, `slow` late, `ask` once its client has answered a request. A session's GET
 * stream counts, each event with its number as id; a resumed one goes on behind the last id.
 */
export async function startRollingUpstream(): Promise<RollingUpstream> {
  const reached: string[] = [];
  const asked = new Map<string, () => void>();

  function answer(message: Message, response: ServerResponse): void {
    const { id, method } = message;
    if (id === undefined) return void response.writeHead(202).end();
    if (method === undefined) {
      response.writeHead(202).end();
      asked.get(String(id))?.();
      return;
    }
    if (method === 'initialize') {
      const result = { protocolVersion: '2025-06-18', capabilities: {}, serverInfo: { name: 'soak', version: '1' } };
      response.writeHead(200, { 'content-type': 'application/json', 'mcp-session-id': randomUUID() });
      return void response.end(JSON.stringify({ jsonrpc: '2.0', id, result }));
    }
    if (message.params?.name === 'sse') return void tell(id, response);
    if (message.params?.name === 'ask') return void ask(id, response);
    const whole = (): void => {
      response.writeHead(200, { 'content-type': 'application/json' }).end(resultOf(id));
    };
    if (message.params?.name === 'slow') setTimeout(whole, SLOW_MS);
    else whole();
  }

  function tell(id: number | string, response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const n of [1, 2]) response.write(`event: message\r\ndata: ${counted(n)}\r\n\r\n`);
    response.end(`: nearly\n\ndata: ${resultOf(id)}\n\n`);
  }

  function ask(id: number | string, response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    const params = '{"messages":[],"maxTokens":5}';
    response.write(`data: {"jsonrpc":"2.0","id":"s${id}","method":"sampling/createMessage","params":${params}}\n\n`);
    asked.set(`s${id}`, () => response.end(`data: ${resultOf(id)}\n\n`));
    response.on('close', () => asked.delete(`s${id}`));
  }

  function count({ headers }: IncomingMessage, response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
    let n = Number(headers['last-event-id'] ?? 0);
    const counting = setInterval(() => {
      n++;
      response.write(`id: ${n}\ndata: ${counted(n)}\n\n`);
    }, COUNT_EVERY_MS);
    response.on('close', () => clearInterval(counting));
  }

  const server = createServer(async (request, response) => {
    response.on('error', () => {});
    if (request.method === 'GET') return void count(request, response);
    const body = await text(request).catch(() => undefined);
    if (body === undefined) return;
    reached.push(body);
    answer(JSON.parse(body) as Message, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`,
    reached,
    async close() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}
