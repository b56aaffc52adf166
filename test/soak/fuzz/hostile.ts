/** An upstream on bare sockets that gives each call the answer that is meant for it, byte for byte, and hangs up. */

import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { ID } from './answers.ts';

export interface HostileUpstream {
  readonly url: string;
  /** The answer to the call of this id, each byte of it as it is but for the id. */
  give(id: number, answer: Buffer): void;
  close(): Promise<void>;
}

export async function startHostileUpstream(): Promise<HostileUpstream> {
  const given = new Map<number, Buffer>();
  const server = createServer((socket) => {
    let received = '';
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      received += chunk.toString('latin1');
      const split = received.indexOf('\r\n\r\n');
      const length = Number(/\r\ncontent-length: (\d+)/i.exec(received)?.[1] ?? 0);
      if (split < 0 || received.length < split + 4 + length) return;
      const id = Number(/"id":(\d+)/.exec(received.slice(split))?.[1]);
      const answer = given.get(id) ?? Buffer.alloc(0);
      // In two writes, so that readers meet an answer that has come by half.
      const half = answer.length >> 1;
      socket.write(answer.subarray(0, half));
      setImmediate(() => socket.end(answer.subarray(half)));
    });
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', 1024, done));
  const meant = String(ID);
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    give: (id, answer) =>
      void given.set(id, Buffer.from(answer.toString('latin1').replaceAll(meant, String(id)), 'latin1')),
    close: () => new Promise((done) => server.close(() => done())),
  };
}
