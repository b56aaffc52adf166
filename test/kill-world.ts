/** What stands around a gateway that is killed: an upstream that knows what reached it, clients that know what they got. */
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
export function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

export interface LoggingUpstream {
  readonly url: string;
  /** Whole bodies that reached it, in order. */
  readonly reached: string[];
  close(): Promise<void>;
}

/**
 * Answers `json` calls whole, `sse` calls as two notifications and a response, each in a turn of its own, and `broken`
 * calls not at all: it has executed them and hangs up.
 */
export async function startLoggingUpstream(): Promise<LoggingUpstream> {
  const reached: string[] = [];
  const server = createServer(async (incoming, response) => {
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of incoming) chunks.push(chunk as Buffer);
    } catch {
      return;
    }
    const body = Buffer.concat(chunks).toString();
    reached.push(body);
    const { id, params } = JSON.parse(body) as { id: number; params: { name: string } };
    if (params.name === 'broken') {
      incoming.socket.destroy();
      return;
    }
    const answer = `{"jsonrpc":"2.0","id":${id},"result":{"content":[{"type":"text","text":"ok  ${id} \\u00e9 é"}],"n":1.00}}`;
    if (params.name === 'json') {
      response.writeHead(200, { 'content-type': 'application/json' }).end(answer);
      return;
    }
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const progress of [1, 2]) {
      response.write(
        `event: message\r\ndata: {"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":${id},"progress":${progress}}}\r\n\r\n`,
      );
      await new Promise((done) => setImmediate(done));
    }
    response.end(`: nearly\n\ndata: ${answer}\n\n`);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`,
    reached,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** One line of a client's ledger. */
export interface Outcome {
  readonly sent: string;
  /** `whole`: the response ended as HTTP says it should. */
  readonly state: 'whole' | 'cut' | 'refused connection';
  readonly status?: number;
  readonly received: Buffer;
}

/** Calls once, on a connection of its own, and tells what came back. Never rejects. */
export function callOnce(url: string, token: string, sent: string): Promise<Outcome> {
  return new Promise((done) => {
    const chunks: Buffer[] = [];
    let status: number | undefined;
    const settle = (state: Outcome['state']): void =>
      done({ sent, state, received: Buffer.concat(chunks), ...(status === undefined ? {} : { status }) });
    const outgoing = request(url, {
      method: 'POST',
      agent: false,
      headers: {
        authorization: `Bearer ${token}`,
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        'mcp-protocol-version': '2025-06-18',
      },
    });
    outgoing.on('response', (response) => {
      status = response.statusCode;
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => settle(response.complete ? 'whole' : 'cut'));
      response.on('error', () => settle('cut'));
    });
    outgoing.on('error', (error: NodeJS.ErrnoException) =>
      settle(error.code === 'ECONNREFUSED' ? 'refused connection' : 'cut'),
    );
    outgoing.end(sent);
  });
}
