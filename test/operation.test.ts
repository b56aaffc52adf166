/** Running it: configuration reload, recording off, probes, metrics, logs, an orderly stop. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { parse, stringify } from 'yaml';
import type { Frame } from '../gateway/recording/frame.ts';
import { openRecordings } from '../gateway/recording/read.ts';
import { openStore } from '../gateway/store/open.ts';
import { configurationFor, freePort, startGatewayInFrontOf } from './gateway-under-test.ts';
import { startIssuer } from './issuer.ts';
import { call, toolCall } from './raw-client.ts';

const streams: ServerResponse[] = [];
let opened: (() => void)[] = [];
const upstream = createServer((request, response) => {
  request.resume();
  request.on('end', () => {
    if (request.method === 'GET') {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
      streams.push(response);
      for (const listener of opened) listener();
      opened = [];
    } else {
      response
        .writeHead(200, { 'content-type': 'application/json' })
        .end('{"jsonrpc":"2.0","id":1,"result":{"content":[]}}');
    }
  });
});
let upstreamUrl = '';

before(async () => {
  upstream.listen(0, '127.0.0.1');
  await once(upstream, 'listening');
  const address = upstream.address();
  assert.ok(typeof address === 'object' && address !== null);
  upstreamUrl = `http://127.0.0.1:${address.port}/mcp`;
});

after(() => {
  for (const stream of streams) stream.destroy();
  upstream.closeAllConnections();
  upstream.close();
});

async function openStream(url: string, token: string) {
  const arrived = new Promise<void>((done) => opened.push(done));
  const going = call(url, { method: 'GET', token, headers: { accept: 'text/event-stream' } });
  await arrived;
  const answer = await going.answer;
  const stream = streams.at(-1);
  assert.ok(stream !== undefined);
  return { answer, stream };
}

async function framesOf(storeUrl: string, options: { system?: boolean } = {}): Promise<Frame[]> {
  const recordings = openRecordings(openStore(storeUrl));
  const frames: Frame[] = [];
  for await (const { session } of recordings.sessions(options)) {
    for await (const item of recordings.frames(session)) if (item.kind === 'frame') frames.push(item.frame);
  }
  return frames;
}

test('a changed configuration loads whole or not at all, and drops no stream', async () => {
  const gateway = await startGatewayInFrontOf(upstreamUrl);
  try {
    const { answer, stream } = await openStream(gateway.url, gateway.token);
    const write = async (change: (configuration: Record<string, Record<string, unknown>>) => void): Promise<void> => {
      const configuration = parse(await readFile(gateway.configFile, 'utf8'));
      change(configuration);
      await writeFile(gateway.configFile, stringify(configuration));
      await gateway.gateway.reload();
    };
    const second = gateway.url.replace('/fixture/', '/second/');
    const token = await gateway.tokenFor({}, 'second');
    const status = async (): Promise<number> => (await call(second, { token, body: toolCall(1) }).answer).status;

    assert.equal(await status(), 404);
    await write((configuration) => {
      Object.assign(configuration.connections ?? {}, {
        second: { ...(configuration.connections?.fixture as object), groups: [] },
      });
    });
    assert.equal(await status(), 404, 'a configuration with a mistake is not loaded');
    const refused = gateway.logged.find((line) => line.includes('configuration_refused'));
    assert.match(refused ?? '', /connections\.second\.groups/);
    await write((configuration) => {
      Object.assign(configuration.connections?.second ?? {}, { groups: ['analysts'] });
      Object.assign(configuration.listen ?? {}, { port: 1 });
    });
    assert.equal(await status(), 404, 'what needs a restart is refused whole');
    assert.match(
      gateway.logged.filter((line) => line.includes('configuration_refused')).at(-1) ?? '',
      /listen can't change/,
    );
    await write((configuration) => {
      Object.assign(configuration.listen ?? {}, { port: gateway.port });
    });
    assert.equal(await status(), 200);
    stream.write('data: still here\n\n');
    await answer.until((body) => body.toString() === 'data: still here\n\n');
    stream.end();
    await answer.whole();
    await gateway.gateway.seal();
    const names = (await framesOf(gateway.storeUrl, { system: true })).flatMap((frame) =>
      frame.type === 'event' ? [frame.event.name] : [],
    );
    assert.deepEqual(
      names.filter((name) => name.startsWith('configuration')),
      ['configuration.refused', 'configuration.refused', 'configuration.loaded'],
    );
  } finally {
    await gateway.close();
  }
});

test('recording off leaves the fact of each call without bodies, and switching it off is an event', async () => {
  const gateway = await startGatewayInFrontOf(upstreamUrl);
  try {
    await (await call(gateway.url, { token: gateway.token, body: toolCall(1, 'first-canary') }).answer).whole();
    const configuration = parse(await readFile(gateway.configFile, 'utf8'));
    configuration.connections.fixture.recording = 'off';
    await writeFile(gateway.configFile, stringify(configuration));
    await gateway.gateway.reload();
    const answer = await call(gateway.url, {
      token: gateway.token,
      body: toolCall(2, 'tool', { secret: 'body-canary' }),
    }).answer;
    assert.equal((await answer.whole()).toString(), '{"jsonrpc":"2.0","id":1,"result":{"content":[]}}');
    await gateway.gateway.seal();
    const frames = await framesOf(gateway.storeUrl);
    const [, fact] = frames.filter((frame) => frame.type === 'request');
    assert.ok(fact?.type === 'request');
    assert.deepEqual([fact.headers, fact.body, fact.messages[0]?.name], [[], undefined, 'tool']);
    const last = frames.filter((frame) => 'exchange' in frame && frame.exchange === fact.exchange);
    assert.deepEqual(
      last.map((frame) => frame.type),
      ['request', 'response', 'end'],
    );
    assert.equal(JSON.stringify(frames).includes('body-canary'), false);
    const events = (await framesOf(gateway.storeUrl, { system: true })).flatMap((frame) =>
      frame.type === 'event' ? [frame.event] : [],
    );
    assert.deepEqual(
      events.filter(({ name }) => name === 'recording.off').map(({ connection }) => connection),
      ['fixture'],
    );
    const proof = await openRecordings(openStore(gateway.storeUrl)).verifyAll({
      verifierKeys: [gateway.gateway.verifierKey],
      now: Date.now(),
    });
    assert.deepEqual(proof.problems, []);
  } finally {
    await gateway.close();
  }
});

test('probes, metrics on a port of their own, logs as Cloud Logging reads them', async () => {
  const gateway = await startGatewayInFrontOf(upstreamUrl, { config: { metrics: { host: '127.0.0.1', port: 0 } } });
  try {
    await (await call(gateway.url, { token: gateway.token, body: toolCall(1) }).answer).whole();
    await gateway.gateway.seal();
    for (const path of ['/healthz', '/readyz']) assert.equal((await fetch(gateway.gateway.url + path)).status, 200);
    assert.equal((await fetch(`${gateway.gateway.url}/metrics`)).status, 404);
    const metrics = await (await fetch(`${gateway.gateway.metricsUrl}/metrics`)).text();
    assert.match(metrics, /^verbatim_exchanges_total\{connection="fixture",result="complete"\} 1$/m);
    assert.match(metrics, /^verbatim_sessions 1$/m);
    assert.match(metrics, /^verbatim_checkpoints_total [1-9]/m);
    assert.equal(metrics.includes('ana'), false, 'no label holds what a caller can choose');
    for (const line of gateway.logged) {
      const entry = JSON.parse(line) as Record<string, unknown>;
      assert.match(String(entry.severity), /^(DEBUG|INFO|WARNING|ERROR|CRITICAL)$/);
      assert.equal(typeof entry.message, 'string');
      assert.ok(!Number.isNaN(Date.parse(String(entry.time))));
    }
    assert.ok(
      gateway.logged.some((line) => line.includes('"event":"no_policy"')),
      'start-up says that no policy is in force',
    );
  } finally {
    await gateway.close();
  }
});

test('a stop lets calls end within the drain time, ends the rest in words, and seals', async () => {
  const gateway = await startGatewayInFrontOf(upstreamUrl, { config: { drain: '300ms' } });
  const { answer, stream } = await openStream(gateway.url, gateway.token);
  stream.write('data: one\n\n');
  await answer.until((body) => body.length > 0);
  const closing = gateway.gateway.close();
  const late = await fetch(`${gateway.gateway.url}/healthz`).then(
    () => 'answered',
    () => 'refused',
  );
  assert.equal(late, 'refused', 'it accepts no new connection');
  stream.write('data: two\n\n');
  await answer.until((body) => body.toString().endsWith('two\n\n'));
  await closing;
  const frames = await framesOf(gateway.storeUrl);
  const end = frames.findLast((frame) => frame.type === 'end');
  assert.ok(end?.type === 'end');
  assert.deepEqual([end.outcome.result, end.abortedBy], ['shutting_down', 'gateway']);
  assert.equal(
    frames.some((frame) => frame.type === 'gap'),
    false,
  );
  await gateway.close();
});

test('the real process: starts, serves, stops in order on SIGTERM and exits 0', async () => {
  const issuer = await startIssuer();
  const gateway = await startGatewayInFrontOf(upstreamUrl, { issuer });
  await gateway.gateway.close();
  const port = await freePort();
  const { origin, pathname } = new URL(upstreamUrl);
  await writeFile(
    gateway.configFile,
    stringify(configurationFor({ folder: gateway.folder, issuer, port, origin, pathname })),
  );
  const child = spawn(process.execPath, ['gateway/cli/bin.js', 'gateway', '--config', gateway.configFile, '--json'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exited = once(child, 'exit');
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  child.stderr.resume();
  const started = JSON.parse((await lines.next()).value ?? '{}') as { url: string };
  const url = `${started.url}/fixture/mcp`;
  const answer = await call(url, { token: await issuer.token(url), body: toolCall(1) }).answer;
  assert.equal(answer.status, 200);
  await answer.whole();
  child.kill('SIGTERM');
  assert.deepEqual(await exited, [0, null]);
  const proof = await openRecordings(openStore(gateway.storeUrl)).verifyAll({
    verifierKeys: [gateway.gateway.verifierKey],
    now: Date.now(),
  });
  assert.deepEqual(proof.problems, []);
  await gateway.close();
  await issuer.close();
});

test('a store that is down: calls go on until maxUnsealedAge, then fail closed; all is delivered afterwards', async () => {
  const gateway = await startGatewayInFrontOf(upstreamUrl, { config: { maxUnsealedAge: '500ms' } });
  try {
    const ready = async (wanted: string): Promise<void> => {
      while ((await (await fetch(`${gateway.gateway.url}/readyz`)).text()) !== `${wanted}\n`);
    };
    const outcome = async (id: number): Promise<unknown> => {
      const body = await (await call(gateway.url, { token: gateway.token, body: toolCall(id) }).answer).whole();
      return (JSON.parse(body.toString()) as { error?: { data: unknown } }).error?.data;
    };
    assert.equal(await outcome(1), undefined);
    await gateway.gateway.seal();
    // Somebody took the store's folder away and put a file there: nothing can be stored.
    const store = `${gateway.folder}/store`;
    await rename(store, `${store}.away`);
    await writeFile(store, '');
    assert.equal(await outcome(2), undefined, 'it costs disk, not calls');
    await ready('recording_behind');
    assert.deepEqual(await outcome(3), { code: 'recording_behind', fate: 'not_forwarded' });
    await rm(store);
    await rename(`${store}.away`, store);
    await ready('ok');
    assert.equal(await outcome(4), undefined);
    await gateway.gateway.seal();
    const requests = (await framesOf(gateway.storeUrl)).filter((frame) => frame.type === 'request');
    assert.deepEqual(
      requests.map((frame) => (frame.type === 'request' ? frame.messages[0]?.id : 0)),
      [1, 2, 4],
    );
    assert.ok(gateway.logged.some((line) => line.includes('"event":"seal_failed"')));
  } finally {
    await gateway.close();
  }
});

test('a connection with a host of its own: only the host changes in a client', async () => {
  const gateway = await startGatewayInFrontOf(upstreamUrl, {
    connections: { own: { host: 'own.localhost', groups: ['analysts'] } },
  });
  try {
    const resource = `http://own.localhost:${gateway.port}/mcp`;
    const token = await gateway.issuer.token(resource);
    const at = (
      path: string,
      headers: Record<string, string>,
    ): Promise<{ status: number; whole(): Promise<Buffer>; headers: object }> =>
      call(`${gateway.gateway.url}${path}`, { token, headers, body: toolCall(1) }).answer;
    assert.equal((await at('/mcp', { host: `own.localhost:${gateway.port}` })).status, 200);
    // Its prefix on the public host does not exist, and nor does the public host's path on its own.
    assert.equal((await at('/own/mcp', {})).status, 404);
    assert.equal((await at('/fixture/mcp', { host: 'own.localhost' })).status, 404);
    assert.equal((await at('/mcp', { host: 'other.localhost' })).status, 421);
    // A token of the public host's connection is none for this one.
    const other = await call(`${gateway.gateway.url}/mcp`, {
      token: gateway.token,
      headers: { host: 'own.localhost' },
      body: toolCall(1),
    }).answer;
    assert.equal(other.status, 401);
    const expected = `resource_metadata="http://own.localhost:${gateway.port}/.well-known/oauth-protected-resource/mcp"`;
    assert.ok(String(other.headers['www-authenticate']).includes(expected));
  } finally {
    await gateway.close();
  }
});

test('a heartbeat is a leaf and a log line', async () => {
  const gateway = await startGatewayInFrontOf(upstreamUrl, { config: { heartbeatEvery: '50ms', sealEvery: '50ms' } });
  try {
    while (!gateway.logged.some((line) => line.includes('"event":"heartbeat"'))) {
      await (await fetch(`${gateway.gateway.url}/healthz`)).text();
    }
    // Said when it is stored; its checkpoint comes after that.
    await gateway.gateway.seal();
    const proof = await openRecordings(openStore(gateway.storeUrl)).verifyAll({
      verifierKeys: [gateway.gateway.verifierKey],
      now: Date.now(),
    });
    assert.ok((proof.ledgers[0]?.heartbeats ?? 0) > 0);
  } finally {
    await gateway.close();
  }
});

test('a start on a port that is taken leaves nothing behind', async () => {
  await using stack = new AsyncDisposableStack();
  const first = stack.adopt(await startGatewayInFrontOf(upstreamUrl), (one) => one.close());
  const folder = stack.adopt(await mkdtemp(join(tmpdir(), 'verbatim-taken-')), (path) =>
    rm(path, { recursive: true, force: true }),
  );
  const taken = { folder, port: first.port, issuer: first.issuer };
  await assert.rejects(startGatewayInFrontOf(upstreamUrl, taken), /is in use/);
  assert.deepEqual(await readdir(folder), ['verbatim.yaml']);
});
