/** A session belongs to one principal and one connection: its ids, its server's requests, its time. */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type GatewayUnderTest, startGatewayInFrontOf, type UnderTestOptions } from './gateway-under-test.ts';
import { toolCall } from './raw-client.ts';
import {
  answerOf,
  ask,
  jsonAnswer,
  openRaw,
  type RawAnswer,
  type RawUpstream,
  requestOf,
  startRawUpstream,
} from './raw-socket.ts';
import { exchangesOf, framesOf } from './recorded.ts';

const UPSTREAM_ID = 'upstream-session-id-CANARY';
const INITIALIZE = '{"jsonrpc":"2.0","id":0,"method":"initialize","params":{}}';

/** What the upstream asks its client, by the tool that is called. */
const ASKED: Record<string, string> = { text: '"1"', number: '1', zero: '0', other: '77' };

function answer(request: string): string {
  const message = JSON.parse(request.slice(request.indexOf('\r\n\r\n') + 4) || '{}');
  if (message.method === 'initialize') {
    const headers = { 'content-type': 'application/json', 'mcp-session-id': UPSTREAM_ID };
    return answerOf('200 OK', headers, '{"jsonrpc":"2.0","id":0,"result":{}}');
  }
  const asked = ASKED[message.params?.name];
  if (message.method === undefined) return answerOf('202 Accepted', {}, '');
  if (asked === undefined) return jsonAnswer(message.id);
  const event = `data: {"jsonrpc":"2.0","id":${asked},"method":"elicitation/create","params":{}}\n\n`;
  return answerOf('200 OK', { 'content-type': 'text/event-stream' }, event);
}

let upstream: RawUpstream;
let gateway: GatewayUnderTest;

before(async () => {
  upstream = await startRawUpstream((request, socket) => socket.write(answer(request)));
  gateway = await startGatewayInFrontOf(upstream.url, { connections: { other: {} } });
});
after(async () => {
  await gateway.close();
  await upstream.close();
});

function send(token: string, body: string, headers: readonly string[] = [], target?: string): Promise<RawAnswer> {
  return ask(gateway.port, requestOf({ token, body, headers, ...(target === undefined ? {} : { target }) }));
}

function sealedIn({ head }: RawAnswer): string {
  return /mcp-session-id: ([^\r]*)/i.exec(head)?.[1] ?? '';
}

function codeOf({ body }: RawAnswer): string | undefined {
  return JSON.parse(body).error?.data.code;
}

async function systemEvents(name: string): Promise<Record<string, unknown>[]> {
  const frames = await framesOf(gateway, 'system');
  return frames.flatMap((frame) => (frame.type === 'event' && frame.event.name === name ? [frame.event] : []));
}

async function auditOf({ folder }: GatewayUnderTest, kind: string): Promise<Record<string, unknown>[]> {
  const objects: Record<string, unknown>[] = [];
  const root = join(folder, 'store-audit');
  for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) objects.push(JSON.parse(await readFile(join(entry.parentPath, entry.name), 'utf8')));
  }
  return objects.filter((object) => object.kind === kind);
}

test('the upstream sees its own session id, the client and the recording only the sealed one', async () => {
  const token = await gateway.tokenFor({ sub: 'seal' });
  const sealed = sealedIn(await send(token, INITIALIZE));
  assert.ok(sealed.startsWith('v1.'));
  assert.equal((await send(token, toolCall(1), [`Mcp-Session-Id: ${sealed}`])).status, 200);
  assert.match(upstream.requests().at(-1) ?? '', new RegExp(`\r\nmcp-session-id: ${UPSTREAM_ID}\r\n`));
  const recorded = JSON.stringify(await exchangesOf(gateway));
  assert.ok(recorded.includes(sealed) && !recorded.includes(UPSTREAM_ID));
  assert.ok(!gateway.logged.join('').includes(UPSTREAM_ID));
});

