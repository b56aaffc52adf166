/** Any call may land on any replica: the official clients behind a balancer that sends each request to the next one. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { stringify } from 'yaml';
import { createExchangeGrouping, type Exchange } from '../gateway/recording/exchange.ts';
import type { Frame } from '../gateway/recording/frame.ts';
import { openRecordings } from '../gateway/recording/read.ts';
import { openStore } from '../gateway/store/open.ts';
import { startFixture } from './conformance/fixture.ts';
import { configurationFor, freePort, startGatewayInFrontOf } from './gateway-under-test.ts';
import { type ConnectClient, connectSdk1, connectSdk2, modelSays, userSays } from './official-clients.ts';
import { call, toolCall } from './raw-client.ts';
import { answerOf, ask, jsonAnswer, openRaw, type RawAnswer, requestOf, startRawUpstream } from './raw-socket.ts';
import { type Replicated, startReplicated } from './replicated.ts';

interface Recorded {
  readonly frames: readonly Frame[];
  readonly exchanges: readonly Exchange[];
}

/** Each session as a reader shows it, strands merged. */
async function recordedIn(storeUrl: string): Promise<Map<string, Recorded>> {
  const recordings = openRecordings(openStore(storeUrl));
  const found = new Map<string, Recorded>();
  for await (const { session } of recordings.sessions()) {
    const grouping = createExchangeGrouping();
    const frames: Frame[] = [];
    const exchanges: Exchange[] = [];
    for await (const item of recordings.frames(session)) {
      assert.ok(item.kind === 'frame', JSON.stringify(item));
      frames.push(item.frame);
      exchanges.push(...[grouping.add(item.frame)].filter((one) => one !== undefined));
    }
    found.set(session, { frames, exchanges });
  }
  return found;
}

/** What is recorded, once it holds so many exchanges that have ended: each request is one, of one recording. */
async function recordedOnce({ replicas, storeUrl }: Replicated, count: number): Promise<Recorded[]> {
  for (let attempt = 0; attempt < 100; attempt++) {
    for (const { gateway } of replicas) await gateway.seal();
    const recorded = [...(await recordedIn(storeUrl)).values()];
    if (recorded.flatMap(({ exchanges }) => exchanges).length === count) return recorded;
    await new Promise((done) => setTimeout(done, 20));
  }
  throw new Error(`There are not ${count} exchanges.`);
}

async function assertProved(world: Replicated, keys = world.keys()): Promise<void> {
  for (const { gateway } of world.replicas) await gateway.seal();
  const proof = await openRecordings(openStore(world.storeUrl)).verifyAll({ verifierKeys: keys, now: Date.now() });
  assert.deepEqual([proof.problems, proof.ledgers.length], [[], new Set(keys).size]);
}

const session = { sampling: 'test_sampling', elicitation: 'test_elicitation' };
const stateless = {
  sampling: 'test_input_required_result_sampling',
  elicitation: 'test_input_required_result_elicitation',
};
const kinds: { name: string; connect: ConnectClient; tools: typeof session }[] = [
  { name: 'SDK 1', connect: connectSdk1, tools: session },
  { name: 'SDK 2 legacy', connect: connectSdk2('legacy'), tools: session },
  { name: 'SDK 2 auto', connect: connectSdk2('auto'), tools: stateless },
];

test('the official clients hold whole conversations, each request at another replica, in one recording each', {
  timeout: 90_000,
}, async () => {
  await using stack = new AsyncDisposableStack();
  const fixture = stack.adopt(await startFixture({ port: 0 }), ({ close }) => close());
  const world = stack.use(await startReplicated(fixture.url));

  async function converse({ name, connect, tools }: (typeof kinds)[number]): Promise<void> {
    const token = await world.tokenFor({ sub: name, email: `${name.replaceAll(' ', '')}@example.com` });
    const client = await connect(world.url, token);
    assert.ok((await client.listTools()).includes('test_simple_text'), name);
    const progress: number[] = [];
    await client.callTool('test_tool_with_progress', {}, progress);
    assert.deepEqual(progress, [0, 50, 100], name);
    // Twice: what is asked on one replica is answered on each of the others.
    for (let round = 0; round < 2; round++) {
      const said = await client.callTool(tools.sampling, { prompt: 'The capital of France?' });
      assert.match(said, new RegExp(modelSays), name);
      assert.match(await client.callTool(tools.elicitation, { message: 'Who?' }), new RegExp(userSays.name, 'i'));
    }
    if (tools === stateless) {
      assert.equal(await client.callTool('test_input_required_result_multi_round', {}), 'Ana likes blue');
    } else if (name === 'SDK 1') {
      // Its stream is resumed elsewhere than where it broke off.
      assert.equal(await client.callTool('test_reconnection', {}), 'The stream was closed and resumed.');
    }
    await client.close();
  }
  await Promise.all(kinds.map(converse));

  const shares = Map.groupBy(world.balancer.given, ({ origin }) => origin);
  assert.equal(shares.size, 3);
  const recorded = await recordedOnce(world, world.balancer.given.length);
  assert.equal(recorded.length, kinds.length, 'one session a client');
  for (const one of recorded) {
    assert.equal(one.frames.filter(({ type }) => type === 'session.start').length, 3, 'a strand on each replica');
    const ends = one.exchanges.map(({ end }) => end?.outcome.result ?? '');
    // A stream that a client closed.
    assert.deepEqual(new Set([...ends, 'cancelled']), new Set(['complete', 'cancelled']));
  }
  await assertProved(world);
});

