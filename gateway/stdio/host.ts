/**
 * The stdio host: Streamable HTTP in front of a stdio MCP server, of which each session gets a process of its own. It is
 * a program of its own, so that the gateway never spawns anything (ADR 9).
 */
import { createServer } from 'node:http';
import { isIP } from 'node:net';
import { listen, urlOf } from '../listening.ts';
import type { Log } from '../log.ts';
import { repeat } from '../repeat.ts';
import { answerCall } from './calls.ts';
import type { Program } from './child.ts';
import { createIdentityCheck } from './identity.ts';
import { MEMORY_IS_WATCHED } from './processes.ts';
import { createSessions, type SessionLimits } from './sessions.ts';

export interface StdioHostOptions {
  readonly host: string;
  readonly port: number;
  /** The one path that is served, besides /healthz. */
  readonly path: string;
  readonly program: Program;
  readonly limits: SessionLimits;
  /** Whose signed header each request must carry. Without it the host serves this machine alone. */
  readonly gateway?: { readonly url: string; readonly connection: string };
  readonly identityHeader: string;
  readonly log: Log;
  /** Milliseconds between comments on an idle stream; 15 s as the SDKs have it. */
  readonly keepAlive?: number;
}

export interface StdioHost {
  /** The MCP address. */
  readonly url: string;
  /** Stops accepting, ends every child with its processes, and resolves when they are gone. */
  close(): Promise<void>;
}

const EVERY_MS = 1000;
const KEEP_ALIVE_MS = 15_000;
/** How long a client may take to read its last words. */
const LAST_WORDS_MS = 2000;

/** Throws where it may not listen there: without a gateway that checks who calls, only this machine may. */
export async function startStdioHost(options: StdioHostOptions): Promise<StdioHost> {
  const { host, port, gateway, log, limits } = options;
  if (gateway === undefined && !isLoopback(host)) {
    throw new Error(
      `${host} is reachable from other machines, and nobody would check who calls. Listen on 127.0.0.1, or name the gateway with --gateway and --connection: then only its signed requests are served.`,
    );
  }
  const sessions = createSessions(options.program, limits, log);
  const identity =
    gateway === undefined
      ? undefined
      : createIdentityCheck({ gateway: gateway.url, connection: gateway.connection, now: Date.now });
  const calls = {
    path: options.path,
    identityHeader: options.identityHeader.toLowerCase(),
    identity,
    sessions,
    keepAlive: options.keepAlive ?? KEEP_ALIVE_MS,
  };
  const server = createServer(
    {
      maxHeaderSize: 64 * 1024,
      headersTimeout: 10_000,
      requestTimeout: 60_000,
      // Longer than the gateway keeps an idle connection: the gateway never writes into one that is being closed.
      keepAliveTimeout: 75_000,
    },
    (request, response) => void answerCall(calls, request, response),
  );
  server.maxConnections = 1024;
  await listen(server, { host, port });
  const url = `${urlOf(server)}${options.path}`;

  const watching = repeat(sessions.checkMemory, EVERY_MS, (error) =>
    log.error({ event: 'stdio_memory_unknown', err: error }, 'The memory of the servers can not be read.'),
  );
  // A second signal, or a fault of the host's own, must leave no child behind.
  process.on('exit', sessions.kill);
  if (!MEMORY_IS_WATCHED) {
    log.warn({ event: 'stdio_memory_unlimited' }, 'Only on Linux is --memory enforced: here servers have no limit.');
  }
  log.info(
    { event: 'stdio_started', url, gateway: gateway?.url, connection: gateway?.connection },
    `Serving at ${url}.`,
  );

  return {
    url,
    async close() {
      const closed = new Promise<void>((done) => server.close(() => done()));
      await watching.stop();
      await sessions.close();
      server.closeIdleConnections();
      const late = setTimeout(() => server.closeAllConnections(), LAST_WORDS_MS);
      await closed;
      clearTimeout(late);
      process.off('exit', sessions.kill);
      log.info({ event: 'stdio_stopped' }, 'Stopped; no server is left.');
    },
  };
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}
