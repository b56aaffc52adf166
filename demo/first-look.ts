/** Whether the visitor's own server answers: asked once, by the official client, through the gateway. */
import { Client, ProtocolError, SdkHttpError, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { reason } from '../gateway/cli/login-error.ts';
import { VERSION } from '../gateway/version.ts';

const LIMIT_MS = 5000;

export interface FirstLook {
  readonly reached: boolean;
  /** What it is, or why it does not answer: for a person. The server's own words may be among them. */
  readonly words: string;
}

/**
 * Opens a session, lists the tools and ends the session, all within `limit` milliseconds. It is recorded like any other.
 * Never throws: the server may start later.
 */
export async function lookAt(at: { mcpUrl: string; token: string; limit?: number }): Promise<FirstLook> {
  const limit = at.limit ?? LIMIT_MS;
  const transport = new StreamableHTTPClientTransport(new URL(at.mcpUrl), {
    requestInit: { headers: { Authorization: `Bearer ${at.token}` } },
  });
  const client = new Client(
    { name: 'verbatim-demo-first-look', version: VERSION },
    // A server may speak the newest revision alone, or the older ones alone.
    { versionNegotiation: { mode: 'auto' } },
  );
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`no answer within ${limit / 1000} s`)), limit);
  try {
    return { reached: true, words: await Promise.race([look(client, transport), late.promise]) };
  } catch (error) {
    return { reached: false, words: wordsOf(error) };
  } finally {
    clearTimeout(timer);
    await client.close().catch(() => {});
  }
}

async function look(client: Client, transport: StreamableHTTPClientTransport): Promise<string> {
  await client.connect(transport);
  const server = client.getServerVersion();
  const tools = client.getServerCapabilities()?.tools === undefined ? 0 : (await client.listTools()).tools.length;
  if (client.getProtocolEra() !== 'modern') await transport.terminateSession();
  const name = server === undefined ? 'a server without a name' : `${server.name} ${server.version}`;
  return `${name}, ${tools} ${tools === 1 ? 'tool' : 'tools'}`;
}

/** What the gateway says in its own errors' `data.code`, for somebody who has just started both. */
const WORDS: Record<string, string> = {
  upstream_unreachable: 'it could not be reached',
  upstream_refused_credential: 'it lets nobody in without the right key (--bearer env:NAME gives one)',
  credential_unavailable: 'its key could not be read',
};

function wordsOf(error: unknown): string {
  if (error instanceof SdkHttpError) return `it answered HTTP ${error.status}`;
  const data: unknown = error instanceof ProtocolError ? error.data : undefined;
  const code = typeof data === 'object' && data !== null && 'code' in data ? String(data.code) : '';
  return WORDS[code] ?? reason(error).replace(/\.$/, '');
}
