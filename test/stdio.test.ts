/** Official clients of both eras talk through the stdio host with official stdio servers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createLog } from '../gateway/log.ts';
import { type StdioHost, startStdioHost } from '../gateway/stdio/host.ts';
import { startGatewayInFrontOf } from './gateway-under-test.ts';
import { type ConnectClient, connectSdk1, connectSdk2, modelSays, userSays } from './official-clients.ts';
import { startSigningGateway } from './signing-gateway.ts';
import { STDIO_SERVER } from './stdio-server.ts';

const EVERYTHING = fileURLToPath(import.meta.resolve('@modelcontextprotocol/server-everything/dist/index.js'));
const EXAMPLE = { path: '/mcp', identityHeader: 'X-Verbatim-Identity', host: '127.0.0.1', port: 0 };
const LIMITS = { children: 16, idle: 60_000, startLimit: 20_000, memory: 1024 ** 3 };

interface Logged {
  readonly event: string;
  readonly text?: string;
}

/** The log of a host, and a way to wait for a line of it. */
function createWatchedLog() {
  const lines: Logged[] = [];
  let look = (): void => {};
  const log = createLog({
    write(line) {
      lines.push(JSON.parse(line));
      look();
    },
  });
  const until = (condition: (line: Logged) => boolean): Promise<void> =>
    new Promise((done) => {
      look = () => {
        if (lines.some(condition)) done();
      };
      look();
    });
  return { log, lines, until };
}

async function startHost(
  stack: AsyncDisposableStack,
  args: readonly string[],
  options: { gateway?: { url: string; connection: string } } = {},
): Promise<StdioHost & { logged: ReturnType<typeof createWatchedLog> }> {
  const program = { command: process.execPath, args, env: { PATH: process.env.PATH ?? '' }, grace: 5000 };
  const logged = createWatchedLog();
  const host = await startStdioHost({ ...EXAMPLE, program, limits: LIMITS, log: logged.log, ...options });
  return { ...stack.adopt(host, ({ close }) => close()), logged };
}

async function startBehindGateway(stack: AsyncDisposableStack) {
  const gateway = stack.adopt(await startSigningGateway(), ({ close }) => close());
  const at = { url: gateway.url, connection: 'orders' };
  const host = await startHost(stack, [STDIO_SERVER], { gateway: at });
  return { gateway, host, url: `${gateway.url}/mcp` };
}

const MODERN = { pin: '2026-07-28' };
const asking = {
  session: { sampling: 'test_sampling', elicitation: 'test_elicitation' },
  stateless: {
    sampling: 'test_input_required_result_sampling',
    elicitation: 'test_input_required_result_elicitation',
  },
};

const kinds: { name: string; connect: ConnectClient; revision: string; tools: typeof asking.session }[] = [
  { name: 'SDK 1', connect: connectSdk1, revision: '2025-11-25', tools: asking.session },
  { name: 'SDK 2 legacy', connect: connectSdk2('legacy'), revision: '2025-11-25', tools: asking.session },
  { name: 'SDK 2 auto', connect: connectSdk2('auto'), revision: '2026-07-28', tools: asking.stateless },
  { name: 'SDK 2 pinned', connect: connectSdk2(MODERN), revision: '2026-07-28', tools: asking.stateless },
];

for (const { name, connect, revision, tools } of kinds) {
  test(`${name} holds a whole conversation with a stdio server`, { timeout: 30_000 }, async (t) => {
    await using stack = new AsyncDisposableStack();
    const { gateway, host, url } = await startBehindGateway(stack);
    gateway.pass(host.url, () => 'session-1');
    const client = stack.adopt(await connect(url, 'unused'), ({ close }) => close());

    await t.test('agrees on the revision', () => {
      assert.deepEqual([client.revision, client.server], [revision, 'verbatim-stdio-fixture']);
    });
    await t.test('lists and calls tools', async () => {
      assert.ok((await client.listTools()).includes('test_simple_text'));
      assert.equal(await client.callTool('test_simple_text', {}), 'This is a simple text response for testing.');
    });
    await t.test('hears progress in order', async () => {
      const progress: number[] = [];
      await client.callTool('test_tool_with_progress', {}, progress);
      assert.deepEqual(progress, [0, 50, 100]);
    });
    await t.test('answers sampling and elicitation', async () => {
      assert.match(await client.callTool(tools.sampling, { prompt: 'The capital of France?' }), new RegExp(modelSays));
      assert.match(await client.callTool(tools.elicitation, { message: 'Who?' }), new RegExp(userSays.name, 'i'));
    });
    await t.test('reads resources, prompts and completions', async () => {
      assert.ok(await client.readText('test://template/7/data'));
      assert.ok(await client.getPrompt('test_prompt_with_arguments', { arg1: 'a', arg2: 'b' }));
      assert.deepEqual(await client.complete('test_prompt_with_arguments', 'arg1', 'par'), ['paris', 'park']);
    });
    await t.test('hears that a resource changed', async () => {
      const updated = Promise.withResolvers<string>();
      let heard = false;
      await client.subscribe('test://watched-resource', (uri) => {
        heard = true;
        updated.resolve(uri);
      });
      while (!heard) await client.callTool('test_trigger_resource_update', {});
      assert.equal(await updated.promise, 'test://watched-resource');
    });
  });
}

