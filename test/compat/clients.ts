/** Real clients, each in front of the demo's server, through a gateway of its own. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startOrders } from '../../demo/orders.ts';
import { startGatewayInFrontOf } from '../gateway-under-test.ts';
import { type ConnectClient, connectSdk1, connectSdk2 } from '../official-clients.ts';
import { type Command, converse, createHome, run } from './child.ts';
import { startModel } from './model.ts';
import { type Observed, observe } from './observed.ts';
import type { Scenario } from './scenario.ts';
import { install, packageVersion, type Tool } from './tools.ts';

/** What every client asks, and the word that shows that it was told: beyond ASCII, so that bytes count. */
const WORD = 'grüezi';
const INPUT = { sql: `select '${WORD}' as word` };

interface Place {
  readonly url: string;
  readonly token: string;
  /** The client's home directory. */
  readonly home: string;
}

interface ClientScenario extends Omit<Scenario, 'run'> {
  /** Calls the tool as a person would have it called. `said` is what the client showed of the answer. */
  call(place: Place): Promise<{ version: string; said: string }>;
}

function scenario({ call, ...about }: ClientScenario): Scenario {
  return {
    ...about,
    async run() {
      await using stack = new AsyncDisposableStack();
      const home = stack.use(await createHome());
      const orders = stack.adopt(await startOrders({ port: 0 }), ({ close }) => close());
      const gateway = stack.adopt(await startGatewayInFrontOf(orders.url), ({ close }) => close());
      const { version, said } = await call({ url: gateway.url, token: gateway.token, home: home.path });
      if (!said.includes(WORD)) throw new Error(`It was not told the answer: ${said.slice(0, 500)}`);
      return { version, ...worked(await observe(gateway)) };
    },
  };
}

/** The recording's word against the client's: nothing failed on the way. */
export function worked(observed: Observed): Observed {
  if (observed.failures.length > 0) throw new Error(observed.failures.join('; '));
  return observed;
}

const npm = (folder: string, name: string): string => join(folder, 'node_modules', name);

function typescript(name: string, id: string, title: string, connect: ConnectClient, notes: string): Scenario {
  return scenario({
    id,
    title,
    notes,
    tools: [],
    async call({ url, token }) {
      const client = await connect(url, token);
      try {
        await client.listTools();
        return { version: rootVersion(name), said: await client.callTool('query', INPUT) };
      } finally {
        await client.close();
      }
    },
  });
}

/** The version of a package that Verbatim itself depends on. */
export const rootVersion = (name: string): string =>
  packageVersion(fileURLToPath(new URL(`../../node_modules/${name}`, import.meta.url)));

/** A program that makes one call and tells `{version, text}`. */
function program(id: string, title: string, tool: Tool, command: (folder: string) => Partial<Command>, notes: string) {
  return (...options: [mode: string]): Scenario =>
    scenario({
      id,
      title,
      notes,
      tools: [tool],
      async call({ url, token, home }) {
        const { command: executable = '', args = [], env } = command(await install(tool));
        const given = [...args, url, ...options, 'query', JSON.stringify(INPUT)];
        const out = await run({ command: executable, args: given, env: { TOKEN: token, ...env }, home });
        const { version, text } = JSON.parse(out) as { version: string; text: string };
        return { version, said: text };
      },
    });
}

const python = (id: string, title: string, notes: string) =>
  program(
    id,
    title,
    'python',
    (folder) => ({
      command: 'python3',
      args: ['-B', join(import.meta.dirname, 'python', 'client.py')],
      env: { PYTHONPATH: folder, PYTHONUTF8: '1' },
    }),
    notes,
  );

const go = (id: string, title: string, notes: string) =>
  program(id, title, 'go', (folder) => ({ command: join(folder, 'client') }), notes);