test('an id that the upstream repeats is sealed to the same text; for another session to another', async () => {
  const token = await gateway.tokenFor({ sub: 'repeat' });
  const first = sealedIn(await send(token, INITIALIZE));
  assert.equal(sealedIn(await send(token, INITIALIZE)), first);
  assert.notEqual(sealedIn(await send(await gateway.tokenFor({ sub: 'repeat too' }), INITIALIZE)), first);
});

test("another principal's Mcp-Session-Id is unknown, and recorded as an attempt", async () => {
  const sealed = sealedIn(await send(await gateway.tokenFor({ sub: 'owner' }), INITIALIZE));
  const before = upstream.requests().length;
  const mallory = await gateway.tokenFor({ sub: 'mallory' });
  for (const method of ['POST', 'GET', 'DELETE']) {
    const body = method === 'POST' ? toolCall(1) : '';
    const headers = [`Mcp-Session-Id: ${sealed}`];
    const refused = await ask(gateway.port, requestOf({ token: mallory, method, body, headers }));
    assert.deepEqual([refused.status, codeOf(refused)], [404, 'mcp_session_unknown']);
  }
  assert.equal(upstream.requests().length, before);
  const attempts = (await systemEvents('foreign_session_id')).filter(({ subject }) => subject === 'mallory');
  assert.equal(attempts.length, 3);
  assert.notEqual(attempts[0]?.session, attempts[0]?.owner);
  assert.ok(gateway.logged.some((line) => line.includes('"foreign_session_id"') && line.includes('mallory')));
});

test('the same principal on another connection has another session', async () => {
  const sealed = sealedIn(await send(await gateway.tokenFor({ sub: 'both', jti: 'one' }), INITIALIZE));
  const other = await gateway.tokenFor({ sub: 'both', jti: 'one' }, 'other');
  const refused = await send(other, toolCall(1), [`Mcp-Session-Id: ${sealed}`], '/other/mcp');
  assert.deepEqual([refused.status, codeOf(refused)], [404, 'mcp_session_unknown']);
});

test('a token of another connection is refused', async () => {
  const other = await gateway.tokenFor({ sub: 'wrong-audience' }, 'other');
  const before = upstream.requests().length;
  const refused = await send(other, toolCall(1));
  assert.deepEqual([refused.status, codeOf(refused)], [401, 'unauthenticated']);
  assert.match(refused.head, /www-authenticate: Bearer resource_metadata="[^"]*\/fixture\/mcp"/i);
  assert.equal(upstream.requests().length, before);
});

test('a forged, cut or empty Mcp-Session-Id is unknown', async () => {
  const token = await gateway.tokenFor({ sub: 'forger' });
  const sealed = sealedIn(await send(token, INITIALIZE));
  const flipped = sealed.slice(0, 20) + (sealed[20] === 'A' ? 'B' : 'A') + sealed.slice(21);
  for (const forged of [flipped, sealed.slice(0, -4), UPSTREAM_ID, 'v1.', 'v1.AAAA', '']) {
    const refused = await send(token, toolCall(1), [`Mcp-Session-Id: ${forged}`]);
    assert.deepEqual([refused.status, codeOf(refused)], [404, 'mcp_session_unknown'], forged);
  }
});

const respond = (id: string): string => `{"jsonrpc":"2.0","id":${id},"result":{"action":"accept"}}`;

