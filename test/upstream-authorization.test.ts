/** What the upstream is told: the credential in force, renewed once where it is refused, and who calls. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createRemoteJWKSet, decodeJwt, type JWTPayload, jwtVerify } from 'jose';
import { openRecordings } from '../gateway/recording/read.ts';
import { openStore } from '../gateway/store/open.ts';
import { secret } from './canaries.ts';
import { createGate } from './gate.ts';
import { startGatewayInFrontOf } from './gateway-under-test.ts';
import { call, toolCall } from './raw-client.ts';
import { answerOf, ask, jsonAnswer, type RawUpstream, requestOf, startRawUpstream } from './raw-socket.ts';
import { exchangesOf, framesOf, systemRefusals } from './recorded.ts';

let folder = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'verbatim-authorization-'));
});
after(() => rm(folder, { recursive: true, force: true }));

/** An upstream that takes one key, and says so in ways that must not pass. */
function startLocked(key: string): Promise<RawUpstream> {
  return startRawUpstream((request, socket) => {
    if (request.includes(`\r\nx-api-key: ${key}\r\n`)) return void socket.write(jsonAnswer(1));
    const headers = { 'www-authenticate': 'Bearer realm="UPSTREAM-REALM"', 'content-type': 'text/plain' };
    socket.write(answerOf('401 Unauthorized', headers, 'UPSTREAM-SECRET-WORDS'));
  });
}

async function behindLocked(stack: AsyncDisposableStack, accepted: string) {
  const upstream = stack.adopt(await startLocked(accepted), (one) => one.close());
  const secret = join(folder, `key-for-${new URL(upstream.url).port}`);
  await writeFile(secret, 'the-first-key-in-the-file');
  const credential = { header: 'X-Api-Key', value: `file:${secret}` };
  const gateway = stack.adopt(await startGatewayInFrontOf(upstream.url, { connection: { credential } }), (one) =>
    one.close(),
  );
  const post = (): ReturnType<typeof ask> => ask(gateway.port, requestOf({ token: gateway.token, body: toolCall(1) }));
  return { upstream, gateway, secret, post };
}

test('a rotated credential is read again on a 401 and the call goes through, recorded as one', async () => {
  await using stack = new AsyncDisposableStack();
  const { upstream, gateway, secret, post } = await behindLocked(stack, 'the-second-key-in-the-file');
  assert.match((await post()).body, /"upstream_refused_credential"/);
  await writeFile(secret, 'the-second-key-in-the-file\n');
  const before = upstream.requests().length;
  const answer = await post();
  assert.deepEqual([answer.status, JSON.parse(answer.body).error], [200, undefined]);
  const [first = '', second = ''] = upstream.requests().slice(before);
  assert.equal(upstream.requests().length, before + 2);
  assert.equal(
    second,
    first.replace('the-first-key', 'the-second-key').replace(/content-length: \d+/, (same) => same),
  );
  assert.equal((await post()).status, 200);
  assert.equal(upstream.requests().length, before + 3, 'the new one is in force from now on');

  const frames = await framesOf(gateway);
  const [start] = frames;
  const versions = frames.flatMap((frame) =>
    frame.type === 'event' && frame.event.name === 'credential' ? [frame.event.credential] : [],
  );
  assert.equal(versions.length, 1);
  assert.ok(start?.type === 'session.start' && start.start.credential !== versions[0]);
  const recordings = openRecordings(openStore(gateway.storeUrl));
  for (const version of [start.start.credential, versions[0]].map(String)) {
    const found: string[] = [];
    for await (const { session } of recordings.sessions({ credential: version.slice(0, 8) })) found.push(session);
    assert.deepEqual(found, [start.session], 'one query says where a version acted');
  }
  for await (const _ of recordings.sessions({ credential: 'no-such-version' })) assert.fail();
  const everything = JSON.stringify(frames) + gateway.logged.join('');
  assert.ok(!/UPSTREAM|-key-in-the-file/.test(everything));
});

test('a refused credential is tried once where there is no other, and twice at most', async () => {
  await using stack = new AsyncDisposableStack();
  const { upstream, gateway, secret, post } = await behindLocked(stack, 'a-key-that-nobody-has');
  const refused = await post();
  assert.equal(upstream.requests().length, 1);
  await writeFile(secret, 'the-second-key-in-the-file');
  await post();
  assert.equal(upstream.requests().length, 3);
  assert.doesNotMatch(refused.head + refused.body, /UPSTREAM-|www-authenticate/);
  const outcomes = (await exchangesOf(gateway)).map(({ end }) => [end?.outcome.result, end?.outcome.fate]);
  assert.deepEqual(outcomes, Array(2).fill(['upstream_refused_credential', 'outcome_withheld']));
});

