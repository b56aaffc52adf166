/** A principal that is revoked stays out until that is lifted: the real command beside two running gateways. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { uuidv7 } from 'uuidv7';
import { openStore } from '../gateway/store/open.ts';
import { startGatewayInFrontOf } from './gateway-under-test.ts';
import { call, type RawAnswer, toolCall } from './raw-client.ts';
import { jsonAnswer, startRawUpstream } from './raw-socket.ts';
import { framesOf } from './recorded.ts';

const run = promisify(execFile);
const STREAM = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n: open\n\n';
const PROMISED_MS = 5000;
const seconds = (): number => Math.floor(Date.now() / 1000);

/** Resolves when a stream is over, however; rejects where it goes on for longer than was promised. */
async function ended(stream: RawAnswer): Promise<void> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error('The stream goes on.')), 2 * PROMISED_MS);
  try {
    await Promise.race([stream.whole().catch(() => {}), late.promise]);
  } finally {
    clearTimeout(timer);
    stream.close();
  }
}

async function revoke(configFile: string, ...args: string[]) {
  const { stdout } = await run(process.execPath, [
    'gateway/cli/bin.js',
    'revoke',
    ...args,
    '--config',
    configFile,
    '--json',
  ]);
  return JSON.parse(stdout);
}

test('blocked on both replicas: streams, sessions, new tokens; others go on; lifted, a new token gets in', async () => {
  await using stack = new AsyncDisposableStack();
  const upstream = stack.adopt(
    await startRawUpstream((request, socket) => socket.write(request.startsWith('GET') ? STREAM : jsonAnswer(1))),
    (one) => one.close(),
  );
  const first = stack.adopt(await startGatewayInFrontOf(upstream.url), (one) => one.close());
  const folder = stack.adopt(await mkdtemp(join(tmpdir(), 'verbatim-replica-')), (path) =>
    rm(path, { recursive: true, force: true }),
  );
  const second = stack.adopt(
    await startGatewayInFrontOf(upstream.url, {
      folder,
      issuer: first.issuer,
      config: { stores: { recordings: first.storeUrl }, publicUrl: `http://127.0.0.1:${first.port}` },
    }),
    (one) => one.close(),
  );
  const headers = { host: `127.0.0.1:${first.port}` };
  const urls = [first, second].map(({ gateway }) => `${gateway.url}/fixture/mcp`);
  const tokenOf = (sub: string, issued = seconds() - 60) =>
    first.tokenFor({ sub, email: `${sub}@example.com`, jti: `run of ${sub}`, iat: issued });
  const token = await tokenOf('stolen');
  const other = await tokenOf('other');
  const ask = async (url: string, by: string) => {
    const answer = await call(url, { token: by, body: toolCall(1), headers }).answer;
    const { id, error } = JSON.parse((await answer.whole()).toString());
    return { status: answer.status, id, code: error?.data.code, fate: error?.data.fate, message: error?.message };
  };
  const becomes = async (code: string | undefined, by: string) => {
    const deadline = performance.now() + PROMISED_MS;
    for (const url of urls) {
      while ((await ask(url, by)).code !== code) {
        assert.ok(performance.now() < deadline, `not ${code} within ${PROMISED_MS} ms`);
        await new Promise((done) => setTimeout(done, 50));
      }
    }
  };
  const streams = await Promise.all(
    urls.map(async (url) => {
      const stream = stack.adopt(await call(url, { method: 'GET', token, headers }).answer, (one) => one.close());
      await stream.until((body) => body.includes(': open'));
      return stream;
    }),
  );
  const [start] = await framesOf(first);
  const session = start?.session ?? '';

  const began = performance.now();
  const { id } = await revoke(
    first.configFile,
    '--principal',
    'stolen',
    '--issuer',
    'test',
    '--reason',
    'token leaked',
  );
  for (const stream of streams) await ended(stream);
  assert.ok(performance.now() - began < PROMISED_MS + 1000, 'streams end in time');
  const fresh = await tokenOf('stolen', seconds() + 1);
  await becomes('principal_blocked', fresh);
  const before = upstream.requests().length;
  for (const url of urls) {
    const refused = await ask(url, fresh);
    assert.deepEqual([refused.status, refused.id, refused.fate], [200, 1, 'not_forwarded']);
    assert.ok(refused.message.includes(id) && !refused.message.includes('leaked'), 'by its id, not by its reason');
    const stream = await call(url, { method: 'GET', token: fresh, headers }).answer;
    assert.equal(stream.status, 403);
    assert.equal((await ask(url, other)).code, undefined);
  }
  assert.equal(upstream.requests().length, before + 2, 'only the other one reached the server');

  const ends = async () => {
    await second.gateway.seal();
    return (await framesOf(first)).filter((frame) => frame.session === session && frame.type === 'strand.end');
  };
  for (const until = performance.now() + PROMISED_MS; (await ends()).length < 2; ) {
    assert.ok(performance.now() < until, 'the session has not ended on both');
    await new Promise((done) => setTimeout(done, 50));
  }
  assert.deepEqual(new Set((await ends()).map((frame) => 'reason' in frame && frame.reason)), new Set(['revoked']));

  const listed = await revoke(first.configFile, '--list');
  assert.deepEqual(
    listed.map(({ id: one, principal, issuer, reason }: Record<string, unknown>) => [one, principal, issuer, reason]),
    [[id, 'stolen', first.issuer.url, 'token leaked']],
  );
  await revoke(first.configFile, '--lift', '--principal', 'stolen', '--reason', 'rotated');
  await becomes('session_ended', token);
  const renewed = await tokenOf('stolen', seconds() + 2);
  await becomes(undefined, renewed);

  const recorded = async () =>
    (await framesOf(first, 'system')).flatMap((frame) =>
      frame.type === 'event' && /^(block|refused)/.test(frame.event.name) ? [frame.event] : [],
    );
  // Each replica records it when it next looks; the second one may be the later.
  for (const until = performance.now() + PROMISED_MS; performance.now() < until; ) {
    if ((await recorded()).filter(({ name }) => name === 'block.off').length === 2) break;
    await second.gateway.seal();
    await new Promise((done) => setTimeout(done, 50));
  }
  const events = await recorded();
  for (const name of ['block.on', 'block.off']) {
    assert.deepEqual(
      events.filter((one) => one.name === name).map((one) => one.id),
      [id, id],
      `${name} on each replica`,
    );
  }
  assert.ok(
    events.some(
      ({ name, reason, detail }) => name === 'refused' && reason === 'principal_blocked' && detail === `Block ${id}.`,
    ),
  );
  const audit = openStore(`${first.storeUrl}-audit`);
  const kinds: string[] = [];
  for await (const name of audit.list('audit/')) {
    const { kind, reason } = JSON.parse(Buffer.from((await audit.get(name)) ?? []).toString());
    if (String(kind).startsWith('principal.')) kinds.push(`${kind} ${reason}`);
  }
  assert.deepEqual(kinds.sort(), ['principal.blocked token leaked', 'principal.unblocked rotated']);
});

