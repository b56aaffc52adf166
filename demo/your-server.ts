/** The visitor's own MCP server, as the command line of the demo names it: a second connection of its gateway. */
import { CommandError } from '../gateway/cli/context.ts';
import { reference } from '../gateway/config-values.ts';
import { readStdioCommand, startDemoStdioHost } from './stdio-host.ts';

export interface YourOptions {
  /** Its address, or the command of a stdio server. */
  readonly upstream?: string;
  readonly stdio?: string;
  /** Reference of the key that the server at `upstream` wants. */
  readonly bearer?: string;
  /** Names of variables that the stdio server gets. */
  readonly env?: readonly string[];
}

export interface YourServer {
  readonly url: URL;
  /** What its connection needs besides. */
  readonly settings: Record<string, unknown>;
  /** Where the log of its host is, for a stdio server. */
  readonly log?: string;
  close(): Promise<void>;
}

/** Starts it, where it has to be started. */
export type StartYours = (at: { port: number; gateway: string; log: string }) => Promise<YourServer>;

/**
 * How to have it; undefined where the visitor named none. Nothing is started yet.
 *
 * @throws CommandError what to write instead.
 */
export function readYours({ upstream, stdio, bearer, env }: YourOptions): StartYours | undefined {
  if (upstream !== undefined && stdio !== undefined) {
    throw new CommandError(2, 'Give one server of your own: --upstream or --stdio.');
  }
  if (env !== undefined && stdio === undefined) {
    throw new CommandError(2, '--env gives variables to a stdio server: add --stdio, or leave it out.');
  }
  if (bearer !== undefined && upstream === undefined) {
    throw new CommandError(2, '--bearer is the key of a server with an address: add --upstream, or leave it out.');
  }
  if (upstream !== undefined) {
    const url = readUpstream(upstream);
    const settings = bearer === undefined ? {} : { credential: { bearer: readBearer(bearer) } };
    return async () => ({ url, settings, close: async () => {} });
  }
  if (stdio === undefined) return undefined;
  const words = readStdioCommand(stdio, env ?? []);
  return async (at) => {
    const host = await startDemoStdioHost({ words, env: env ?? [], connection: 'yours', ...at });
    return { ...host, settings: { identityHeader: 'X-Verbatim-Identity' }, log: at.log };
  };
}

/** The words do not hold what was written: it may have a password in it. */
function readUpstream(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new CommandError(2, '--upstream takes the address of an MCP server, like http://127.0.0.1:9000/mcp.');
  }
  if (/[?#]/.test(text) || url.username !== '' || url.password !== '') {
    throw new CommandError(
      2,
      '--upstream takes an address without query, user or password. A key goes into a variable: --bearer env:NAME.',
    );
  }
  if (url.pathname === '/') {
    throw new CommandError(2, '--upstream takes a whole address: its path is missing, /mcp with most servers.');
  }
  return url;
}

function readBearer(text: string): string {
  const { success, data } = reference.safeParse(text);
  if (!success) {
    throw new CommandError(2, '--bearer takes a reference to a key, like env:API_KEY, and never the key itself.');
  }
  const name = data.startsWith('env:') ? data.slice(4) : undefined;
  if (name !== undefined && process.env[name] === undefined) {
    throw new CommandError(2, `--bearer env:${name}: the variable is not set here. Set it first: export ${name}=…`);
  }
  return data;
}