test('a credential that is gone after the 401 fails in words', async () => {
  await using stack = new AsyncDisposableStack();
  const { secret, post } = await behindLocked(stack, 'another-key-nobody-has');
  await post();
  await rm(secret);
  assert.match((await post()).body, /"upstream_refused_credential"/);
});

test('no call goes out with a credential that is not durably named yet; a name that failed is said again', async () => {
  await using stack = new AsyncDisposableStack();
  const gate = createGate();
  const [first, second] = [secret('the-key-that-comes-first', 'key'), secret('the-key-that-comes-second', 'key')];
  const refusing = Promise.withResolvers<void>();
  const upstream = stack.adopt(
    await startRawUpstream((request, socket) => {
      if (request.includes(second)) socket.write(jsonAnswer(1));
      else void refusing.promise.then(() => socket.write(answerOf('401 Unauthorized', {}, '')));
    }),
    (one) => one.close(),
  );
  const kept = join(folder, 'named');
  await writeFile(kept, first);
  const options = {
    connection: { credential: { header: 'X-Api-Key', value: `file:${kept}` } },
    fileSystem: gate.fileSystem,
  };
  const gateway = stack.adopt(await startGatewayInFrontOf(upstream.url, options), (one) => one.close());
  const post = (id: number) => ask(gateway.port, requestOf({ token: gateway.token, body: toolCall(id) }));
  const answers = [post(1), post(2)];
  await upstream.until(2);
  await writeFile(kept, second);
  // Both requests are durable; from now on nothing is.
  gate.hold();
  refusing.resolve();
  await gate.waiting();
  for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate);
  assert.ok(!upstream.received().includes(second));
  gate.fail(new Error('no space left'));
  gate.releaseOne();
  for (const { body } of await Promise.all(answers)) assert.match(body, /"outcome_withheld"/);
  assert.ok(!upstream.received().includes(second));
  gate.open();
  let healed = await post(3);
  while (JSON.parse(healed.body).error !== undefined) healed = await post(3);
  const named = (await framesOf(gateway)).filter(
    (frame) => frame.type === 'event' && frame.event.name === 'credential',
  );
  assert.equal(named.length, 1);
});

test('a call acts as its own token says, though its session began with another', async () => {
  await using stack = new AsyncDisposableStack();
  const upstream = stack.adopt(await startRawUpstream((_, socket) => socket.write(jsonAnswer(1))), (one) =>
    one.close(),
  );
  const keys = { admins: 'the-key-of-the-admins', analysts: 'the-key-of-analysts' };
  for (const [name, key] of Object.entries(keys)) await writeFile(join(folder, name), secret(key, 'key'));
  const connection = {
    credential: { header: 'X-Api-Key', value: `file:${join(folder, 'analysts')}` },
    credentialByGroup: [
      { groups: ['admins'], credential: { header: 'X-Api-Key', value: `file:${join(folder, 'admins')}` } },
    ],
    identityHeader: 'X-Verbatim-Identity',
  };
  const gateway = stack.adopt(await startGatewayInFrontOf(upstream.url, { connection }), (one) => one.close());
  const used: unknown[] = [];
  for (const groups of [['analysts', 'admins'], ['analysts'], ['analysts', 'admins']]) {
    const token = await gateway.tokenFor({ sub: 'renewed', jti: 'one', groups });
    await ask(gateway.port, requestOf({ token, body: toolCall(1) }));
    const request = upstream.requests().at(-1) ?? '';
    const identity = /x-verbatim-identity: ([^\r]*)/.exec(request)?.[1] ?? '';
    used.push([/x-api-key: ([^\r]*)/.exec(request)?.[1], decodeJwt(identity).groups]);
  }
  assert.deepEqual(used, [
    [keys.admins, ['analysts', 'admins']],
    [keys.analysts, ['analysts']],
    [keys.admins, ['analysts', 'admins']],
  ]);
  const frames = await framesOf(gateway);
  assert.equal(new Set(frames.map(({ session }) => session)).size, 1);
  const said = frames.flatMap((frame) =>
    frame.type === 'event' && frame.event.name === 'principal' ? [frame.event] : [],
  );
  assert.equal(said.length, 2);
});

test('parallel calls that meet a 401 are all renewed', async () => {
  await using stack = new AsyncDisposableStack();
  const { secret, post } = await behindLocked(stack, 'the-key-for-all-of-them');
  await post();
  await writeFile(secret, 'the-key-for-all-of-them');
  const answers = await Promise.all(Array.from({ length: 20 }, post));
  assert.deepEqual(new Set(answers.map(({ body }) => JSON.parse(body).error)), new Set([undefined]));
});