for (const [tool, id, unlike] of [
  ['text', '"1"', '1'],
  ['number', '1', '"1"'],
  ['zero', '0', '"0"'],
] as const) {
  test(`a response to a server's request ${id} passes once, one to ${unlike} never`, async () => {
    const token = await gateway.tokenFor({ sub: `awaited ${tool}` });
    const session = [`Mcp-Session-Id: ${sealedIn(await send(token, INITIALIZE))}`];
    const early = await send(token, respond(id), session);
    assert.deepEqual([early.status, codeOf(early)], [400, 'response_not_awaited']);
    await send(token, toolCall(5, tool), session);
    const before = upstream.requests().length;
    assert.equal((await send(token, respond(unlike), session)).status, 400);
    assert.equal((await send(token, respond(id))).status, 400, 'without the Mcp-Session-Id of the request');
    assert.equal((await send(await gateway.tokenFor({ sub: 'mallory' }), respond(id))).status, 400);
    assert.equal(upstream.requests().length, before);
    assert.equal((await send(token, respond(id), session)).status, 202);
    assert.equal((await send(token, respond(id), session)).status, 400);
    assert.equal(upstream.requests().length, before + 1);
  });
}

test('a batch with a response that nobody awaits uses none of the others up', async () => {
  const token = await gateway.tokenFor({ sub: 'batch' });
  await send(token, toolCall(5, 'other'));
  for (const batch of [`[${respond('77')},${respond('78')}]`, `[${respond('77')},${respond('77')}]`]) {
    const refused = await send(token, batch);
    assert.deepEqual([refused.status, codeOf(refused)], [400, 'response_not_awaited']);
  }
  assert.equal((await send(token, respond('77'))).status, 202);
});

test('a response that was not forwarded may be sent again', async () => {
  await using stack = new AsyncDisposableStack();
  const first = await startRawUpstream((request, socket) => socket.end(answer(request)));
  const port = Number(new URL(first.url).port);
  const behind = stack.adopt(await startGatewayInFrontOf(first.url), (one) => one.close());
  const ask77 = requestOf({ token: behind.token, body: toolCall(1, 'other') });
  const respond77 = requestOf({ token: behind.token, body: respond('77') });
  assert.equal((await ask(behind.port, ask77)).status, 200);
  await first.close();
  assert.equal(codeOf(await ask(behind.port, respond77)), 'upstream_unreachable');
  stack.adopt(await startRawUpstream((request, socket) => socket.end(answer(request)), '/mcp', port), (one) =>
    one.close(),
  );
  assert.equal((await ask(behind.port, respond77)).status, 202);
});

/** A gateway before an upstream that answers all but calls of `wait`. */
async function startWaiting(stack: AsyncDisposableStack, options: UnderTestOptions) {
  const waiting = stack.adopt(
    await startRawUpstream((request, socket) => {
      if (!request.includes('"wait"')) socket.write(jsonAnswer(1));
    }),
    (one) => one.close(),
  );
  const behind = stack.adopt(await startGatewayInFrontOf(waiting.url, options), (one) => one.close());
  return { waiting, behind };
}

/** The frames of the only session, once it has ended. The gateway looks every second. */
async function endedFrames(behind: GatewayUnderTest) {
  for (let attempt = 0; attempt < 300; attempt++) {
    const frames = await framesOf(behind);
    if (frames.at(-1)?.type === 'strand.end') return frames;
    await new Promise((done) => setTimeout(done, 10));
  }
  throw new Error('The session did not end.');
}

for (const [reason, config, lives] of [
  ['idle', { sessions: { idle: '100ms' } }, 3600],
  ['expired', { sessions: { idle: '900ms', longest: '900ms' } }, 3600],
  ['expired', {}, 1],
] as const) {
  test(`a session ends: ${reason}, ${JSON.stringify(config)}, a token of ${lives} s`, async () => {
    await using stack = new AsyncDisposableStack();
    const { behind } = await startWaiting(stack, { config });
    const token = await behind.tokenFor({ exp: Math.ceil(Date.now() / 1000) + lives });
    const call = requestOf({ token, body: toolCall(1) });
    assert.equal((await ask(behind.port, call)).status, 200);
    const frames = await endedFrames(behind);
    const end = frames.at(-1);
    assert.equal(end?.type === 'strand.end' && end.reason, reason);
    const closed = await auditOf(behind, 'session.closed');
    assert.deepEqual(
      closed.map(({ session, reason: why, actor }) => [session, why, actor]),
      [[end?.session, reason, 'ana']],
    );
    assert.equal((await auditOf(behind, 'session.opened')).length, 1);
    const refused = await ask(behind.port, call);
    assert.equal(refused.status, 401);
    assert.ok(['session_ended', 'unauthenticated'].includes(codeOf(refused) ?? ''));
  });
}

