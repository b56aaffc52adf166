/** The MCP server behind a gateway under load, a process of its own. */
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { answerOrders } from './peer.ts';

/** Milliseconds: what the SDKs' servers take, so that proxies keep a silent stream open. */
const KEEP_ALIVE_MS = 15_000;
const HEADERS = { 'content-type': 'text/event-stream', 'cache-control': 'no-store' };

const streams = new Set<ServerResponse>();

const text = (id: unknown, said: string): string =>
  JSON.stringify({ jsonrpc: '2.0', id, result: { content: [{ type: 'text', text: said }], isError: false } });

/** How each tool answers. */
const TOOLS: Record<string, (id: unknown, response: ServerResponse) => void> = {
  json: (id, response) => send(response, text(id, `answer ${id}`)),
  large: (id, response) => send(response, text(id, 'x'.repeat(64 * 1024))),
  huge: (id, response) => send(response, text(id, 'x'.repeat(1024 * 1024))),
  sse(id, response) {
    response.writeHead(200, HEADERS);
    for (const progress of [1, 2]) response.write(event({ progressToken: String(id), progress }));
    response.end(`data: ${text(id, `answer ${id}`)}\n\n`);
  },
  endless(id, response) {
    response.writeHead(200, HEADERS);
    let progress = 0;
    const more = (): void => {
      while (!response.destroyed && response.write(event({ progressToken: String(id), progress: ++progress })));
    };
    response.on('drain', () => setImmediate(more));
    more();
  },
};

function event(params: { progressToken: string; progress: number }): string {
  return `data: ${JSON.stringify({ jsonrpc: '2.0', method: 'notifications/progress', params })}\n\n`;
}

function send(response: ServerResponse, body: string): void {
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }).end(body);
}

const server = createServer((request, response) => {
  if (request.method === 'GET') {
    response.writeHead(200, HEADERS).flushHeaders();
    streams.add(response);
    const alive = setInterval(() => response.write(': alive\n\n'), KEEP_ALIVE_MS);
    response.on('close', () => {
      clearInterval(alive);
      streams.delete(response);
    });
    return;
  }
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const { id, params } = JSON.parse(Buffer.concat(chunks).toString()) as { id: unknown; params: { name: string } };
    const tool = TOOLS[params.name];
    if (tool === undefined) response.writeHead(500).end();
    else tool(id, response);
  });
});

answerOrders({
  /** `keepAlive`: milliseconds that a connection without a request stays open, as it tells its clients. */
  listen({ keepAlive }: { keepAlive: number }) {
    server.keepAliveTimeout = keepAlive;
    return new Promise<string>((done) =>
      server.listen(0, '127.0.0.1', 8192, () => done(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)),
    );
  },
  /** Each open stream gets this as an event. */
  tell({ word }: { word: string }) {
    for (const stream of streams) {
      stream.write(
        `data: ${JSON.stringify({ jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: word } })}\n\n`,
      );
    }
    return streams.size;
  },
});