const RULES = `
rules:
  - { name: masked, principals: any, connections: [fixture], tools: [masked], methods: [tools/call], effect: allow, masks: [email] }
  - { name: plain, principals: any, connections: [fixture], tools: [plain], methods: [tools/call], effect: allow }
  - { name: tasks, principals: any, connections: [fixture], methods: ["tasks/*"], effect: allow }
  - { name: cards, principals: any, connections: [fixture], tools: [cards], methods: [tools/call], effect: allow, masks: [card] }
  - { name: sampling, principals: any, connections: [fixture], methods: [sampling/createMessage], effect: allow }
`;
const EMAIL = 'kofi.mensah@example.com';
const CARD = '4242 4242 4242 4242';

/** Replicas under rules, in front of an upstream that answers what the test says, asked one by one. */
async function startRuled(stack: AsyncDisposableStack) {
  let answer: (message: { id?: number; method?: string }) => string = () => '';
  const upstream = stack.adopt(
    await startRawUpstream((request, socket) => {
      const body = request.slice(request.indexOf('\r\n\r\n') + 4);
      socket.write(answer(JSON.parse(body || '{}')));
    }),
    (one) => one.close(),
  );
  const policies = stack.adopt(await mkdtemp(join(tmpdir(), 'verbatim-rules-')), (path) =>
    rm(path, { recursive: true, force: true }),
  );
  await mkdir(join(policies, 'access'));
  await writeFile(join(policies, 'access', 'rules.yaml'), RULES);
  const world = stack.use(await startReplicated(upstream.url, { config: { policies } }));
  const { host } = new URL(world.url);
  const token = await world.tokenFor();
  return {
    world,
    upstream,
    answering(next: typeof answer) {
      answer = next;
    },
    async ask(replica: number, message: object): Promise<RawAnswer> {
      const body = JSON.stringify({ jsonrpc: '2.0', ...message });
      const headers = ['Accept: application/json, text/event-stream'];
      return ask(world.replicas[replica % 3]?.port ?? 0, requestOf({ token, host, body, headers }));
    },
  };
}

const ruledStack = new AsyncDisposableStack();
let started: Awaited<ReturnType<typeof startRuled>> | undefined;
before(async () => {
  started = await startRuled(ruledStack);
});
after(() => ruledStack.disposeAsync());

function ruled(): Awaited<ReturnType<typeof startRuled>> {
  assert.ok(started !== undefined);
  return started;
}

test('a task keeps its call’s masks on every replica: those, and no others', async () => {
  const { answering, ask } = ruled();
  const text = (id = 1): string => jsonAnswer(id, { content: [{ type: 'text', text: `${EMAIL} ${CARD}` }] });
  for (const [at, name] of ['masked', 'plain', 'cards'].entries()) {
    const taskId = `task-${name}`;
    answering(({ id = 1 }) =>
      jsonAnswer(id, { task: { taskId, status: 'working', createdAt: '', lastUpdatedAt: '', ttl: 1 } }),
    );
    const made = await ask(at, { id: 1, method: 'tools/call', params: { name, arguments: {}, task: {} } });
    assert.match(made.body, /working/);
    answering(({ id }) => text(id));
    for (const replica of [0, 1, 2]) {
      const { body } = await ask(replica, { id: 2, method: 'tasks/result', params: { taskId } });
      assert.deepEqual([body.includes(EMAIL), body.includes(CARD)], [name !== 'masked', name !== 'cards'], name);
    }
  }
});

test('a response that comes to all replicas at once passes once', async () => {
  const { answering, ask, upstream } = ruled();
  const event = (message: object): string => `data: ${JSON.stringify({ jsonrpc: '2.0', ...message })}\n\n`;
  for (let round = 0; round < 5; round++) {
    const asked = event({ id: round, method: 'sampling/createMessage', params: { messages: [], maxTokens: 1 } });
    answering(({ id = 0 }) =>
      answerOf('200 OK', { 'content-type': 'text/event-stream' }, asked + event({ id, result: {} })),
    );
    const params = { name: 'plain', arguments: {} };
    assert.match((await ask(round, { id: 1, method: 'tools/call', params })).body, /createMessage/);
    answering(() => answerOf('202 Accepted', {}, ''));
    const before = upstream.requests().length;
    const all = await Promise.all([0, 1, 2, 0, 1, 2].map((replica) => ask(replica, { id: round, result: {} })));
    assert.deepEqual(all.map(({ status }) => status).sort(), [202, 400, 400, 400, 400, 400]);
    assert.equal(upstream.requests().length, before + 1);
  }
});