function inspector(id: string, era: 'legacy' | 'modern', notes: string): Scenario {
  return scenario({
    id,
    title: `Inspector CLI, \`--protocol-era ${era}\``,
    notes,
    tools: ['inspector'],
    async call({ url, token, home }) {
      const folder = await install('inspector');
      const called = ['--method', 'tools/call', '--tool-name', 'query', '--tool-args-json', JSON.stringify(INPUT)];
      const connection = ['--cli', url, '--transport', 'http', '--protocol-era', era, '--stored-auth-only'];
      const header = ['--header', `Authorization: Bearer ${token}`];
      const said = await run({
        command: join(folder, 'node_modules', '.bin', 'mcp-inspector'),
        args: [...connection, ...called, ...header, '--format', 'json'],
        home,
      });
      return { version: packageVersion(npm(folder, '@modelcontextprotocol/inspector')), said };
    },
  });
}

function remote(id: string, protocol: 'legacy' | 'auto', notes: string): Scenario {
  return scenario({
    id,
    title: `mcp-remote, \`--protocol ${protocol}\``,
    notes,
    tools: ['mcp-remote'],
    async call({ url, token, home }) {
      const folder = await install('mcp-remote');
      await using client = converse({
        command: join(folder, 'node_modules', '.bin', 'mcp-remote'),
        // The header's value comes from the environment: on a command line every process of the host could read it.
        args: [url, '--header', 'Authorization:$' + '{AUTH}', '--transport', 'http-only', '--protocol', protocol],
        env: { AUTH: `Bearer ${token}`, MCP_REMOTE_CONFIG_DIR: join(home, 'mcp-remote') },
        home,
      });
      const clientInfo = { name: 'a-host', version: '1.0.0' };
      await client.ask('initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo });
      client.notify('notifications/initialized');
      const answer = await client.ask('tools/call', { name: 'query', arguments: INPUT });
      return { version: packageVersion(npm(folder, 'mcp-remote')), said: JSON.stringify(answer) };
    },
  });
}

/** As docs/clients.md has it: the agents put the variable in its place themselves. */
const fromEnvironment = 'Bearer $' + '{VERBATIM_TOKEN}';

/** Neither updates nor telemetry: https://code.claude.com/docs/en/data-usage */
const claudeEnv = (home: string): Record<string, string> => ({
  CLAUDE_CONFIG_DIR: join(home, 'claude'),
  CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
  DISABLE_AUTOUPDATER: '1',
  DISABLE_TELEMETRY: '1',
  DISABLE_ERROR_REPORTING: '1',
});

/** The program itself: the package's own launcher is put in place by an install script. */
const claudeBinary = (folder: string): string =>
  join(npm(folder, `@anthropic-ai/claude-code-${process.platform}-${process.arch}`), 'claude');

const claudeCode = scenario({
  id: 'claude-code',
  title: '[Claude Code](#claude-code)',
  notes:
    '`claude -p` with a scripted model on loopback. Opens with `server/discover` and keeps a `subscriptions/listen`.',
  tools: ['claude-code'],
  async call({ url, token, home }) {
    const folder = await install('claude-code');
    await using model = await startModel(INPUT);
    const orders = { type: 'http', url, headers: { Authorization: fromEnvironment } };
    await writeFile(join(home, 'mcp.json'), JSON.stringify({ mcpServers: { orders } }));
    const tools = ['--strict-mcp-config', '--mcp-config', 'mcp.json', '--allowedTools', 'mcp__orders__query'];
    const said = await run({
      command: claudeBinary(folder),
      args: ['-p', 'Ask the orders server.', ...tools],
      env: {
        ...claudeEnv(home),
        ENABLE_TOOL_SEARCH: 'false',
        VERBATIM_TOKEN: token,
        ANTHROPIC_BASE_URL: model.url,
        ANTHROPIC_API_KEY: 'scripted',
      },
      home,
    });
    return { version: packageVersion(npm(folder, '@anthropic-ai/claude-code')), said };
  },
});

const geminiCli = scenario({
  id: 'gemini-cli',
  title: '[Gemini CLI](#gemini-cli)',
  notes: '`gemini -p` with a scripted model on loopback. Sends no `MCP-Protocol-Version`.',
  tools: ['gemini-cli'],
  async call({ url, token, home }) {
    const folder = await install('gemini-cli');
    await using model = await startModel(INPUT);
    await mkdir(join(home, '.gemini'));
    const settings = {
      mcpServers: { orders: { httpUrl: url, headers: { Authorization: fromEnvironment }, trust: true } },
      security: { auth: { selectedType: 'gemini-api-key' } },
      // No usage statistics, no telemetry, no update: https://github.com/google-gemini/gemini-cli docs/reference/configuration.md
      privacy: { usageStatisticsEnabled: false },
      telemetry: { enabled: false },
      general: { enableAutoUpdate: false, enableAutoUpdateNotification: false },
    };
    await writeFile(join(home, '.gemini', 'settings.json'), JSON.stringify(settings));
    const said = await run({
      command: join(folder, 'node_modules', '.bin', 'gemini'),
      args: ['-m', 'gemini-2.5-flash', '-p', 'Ask the orders server.'],
      env: {
        VERBATIM_TOKEN: token,
        GEMINI_CLI_TRUST_WORKSPACE: 'true',
        GOOGLE_GEMINI_BASE_URL: model.url,
        GEMINI_API_KEY: 'scripted',
      },
      home,
    });
    return { version: packageVersion(npm(folder, '@google/gemini-cli')), said };
  },
});

const codex = scenario({
  id: 'codex',
  title: '[Codex](#codex)',
  notes: 'The `mcpServer/tool/call` of `codex app-server`, which asks no model.',
  tools: ['codex'],
  async call({ url, token, home }) {
    const folder = await install('codex');
    const config = [
      'model_provider = "nowhere"',
      'check_for_update_on_startup = false',
      '[analytics]',
      'enabled = false',
      '[model_providers.nowhere]',
      'name = "nowhere"',
      'base_url = "http://127.0.0.1:9"',
      '[mcp_servers.orders]',
      `url = "${url}"`,
      'bearer_token_env_var = "ORDERS_TOKEN"',
    ];
    await mkdir(join(home, 'codex'));
    await writeFile(join(home, 'codex', 'config.toml'), config.join('\n'));
    await using app = converse({
      command: join(folder, 'node_modules', '.bin', 'codex'),
      args: ['app-server'],
      env: { CODEX_HOME: join(home, 'codex'), ORDERS_TOKEN: token },
      home,
    });
    await app.ask('initialize', { clientInfo: { name: 'compat', version: '1.0.0' } });
    app.notify('initialized');
    const started = await app.ask('thread/start', { cwd: home });
    const threadId = (started.result as { thread: { id: string } }).thread.id;
    const answer = await app.ask('mcpServer/tool/call', {
      threadId,
      server: 'orders',
      tool: 'query',
      arguments: INPUT,
    });
    return { version: packageVersion(npm(folder, '@openai/codex')), said: JSON.stringify(answer) };
  },
});

export const clients: readonly Scenario[] = [
  claudeCode,
  codex,
  geminiCli,
  inspector('inspector', 'legacy', 'The default.'),
  inspector('inspector-modern', 'modern', ''),
  remote('mcp-remote', 'legacy', 'The default. Asks with two `GET`s first whether a token is needed.'),
  remote('mcp-remote-auto', 'auto', ''),
  typescript('@modelcontextprotocol/sdk', 'sdk1', 'TypeScript SDK 1.x', connectSdk1, ''),
  typescript(
    '@modelcontextprotocol/client',
    'sdk2',
    'TypeScript SDK 2.x, `legacy`',
    connectSdk2('legacy'),
    'The default.',
  ),
  typescript('@modelcontextprotocol/client', 'sdk2-auto', 'TypeScript SDK 2.x, `auto`', connectSdk2('auto'), ''),
  typescript(
    '@modelcontextprotocol/client',
    'sdk2-pinned',
    'TypeScript SDK 2.x, pinned',
    connectSdk2({ pin: '2026-07-28' }),
    '',
  ),
  python('python', 'Python SDK, `auto`', 'The default.')('auto'),
  python('python-legacy', 'Python SDK, `legacy`', '')('legacy'),
  go('go', 'Go SDK', 'The default.')(''),
  go('go-legacy', 'Go SDK, `ProtocolVersion: "2025-11-25"`', '')('2025-11-25'),
];
