/**
 * A session with a connection's MCP server, opened the way the gateway would: pinned addresses, TLS, the credential, the
 * official client. Nothing of it is recorded: it crosses no session.
 */
import { Readable } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';
import { Client, SSEClientTransport, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { type Dispatcher, request } from 'undici';
import type { Config, ConnectionConfig } from '../config.ts';
import { GatewayError } from '../errors.ts';
import { openUpstream, type Upstream } from '../proxy/upstream.ts';
import { VERSION } from '../version.ts';
import { loadChosen } from './chosen-configuration.ts';
import { type Problem, problemOf, type Seen } from './connection-answer.ts';
import { CommandError } from './context.ts';

export interface ReachInput {
  readonly connection: ConnectionConfig;
  readonly google: Config['google'];
  /** Whose credential. */
  readonly groups: readonly string[];
  /** What the client calls itself. */
  readonly as: string;
  /** What is done with the session, for a problem's words. */
  readonly step: string;
}

export interface Reached {
  credential?: string;
  server?: string;
  problem?: Problem & { readonly step: string };
}

/** A session that is open. */
export interface Session {
  readonly client: Client;
  /** Takes the credential out of what the server wrote: it may send back what it was shown. */
  withheld(text: string): string;
}

/** Ends the session when `use` is done. What fails, `use` included, is the result's problem; throws nothing. */
export async function reachServer(of: ReachInput, use: (session: Session) => Promise<void>): Promise<Reached> {
  const { connection, google, groups } = of;
  const reached: Reached = {};
  let step = 'reading the credential';
  let upstream: Upstream | undefined;
  let headers: CredentialHeaders = [];
  const seen: Seen = {};
  const withheld = (text: string): string => withoutCredential(text, headers);
  const client = new Client({ name: of.as, version: VERSION });
  try {
    upstream = await openUpstream(connection, { now: Date.now, google });
    const credential = await upstream.credentialFor({ groups }).current();
    headers = credential.headers;
    const { version } = credential;
    reached.credential = headers.length === 0 ? 'none' : `readable, version ${version ?? 'unknown'}`;
    step = 'reaching the server and opening a session';
    const url = new URL(pathOf(connection).slice(1), `${connection.upstream.url}/`);
    const streamable = connection.paths.length > 0 || connection.sse === undefined;
    const options = { fetch: fetchThrough(upstream, headers, seen, streamable) };
    const transport = streamable
      ? new StreamableHTTPClientTransport(url, options)
      : new SSEClientTransport(url, options);
    await client.connect(transport);
    const server = client.getServerVersion();
    reached.server = server === undefined ? 'unnamed' : withheld(`${server.name} ${server.version}`);
    step = of.step;
    await use({ client, withheld });
    // What ends here has been used already, and a server need not offer it.
    if (transport instanceof StreamableHTTPClientTransport) await transport.terminateSession().catch(() => {});
  } catch (error) {
    reached.problem = { step, ...problemOf(error, seen, withheld) };
  } finally {
    await client.close().catch(() => {});
    upstream?.close().catch(() => {});
    await upstream?.dispatcher.destroy();
  }
  return reached;
}

/** The configuration in a file, and one connection of it. */
export function chosenConnection(file: string, name: string): { config: Config; connection: ConnectionConfig } {
  const config = loadChosen(file);
  const connection = config.connections[name];
  if (connection !== undefined) return { config, connection };
  const known = Object.keys(config.connections).join(', ');
  throw new CommandError(2, `${file} has no connection "${name}". It has: ${known}.`);
}

/** The groups that `--group` names. The credential of a group that opens no session is never used. */
export function chosenGroups({ name, groups }: ConnectionConfig, group: string | undefined): readonly string[] {
  if (group === undefined) return [];
  if (groups.includes(group)) return [group];
  throw new CommandError(2, `${name}: group "${group}" may not open a session (groups: ${groups.join(', ')}).`);
}

/** Streamable HTTP where the connection has it, else where its HTTP+SSE stream opens. */
export function pathOf({ paths, sse }: ConnectionConfig): string {
  return paths[0] ?? sse?.path ?? '/mcp';
}

type CredentialHeaders = readonly (readonly [string, string])[];

/** A server may send back what it was shown. */
function withoutCredential(text: string, headers: CredentialHeaders): string {
  const secrets = headers.flatMap(([, value]) => [value, value.replace(/^Bearer /, '')]);
  return secrets.reduce((kept, secret) => kept.replaceAll(secret, '(the credential)'), text);
}

/**
 * fetch over the connection's own pool: the same resolution, address rules and TLS as the gateway's calls. The
 * credential goes to the connection's origin and paths alone, whatever address the server names for messages. Not
 * undici's `fetch`, which refuses ports that the gateway's calls may go to.
 */
function fetchThrough(
  upstream: Upstream,
  credential: CredentialHeaders,
  seen: Seen,
  streamable: boolean,
): typeof fetch {
  const { paths, sse, upstream: to } = upstream.connection;
  const allowed = new Set([...paths, ...(sse === undefined ? [] : [sse.path, sse.messages])]);
  const ask = async (url: URL, init: RequestInit): Promise<Response> => {
    if (url.origin !== to.url || !allowed.has(url.pathname)) throw new GatewayError('upstream_endpoint_refused');
    const headers = new Headers(init.headers);
    for (const [name, value] of credential) headers.set(name, value);
    const answer = await request(url, {
      dispatcher: upstream.dispatcher,
      method: (init.method ?? 'GET') as Dispatcher.HttpMethod,
      headers: Object.fromEntries(headers),
      body: (init.body as string | null | undefined) ?? null,
      signal: init.signal ?? null,
    });
    return responseOf(answer);
  };
  return async (input, init = {}) => {
    const url = new URL(input instanceof Request ? input.url : input);
    // The stream that a server may or may not open, and the end of the session, decide nothing.
    const counts = !streamable || init.method === 'POST';
    try {
      const response = await ask(url, init);
      if (counts) Object.assign(seen, { status: response.status, path: url.pathname, failure: undefined });
      return response;
    } catch (failure) {
      if (counts) seen.failure = failure;
      throw failure;
    }
  };
}

function responseOf({ statusCode, headers, body }: Dispatcher.ResponseData): Response {
  const given = Object.entries(headers).flatMap(([name, value]) =>
    [value ?? []].flat().map((one): [string, string] => [name, one]),
  );
  const bodiless = [101, 204, 205, 304].includes(statusCode);
  if (bodiless) void body.dump();
  return new Response(bodiless ? null : (Readable.toWeb(body) as ReadableStream), {
    status: statusCode,
    headers: given,
  });
}
