/**
 * The gateway's HTTP surface. The MCP route stands in front of everything that would read a body: it hands the raw
 * request on. Behind it are the few addresses of the gateway's own.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import express from 'express';
import { clientPaths } from '../config.ts';
import { GatewayError } from '../errors.ts';
import { protectedResourceMetadata } from '../identity/metadata.ts';
import { IDENTITY_KEYS_PATH } from '../identity/upstream-identity.ts';
import { type Answer, errorAnswer } from './answer.ts';
import { handleCall } from './exchange.ts';
import { toGatewayError } from './refuse.ts';
import type { Runtime } from './runtime.ts';
import { addressOf, addressOfClient, preflightHeaders } from './target.ts';

const WELL_KNOWN = '/.well-known/oauth-protected-resource';

export function createGatewayServer(runtime: Runtime, headerBytes: number): Server {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.use((request, response, next) => {
    // It came in one piece with what was refused: whoever is in front of this gateway took it for a part of that.
    if (over.has(request.socket)) return;
    // A load balancer keeps its connections: the next call has to go to another gateway.
    if (runtime.leaving()) response.shouldKeepAlive = false;
    // Probes come from a load balancer that knows no host name of ours.
    if (request.url === '/healthz' || request.url === '/readyz') return probe(runtime, request.url, response);
    const addressed = addressOf(runtime.inForce().config, request);
    if (addressed.kind === 'refused') return refuse(runtime, request, response, addressed.error);
    if (addressed.kind === 'other') return next();
    const { target } = addressed;
    if (request.method === 'OPTIONS') {
      response.writeHead(204, preflightHeaders(target, request).flat());
      return response.end();
    }
    const call = handleCall(runtime, target, request, response)
      .catch((error: unknown) => {
        runtime.log.error({ event: 'call_failed', err: error }, 'A call failed in a way that was not foreseen.');
        response.destroy();
      })
      .finally(() => runtime.calls.delete(call));
    runtime.calls.add(call);
  });
  app.get(/^\/\.well-known\/oauth-protected-resource(?:\/.*)?$/, (request, response, next) => {
    const found = metadataAt(runtime, request);
    if (found === undefined) return next();
    response.set({ 'access-control-allow-origin': '*', 'cache-control': 'max-age=60' }).json(found);
  });
  app.use((request: IncomingMessage, response: ServerResponse, next) => {
    const served = runtime.authorization.serve(request, response).then(
      (isOne) => void (isOne || next()),
      (error: unknown) => {
        runtime.log.error(
          { event: 'login_failed', err: error },
          'A step of a login failed in a way that was not foreseen.',
        );
        if (response.headersSent) response.destroy();
        else refuse(runtime, request, response, toGatewayError(error));
      },
    );
    runtime.calls.add(served);
    served.finally(() => runtime.calls.delete(served));
  });
  app.get(IDENTITY_KEYS_PATH, (request, response) => {
    runtime.identity.keys().then(
      (keys) => response.set('cache-control', 'max-age=300').json(keys),
      () => refuse(runtime, request, response, new GatewayError('state_unavailable')),
    );
  });
  app.use((request: IncomingMessage, response: ServerResponse) => {
    refuse(runtime, request, response, new GatewayError('not_found'));
  });
  const server = createServer(
    // Without a Host it is this gateway that refuses, and records it.
    {
      maxHeaderSize: headerBytes,
      requireHostHeader: false,
      joinDuplicateHeaders: false,
      keepAliveTimeout: 620_000,
      // Node looks for heads that are late each 30 s unless told otherwise.
      connectionsCheckingInterval: 5000,
    },
    app,
  );
  // Node would drop what is beyond a thousand headers in silence: neither checked nor recorded. Their size has a limit.
  server.maxHeadersCount = 0;
  server.on('checkExpectation', app);
  const answering = watchAnswers(server);
  // A body may take its time; an answer may take hours. Heads may not.
  server.headersTimeout = 20_000;
  server.requestTimeout = 0;
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    const overflow = error.code === 'HPE_HEADER_OVERFLOW';
    const address = 'remoteAddress' in socket ? String(socket.remoteAddress) : 'unknown';
    // A reset is nobody's request; anything else is one that two parsers might read differently.
    if (error.code === 'ECONNRESET' || !socket.writable) return socket.destroy();
    runtime.system.refused({ address, reason: 'bad_http', detail: String(error.code ?? 'unreadable') });
    hangUp(socket, answering(socket), overflow ? '431 Request Header Fields Too Large' : '400 Bad Request');
  });
  // An Upgrade without a listener is a request like any other, which checkRequestHeaders refuses.
  server.on('connect', (request: IncomingMessage, socket) => {
    runtime.system.refused({ address: request.socket.remoteAddress ?? 'unknown', reason: 'upgrade_refused' });
    hangUp(socket, answering(socket), '400 Bad Request');
  });
  return server;
}

/** Says whether bytes of an answer are on their way on a socket. */
function watchAnswers(server: Server): (socket: Duplex) => boolean {
  const underWay = new WeakMap<Duplex, Set<ServerResponse>>();
  server.on('connection', (socket) => underWay.set(socket, new Set()));
  server.prependListener('request', ({ socket }, response) => {
    const responses = underWay.get(socket);
    responses?.add(response);
    response.on('close', () => responses?.delete(response));
  });
  return (socket) => [...(underWay.get(socket) ?? [])].some(({ headersSent }) => headersSent);
}