test('a block that can not be read keeps everybody out, ends no session, and can be lifted', async () => {
  await using stack = new AsyncDisposableStack();
  const upstream = stack.adopt(
    await startRawUpstream((request, socket) => socket.write(request.startsWith('GET') ? STREAM : jsonAnswer(1))),
    (one) => one.close(),
  );
  const gateway = stack.adopt(await startGatewayInFrontOf(upstream.url), (one) => one.close());
  const { url, token, configFile } = gateway;
  const code = async () => {
    const answer = await call(url, { token, body: toolCall(1) }).answer;
    return JSON.parse((await answer.whole()).toString()).error?.data.code;
  };
  const becomes = async (wanted: string | undefined) => {
    const deadline = performance.now() + PROMISED_MS;
    while ((await code()) !== wanted) {
      assert.ok(performance.now() < deadline, `not ${wanted} within ${PROMISED_MS} ms`);
      await new Promise((done) => setTimeout(done, 50));
    }
  };
  const stream = stack.adopt(await call(url, { method: 'GET', token }).answer, (one) => one.close());
  await stream.until((body) => body.includes(': open'));
  const id = uuidv7();
  await openStore(`${gateway.storeUrl}-state`).create(`blocks/${id}.json`, Buffer.from('{"who":{"team":"orders"}}'));
  await becomes('principal_blocked');
  await ended(stream);
  assert.equal((await revoke(configFile, '--list'))[0].all, true);
  await revoke(configFile, '--lift', id, '--reason', 'written by hand');
  await becomes(undefined);
  const starts = (await framesOf(gateway)).filter((frame) => frame.type === 'session.start');
  assert.equal(starts.length, 1, 'the same session goes on');
});
