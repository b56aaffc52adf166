/** Sockets of the gateway: opening them, and closing them in order. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { GatewayError } from './errors.ts';
import type { Metrics } from './metrics.ts';
import type { Runtime } from './proxy/runtime.ts';

/** How long an aborted call may take to be recorded, and its last words to reach a client. */
const LAST_WORDS_MS = 2000;

/** Serves on for so long, while `/readyz` says that it will not: whoever sends calls here has to notice before none is taken. */
export async function linger(milliseconds: number): Promise<void> {
  if (milliseconds > 0) await new Promise((done) => setTimeout(done, milliseconds));
}

/** Stops accepting, lets calls end within the time, ends the rest in words. */
export async function drain(server: Server, runtime: Runtime, milliseconds: number): Promise<void> {
  const closed = new Promise<void>((done) => server.close(() => done()));
  server.closeIdleConnections();
  const allDone = async (): Promise<void> => {
    while (runtime.calls.size > 0) await Promise.allSettled([...runtime.calls]);
  };
  await Promise.race([allDone(), after(milliseconds)]);
  runtime.sessions.abort(new GatewayError('shutting_down'));
  await Promise.race([allDone(), after(LAST_WORDS_MS)]);
  // What is written may still be on its way to a slow client; a connection is idle when it has arrived.
  const closing = setInterval(() => server.closeIdleConnections(), 20);
  server.closeIdleConnections();
  await Promise.race([closed, after(LAST_WORDS_MS)]);
  clearInterval(closing);
  server.closeAllConnections();
}

/** Resolves after so many milliseconds; it keeps no process alive. */
function after(milliseconds: number): Promise<void> {
  return new Promise((done) => setTimeout(done, milliseconds).unref());
}

export async function listen(server: Server, at: { host: string; port: number }): Promise<void> {
  server.listen(at.port, at.host);
  try {
    await once(server, 'listening');
  } catch (error) {
    const said = listenWords(error, at, 'in the configuration');
    throw said === undefined ? error : new Error(said, { cause: error });
  }
}

/**
 * Why nobody can listen there, and what to do; undefined where `error` is of another kind.
 *
 * @param how the way to choose another, for example `with --listen`.
 */
export function listenWords(error: unknown, at: { host: string; port: number }, how: string): string | undefined {
  const words: Record<string, string> = {
    EADDRINUSE: `is in use. Stop what listens there, or choose another ${how}.`,
    EACCES: 'may not be listened on by this user. Choose a port above 1023.',
    EADDRNOTAVAIL: `is no address of this machine. Choose another ${how}.`,
  };
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return words[code] === undefined ? undefined : `${at.host}:${at.port} ${words[code]}`;
}

/** Throws as `listen` would, and frees the port again. */
export async function mayListen(at: { host: string; port: number }): Promise<void> {
  const server = createServer();
  await listen(server, at);
  await new Promise<void>((done) => server.close(() => done()));
}

export async function listenForMetrics(metrics: Metrics, at: { host: string; port: number }): Promise<Server> {
  const server = createServer((request, response) => {
    if (request.url !== '/metrics') return void response.writeHead(404).end();
    metrics.text().then(
      (text) => response.writeHead(200, { 'content-type': metrics.contentType }).end(text),
      () => response.writeHead(500).end(),
    );
  });
  await listen(server, at);
  return server;
}

export function urlOf(server: Server): string {
  const { address, family, port } = server.address() as AddressInfo;
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
}