for (const [where, answer] of [
  ['a JSON body', (key: string) => jsonAnswer(1, `{"echo":"${key}"}`)],
  ['an error', (key: string) => answerOf('500 Oops', { 'content-type': 'text/html' }, `<pre>X-Api-Key: ${key}</pre>`)],
  ['a header', (key: string) => answerOf('200 OK', { 'content-type': 'application/json', 'mcp-debug': key }, '{}')],
  ['an event', (key: string) => answerOf('200 OK', { 'content-type': 'text/event-stream' }, `data: ${key}\n\n`)],
] as const) {
  test(`a server that shows the credential in ${where} is kept from the client and from the recording`, async () => {
    await using stack = new AsyncDisposableStack();
    const upstream = stack.adopt(
      await startRawUpstream((request, socket) => {
        const key = /\r\nx-api-key: ([^\r]*)/.exec(request)?.[1] ?? '';
        // In two pieces, so that neither holds all of it.
        const text = answer(key);
        const middle = text.indexOf(key) + 9;
        socket.write(text.slice(0, middle), () => setImmediate(() => socket.write(text.slice(middle))));
      }),
      (one) => one.close(),
    );
    const secret = join(folder, 'shown');
    await writeFile(secret, 'a-key-that-is-shown-to-all');
    const credential = { header: 'X-Api-Key', value: `file:${secret}` };
    const gateway = stack.adopt(await startGatewayInFrontOf(upstream.url, { connection: { credential } }), (one) =>
      one.close(),
    );
    const answered = await ask(gateway.port, requestOf({ token: gateway.token, body: toolCall(1) }));
    assert.equal(JSON.parse(answered.body).error.data.code, 'upstream_leaked_credential');
    const [exchange] = await exchangesOf(gateway);
    assert.deepEqual(
      [exchange?.end?.outcome.result, exchange?.end?.outcome.fate],
      ['upstream_leaked_credential', 'outcome_withheld'],
    );
    const everything =
      JSON.stringify(await framesOf(gateway)) + gateway.logged.join('') + answered.head + answered.body;
    assert.ok(!everything.includes('shown-to-all'));
  });
}

test('the upstream is told who calls, signed, for this connection and this exchange', async () => {
  await using stack = new AsyncDisposableStack();
  const upstream = stack.adopt(await startRawUpstream((_, socket) => socket.write(jsonAnswer(1))), (one) =>
    one.close(),
  );
  const connection = { identityHeader: 'X-Verbatim-Identity' };
  const gateway = stack.adopt(await startGatewayInFrontOf(upstream.url, { connection }), (one) => one.close());
  const told = async (headers: Record<string, string> = {}): Promise<string[]> => {
    const answer = await call(gateway.url, { token: gateway.token, body: toolCall(1), headers }).answer;
    assert.equal(answer.status, 200);
    const request = upstream.requests().at(-1) ?? '';
    return [...request.matchAll(/\r\nx-verbatim-identity: ([^\r]*)/gi)].map(([, value = '']) => value);
  };
  const [identity = '', ...others] = await told({ 'x-verbatim-identity': 'forged' });
  assert.deepEqual(others, []);
  const keys = createRemoteJWKSet(new URL('/.well-known/verbatim-identity/jwks.json', gateway.gateway.url));
  const { payload, protectedHeader } = await jwtVerify<JWTPayload & Record<string, unknown>>(identity, keys, {
    issuer: `http://127.0.0.1:${gateway.port}`,
    audience: 'fixture',
    typ: 'verbatim-identity+jwt',
    algorithms: ['ES256'],
  });
  assert.ok(protectedHeader.kid !== undefined);
  const [exchange] = await exchangesOf(gateway);
  const [start] = await framesOf(gateway);
  assert.ok(start?.type === 'session.start');
  assert.deepEqual(
    [payload.jti, payload.session, payload.sub, payload.groups, payload.kind],
    [exchange?.id, exchange?.session, start.start.principal?.subject, start.start.principal?.groups, 'human'],
  );
  assert.ok((payload.exp ?? 0) - (payload.iat ?? 0) === 60);
  assert.ok(!JSON.stringify(await framesOf(gateway)).includes(identity));
  assert.notEqual((await told())[0], identity);
});

test('without the setting nobody is told anything, and the address of keys is none of a connection', async () => {
  await using stack = new AsyncDisposableStack();
  const upstream = stack.adopt(await startRawUpstream((_, socket) => socket.write(jsonAnswer(1))), (one) =>
    one.close(),
  );
  const gateway = stack.adopt(await startGatewayInFrontOf(upstream.url), (one) => one.close());
  await call(gateway.url, { token: gateway.token, body: toolCall(1) }).answer;
  assert.doesNotMatch(upstream.received(), /x-verbatim/i);
  const posted = await fetch(new URL('/.well-known/verbatim-identity/jwks.json', gateway.gateway.url), {
    method: 'POST',
  });
  assert.equal(posted.status, 404);
  // The answer does not wait for the event.
  for (let attempt = 0; !(await systemRefusals(gateway)).includes('not_found'); attempt++) {
    assert.ok(attempt < 200, 'the refusal is recorded');
    await new Promise((done) => setTimeout(done, 10));
  }
});
