/**
 * `verbatim connection check`: reaches a connection's MCP server the way the gateway would (pinned addresses, TLS, the
 * credential), with the official client, and lists its tools. Nothing of it is recorded: it crosses no session.
 */
import { Client, SSEClientTransport, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { fetch as fetchWith } from 'undici';
import type { Config, ConnectionConfig } from '../config.ts';
import { loadConfigFile } from '../config-file.ts';
import { GatewayError } from '../errors.ts';
import { CredentialFailure, loggableReason } from '../proxy/credential-error.ts';
import { openUpstream, type Upstream, upstreamError } from '../proxy/upstream.ts';
import { VERSION } from '../version.ts';
import { CommandError, type Context } from './context.ts';
import { escapeForTerminal } from './terminal.ts';

interface Checked {
  readonly connection: string;
  readonly upstream: string;
  ok: boolean;
  credential?: string;
  server?: string;
  tools?: string[];
  problem?: { code: string; words: string; step: string };
}

export async function runConnectionCheck(
  context: Context,
  name: string,
  options: { config: string; json?: boolean; group?: string },
): Promise<number> {
  const { connection, google } = connectionOf(options.config, name);
  const groups = options.group === undefined ? [] : [options.group];
  const checked = await check(connection, google, groups);
  const { out } = context;
  if (options.json === true) {
    await out.write(`${JSON.stringify(checked, null, 2)}\n`);
    return checked.ok ? 0 : 1;
  }
  const lines = [
    `connection  ${name}`,
    `upstream    ${checked.upstream}${pathOf(connection)}`,
    ...(checked.credential === undefined ? [] : [`credential  ${checked.credential}`]),
    ...(checked.server === undefined ? [] : [`server      ${checked.server}`]),
    ...(checked.tools === undefined ? [] : [`tools       ${checked.tools.length}: ${checked.tools.join(', ')}`]),
    checked.problem === undefined
      ? out.paint('green', 'Good: reached, credential accepted, tools listed.')
      : out.paint('red', `Failed at: ${checked.problem.step}. ${checked.problem.words} (${checked.problem.code})`),
  ];
  for (const line of lines) await out.write(`${line.startsWith('\u001b') ? line : escapeForTerminal(line)}\n`);
  return checked.ok ? 0 : 1;
}

function connectionOf(file: string, name: string): { connection: ConnectionConfig; google: Config['google'] } {
  const loaded = loadConfigFile(file);
  if (!loaded.ok) throw new CommandError(1, `${file} has mistakes. Name them with: npx verbatim config check ${file}`);
  const connection = loaded.config.connections[name];
  if (connection !== undefined) return { connection, google: loaded.config.google };
  const known = Object.keys(loaded.config.connections).join(', ');
  throw new CommandError(2, `${file} has no connection "${name}". It has: ${known}.`);
}

/** Streamable HTTP where the connection has it, else where its HTTP+SSE stream opens. */
function pathOf({ paths, sse }: ConnectionConfig): string {
  return paths[0] ?? sse?.path ?? '/mcp';
}

async function check(
  connection: ConnectionConfig,
  google: Config['google'],
  groups: readonly string[],
): Promise<Checked> {
  const checked: Checked = { connection: connection.name, upstream: connection.upstream.url, ok: false };
  let step = 'reading the credential';
  let upstream: Upstream | undefined;
  const client = new Client({ name: 'verbatim-connection-check', version: VERSION });
  try {
    upstream = await openUpstream(connection, { now: Date.now, google });
    const { headers, version } = await upstream.credentialFor(groups).current();
    checked.credential = headers.length === 0 ? 'none' : `readable, version ${version ?? 'unknown'}`;
    step = 'reaching the server and opening a session';
    const url = new URL(pathOf(connection).slice(1), `${connection.upstream.url}/`);
    const options = { fetch: fetchThrough(upstream, headers) };
    const streamable = connection.paths.length > 0 || connection.sse === undefined;
    const transport = streamable
      ? new StreamableHTTPClientTransport(url, options)
      : new SSEClientTransport(url, options);
    await client.connect(transport);
    const server = client.getServerVersion();
    checked.server = server === undefined ? 'unnamed' : `${server.name} ${server.version}`;
    step = 'listing its tools';
    checked.tools = (await client.listTools()).tools.map((tool) => tool.name);
    if (transport instanceof StreamableHTTPClientTransport) await transport.terminateSession();
    checked.ok = true;
  } catch (error) {
    checked.problem = { step, ...problemOf(error) };
  } finally {
    await client.close().catch(() => {});
    upstream?.close().catch(() => {});
    await upstream?.dispatcher.destroy();
  }
  return checked;
}

function problemOf(error: unknown): { code: string; words: string } {
  // Who runs this has the configuration, so the reference may be named; a value never is.
  if (error instanceof GatewayError && error.cause instanceof CredentialFailure) {
    return { code: error.code, words: `${error.message} Reason: ${loggableReason(error)}.` };
  }
  const found = upstreamError(error, false);
  const status = /\b(?:HTTP |status:? |code \()(\d{3})\b/i.exec(String((error as Error).message))?.[1];
  const refused = status === '401' || status === '403' ? new GatewayError('upstream_refused_credential') : found;
  const words = status === undefined ? refused.message : `${refused.message} It answered HTTP ${status}.`;
  return { code: refused.code, words };
}

/**
 * fetch over the connection's own pool: the same resolution, address rules and TLS as the gateway's calls. The
 * credential goes to the connection's origin and paths alone, whatever address the server names for messages.
 */
function fetchThrough(upstream: Upstream, credential: readonly (readonly [string, string])[]): typeof fetch {
  const { paths, sse, upstream: to } = upstream.connection;
  const allowed = new Set([...paths, ...(sse === undefined ? [] : [sse.path, sse.messages])]);
  return (async (input: string | URL, init: RequestInit = {}) => {
    const url = new URL(input);
    if (url.origin !== to.url || !allowed.has(url.pathname)) throw new GatewayError('upstream_endpoint_refused');
    const headers = new Headers(init.headers);
    for (const [name, value] of credential) headers.set(name, value);
    const { dispatcher } = upstream;
    return fetchWith(url, { ...(init as object), headers: Object.fromEntries(headers), redirect: 'error', dispatcher });
  }) as unknown as typeof fetch;
}
