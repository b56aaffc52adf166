/** Servers that misbehave: each ends in words for its client, together with all its processes, and alone. */
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { test } from 'node:test';
import { call } from '../../test/raw-client.ts';
import { callOf, INITIALIZE, type LogLine, type Message, runs, startTestHost, type TestHost } from './scripted-host.ts';

const LIMIT = { timeout: 20_000 };
const codeOf = (messages: readonly Message[]): unknown[] => {
  const error = messages.at(-1)?.error;
  return [error?.code, error?.data?.code, error?.data?.fate];
};

/** The numbers of a stubborn server and its own child, both of which ignore SIGTERM. */
async function startStubborn(host: TestHost): Promise<{ headers: Record<string, string>; pids: number[] }> {
  const { headers } = await host.open();
  const { messages } = await host.send(callOf(1), headers);
  return { headers, pids: messages[0]?.result?.pids as number[] };
}

test('DELETE ends a server that ignores SIGTERM, and its own child', LIMIT, async () => {
  await using host = await startTestHost('stubborn', { children: 1 });
  const { headers, pids } = await startStubborn(host);
  assert.deepEqual(pids.map(runs), [true, true]);
  await fetch(host.url, { method: 'DELETE', headers });
  // It counts until it is gone.
  const refused = await host.send(INITIALIZE);
  assert.deepEqual([refused.status, refused.headers.get('retry-after')], [503, '1']);
  assert.equal(codeOf(refused.messages)[1], 'too_many_children');
  while ((await host.send(INITIALIZE)).status === 503);
  assert.deepEqual(pids.map(runs), [false, false]);
});

test('stopping ends all of them before it is done, and says so to those who wait', LIMIT, async () => {
  const host = await startTestHost('stubborn');
  const one = await startStubborn(host);
  const two = await startStubborn(host);
  const silent = await startTestHost('silent');
  const waiting = silent.send(INITIALIZE);
  await silent.line('stdio_child_started');
  await Promise.all([host.close(), silent.close()]);
  assert.deepEqual([...one.pids, ...two.pids].map(runs), [false, false, false, false]);
  assert.deepEqual(codeOf((await waiting).messages), [-32005, 'host_stopped', 'outcome_withheld']);
});

test('idle time ends a server, and a request that is awaited does not let it be idle', LIMIT, async () => {
  await using host = await startTestHost('told', { idle: 200 });
  const { headers } = await host.open();
  const waiting = call(host.url, { token: '', headers, body: JSON.stringify(callOf(1)) });
  // The second one has nobody who waits; its time begins later and ends first.
  await host.open();
  await host.line('stdio_child_ended', ({ reason, child }) => reason === 'idle' && child === 2);
  assert.ok(!host.logged.some(({ event, child }) => event === 'stdio_child_ended' && child === 1));
  waiting.abort();
  await host.line('stdio_child_ended', ({ reason, child }) => reason === 'idle' && child === 1);
  assert.equal((await host.send(callOf(2), headers)).status, 404);
});

test('a server that exits is told of, and its session is gone', LIMIT, async () => {
  await using host = await startTestHost('exits');
  const reply = await host.send(INITIALIZE);
  assert.equal(reply.headers.get('mcp-session-id'), null);
  assert.deepEqual([reply.status, ...codeOf(reply.messages)], [200, -32013, 'exited', 'outcome_withheld']);
  assert.match(reply.text, /exit code was 7/);
});

test('a server that exits is told of before its own child, which holds the pipes, is ended', LIMIT, async () => {
  const host = await startTestHost('exitsLater', {}, { grace: 3000 });
  const { headers } = await host.open();
  const { messages } = await host.send(callOf(1), headers);
  assert.deepEqual(codeOf(messages), [-32013, 'exited', 'outcome_withheld']);
  assert.equal((await host.send(callOf(2), headers)).status, 404);
  const { text } = await host.line('stdio_stderr');
  assert.equal(runs(Number(text)), true);
  await host.close();
  assert.equal(runs(Number(text)), false);
});

test('what can not be started is told of, without its path', LIMIT, async () => {
  const program = { command: '/nonexistent/server', args: [], env: {}, grace: 100 };
  await using host = await startTestHost('', {}, { program });
  const { text, messages } = await host.send(INITIALIZE);
  assert.deepEqual(codeOf(messages), [-32010, 'not_started', 'not_forwarded']);
  assert.ok(!text.includes('nonexistent'));
});

