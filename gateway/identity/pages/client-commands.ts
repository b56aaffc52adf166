/**
 * How each MCP client is told of a connection. No token is in any of it: the clients log in by themselves (OAuth).
 *
 * What is written here follows each maker's documentation; docs/clients.md says which of it was run.
 */

export type HowTo =
  /** One line for a POSIX shell. */
  | { readonly kind: 'command'; readonly text: string }
  /** Opens the client. */
  | { readonly kind: 'link'; readonly text: string; readonly href: string }
  /** What belongs into a file of that name. */
  | { readonly kind: 'json'; readonly file: string; readonly text: string }
  | { readonly kind: 'steps'; readonly steps: readonly string[] };

export interface ClientHowTo {
  readonly client: string;
  readonly ways: readonly HowTo[];
  /** What happens then. */
  readonly next: string;
}

/** As docs/clients.md was made with. Pinned, since a name alone runs whatever was published last. */
export const INSPECTOR = '@modelcontextprotocol/inspector@2.12.0';
export const MCP_REMOTE = 'mcp-remote@0.15.1';

/** For a connection of that name at that address. */
export function clientCommands(name: string, url: string): readonly ClientHowTo[] {
  return [
    {
      client: 'Claude Code',
      ways: [command('claude', 'mcp', 'add', '--scope', 'user', '--transport', 'http', name, url)],
      next: `In Claude Code type /mcp, choose ${name} and log in. The browser opens.`,
    },
    {
      client: 'Codex',
      ways: [command('codex', 'mcp', 'add', name, '--url', url)],
      next: `It opens the browser. Later, codex mcp login ${name} does.`,
    },
    {
      client: 'Gemini CLI',
      ways: [command('gemini', 'mcp', 'add', '--scope', 'user', '--transport', 'http', name, url)],
      next: `In Gemini CLI type /mcp auth ${name}. The browser opens.`,
    },
    {
      client: 'Cursor',
      ways: [
        { kind: 'link', text: 'Add to Cursor', href: cursorLink(name, url) },
        json('~/.cursor/mcp.json', { mcpServers: { [name]: { url } } }),
      ],
      next: 'The link opens Cursor, which asks before it adds anything. Or write the file yourself. Then log in from Settings, MCP.',
    },
    {
      client: 'VS Code',
      ways: [
        { kind: 'link', text: 'Add to VS Code', href: vscodeLink(name, url) },
        json('.vscode/mcp.json', { servers: { [name]: { type: 'http', url } } }),
      ],
      next: 'The link opens VS Code, which asks before it adds anything. Or write the file yourself. The browser opens when the server starts.',
    },
    {
      client: 'claude.ai',
      ways: [
        {
          kind: 'steps',
          steps: [
            'Open Customize, then Connectors.',
            'Choose Add custom connector.',
            `Give it the name ${name} and the address ${url}`,
            'Choose Connect, and log in.',
          ],
        },
      ],
      next: 'claude.ai calls from its own addresses: the gateway has to be reachable from there.',
    },
    {
      client: 'MCP Inspector',
      ways: [command('npx', '-y', INSPECTOR, '--server-url', url, '--transport', 'http')],
      next: 'Open the address that it prints and choose Connect. Needs Node 22.19 or newer.',
    },
    {
      client: 'Any client that speaks stdio alone',
      ways: [
        json('its configuration', {
          mcpServers: { [name]: { command: 'npx', args: ['-y', MCP_REMOTE, url, '--transport', 'http-only'] } },
        }),
      ],
      next: 'mcp-remote stands in between and opens the browser when the client starts it.',
    },
  ];
}

/** A word of a POSIX shell command that arrives as it is, whatever is in it. */
export function shellWord(word: string): string {
  // `~` at the beginning and `=` in the first word would mean something; neither is needed bare.
  return /^[A-Za-z0-9_@%+:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

function command(...words: readonly string[]): HowTo {
  return { kind: 'command', text: words.map(shellWord).join(' ') };
}

function json(file: string, content: unknown): HowTo {
  return { kind: 'json', file, text: JSON.stringify(content, null, 2) };
}

/** https://cursor.com/docs/mcp/install-links: the transport's JSON in base64. */
function cursorLink(name: string, url: string): string {
  const config = Buffer.from(JSON.stringify({ url })).toString('base64');
  return `cursor://anysphere.cursor-deeplink/mcp/install?name=${encodeURIComponent(name)}&config=${encodeURIComponent(config)}`;
}

/** https://code.visualstudio.com/docs/copilot/guides/mcp-developer-guide, "MCP URL handler": what `--add-mcp` takes. */
function vscodeLink(name: string, url: string): string {
  return `vscode:mcp/install?${encodeURIComponent(JSON.stringify({ name, type: 'http', url }))}`;
}