test('a replica that leaves says so, takes what still comes, and cuts no stream before its time', async () => {
  await using stack = new AsyncDisposableStack();
  let stream: Socket | undefined;
  const upstream = stack.adopt(
    await startRawUpstream((request, socket) => {
      if (!request.startsWith('GET ')) return void socket.write(jsonAnswer(1));
      stream = socket;
      socket.write('HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: 1\n\n');
    }),
    (one) => one.close(),
  );
  const config = { drainDelay: '1s', drain: '200ms' };
  const gateway = stack.adopt(await startGatewayInFrontOf(upstream.url, { config }), (one) => one.close());
  const { token } = gateway;
  const answer = await call(gateway.url, { method: 'GET', token }).answer;
  await answer.until((body) => body.includes('1'));
  const kept = await openRaw(gateway.port);
  kept.send(requestOf({ token, body: toolCall(1) }));
  await kept.until((text) => text.includes('"result"'));

  const stopped = gateway.gateway.close();
  const began = performance.now();
  assert.equal((await fetch(`${gateway.gateway.url}/readyz`)).status, 503);
  assert.equal((await fetch(`${gateway.gateway.url}/healthz`)).status, 200);
  const late = await call(gateway.url, { token, body: toolCall(2) }).answer;
  await late.whole();
  assert.equal(late.status, 200, 'a call that a load balancer still sends is taken');
  kept.send(requestOf({ token, body: toolCall(3) }));
  assert.match(await kept.closed(), /connection: close[\s\S]*"result"/i, 'and its connection is kept no longer');
  stream?.write('data: 2\n\n');
  await answer.until((body) => body.includes('2'));
  await answer.whole().catch(() => {});
  assert.ok(performance.now() - began > 1190, 'the stream had the whole drain time behind the delay');
  await stopped;
});

test('a session that goes on elsewhere after a crash is one recording, with a gap', { timeout: 90_000 }, async () => {
  await using stack = new AsyncDisposableStack();
  const reached: string[] = [];
  const upstream = stack.adopt(
    await startRawUpstream((request, socket) => {
      reached.push(request);
      // A second call of `hangs` is never answered.
      if (!request.includes('hangs')) socket.write(jsonAnswer(1));
    }),
    (one) => one.close(),
  );
  const world = stack.use(await startReplicated(upstream.url, { count: 1 }));
  const folder = stack.adopt(await mkdtemp(join(tmpdir(), 'verbatim-crash-')), (path) =>
    rm(path, { recursive: true, force: true }),
  );
  const { issuer, shared } = world;
  const { origin, pathname } = new URL(upstream.url);
  const port = await freePort();
  const config = { ...shared, replica: 'crashes' };
  const configFile = join(folder, 'verbatim.yaml');
  await writeFile(configFile, stringify(configurationFor({ folder, issuer, port, origin, pathname }, { config })));
  const args = ['gateway/cli/bin.js', 'gateway', '--config', configFile, '--json'];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'ignore'] });
  stack.defer(() => void child.kill('SIGKILL'));
  const exited = once(child, 'exit');
  const [ready] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  const { key } = JSON.parse(ready) as { key: string };

  const token = await world.tokenFor();
  const headers = { host: new URL(world.url).host };
  const crashing = `http://127.0.0.1:${port}/fixture/mcp`;
  const surviving = world.replicas[0]?.url ?? '';
  for (const url of [crashing, surviving, crashing]) {
    assert.equal((await call(url, { token, headers, body: toolCall(1) }).answer).status, 200);
  }
  const hanging = call(crashing, { token, headers, body: toolCall(2, 'hangs') });
  await upstream.until(4);
  child.kill('SIGKILL');
  await exited;
  await assert.rejects(hanging.answer);
  assert.equal((await call(surviving, { token, headers, body: toolCall(3) }).answer).status, 200);

  const back = await startGatewayInFrontOf(upstream.url, { folder, issuer, port, config });
  assert.equal((await call(crashing, { token, headers, body: toolCall(4) }).answer).status, 200);
  await back.gateway.seal();
  const [recorded, another] = await recordedOnce(world, 6);
  assert.ok(recorded !== undefined && another === undefined, 'one recording');
  const gaps = recorded.frames.filter(({ type }) => type === 'gap');
  assert.equal(gaps.length, 1);
  const ends = recorded.exchanges.map(({ end }) => end?.outcome.result).sort();
  assert.deepEqual(ends, ['complete', 'complete', 'complete', 'complete', 'complete', 'unknown']);
  assert.equal(reached.length, 6);
  await assertProved(world, [...world.keys(), key]);
  await back.close();
});