/** Refuses what is no request. In the middle of an answer these words would become a part of it. */
function hangUp(socket: Duplex, answering: boolean, status: string): void {
  if (answering) socket.destroy();
  else socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`, () => socket.destroy());
}

function metadataAt(runtime: Runtime, request: IncomingMessage) {
  const { config } = runtime.inForce();
  const host = (request.headers.host ?? '').toLowerCase().replace(/:\d+$/, '');
  const rest = (request.url ?? '').slice(WELL_KNOWN.length);
  for (const connection of Object.values(config.connections)) {
    if (connection.host !== undefined && connection.host !== host) continue;
    const paths = clientPaths(connection);
    for (const path of paths) {
      const own = connection.host === undefined ? `/${connection.name}${path}` : path;
      // RFC 9728 puts the resource's path behind the well-known part; at an own host's root the first path is meant.
      const root = connection.host !== undefined && rest === '' && path === paths[0];
      if (rest === own || root) return protectedResourceMetadata(config, connection.name, path);
    }
  }
  return undefined;
}

function probe(runtime: Runtime, url: string, response: ServerResponse): void {
  const leaving = runtime.leaving() ? 'shutting_down' : undefined;
  const refusing = url === '/readyz' ? (runtime.refusing() ?? leaving) : undefined;
  response.writeHead(refusing === undefined ? 200 : 503, ['content-type', 'text/plain', 'cache-control', 'no-store']);
  const { mark } = runtime.pressure;
  const journal = url === '/readyz' && mark !== 'none' ? `, journal: ${mark}` : '';
  response.end(`${refusing ?? 'ok'}${journal}\n`);
}

/** Sockets on which the last answer has been given. No further request on them is processed (RFC 9112, section 9.6). */
const over = new WeakSet<Duplex>();

/** A refusal that belongs to no session: an event of the system strand. */
function refuse(runtime: Runtime, request: IncomingMessage, response: ServerResponse, error: GatewayError): void {
  runtime.system.refused({
    address: addressOfClient(request, runtime.inForce().config.trustedProxyHops),
    reason: error.code,
    ...(error.detail === undefined ? {} : { detail: error.detail }),
  });
  const answer: Answer = errorAnswer(error, { ids: [], batch: false }, [['connection', 'close']]);
  over.add(request.socket);
  response.writeHead(answer.status, [...answer.headers.flat(), 'content-length', String(answer.body.length)]);
  response.end(answer.body);
}