test('server-everything, on SDK 1, answers a client without any gateway', { timeout: 30_000 }, async () => {
  await using stack = new AsyncDisposableStack();
  const host = await startHost(stack, [EVERYTHING, 'stdio']);
  // `auto` asks for a stateless conversation first, is refused in a way that it understands, and initializes.
  for (const connect of [connectSdk1, connectSdk2('auto')]) {
    const client = stack.adopt(await connect(host.url, 'unused'), ({ close }) => close());
    assert.equal(await client.callTool('echo', { message: 'hi' }), 'Echo: hi');
  }
});

test('a client that asks first goes on with a server that knows only sessions', { timeout: 30_000 }, async () => {
  await using stack = new AsyncDisposableStack();
  const gateway = stack.adopt(await startSigningGateway(), ({ close }) => close());
  const at = { url: gateway.url, connection: 'orders' };
  const host = await startHost(stack, [EVERYTHING, 'stdio'], { gateway: at });
  gateway.pass(host.url, () => 'session-1');
  const client = stack.adopt(await connectSdk2('auto')(`${gateway.url}/mcp`, 'unused'), ({ close }) => close());
  assert.equal(client.revision, '2025-11-25');
  assert.equal(await client.callTool('echo', { message: 'hi' }), 'Echo: hi');
  // The child that was only asked is not left behind.
  await host.logged.until(({ event }) => event === 'stdio_child_exited');
});

test('a whole gateway records a stdio server', { timeout: 30_000 }, async () => {
  await using stack = new AsyncDisposableStack();
  const host = await startHost(stack, [STDIO_SERVER]);
  const gateway = stack.adopt(await startGatewayInFrontOf(host.url), ({ close }) => close());
  const client = stack.adopt(await connectSdk1(gateway.url, gateway.token), ({ close }) => close());
  const progress: number[] = [];
  await client.callTool('test_tool_with_progress', {}, progress);
  assert.deepEqual(progress, [0, 50, 100]);
  assert.match(await client.callTool('test_sampling', { prompt: 'The capital of France?' }), /Paris/);
});

test('sessions never share a child; clients of one stateless session do', { timeout: 30_000 }, async () => {
  await using stack = new AsyncDisposableStack();
  const { gateway, host, url } = await startBehindGateway(stack);
  const pidOf = async (connect: ConnectClient, session: string): Promise<string> => {
    gateway.pass(host.url, () => session);
    const client = await connect(url, 'unused');
    return client.callTool('process', {});
  };
  const pids = [
    await pidOf(connectSdk1, 'session-1'),
    await pidOf(connectSdk1, 'session-1'),
    await pidOf(connectSdk2(MODERN), 'session-1'),
    await pidOf(connectSdk2(MODERN), 'session-2'),
  ];
  assert.equal(new Set(pids).size, 4);
  assert.equal(await pidOf(connectSdk2(MODERN), 'session-1'), pids[2]);
});

test('clients of one stateless session count alike and get their own answers', { timeout: 30_000 }, async () => {
  await using stack = new AsyncDisposableStack();
  const { gateway, host, url } = await startBehindGateway(stack);
  gateway.pass(host.url, () => 'session-1');
  const [one, two] = await Promise.all([connectSdk2(MODERN)(url, ''), connectSdk2(MODERN)(url, '')]);
  const heard: number[][] = [[], []];
  const texts = await Promise.all([
    one.callTool('test_tool_with_progress', {}, heard[0]),
    two.callTool('test_tool_with_progress', {}, heard[1]),
    one.callTool('test_simple_text', {}),
    two.callTool('process', {}),
  ]);
  assert.deepEqual(heard, [
    [0, 50, 100],
    [0, 50, 100],
  ]);
  assert.equal(texts[2], 'This is a simple text response for testing.');
  assert.match(texts[3] ?? '', /^\d+$/);
});