test('the end of a session ends its calls, in words, before its strand', async () => {
  await using stack = new AsyncDisposableStack();
  const { waiting, behind } = await startWaiting(stack, { config: { sessions: { idle: '900ms', longest: '900ms' } } });
  const raw = await openRaw(behind.port);
  const uploading = await openRaw(behind.port);
  uploading.send(requestOf({ token: behind.token, framing: ['Content-Length: 9', 'Expect: 100-continue'], body: '' }));
  raw.send(requestOf({ token: behind.token, body: toolCall(1, 'wait') }));
  await waiting.until(1);
  const disconnected = waiting.disconnected();
  const frames = await endedFrames(behind);
  await disconnected;
  await raw.until((text) => text.includes('"session_ended","fate":"outcome_withheld"'));
  await uploading.until((text) => text.includes('"session_ended","fate":"not_forwarded"'));
  const ends = frames.flatMap((frame) => (frame.type === 'end' ? [frame.outcome.result] : []));
  assert.deepEqual(ends, ['session_ended', 'session_ended']);
});

test('a renewed token of the same session carries it on', async () => {
  await using stack = new AsyncDisposableStack();
  const { behind } = await startWaiting(stack, {});
  for (const lives of [60, 120]) {
    const token = await behind.tokenFor({ jti: 'same', exp: Math.floor(Date.now() / 1000) + lives });
    assert.equal((await ask(behind.port, requestOf({ token, body: toolCall(1) }))).status, 200);
  }
  assert.equal((await auditOf(behind, 'session.opened')).length, 1);
});

test('a principal has so many exchanges at once, and no more', async () => {
  await using stack = new AsyncDisposableStack();
  const { waiting, behind } = await startWaiting(stack, { connection: { limits: { exchangesPerPrincipal: 2 } } });
  const holding = [await openRaw(behind.port), await openRaw(behind.port)];
  for (const raw of holding) raw.send(requestOf({ token: behind.token, body: toolCall(1, 'wait') }));
  await waiting.until(2);
  const refused = await ask(behind.port, requestOf({ token: behind.token, body: toolCall(9) }));
  assert.deepEqual([refused.status, JSON.parse(refused.body).id, codeOf(refused)], [200, 9, 'too_many_exchanges']);
  const large = `${' '.repeat(100_000)}${toolCall(9)}`;
  const unread = await ask(behind.port, requestOf({ token: behind.token, body: large }));
  assert.deepEqual([unread.status, codeOf(unread)], [429, 'too_many_exchanges']);
  const others = await behind.tokenFor({ sub: 'bob' });
  assert.equal((await ask(behind.port, requestOf({ token: others, body: toolCall(1) }))).status, 200);
  assert.equal(waiting.requests().length, 3);
});

test('a principal has so many sessions, however fast they are opened', async () => {
  await using stack = new AsyncDisposableStack();
  const { behind } = await startWaiting(stack, { connection: { limits: { sessionsPerPrincipal: 3 } } });
  const tokens = await Promise.all(Array.from({ length: 8 }, () => behind.tokenFor()));
  const open = (token: string) => ask(behind.port, requestOf({ token, body: toolCall(1) }));
  const answers = await Promise.all(tokens.map(open));
  const refused = answers.filter(({ body }) => body.includes('"error"'));
  assert.deepEqual(
    refused.map((one) => [one.status, codeOf(one)]),
    Array(5).fill([200, 'too_many_sessions']),
  );
  assert.equal((await open(await behind.tokenFor({ sub: 'bob' }))).status, 200);
});
