/** An HTTP client that sees every byte as it arrives, which fetch does not. */
import { request } from 'node:http';

export interface RawAnswer {
  readonly status: number;
  readonly headers: Record<string, string | string[] | undefined>;
  /** Body bytes received so far. */
  bytes(): Buffer;
  /** Resolves when the body so far fulfils the condition. */
  until(condition: (body: Buffer) => boolean): Promise<void>;
  /** The whole body. Rejects where the connection broke. */
  whole(): Promise<Buffer>;
  close(): void;
}

export interface RawCall {
  readonly answer: Promise<RawAnswer>;
  /** Whether a head has arrived. */
  answered(): boolean;
  abort(): void;
}

export function call(
  url: string,
  options: { method?: string; token: string; headers?: Record<string, string>; body?: Buffer | string },
): RawCall {
  let answered = false;
  const outgoing = request(url, {
    method: options.method ?? 'POST',
    agent: false,
    headers: {
      authorization: `Bearer ${options.token}`,
      accept: 'application/json, text/event-stream',
      ...(options.body === undefined ? {} : { 'content-type': 'application/json' }),
      ...options.headers,
    },
  });
  const answer = new Promise<RawAnswer>((done, fail) => {
    outgoing.on('error', fail);
    outgoing.on('response', (incoming) => {
      answered = true;
      const chunks: Buffer[] = [];
      const bytes = (): Buffer => Buffer.concat(chunks);
      const ended = new Promise<Buffer>((whole, broken) => {
        incoming.on('end', () => (incoming.complete ? whole(bytes()) : broken(new Error('broken off'))));
        incoming.on('error', broken);
      });
      ended.catch(() => {});
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
      done({
        status: incoming.statusCode ?? 0,
        headers: incoming.headers,
        bytes,
        until: (condition) =>
          new Promise((fulfilled, broken) => {
            const look = (): void => {
              if (condition(bytes())) fulfilled();
            };
            incoming.on('data', look);
            ended.then(look, broken);
            look();
          }),
        whole: () => ended,
        close: () => outgoing.destroy(),
      });
    });
  });
  answer.catch(() => {});
  outgoing.end(options.body);
  return { answer, answered: () => answered, abort: () => outgoing.destroy() };
}

export function toolCall(id: number | string, name = 'echo', input: Record<string, unknown> = {}): string {
  return JSON.stringify({ jsonrpc: '2.0', id, method: 'tools/call', params: { name, arguments: input } });
}
