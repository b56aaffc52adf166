/**
 * Where a request is addressed: a connection and one of its paths, by the first path segment of the public host or by a
 * host of the connection's own. What is on no list does not exist. `Host` only chooses among configured hosts; no URL is
 * ever built from it.
 */
import type { IncomingMessage } from 'node:http';
import type { Config, ConnectionConfig } from '../config.ts';
import { GatewayError } from '../errors.ts';
import { checkPath, checkQuery, checkRequestHeaders } from './headers.ts';

export interface Target {
  readonly connection: ConnectionConfig;
  /** Streamable HTTP; or of the 2024-11-05 transport its stream, or a message to it that is answered on that stream. */
  readonly transport: 'streamable' | 'sse' | 'sse-message';
  /** The upstream's path, and the query with its `?` or ''. */
  readonly path: string;
  readonly search: string;
  /** Path and query as received, with values of credential-bearing query parameters left out. */
  readonly recordedPath: string;
  /** The client's address, behind as many trusted proxies as the configuration says. */
  readonly address: string;
  readonly cors: readonly (readonly [string, string])[];
  /** A refusal that is recorded in the session, once it is known whose it is. */
  readonly refused?: GatewayError;
}

export type Addressed =
  | { readonly kind: 'connection'; readonly target: Target }
  | { readonly kind: 'other' }
  | { readonly kind: 'refused'; readonly error: GatewayError; readonly connection?: string };

export const METHODS: Record<Target['transport'], readonly string[]> = {
  streamable: ['GET', 'POST', 'DELETE'],
  sse: ['GET'],
  'sse-message': ['POST'],
};
/** The query parameter that holds the upstream's address for messages, sealed. */
export const SEALED_ENDPOINT = 'sessionId';

export function addressOf(config: Config, request: IncomingMessage): Addressed {
  const malformed = checkRequestHeaders(request.rawHeaders, request.httpVersion) ?? checkPath(request.url ?? '');
  if (malformed !== undefined) return { kind: 'refused', error: malformed };
  const host = hostOf(request);
  if (!knownHosts(config).has(host)) return { kind: 'refused', error: new GatewayError('host_refused') };
  const url = request.url ?? '/';
  const mark = url.indexOf('?');
  const path = mark < 0 ? url : url.slice(0, mark);
  const search = mark < 0 ? '' : url.slice(mark);
  const found = connectionAt(config, host, path, search);
  // What is no connection's is a page or an endpoint of the gateway's, which judges for itself where it is asked from:
  // an identity provider's answer is a form of another origin.
  if (found === undefined) return { kind: 'other' };
  const origin = request.headers.origin;
  if (origin !== undefined && !knownOrigins(config).has(origin)) {
    return { kind: 'refused', error: new GatewayError('origin_refused') };
  }
  const { transport, connection } = found;
  const badQuery = checkQuery(search, transport === 'sse-message' ? [SEALED_ENDPOINT] : connection.query);
  const refused =
    badQuery ??
    (METHODS[transport].includes(request.method ?? '') ? undefined : new GatewayError('method_not_allowed'));
  const target: Target = {
    ...found,
    search,
    recordedPath: path + (search === '' ? '' : withoutValues(search)),
    address: addressOfClient(request, config.trustedProxyHops),
    cors: origin === undefined ? [] : corsFor(origin),
    ...(refused === undefined ? {} : { refused }),
  };
  return { kind: 'connection', target };
}

type Found = Pick<Target, 'connection' | 'path' | 'transport'>;

function connectionAt(config: Config, host: string, path: string, search: string): Found | undefined {
  for (const connection of Object.values(config.connections)) {
    if (connection.host === host) return pathOf(connection, path, search);
  }
  const [, name = ''] = path.split('/', 2);
  const connection = config.connections[name];
  if (connection === undefined || connection.host !== undefined) return undefined;
  return pathOf(connection, path.slice(name.length + 1), search);
}

/** A server may take both transports' messages at one path; the sealed address tells them apart. */
function pathOf(connection: ConnectionConfig, path: string, search: string): Found | undefined {
  const { sse, paths } = connection;
  const sealed = search.startsWith(`?${SEALED_ENDPOINT}=`) || !paths.includes(path);
  if (path === sse?.messages && sealed) return { connection, path, transport: 'sse-message' };
  if (path === sse?.path) return { connection, path, transport: 'sse' };
  return paths.includes(path) ? { connection, path, transport: 'streamable' } : undefined;
}

/** The name without its port: behind a load balancer the port is not the public one. */
function hostOf(request: IncomingMessage): string {
  return (request.headers.host ?? '').toLowerCase().replace(/:\d+$/, '');
}

const hostSets = new WeakMap<Config, ReadonlySet<string>>();

function knownHosts(config: Config): ReadonlySet<string> {
  let hosts = hostSets.get(config);
  if (hosts === undefined) {
    const own = Object.values(config.connections).flatMap(({ host }) => host ?? []);
    hosts = new Set(
      [new URL(config.publicUrl).hostname, ...config.allowedHosts, ...own].map((host) =>
        host.toLowerCase().replace(/:\d+$/, ''),
      ),
    );
    hostSets.set(config, hosts);
  }
  return hosts;
}

const originSets = new WeakMap<Config, ReadonlySet<string>>();

function knownOrigins(config: Config): ReadonlySet<string> {
  let origins = originSets.get(config);
  if (origins === undefined) {
    origins = new Set([new URL(config.publicUrl).origin, ...config.allowedOrigins]);
    originSets.set(config, origins);
  }
  return origins;
}

function corsFor(origin: string): (readonly [string, string])[] {
  return [
    ['access-control-allow-origin', origin],
    ['access-control-expose-headers', 'Mcp-Session-Id, MCP-Protocol-Version, WWW-Authenticate, Retry-After'],
    ['vary', 'Origin'],
  ];
}

/** The answer to a browser's preflight: nothing of it is forwarded. */
export function preflightHeaders(target: Target, request: IncomingMessage): (readonly [string, string])[] {
  const asked = String(request.headers['access-control-request-headers'] ?? '');
  const mcp = asked
    .split(',')
    .map((name) => name.trim().toLowerCase())
    .filter((name) => /^mcp-[a-z0-9-]+$/.test(name));
  const fixed = ['authorization', 'content-type', 'accept', 'last-event-id', 'mcp-protocol-version', 'mcp-session-id'];
  return [
    ...target.cors,
    ['access-control-allow-methods', 'GET, POST, DELETE'],
    ['access-control-allow-headers', [...new Set([...fixed, ...mcp])].join(', ')],
    ['access-control-max-age', '7200'],
  ];
}

/**
 * The last address is the socket's; each trusted proxy appends the address that it saw to X-Forwarded-For. What stands
 * further left was written by nobody that is trusted.
 */
export function addressOfClient(request: IncomingMessage, hops: number): string {
  const socket = request.socket.remoteAddress ?? 'unknown';
  if (hops === 0) return socket;
  const forwarded = String(request.headers['x-forwarded-for'] ?? '')
    .split(',')
    .map((part) => part.trim());
  const candidate = forwarded.at(-hops) ?? '';
  return /^[0-9a-fA-F:.]{2,45}$/.test(candidate) ? candidate : socket;
}

/** Query values may be credentials; which parameters passed is on the connection's list, so names suffice. */
function withoutValues(search: string): string {
  return search.replaceAll(/=[^&]*/g, '=…');
}
