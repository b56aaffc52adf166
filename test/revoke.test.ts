/** A revoked session ends on every replica of its stores, with everything that is open in it. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { openStore } from '../gateway/store/open.ts';
import { startGatewayInFrontOf } from './gateway-under-test.ts';
import { call, toolCall } from './raw-client.ts';
import { jsonAnswer, startRawUpstream } from './raw-socket.ts';
import { framesOf } from './recorded.ts';

const run = promisify(execFile);
const STREAM = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n: open\n\n';

test('a session that is revoked ends on both replicas: streams, calls, recordings; others go on', async () => {
  await using stack = new AsyncDisposableStack();
  const upstream = stack.adopt(
    await startRawUpstream((request, socket) => socket.write(request.startsWith('GET') ? STREAM : jsonAnswer(1))),
    (one) => one.close(),
  );
  const first = stack.adopt(await startGatewayInFrontOf(upstream.url), (one) => one.close());
  const folder = stack.adopt(await mkdtemp(join(tmpdir(), 'verbatim-replica-')), (path) =>
    rm(path, { recursive: true, force: true }),
  );
  const stores = { recordings: first.storeUrl };
  const second = stack.adopt(
    await startGatewayInFrontOf(upstream.url, {
      folder,
      issuer: first.issuer,
      // One public address, as behind a load balancer.
      config: { stores, publicUrl: `http://127.0.0.1:${first.port}` },
    }),
    (one) => one.close(),
  );
  const replicas = [first, second];
  const token = await first.tokenFor({ sub: 'stolen' });
  const other = await first.tokenFor({ sub: 'other' });
  const urls = replicas.map(({ gateway }) => `${gateway.url}/fixture/mcp`);
  const streams = await Promise.all(
    urls.map(async (url) => {
      const stream = await call(url, { method: 'GET', token, headers: { host: `127.0.0.1:${first.port}` } }).answer;
      await stream.until((body) => body.includes(': open'));
      return stream;
    }),
  );
  const [start] = await framesOf(first);
  const session = start?.session ?? '';
  const args = [
    'gateway/cli/bin.js',
    'revoke',
    session,
    '--reason',
    'laptop stolen',
    '--config',
    first.configFile,
    '--json',
  ];
  const revoked = await run(process.execPath, args);
  assert.equal(JSON.parse(revoked.stdout).session, session);

  for (const stream of streams) await stream.whole().catch(() => {});
  for (const url of urls) {
    const headers = { host: `127.0.0.1:${first.port}` };
    const refused = await call(url, { token, body: toolCall(1), headers }).answer;
    assert.equal(refused.status, 401);
    assert.match((await refused.whole()).toString(), /"session_ended"/);
    assert.equal((await call(url, { token: other, body: toolCall(1), headers }).answer).status, 200);
  }
  // The sweep of each replica, once a second, writes the end of its strand.
  const ends = async () => {
    await second.gateway.seal();
    return (await framesOf(first)).filter((frame) => frame.session === session && frame.type === 'strand.end');
  };
  while (new Set((await ends()).map(({ strand }) => strand)).size < 2)
    await new Promise((done) => setTimeout(done, 50));
  assert.deepEqual(new Set((await ends()).map((frame) => 'reason' in frame && frame.reason)), new Set(['revoked']));
  const audit = openStore(`${first.storeUrl}-audit`);
  const kinds: string[] = [];
  for await (const name of audit.list('audit/')) {
    const { kind, reason } = JSON.parse(Buffer.from((await audit.get(name)) ?? []).toString());
    if (kind === 'session.revoked') kinds.push(reason);
  }
  assert.deepEqual(kinds, ['laptop stolen']);
});

test('what is no session’s id is refused in words', async () => {
  const bad = run(process.execPath, [
    'gateway/cli/bin.js',
    'revoke',
    'latest',
    '--reason',
    'x',
    '--state',
    'file:///x',
  ]);
  await assert.rejects(bad, { code: 2, stderr: /whole id of a session/ });
});
