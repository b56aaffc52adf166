/** `durability: bucket` and `memory` through the whole gateway: what is stored when a byte passes, and what passes when nothing can be. */
import assert from 'node:assert/strict';
import { cp, rename, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import type { Frame } from '../gateway/recording/frame.ts';
import { openRecordings } from '../gateway/recording/read.ts';
import { openStore } from '../gateway/store/open.ts';
import { createGate } from './gate.ts';
import { type GatewayUnderTest, startGatewayInFrontOf } from './gateway-under-test.ts';
import { call, toolCall } from './raw-client.ts';
import { framesOf } from './recorded.ts';

const BUCKET = { durability: 'bucket' };

let handle: (body: string, response: ServerResponse) => Promise<void> | void;
const seen: string[] = [];
const upstream = createServer(async (request: IncomingMessage, response) => {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const body = Buffer.concat(chunks).toString();
  seen.push(body);
  await handle(body, response);
});
let upstreamUrl = '';
before(async () => {
  await new Promise<void>((done) => upstream.listen(0, '127.0.0.1', done));
  upstreamUrl = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}/mcp`;
});
after(() => void upstream.close());

function answerWith(result: string): typeof handle {
  return (body, response) => {
    const { id } = JSON.parse(body) as { id: number };
    response.setHeader('content-type', 'application/json').end(`{"jsonrpc":"2.0","id":${id},"result":"${result}"}`);
  };
}

/** All lines that stored segments hold which stored entries name. The gateway has no part in this. */
async function stored(storeUrl: string): Promise<string> {
  const recordings = openRecordings(openStore(storeUrl), { uncovered: true });
  let lines = '';
  for await (const { session } of recordings.sessions()) {
    for await (const item of recordings.frames(session)) lines += item.kind === 'frame' ? `${item.line}\n` : '';
  }
  return lines;
}

async function outcome(gateway: GatewayUnderTest, id: number, token = gateway.token): Promise<unknown> {
  const body = await (await call(gateway.url, { token, body: toolCall(id) }).answer).whole();
  const answer = JSON.parse(body.toString()) as { result?: unknown; error?: { data: unknown } };
  return answer.error?.data ?? answer.result;
}

test('bucket: what the upstream gets and what the client gets is in the store by then', async () => {
  const gateway = await startGatewayInFrontOf(upstreamUrl, { connection: BUCKET });
  try {
    let atUpstream = '';
    handle = async (body, response) => {
      atUpstream = await stored(gateway.storeUrl);
      await answerWith('result-canary')(body, response);
    };
    for (const id of [1, 2, 3]) {
      const question = toolCall(id, 'echo', { text: `question-${id}` });
      const answer = await call(gateway.url, { token: gateway.token, body: question }).answer;
      const text = (await answer.whole()).toString();
      const copy = join(gateway.folder, `copy-${id}`);
      await cp(join(gateway.folder, 'store'), copy, { recursive: true });
      assert.ok(atUpstream.includes(JSON.stringify(question)), 'the request was stored when the upstream got it');
      // This copy is all that is left if the disk is lost now.
      const lines = await stored(`file://${copy}`);
      for (const part of [JSON.stringify(question), JSON.stringify(text)]) assert.ok(lines.includes(part), part);
      assert.equal(lines.split('"result":"complete"').length - 1, id);
    }
    assert.ok((await framesOf(gateway)).length > 12);
  } finally {
    await gateway.close();
  }
});

test('bucket: each event of a stream is in the store when the client gets it', async () => {
  const gateway = await startGatewayInFrontOf(upstreamUrl, { connection: BUCKET });
  try {
    let next = Promise.withResolvers<string>();
    handle = async (_, response) => {
      response.setHeader('content-type', 'text/event-stream');
      for (;;) {
        const event = await next.promise;
        next = Promise.withResolvers();
        if (event === '') break;
        response.write(event);
      }
      response.end();
    };
    const asking = call(gateway.url, { token: gateway.token, body: toolCall(1) }).answer;
    let whole = '';
    const events = [
      'data: {"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"one"}}\n\n',
      ': keep-alive\n\n',
      'data: {"jsonrpc":"2.0","id":1,"result":"two"}\n\n',
    ];
    for (const event of events) {
      next.resolve(event);
      const answer = await asking;
      whole += event;
      await answer.until((body) => body.length >= whole.length);
      assert.equal(answer.bytes().toString(), whole);
      if (event.startsWith(':')) continue;
      assert.ok((await stored(gateway.storeUrl)).includes(JSON.stringify(event)), event);
    }
    next.resolve('');
    await (await asking).whole();
  } finally {
    await gateway.close();
  }
});

