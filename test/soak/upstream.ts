/** The upstream of a soak: it writes down what reached it before it answers. */
import { hash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { keyOf } from './call-key.ts';
import { createLedgerFile } from './ledger-file.ts';

export interface SoakUpstream {
  readonly url: string;
  close(): Promise<void>;
}

/** How long a call waits for the answer of a client that may have none to give. */
const ANSWER_WITHIN_MS = 10_000;

/**
 * `json` calls are answered whole; `sse` calls by two notifications and a response, each in a turn of its own; `sampling`
 * calls once the client has answered a request of ours in a POST of its own; `broken` calls not at all: they are executed
 * and their socket is gone.
 *
 * A line of the ledger: key, `whole` or `part`, length and SHA-256 of what came.
 */
export async function startSoakUpstream(ledgerPath: string): Promise<SoakUpstream> {
  const ledger = createLedgerFile(ledgerPath);
  const asked = new Map<string, () => void>();

  function answer(request: IncomingMessage, response: ServerResponse, body: Buffer): void {
    const message = JSON.parse(body.toString()) as { id: number | string; params?: { name: string } };
    if (message.params === undefined) {
      response.writeHead(202).end();
      asked.get(String(message.id))?.();
      return;
    }
    const { id } = message;
    const result = `{"jsonrpc":"2.0","id":${id},"result":{"content":[{"type":"text","text":"ok  ${id} \\u00e9 é"}],"n":1.00}}`;
    switch (message.params.name) {
      case 'broken':
        request.socket.destroy();
        return;
      case 'json':
        response.writeHead(200, { 'content-type': 'application/json' }).end(result);
        return;
      case 'sampling':
        ask(`s${id}`, response, result);
        return;
      default:
        void tell(response, Number(id), result);
    }
  }

  async function tell(response: ServerResponse, id: number, result: string): Promise<void> {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const progress of [1, 2]) {
      response.write(
        `event: message\r\ndata: {"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":${id},"progress":${progress}}}\r\n\r\n`,
      );
      await new Promise((done) => setImmediate(done));
    }
    response.end(`: nearly\n\ndata: ${result}\n\n`);
  }

  function ask(id: string, response: ServerResponse, result: string): void {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    const params = '{"messages":[{"role":"user","content":{"type":"text","text":"é?"}}],"maxTokens":5}';
    response.write(`data: {"jsonrpc":"2.0","id":"${id}","method":"sampling/createMessage","params":${params}}\n\n`);
    const timer = setTimeout(() => response.destroy(), ANSWER_WITHIN_MS);
    asked.set(id, () => response.end(`data: ${result}\n\n`));
    response.on('close', () => {
      clearTimeout(timer);
      asked.delete(id);
    });
  }

  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    let ended = false;
    const note = (how: 'whole' | 'part'): Buffer => {
      const body = Buffer.concat(chunks);
      const key = keyOf(body);
      if (key !== undefined) ledger.note(key, how, body.length, hash('sha256', body));
      return body;
    };
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      ended = true;
      answer(request, response, note('whole'));
    });
    request.on('error', () => {});
    request.on('close', () => {
      if (!ended) note('part');
    });
    response.on('error', () => {});
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`,
    async close() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
      ledger.close();
    },
  };
}
