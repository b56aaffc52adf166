/**
 * `verbatim connection check`: reaches a connection's MCP server the way the gateway would (pinned addresses, TLS, the
 * credential), with the official client, and lists its tools. Nothing of it is recorded: it crosses no session.
 */
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { fetch as fetchWith } from 'undici';
import type { ConnectionConfig } from '../config.ts';
import { loadConfigFile } from '../config-file.ts';
import { GatewayError } from '../errors.ts';
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
  options: { config: string; json?: boolean },
): Promise<number> {
  const connection = connectionOf(options.config, name);
  const checked = await check(connection);
  const { out } = context;
  if (options.json === true) {
    await out.write(`${JSON.stringify(checked, null, 2)}\n`);
    return checked.ok ? 0 : 1;
  }
  const lines = [
    `connection  ${name}`,
    `upstream    ${checked.upstream}${connection.paths[0] ?? ''}`,
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

function connectionOf(file: string, name: string): ConnectionConfig {
  const loaded = loadConfigFile(file);
  if (!loaded.ok) throw new CommandError(1, `${file} has mistakes. Name them with: npx verbatim config check ${file}`);
  const connection = loaded.config.connections[name];
  if (connection !== undefined) return connection;
  const known = Object.keys(loaded.config.connections).join(', ');
  throw new CommandError(2, `${file} has no connection "${name}". It has: ${known}.`);
}

async function check(connection: ConnectionConfig): Promise<Checked> {
  const checked: Checked = { connection: connection.name, upstream: connection.upstream.url, ok: false };
  let step = 'reading the credential';
  let upstream: Upstream | undefined;
  const client = new Client({ name: 'verbatim-connection-check', version: VERSION });
  try {
    upstream = await openUpstream(connection, Date.now);
    const { headers, version } = await upstream.credential();
    checked.credential = version === undefined ? 'none' : `readable, version ${version}`;
    step = 'reaching the server and opening a session';
    const transport = new StreamableHTTPClientTransport(
      new URL((connection.paths[0] ?? '/mcp').slice(1), `${connection.upstream.url}/`),
      {
        requestInit: { headers: Object.fromEntries(headers), redirect: 'error' },
        fetch: fetchThrough(upstream),
      },
    );
    await client.connect(transport);
    const server = client.getServerVersion();
    checked.server = server === undefined ? 'unnamed' : `${server.name} ${server.version}`;
    step = 'listing its tools';
    checked.tools = (await client.listTools()).tools.map((tool) => tool.name);
    await transport.terminateSession();
    checked.ok = true;
  } catch (error) {
    const found = upstreamError(error, false);
    const status = /\b(?:HTTP |status:? )(\d{3})\b/i.exec(String((error as Error).message))?.[1];
    const refused = status === '401' || status === '403' ? new GatewayError('upstream_refused_credential') : found;
    const answered = status === undefined ? refused.message : `${refused.message} It answered HTTP ${status}.`;
    checked.problem = { step, code: refused.code, words: answered };
  } finally {
    await client.close().catch(() => {});
    await upstream?.dispatcher.destroy();
  }
  return checked;
}

/** fetch over the connection's own pool: the same resolution, address rules and TLS as the gateway's calls. */
function fetchThrough(upstream: Upstream): typeof fetch {
  return ((url: string | URL, init?: RequestInit) =>
    fetchWith(url, { ...(init as object), dispatcher: upstream.dispatcher })) as unknown as typeof fetch;
}
