/** Freezing, as an operator in a hurry does it: the real command beside running gateways. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { uuidv7 } from 'uuidv7';
import { type GatewayUnderTest, startGatewayInFrontOf } from './gateway-under-test.ts';
import { toolCall } from './raw-client.ts';
import { ask, jsonAnswer, openRaw, type RawAnswer, requestOf, startRawUpstream } from './raw-socket.ts';
import { exchangesOnce, framesOf } from './recorded.ts';

const run = promisify(execFile);
const BIN = fileURLToPath(new URL('../gateway/cli/bin.js', import.meta.url));
const SSE = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n';
const EVENT = 'data: {"jsonrpc":"2.0","method":"notifications/message","params":{}}\n\n';
const PROMISED_MS = 5000;

/** A gateway before an upstream that answers calls at once and keeps streams open. */
async function start(stack: AsyncDisposableStack) {
  const streams: Socket[] = [];
  const upstream = stack.adopt(
    await startRawUpstream((request, socket) => {
      if (!request.startsWith('GET')) socket.write(jsonAnswer(1));
      else {
        streams.push(socket);
        socket.write(SSE + EVENT);
      }
    }),
    (one) => one.close(),
  );
  const gateway = stack.adopt(await startGatewayInFrontOf(upstream.url, { connections: { other: {} } }), (one) =>
    one.close(),
  );
  return { upstream, gateway, streams };
}

async function verbatim({ configFile }: GatewayUnderTest, ...args: string[]) {
  const { stdout } = await run(process.execPath, [BIN, 'freeze', ...args, '--config', configFile, '--json']);
  return JSON.parse(stdout);
}

function codeOf({ body }: RawAnswer): string | undefined {
  return JSON.parse(body).error?.data.code;
}

