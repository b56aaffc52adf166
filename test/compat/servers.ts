/** Real servers, each behind a gateway of its own, called by TypeScript's official SDK, which takes the best revision. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client, SSEClientTransport } from '@modelcontextprotocol/client';
import { startFixture } from '../conformance/fixture.ts';
import { freePort, startGatewayInFrontOf } from '../gateway-under-test.ts';
import { type ConnectClient, connectSdk2 } from '../official-clients.ts';
import { type Command, createHome, run, serve } from './child.ts';
import { rootVersion, worked } from './clients.ts';
import { startGoogleDouble } from './google.ts';
import { observe } from './observed.ts';
import type { Scenario } from './scenario.ts';
import { startSdk1Server } from './sdk1-server.ts';
import { install, packageVersion, type Tool } from './tools.ts';

interface Upstream {
  /** The address that the gateway is given: of the Streamable HTTP endpoint, or of the SSE stream. */
  readonly url: string;
  readonly version: string;
  /** Merged over the gateway's connection. */
  readonly connection?: Record<string, unknown>;
}

interface ServerScenario extends Omit<Scenario, 'run'> {
  start(stack: AsyncDisposableStack, home: string): Promise<Upstream>;
  readonly tool: string;
  readonly input: Record<string, unknown>;
  /** What the tool's text has to hold. */
  readonly expected: string;
}

function scenario({ start, tool, input, expected, ...about }: ServerScenario): Scenario {
  return {
    ...about,
    async run() {
      await using stack = new AsyncDisposableStack();
      const home = stack.use(await createHome());
      const { url, version, connection = {} } = await start(stack, home.path);
      const gateway = stack.adopt(await startGatewayInFrontOf(url, { connection }), ({ close }) => close());
      const connect = 'sse' in connection ? connectSse : connectSdk2('auto');
      const client = await connect(gateway.url, gateway.token);
      try {
        const names = await client.listTools();
        if (!names.includes(tool)) throw new Error(`It lists ${names.join(', ')}`);
        const said = await client.callTool(tool, input);
        if (!said.includes(expected)) throw new Error(`It said ${said.slice(0, 500)}`);
      } finally {
        await client.close();
      }
      return { version, ...worked(await observe(gateway)) };
    },
  };
}

/** The transport of 2024-11-05. */
const connectSse = async (...[url, token]: Parameters<ConnectClient>) => {
  const headers = { authorization: `Bearer ${token}` };
  const client = new Client({ name: 'verbatim-test', version: '1.0.0' });
  await client.connect(new SSEClientTransport(new URL(url), { requestInit: { headers } }));
  return {
    listTools: async () => (await client.listTools()).tools.map(({ name }) => name),
    async callTool(name: string, input: Record<string, unknown>) {
      return JSON.stringify((await client.callTool({ name, arguments: input })).content);
    },
    close: () => client.close(),
  };
};

const root = fileURLToPath(new URL('../..', import.meta.url));
const everything = join(root, 'node_modules', '@modelcontextprotocol', 'server-everything', 'dist', 'index.js');
const echo = { tool: 'echo', input: { message: 'grüezi 👋' }, expected: 'Echo: grüezi 👋' };
const greet = { tool: 'greet', input: { name: 'Ana 👋' }, expected: 'Grüezi Ana 👋' };

/** A connection to a server of 2024-11-05 has no path for Streamable HTTP. */
const sse = (messages: string) => ({ paths: undefined, sse: { path: '/sse', messages } });

async function startChild(stack: AsyncDisposableStack, command: (port: number) => Command): Promise<string> {
  const port = await freePort();
  stack.use(await serve(command(port), port));
  return `http://127.0.0.1:${port}`;
}

function serverEverything(id: string, title: string, transport: 'streamableHttp' | 'sse', notes: string): Scenario {
  return scenario({
    id,
    title,
    notes,
    tools: [],
    ...echo,
    async start(stack, home) {
      const origin = await startChild(stack, (port) => ({
        command: process.execPath,
        args: [everything, transport],
        env: { PORT: String(port) },
        home,
      }));
      const version = rootVersion('@modelcontextprotocol/server-everything');
      return transport === 'sse'
        ? { url: `${origin}/sse`, version, connection: sse('/message') }
        : { url: `${origin}/mcp`, version };
    },
  });
}

function python(id: string, title: string, tool: Tool, transport: 'streamable-http' | 'sse', notes: string): Scenario {
  return scenario({
    id,
    title,
    notes,
    tools: [tool],
    ...greet,
    async start(stack, home) {
      const env = { PYTHONPATH: await install(tool), PYTHONUTF8: '1' };
      const origin = await startChild(stack, (port) => ({
        command: 'python3',
        args: ['-B', join(import.meta.dirname, tool, 'server.py'), transport, String(port)],
        env,
        home,
      }));
      const ask = 'from importlib.metadata import version; print(version("mcp"))';
      const version = (await run({ command: 'python3', args: ['-B', '-c', ask], env, home })).trim();
      return transport === 'sse'
        ? { url: `${origin}/sse`, version, connection: sse('/messages/') }
        : { url: `${origin}/mcp`, version };
    },
  });
}

