import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { callOf, INITIALIZE, messagesIn, runs } from '../stdio/scripted-host.ts';
import { SCRIPTED_SERVER } from '../stdio/scripted-server.ts';
import { CommandError } from './context.ts';
import { readStdioOptions, type StdioOptions } from './stdio.ts';

const BIN = fileURLToPath(new URL('./bin.js', import.meta.url));
const DEFAULTS: StdioOptions = {
  listen: '127.0.0.1:8090',
  path: '/mcp',
  identityHeader: 'X-Verbatim-Identity',
  idle: '10m',
  startLimit: '20s',
  memory: '512MiB',
  children: '32',
};
const ENV = { PATH: process.env.PATH, KEY: 'value', SECRET: 'no' };
const COMMAND = [process.execPath, 'server.js', '--flag; rm -rf /'];

test('reads what the host is started with', () => {
  const gateway = { gateway: 'https://mcp.example.com/', connection: 'orders' };
  const read = readStdioOptions(ENV, COMMAND, { ...DEFAULTS, ...gateway, listen: '[::]:0', env: ['KEY'] });
  assert.deepEqual(read, {
    host: '::',
    port: 0,
    path: '/mcp',
    program: {
      command: process.execPath,
      args: ['server.js', '--flag; rm -rf /'],
      env: { PATH: process.env.PATH, KEY: 'value' },
      grace: 5000,
    },
    limits: { children: 32, idle: 600_000, startLimit: 20_000, memory: 512 * 1024 ** 2 },
    gateway: { url: 'https://mcp.example.com', connection: 'orders' },
    identityHeader: 'X-Verbatim-Identity',
  });
});

test('what can not be meant is refused with what to write', async (t) => {
  const wrong: [string, Partial<StdioOptions>, string[]?][] = [
    ['no command', {}, []],
    ['a command that is not there', {}, ['no-such-program-here']],
    ['a path that is not there', {}, ['./no/such/program']],
    ['a folder', {}, ['/']],
    ['no program', {}, [SCRIPTED_SERVER]],
    ['a value with --env', { env: ['KEY=value'] }],
    ['an unset variable', { env: ['UNSET'] }],
    ['no port', { listen: '127.0.0.1' }],
    ['a port beyond', { listen: '127.0.0.1:70000' }],
    ['a gateway alone', { gateway: 'https://mcp.example.com' }],
    ['a connection alone', { connection: 'orders' }],
    ['a gateway without TLS', { gateway: 'http://mcp.example.com', connection: 'orders' }],
    ['a connection that is no name', { gateway: 'https://mcp.example.com', connection: 'Or ders' }],
    ['a number without unit', { idle: '10' }],
    ['no time at all', { startLimit: '0s' }],
    ['too long a time', { idle: '30d' }],
    ['no memory', { memory: '0B' }],
    ['no children', { children: '0' }],
    ['the path of the probe', { path: '/healthz' }],
    ['a header that is none', { identityHeader: 'X Y' }],
  ];
  for (const [name, options, command] of wrong) {
    await t.test(name, () =>
      assert.throws(
        () => readStdioOptions(ENV, command ?? COMMAND, { ...DEFAULTS, ...options }),
        (error) => error instanceof CommandError && error.exitCode === 2,
      ),
    );
  }
});

test('the command says what is missing, and where it may not listen', () => {
  const run = (...args: string[]) => spawnSync(process.execPath, [BIN, 'stdio', ...args], { timeout: 20_000 });
  const missing = run();
  assert.equal(missing.status, 2);
  assert.match(missing.stderr.toString(), /after --/);
  const open = run('--listen', '0.0.0.0:0', '--', process.execPath);
  assert.equal(open.status, 1);
  assert.match(open.stderr.toString(), /--gateway/);
  assert.match(run('--help').stdout.toString(), /Examples:/);
});

test('a port that is taken is changed with --listen, not in a configuration', async (t) => {
  const taken = createServer().listen(0, '127.0.0.1');
  t.after(() => taken.close());
  await once(taken, 'listening');
  const { port } = taken.address() as AddressInfo;
  const args = [BIN, 'stdio', '--listen', `127.0.0.1:${port}`, '--', process.execPath];
  const ran = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 20_000 });
  assert.equal(ran.status, 1);
  assert.match(
    ran.stderr,
    new RegExp(
      `^verbatim: 127\\.0\\.0\\.1:${port} is in use\\. Stop what listens there, or choose another with --listen\\.\n`,
    ),
  );
});

test('SIGTERM ends every process before the host; a second one at once', { timeout: 30_000 }, async (t) => {
  const ways: [string, NodeJS.Signals[], (milliseconds: number) => boolean][] = [
    ['one', ['SIGTERM'], (milliseconds) => milliseconds > 4500],
    ['two', ['SIGTERM', 'SIGINT'], (milliseconds) => milliseconds < 4000],
  ];
  for (const [name, signals, inTime] of ways) {
    await t.test(name, async () => {
      const args = [BIN, 'stdio', '--listen', '127.0.0.1:0', '--json', '--env', 'KEY', '--'];
      const host = spawn(process.execPath, [...args, process.execPath, SCRIPTED_SERVER, 'stubborn'], {
        stdio: ['ignore', 'pipe', 'ignore'],
        env: ENV,
      });
      const exit = once(host, 'exit');
      const lines = createInterface({ input: host.stdout })[Symbol.asyncIterator]();
      const { url } = JSON.parse((await lines.next()).value ?? '');
      const send = async (body: unknown, id = '') => {
        const headers = { 'content-type': 'application/json', ...(id === '' ? {} : { 'mcp-session-id': id }) };
        return fetch(url, { method: 'POST', headers, body: JSON.stringify(body) });
      };
      const id = (await send(INITIALIZE)).headers.get('mcp-session-id') ?? '';
      const [answer] = messagesIn(await (await send(callOf(1), id)).text());
      const pids = answer?.result?.pids as number[];
      assert.deepEqual(pids.map(runs), [true, true]);
      const asked = performance.now();
      for (const signal of signals) host.kill(signal);
      await exit;
      assert.ok(inTime(performance.now() - asked));
      // A process that was just killed takes a moment to be gone.
      while (name === 'two' && pids.some(runs)) await new Promise(setImmediate);
      assert.deepEqual(pids.map(runs), [false, false]);
    });
  }
});