test('a server that refuses the handshake leaves no session and no child', LIMIT, async () => {
  await using host = await startTestHost('refuses');
  const { status, headers, messages } = await host.send(INITIALIZE);
  assert.deepEqual([status, headers.get('mcp-session-id'), messages[0]?.error?.code], [200, null, -32602]);
  await host.line('stdio_child_ended', ({ reason }) => reason === 'handshake_refused');
});

test('a server that says nothing is ended at its start limit', LIMIT, async () => {
  await using host = await startTestHost('silent', { startLimit: 200 });
  const { messages } = await host.send(INITIALIZE);
  assert.deepEqual(codeOf(messages), [-32012, 'start_limit', 'outcome_withheld']);
});

test('a line without end is cut off at 16 MiB, and other servers go on', LIMIT, async () => {
  await using host = await startTestHost('endless');
  const other = await host.open();
  const { headers } = await host.open();
  const { messages } = await host.send(callOf(1), headers);
  assert.deepEqual(codeOf(messages), [-32015, 'line_limit', 'outcome_withheld']);
  const told = await host.send({ jsonrpc: '2.0', method: 'notifications/initialized' }, other.headers);
  assert.equal(told.status, 202);
});

test('a server that closes its output is ended', LIMIT, async () => {
  await using host = await startTestHost('hangsUp');
  const { headers } = await host.open();
  assert.equal(codeOf((await host.send(callOf(1), headers)).messages)[1], 'closed_stream');
});

test('memory counts with that of its own children', { ...LIMIT, skip: process.platform !== 'linux' }, async () => {
  await using host = await startTestHost('memory', { memory: 320 * 1024 ** 2 });
  const { headers } = await host.open();
  const { messages } = await host.send(callOf(1), headers);
  assert.deepEqual(codeOf(messages), [-32015, 'memory_limit', 'outcome_withheld']);
});

test('a flood of stderr is cut and counted', LIMIT, async () => {
  await using host = await startTestHost('floodsStderr');
  const { headers } = await host.open();
  await host.send(callOf(1), headers);
  await fetch(host.url, { method: 'DELETE', headers });
  await host.line('stdio_stderr_dropped');
  const lines = host.logged.filter(({ event }) => event === 'stdio_stderr');
  assert.ok(lines.length >= 100 && lines.length < 1000);
  assert.equal(String(lines[0]?.text).length, 8192);
  assert.equal(lines[1]?.text, 'line 0 \u001b[31m');
});

test('a server that does not read is refused more in words', LIMIT, async () => {
  await using host = await startTestHost('deaf');
  const { headers } = await host.open();
  const large = { jsonrpc: '2.0', method: 'notifications/message', params: { data: 'x'.repeat(10 * 1024 ** 2) } };
  const statuses: number[] = [];
  for (let i = 0; i < 3; i++) statuses.push((await host.send(large, headers)).status);
  assert.deepEqual(statuses, [202, 503, 503]);
});

test('a slow client holds its server back instead of filling the memory of the host', LIMIT, async () => {
  await using host = await startTestHost('pours');
  const { headers } = await host.open();
  const slow = request(host.url, {
    method: 'POST',
    agent: false,
    headers: { ...headers, 'content-type': 'application/json', accept: 'text/event-stream' },
  });
  const response = new Promise<NodeJS.ReadableStream>((done) => slow.on('response', done));
  slow.end(JSON.stringify(callOf(1, {}, 1)));
  const incoming = await response;
  // Nothing reads: what fits into sockets and 8 MiB is far from the 32 MiB that the server wants to say. Meanwhile
  // another one, begun later, says all of it.
  const other = await host.open();
  await host.send(callOf(1, {}, 1), other.headers);
  const isPoured = ({ text, child }: LogLine): boolean => text === 'poured' && child === 1;
  assert.ok(!host.logged.some(isPoured));
  const poured = host.line('stdio_stderr', isPoured);
  let size = 0;
  for await (const chunk of incoming) size += chunk.length;
  await poured;
  assert.ok(size > 32 * 1024 ** 2);
});

test('a server gets the named environment and no other', LIMIT, async () => {
  await using host = await startTestHost('environment', {}, { env: { ORDERS_KEY: 'k' } });
  const { headers } = await host.open();
  const { messages } = await host.send(callOf(1), headers);
  const { ORDERS_KEY, ...others } = messages[0]?.result ?? {};
  assert.equal(ORDERS_KEY, 'k');
  assert.deepEqual(
    Object.keys(others).filter((name) => name in process.env && !name.startsWith('__')),
    [],
  );
});