test('bucket: a store that takes nothing refuses calls and withholds answers; back again, all is delivered', async () => {
  const gateway = await startGatewayInFrontOf(upstreamUrl, { connection: BUCKET, storeWithin: 1000 });
  const store = join(gateway.folder, 'store');
  const takeAway = async (): Promise<void> => {
    await rename(store, `${store}.away`);
    await writeFile(store, '');
  };
  const giveBack = async (): Promise<void> => {
    await rm(store);
    await rename(`${store}.away`, store);
  };
  try {
    handle = answerWith('fine');
    assert.equal(await outcome(gateway, 1), 'fine');
    await gateway.gateway.seal();
    await takeAway();
    const before = seen.length;
    assert.deepEqual(await outcome(gateway, 2), { code: 'recording_unavailable', fate: 'not_forwarded' });
    assert.equal(seen.length, before, 'the upstream saw nothing');
    await giveBack();
    await gateway.gateway.seal();
    assert.equal(await outcome(gateway, 3), 'fine');
    await gateway.gateway.seal();
    // It goes while the upstream works: what it answers stays inside.
    handle = async (body, response) => {
      await gateway.gateway.seal();
      await takeAway();
      await answerWith('withheld-canary')(body, response);
    };
    assert.deepEqual(await outcome(gateway, 4), { code: 'recording_unavailable', fate: 'outcome_withheld' });
    await giveBack();
    await gateway.gateway.seal();
    handle = answerWith('fine');
    assert.equal(await outcome(gateway, 5), 'fine');
    const frames = await framesOf(gateway);
    assert.deepEqual(
      frames.map(({ seq }) => seq),
      frames.map((_, index) => index),
    );
    const requests = frames.flatMap((frame) => (frame.type === 'request' ? [frame.messages[0]?.id] : []));
    assert.deepEqual(requests, [1, 2, 3, 4, 5]);
    const fates = frames.flatMap((frame) => (frame.type === 'end' ? [frame.outcome.fate ?? frame.outcome.result] : []));
    assert.deepEqual(fates.filter((fate) => fate === 'not_forwarded').length, 1);
    const withheld = frames.flatMap((frame) => (frame.type === 'event' ? [frame.event] : []));
    const told = withheld.filter(({ name }) => name === 'recording.withheld');
    assert.equal(told.length, 2);
    const [, second] = told as unknown as readonly { first: number; last: number }[];
    const canary = frames.find((frame) => frame.type === 'data' && JSON.stringify(frame).includes('withheld-canary'));
    assert.ok(canary !== undefined && second !== undefined);
    assert.ok(second.first <= canary.seq && canary.seq <= second.last, 'the recording says that it was not released');
    const proof = await openRecordings(openStore(gateway.storeUrl)).verifyAll({
      verifierKeys: [gateway.gateway.verifierKey],
      now: Date.now(),
    });
    assert.deepEqual(proof.problems, []);
  } finally {
    await gateway.close();
  }
});

test('memory: calls go on while the journal fails, in old sessions and new ones; a gap says what is missing', async () => {
  const gate = createGate();
  const gateway = await startGatewayInFrontOf(upstreamUrl, {
    connection: { durability: 'memory' },
    connections: { safe: {} },
    fileSystem: gate.fileSystem,
  });
  try {
    handle = answerWith('fine');
    const other = await gateway.tokenFor();
    assert.equal(await outcome(gateway, 1), 'fine');
    await gateway.gateway.seal();
    gate.fail(new Error('no space left'));
    for (const id of [2, 3]) assert.equal(await outcome(gateway, id), 'fine');
    assert.equal(await outcome(gateway, 4, other), 'fine');
    // Its neighbour promises something, and is closed.
    const safeToken = await gateway.tokenFor({}, 'safe');
    const isSafeClosed = async (): Promise<boolean> => {
      const { answer } = call(gateway.url.replace('/fixture/', '/safe/'), { token: safeToken, body: toolCall(9) });
      return (await (await answer).whole()).toString().includes('"recording_unavailable"');
    };
    assert.ok(await isSafeClosed());
    gate.open();
    // What comes before the journal is back is lost in the gap. It is back where promises are made again.
    for (let attempt = 0; await isSafeClosed(); attempt++) {
      assert.ok(attempt < 200, 'the journal does not come back');
      await setTimeout(10);
    }
    assert.equal(await outcome(gateway, 5), 'fine');
    assert.equal(await outcome(gateway, 6, other), 'fine');
    // Nobody waited for the journal: the last frames come to it when they come.
    const ended = (frames: readonly Frame[], id: number): boolean =>
      frames.some((frame) => frame.type === 'end' && frame.outcome.messages?.[0]?.id === id);
    let frames = await framesOf(gateway);
    for (let attempt = 0; !ended(frames, 5) || !ended(frames, 6); attempt++) {
      assert.ok(attempt < 200, 'the last frames do not come to the journal');
      await setTimeout(10);
      frames = await framesOf(gateway);
    }
    const sessions = Map.groupBy(frames, ({ session }) => session);
    for (const [session, [first]] of sessions) {
      if (first?.type === 'session.start' && first.start.connection === 'safe') sessions.delete(session);
    }
    const told = [...sessions.values()].map((frames) => {
      assert.deepEqual(
        frames.map(({ seq }) => seq),
        frames.map((_, index) => index),
      );
      return frames.flatMap((frame) => {
        if (frame.type === 'request') return [frame.messages[0]?.id];
        if (frame.type === 'gap') return [frame.gap.reason];
        return frame.type === 'session.start' ? [frame.start.durability] : [];
      });
    });
    told.sort((a, b) => a.length - b.length);
    assert.deepEqual(told, [
      ['memory', 'memory_lost', 6],
      ['memory', 1, 'memory_lost', 5],
    ]);
  } finally {
    gate.open();
    await gateway.close();
  }
});