/** Calls until the answer is this one; fails where that takes longer than was promised. */
async function becomes(code: string | undefined, call: () => Promise<RawAnswer>, within = PROMISED_MS) {
  const deadline = performance.now() + within;
  for (;;) {
    const answer = await call();
    if (codeOf(answer) === code) return answer;
    assert.ok(performance.now() < deadline, `not ${code} within ${within} ms but ${codeOf(answer)}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

async function auditOf({ folder }: GatewayUnderTest): Promise<Record<string, unknown>[]> {
  const objects: Record<string, unknown>[] = [];
  for (const entry of await readdir(join(folder, 'store-audit'), { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) objects.push(JSON.parse(await readFile(join(entry.parentPath, entry.name), 'utf8')));
  }
  return objects.filter(({ kind }) => String(kind).startsWith('freeze.'));
}

/** Events of freezes in the system strand, once there are this many. */
async function freezeEvents(gateway: GatewayUnderTest, count: number, before = async () => {}) {
  for (let attempt = 0; attempt < 200; attempt++) {
    await before();
    const frames = await framesOf(gateway, 'system');
    const events = frames.flatMap((frame) =>
      frame.type === 'event' && frame.event.name.startsWith('freeze.') ? [frame.event] : [],
    );
    if (events.length >= count) return events;
    await new Promise((done) => setTimeout(done, 20));
  }
  throw new Error(`There are not ${count} events.`);
}

describe('freeze', { concurrency: true }, () => {
  test('a connection is frozen and thawed while it runs; another goes on; both are recorded', async () => {
    await using stack = new AsyncDisposableStack();
    const { upstream, gateway, streams } = await start(stack);
    const { port, token } = gateway;
    const other = await gateway.tokenFor({}, 'other');
    const call = (): Promise<RawAnswer> => ask(port, requestOf({ token, body: toolCall(1) }));
    const callOther = (): Promise<RawAnswer> =>
      ask(port, requestOf({ token: other, body: toolCall(1), target: '/other/mcp' }));
    const stream = { method: 'GET', type: null, framing: [] };
    const cut = await openRaw(port);
    cut.send(requestOf({ token, ...stream }));
    await cut.until((text) => text.includes('notifications/message'));
    const kept = await openRaw(port);
    kept.send(requestOf({ token: other, ...stream, target: '/other/mcp' }));
    await kept.until((text) => text.includes('notifications/message'));
    assert.equal((await call()).status, 200);

    const gone = upstream.disconnected();
    const closed = cut.closed();
    const { id } = await verbatim(gateway, '--connection', 'fixture', '--reason', 'leaked credential', '--for', '1h');
    const frozen = performance.now();
    const refused = await becomes('frozen', call);
    await Promise.all([gone, closed]);
    assert.ok(performance.now() - frozen < PROMISED_MS);
    const { error, id: answered } = JSON.parse(refused.body);
    assert.deepEqual([refused.status, answered, error.data.fate], [200, 1, 'not_forwarded']);
    assert.match(error.message, /Until \d{4}-\d\d-\d\dT[\d:]+Z: leaked credential$/);
    assert.ok(!refused.body.includes('os:'), 'the client is not told by whom');

    const before = upstream.requests().length;
    assert.equal(codeOf(await call()), 'frozen');
    const opening = await ask(port, requestOf({ token, ...stream }));
    assert.deepEqual([opening.status, codeOf(opening)], [403, 'frozen']);
    assert.equal(upstream.requests().length, before);
    assert.equal(codeOf(await callOther()), undefined);
    streams.at(1)?.write(EVENT);
    await kept.until((text) => text.split('notifications/message').length > 2);

    await verbatim(gateway, '--lift', id, '--reason', 'changed', '--actor', 'carol');
    assert.equal((await becomes(undefined, call)).status, 200);
    kept.socket.destroy();

    const [on, off] = await freezeEvents(gateway, 2);
    assert.deepEqual([on?.name, on?.id, on?.reason], ['freeze.on', id, 'leaked credential']);
    assert.deepEqual([off?.name, off?.id, off?.how], ['freeze.off', id, 'lifted']);
    const audit = await auditOf(gateway);
    assert.deepEqual(audit.map(({ kind }) => kind).sort(), ['freeze.created', 'freeze.lifted']);
    assert.ok(audit.every(({ details }) => (details as { id: string }).id === id));

    const exchanges = await exchangesOnce(gateway, 6);
    const turnedAway = exchanges.filter(({ request }) => request?.refused === 'frozen');
    assert.ok(turnedAway.length >= 3 && turnedAway.some(({ request }) => request?.method === 'GET'));
    for (const { end } of turnedAway) {
      assert.deepEqual([end?.outcome.result, end?.outcome.fate], ['frozen', 'not_forwarded']);
    }
    const streamed = exchanges.find(({ request }) => request?.method === 'GET' && request.refused === undefined);
    assert.equal(streamed?.end?.outcome.result, 'frozen', 'the stream that was cut says why');
  });

  test('a tool of one person is frozen on every replica of the stores, and expires by itself', async () => {
    await using stack = new AsyncDisposableStack();
    const { upstream, gateway } = await start(stack);
    const stores = { recordings: gateway.storeUrl };
    const second = stack.adopt(
      await startGatewayInFrontOf(upstream.url, { issuer: gateway.issuer, config: { stores } }),
      (one) => one.close(),
    );
    const calling = async (at: GatewayUnderTest, tool: string, sub = 'ana') => {
      const token = await at.tokenFor({ sub, email: `${sub}@example.com` });
      return () => ask(at.port, requestOf({ token, body: toolCall(1, tool) }));
    };
    for (const at of [gateway, second]) assert.equal((await (await calling(at, 'delete_order'))()).status, 200);
    await verbatim(
      gateway,
      ...['--tool', 'delete_*', '--user', 'ANA@example.com', '--reason', 'runs wild', '--for', '8s'],
    );
    for (const at of [gateway, second]) {
      await becomes('frozen', await calling(at, 'delete_order'));
      assert.equal(codeOf(await (await calling(at, 'read_order'))()), undefined);
      assert.equal(codeOf(await (await calling(at, 'delete_order', 'bob'))()), undefined);
    }
    for (const at of [gateway, second]) await becomes(undefined, await calling(at, 'delete_order'), 9000);
    // Both record into one store, each in a system strand of its own.
    const events = await freezeEvents(gateway, 4, () => second.gateway.seal());
    assert.deepEqual(events.map(({ name, how }) => [name, how]).sort(), [
      ['freeze.off', 'expired'],
      ['freeze.off', 'expired'],
      ['freeze.on', undefined],
      ['freeze.on', undefined],
    ]);
  });

  test('a freeze that can not be read keeps no other from ending streams and being recorded', {
    timeout: 20_000,
  }, async () => {
    await using stack = new AsyncDisposableStack();
    const { gateway } = await start(stack);
    const freezes = join(gateway.folder, 'store-state', 'freezes');
    const stuck = join(freezes, `${uuidv7()}.json`);
    await mkdir(freezes, { recursive: true });
    // Listed like any other, and too large to be read by anybody, root too; it takes no room.
    const large = await open(`${gateway.folder}/large`, 'wx');
    await large.truncate(3 * 1024 ** 3);
    await large.close();
    stack.defer(() => rm(stuck, { force: true }));
    await rename(`${gateway.folder}/large`, stuck);
    const cut = await openRaw(gateway.port);
    cut.send(requestOf({ token: gateway.token, method: 'GET', type: null, framing: [] }));
    await cut.until((text) => text.includes('notifications/message'));
    const isUnread = (line: string): boolean => JSON.parse(line).event === 'state_unreadable';
    const { id } = await verbatim(gateway, '--connection', 'fixture', '--reason', 'leaked', '--until-lifted');
    await cut.closed();
    const [on, ...more] = await freezeEvents(gateway, 1);
    assert.deepEqual([on?.name, on?.id, more], ['freeze.on', id, []]);
    assert.ok(gateway.logged.some(isUnread), 'it is told that one could not be read');
  });

  test('where freezes can not be read for 10 s calls fail closed, until they can', async () => {
    await using stack = new AsyncDisposableStack();
    const { upstream, gateway } = await start(stack);
    const call = (): Promise<RawAnswer> => ask(gateway.port, requestOf({ token: gateway.token, body: toolCall(1) }));
    assert.equal((await call()).status, 200);
    const state = join(gateway.folder, 'store-state');
    // Seen at least once: a store that is not there yet is an empty one.
    const { id } = await verbatim(gateway, '--connection', 'other', '--reason', 'a sign of life', '--until-lifted');
    assert.equal((await freezeEvents(gateway, 1))[0]?.id, id);
    await rename(state, `${state}-away`);
    const refused = await becomes('state_unavailable', call, 10_000 + PROMISED_MS);
    assert.equal(refused.status, 503);
    const before = upstream.requests().length;
    assert.equal(codeOf(await call()), 'state_unavailable');
    assert.equal(upstream.requests().length, before);
    await rename(`${state}-away`, state);
    assert.equal((await becomes(undefined, call)).status, 200);
  });
});
