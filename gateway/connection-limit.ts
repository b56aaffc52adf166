/**
 * How many connections may be open at once. A process without descriptors can't open its journal's next file, so calls
 * that are under way would fail for those that only knock: the files come first, and each connection may need another
 * one to an upstream.
 */
import { readFile } from 'node:fs/promises';
import type { Server } from 'node:http';
import type { Socket } from 'node:net';

/** Descriptors for the journal, the stores, probes, logins. */
const FILES = 512;

/** From what the kernel says of this process; undefined where it says nothing (no Linux) or nothing is limited. */
export async function connectionLimit(path = '/proc/self/limits'): Promise<number | undefined> {
  const text = await readFile(path, 'utf8').catch(() => '');
  const [, soft] = /^Max open files\s+(\d+)/m.exec(text) ?? [];
  if (soft === undefined) return undefined;
  return Math.max(16, Math.floor((Number(soft) - FILES) / 2));
}

/** Beyond `most`, the connection that has been without a request for longest makes room for a new one. */
export function limitConnections(server: Server, most: number, full: () => void): void {
  /** In the order in which they became idle. */
  const idle = new Set<Socket>();
  const atWork = new WeakMap<Socket, number>();
  let open = 0;
  server.on('connection', (socket: Socket) => {
    open++;
    idle.add(socket);
    socket.on('close', () => {
      open--;
      idle.delete(socket);
    });
    if (open <= most) return;
    full();
    // The new one is among them: it has to go where all others are at work.
    const [oldest] = idle;
    if (oldest === undefined) return;
    idle.delete(oldest);
    oldest.destroy();
  });
  server.prependListener('request', ({ socket }, response) => {
    idle.delete(socket);
    atWork.set(socket, (atWork.get(socket) ?? 0) + 1);
    response.on('close', () => {
      // More than one where a client sends the next before it has the answer.
      const left = (atWork.get(socket) ?? 1) - 1;
      atWork.set(socket, left);
      if (left === 0 && !socket.destroyed) idle.add(socket);
    });
  });
}