const sdk1 = scenario({
  id: 'sdk1',
  title: 'TypeScript SDK 1.x',
  notes: 'Without sessions, answers in JSON.',
  tools: [],
  ...greet,
  async start(stack) {
    const { url } = stack.use(await startSdk1Server());
    return { url, version: rootVersion('@modelcontextprotocol/sdk') };
  },
});

const sdk2 = scenario({
  id: 'sdk2',
  title: 'TypeScript SDK 2.x',
  notes: 'Both eras at one address: the conformance fixture.',
  tools: [],
  tool: 'test_simple_text',
  input: {},
  expected: 'This is a simple text response for testing.',
  async start(stack) {
    const { url } = stack.adopt(await startFixture({ port: 0 }), ({ close }) => close());
    return { url, version: rootVersion('@modelcontextprotocol/server') };
  },
});

const toolboxConfig = `
sources:
  numbers:
    kind: sqlite
    database: ":memory:"
tools:
  add:
    kind: sqlite-sql
    source: numbers
    description: Adds two numbers.
    parameters:
      - { name: a, type: integer, description: The first number. }
      - { name: b, type: integer, description: The second number. }
    statement: SELECT ? + ? AS total;
`;

const toolbox = scenario({
  id: 'toolbox',
  title: '[MCP Toolbox for Databases](#mcp-toolbox-for-databases)',
  notes: 'SQLite. Without sessions, answers in JSON, `GET` is 405.',
  tools: ['toolbox'],
  tool: 'add',
  input: { a: 19, b: 23 },
  expected: '"total":42',
  async start(stack, home) {
    const folder = join(await install('toolbox'), 'node_modules', '@toolbox-sdk', 'server-linux-x64');
    const config = join(home, 'tools.yaml');
    await writeFile(config, toolboxConfig);
    const origin = await startChild(stack, (port) => ({
      command: join(folder, 'bin', 'toolbox'),
      args: ['--config', config, '--disable-reload', '--disable-version-check', '--port', String(port)],
      home,
    }));
    return { url: `${origin}/mcp`, version: packageVersion(folder) };
  },
});

const google = scenario({
  id: 'google',
  title: '[Google’s remote servers](#googles-remote-servers)',
  notes: 'A double of their wire behaviour on loopback; the servers themselves: not run.',
  tools: [],
  tool: 'execute_sql',
  input: { projectId: 'p', query: "select 'grüezi'" },
  expected: 'grüezi',
  async start(stack, home) {
    const accessToken = 'ya29.of-the-connection';
    const file = join(home, 'access-token');
    await writeFile(file, accessToken, { mode: 0o400 });
    const { url } = stack.use(await startGoogleDouble(accessToken));
    return { url, version: 'double', connection: { credential: { bearer: `file:${file}` } } };
  },
});

const stdio = scenario({
  id: 'stdio',
  title: '[stdio](#stdio-servers): server-everything',
  notes: '`npx verbatim stdio` runs it.',
  tools: [],
  ...echo,
  async start(stack, home) {
    const origin = await startChild(stack, (port) => ({
      command: process.execPath,
      args: [
        join(root, 'gateway/cli/bin.js'),
        'stdio',
        '--listen',
        `127.0.0.1:${port}`,
        '--',
        process.execPath,
        everything,
      ],
      home,
    }));
    return { url: `${origin}/mcp`, version: rootVersion('@modelcontextprotocol/server-everything') };
  },
});

export const servers: readonly Scenario[] = [
  sdk1,
  sdk2,
  serverEverything('everything', 'server-everything', 'streamableHttp', 'On TypeScript SDK 1.x, with sessions.'),
  serverEverything('everything-sse', 'server-everything, SSE', 'sse', 'The transport of 2024-11-05.'),
  python('python', 'Python SDK 2.x', 'python', 'streamable-http', '`MCPServer`, both eras.'),
  python('python-sse', 'Python SDK 2.x, SSE', 'python', 'sse', 'The transport of 2024-11-05.'),
  python('fastmcp', 'FastMCP (Python SDK 1.x)', 'python-1', 'streamable-http', 'With sessions.'),
  python('fastmcp-sse', 'FastMCP (Python SDK 1.x), SSE', 'python-1', 'sse', 'The transport of 2024-11-05.'),
  toolbox,
  google,
  stdio,
];
