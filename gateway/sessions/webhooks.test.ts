import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import type { WebhookConfig } from '../config-access.ts';
import { GatewayError } from '../errors.ts';
import { createWebhookPost } from '../webhook-post.ts';
import {
  auditIn,
  callOf,
  isRefused,
  keyOf,
  LEAD,
  MINUTE,
  namesIn,
  START,
  stoppingAt,
  world,
} from './approvals-fixture.ts';
import { outboxName } from './outbox.ts';
import { createSigning } from './signed.ts';
import { createWebhooks } from './webhooks.ts';

const SECRET = 'a webhook secret of more than 32 bytes';
const JSON_HOOK: WebhookConfig = {
  urlFrom: 'env:URL',
  secret: 'env:SECRET',
  format: 'json',
  events: ['approval.requested', 'approval.decided'],
};

interface Received {
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** A real receiver; `answer` is asked after the whole body has arrived. */
async function receiver(stack: AsyncDisposableStack) {
  const received: Received[] = [];
  const behaviour = { answer: (_request: IncomingMessage, response: ServerResponse): void => void response.end() };
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    received.push({ path: String(request.url), headers: request.headers, body: Buffer.concat(chunks).toString() });
    behaviour.answer(request, response);
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  stack.defer(async () => {
    server.closeAllConnections();
    await new Promise((done) => server.close(done));
  });
  const { port } = server.address() as AddressInfo;
  return { received, behaviour, url: `http://127.0.0.1:${port}/hook?key=s3cret-of-the-room` };
}

async function setUp(stack: AsyncDisposableStack) {
  const there = await receiver(stack);
  const own = world();
  own.webhooks.siem = JSON_HOOK;
  const values: Record<string, string> = { 'env:URL': there.url, 'env:SECRET': SECRET };
  const log = (facts: object, words: string) => void own.logged.push({ ...facts, words });
  const sender = (keys = [keyOf('first')]) =>
    createWebhooks({
      state: own.state,
      audit: own.audit,
      now: own.now,
      keys: () => keys,
      webhooks: () => own.webhooks,
      readSecret: async (reference) => values[reference] ?? assert.fail(reference),
      post: createWebhookPost({ allow: ['loopback'], deadline: 300 }),
      link: ({ kind, id }) => `https://mcp.example.com/approve/${kind}/${id}`,
      log: { warn: log, error: log } as never,
      random: () => 1,
    });
  const tick = async (...senders: readonly ReturnType<typeof sender>[]) => {
    await Promise.all(senders.map((one) => one.poll()));
    await Promise.all(senders.map((one) => one.idle()));
  };
  return { ...own, ...there, values, sender, tick };
}

test('of two replicas one sends it, signed, with a link and without arguments', async () => {
  await using stack = new AsyncDisposableStack();
  const { replica, sender, tick, received, clock, fresh } = await setUp(stack);
  const { approvals } = replica();
  const both = [sender(), sender()] as const;
  await tick(...both);
  assert.equal(received.length, 0);
  const asked = await approvals.ask(callOf());
  await tick(...both);
  await tick(...both, sender());
  clock.now += 2 * MINUTE;
  await tick(...both, sender());
  assert.equal(received.length, 1);
  const [one] = received;
  assert.ok(one !== undefined && asked.state === 'pending');
  const { 'webhook-id': id = '', 'webhook-timestamp': at, 'webhook-signature': signature } = one.headers;
  const mac = createHmac('sha256', SECRET).update(`${id}.${at}.${one.body}`).digest('base64');
  assert.deepEqual([signature, at], [`v1,${mac}`, String(START / 1000)]);
  const { hash } = (await approvals.read(asked.id)) ?? {};
  assert.deepEqual(JSON.parse(one.body), {
    event: 'approval.requested',
    at: '2026-11-22T18:00:00.000Z',
    kind: 'approval',
    id: asked.id,
    code: asked.code,
    connection: 'orders',
    principal: { kind: 'human', issuer: 'https://idp.example.com', subject: 'ana', email: 'ana@example.com' },
    method: 'tools/call',
    tool: 'refund',
    link: `https://mcp.example.com/approve/approval/${asked.id}`,
    hash,
    expires: '2026-11-22T18:10:00.000Z',
  });
  assert.ok(!one.body.includes('12.5'));
  await approvals.decide(asked.id, { by: LEAD, authenticated: fresh(), verdict: 'approve', reason: 'a reason' });
  await tick(...both);
  assert.equal(received.length, 2);
  const { event, verdict, by } = JSON.parse(received[1]?.body ?? '');
  assert.deepEqual([event, verdict, by], ['approval.decided', 'approve', 'lead@example.com']);
  assert.ok(!received[1]?.body.includes('a reason'));
});

for (const [what, answer, expected] of [
  ['500', (response: ServerResponse) => response.writeHead(500).end('no'), { status: 500 }],
  ['429', (response: ServerResponse) => response.writeHead(429).end(), { status: 429 }],
  [
    'a redirect',
    (response: ServerResponse) => response.writeHead(307, { location: '/elsewhere' }).end(),
    { status: 307 },
  ],
  ['a reset after receipt', (response: ServerResponse) => response.destroy(), { reason: 'upstream_unreachable' }],
  ['no answer at all', () => {}, { reason: 'upstream_timeout' }],
] as const) {
  test(`${what}: sent again later, under the same id, and nothing secret is logged`, async () => {
    await using stack = new AsyncDisposableStack();
    const { replica, sender, tick, received, behaviour, clock, logged } = await setUp(stack);
    const one = sender();
    await replica().approvals.ask(callOf());
    behaviour.answer = (_, response) => void answer(response);
    await tick(one);
    assert.deepEqual(logged, [{ event: 'webhook_failed', webhook: 'siem', ...expected, words: 'webhook siem failed' }]);
    clock.now += 1999;
    await tick(one);
    assert.equal(received.length, 1, 'it is not due yet');
    clock.now += 1;
    await tick(one);
    assert.equal(received.length, 2);
    behaviour.answer = (_, response) => void response.writeHead(204).end();
    clock.now += 4000;
    await tick(one);
    clock.now += 60 * MINUTE;
    await tick(one, sender());
    assert.equal(received.length, 3);
    assert.equal(new Set(received.map(({ headers }) => headers['webhook-id'])).size, 1);
    assert.deepEqual(new Set(received.map(({ path }) => path)), new Set(['/hook?key=s3cret-of-the-room']));
    const words = JSON.stringify(logged);
    for (const secret of [SECRET, 's3cret', '127.0.0.1', '/hook']) assert.ok(!words.includes(secret), secret);
  });
}

test('a receiver that is down for a day is given up, recorded once, and replicas do not storm it', async () => {
  await using stack = new AsyncDisposableStack();
  const { replica, sender, tick, received, behaviour, clock, logged, audit, webhooks } = await setUp(stack);
  behaviour.answer = (_, response) => void response.writeHead(503).end();
  const three = [sender(), sender(), sender()] as const;
  await replica().approvals.ask(callOf());
  for (let polls = 0; polls < 30; polls++) {
    await tick(...three);
    clock.now += 2000;
  }
  const inFirstMinute = received.length;
  assert.ok(inFirstMinute >= 3 && inFirstMinute <= 6, String(inFirstMinute));
  while (clock.now < START + 24 * 60 * MINUTE) {
    await tick(...three);
    clock.now += 10 * MINUTE;
  }
  assert.ok(received.length < 3 * 40, String(received.length));
  assert.ok(!logged.some(({ event }) => event === 'webhook_given_up'));
  const before = received.length;
  clock.now += 70 * MINUTE;
  await tick(...three);
  clock.now += 70 * MINUTE;
  await tick(...three, sender());
  assert.equal(received.length, before);
  assert.equal(logged.filter(({ event }) => event === 'webhook_given_up').length, 1);
  const given = (await auditIn(audit)).filter(({ kind }) => kind === 'webhook.given_up') as Record<string, unknown>[];
  assert.deepEqual(
    given.map(({ actor, details }) => [actor, (details as Record<string, unknown>).webhook]),
    [['gateway', 'siem']],
  );
  // One receiver that is down holds up no other.
  webhooks.other = { ...JSON_HOOK, urlFrom: 'env:URL' };
  behaviour.answer = (_, response) => void response.end();
  await replica().approvals.ask(callOf({ client: 'another' }));
  await tick(...three);
  assert.equal(received.length, before + 2);
});

test('what did not happen is not told; what did is, also by a process that starts later', async () => {
  await using stack = new AsyncDisposableStack();
  const { replica, state, sender, tick, received, clock } = await setUp(stack);
  const dying = replica([keyOf('first')], { state: stoppingAt(state, (name) => name.endsWith('asked.json')) });
  await assert.rejects(dying.approvals.ask(callOf()));
  assert.equal((await namesIn(state, 'outbox/')).length, 1);
  const one = sender();
  await tick(one);
  assert.equal(received.length, 0);
  await replica().approvals.ask(callOf());
  await tick(sender());
  assert.equal(received.length, 1);
  clock.now += 30 * MINUTE;
  await tick(one);
  assert.equal(received.length, 1, 'the other has sent it');

  // The retry comes so late that running replicas look for no entry of that time any more.
  const sooner = replica([keyOf('first')], { state: stoppingAt(state, (name) => name.startsWith('outbox/')) });
  await assert.rejects(sooner.approvals.ask(callOf({ client: 'late' })));
  for (let minute = 0; minute < 9; minute++) {
    clock.now += MINUTE;
    await tick(one);
  }
  await replica().approvals.ask(callOf({ client: 'late' }));
  await tick(one);
  assert.equal(received.length, 2);
});

test('an entry that was not written with the key is not sent', async () => {
  await using stack = new AsyncDisposableStack();
  const { replica, state, sender, tick, received, now } = await setUp(stack);
  const { approvals } = replica([keyOf('first')]);
  await approvals.ask(callOf());
  const [real = ''] = await namesIn(state, 'outbox/');
  const bytes = (await state.get(real)) ?? Buffer.of();
  const entry = JSON.parse(Buffer.from(bytes).toString().split('\n')[0] ?? '');
  const ids = [1, 2, 3].map((number) => `${entry.id.slice(0, -1)}${number}`).filter((id) => id !== entry.id);
  const other = createSigning(() => [keyOf('somebody else')]);
  const [one = '', two = ''] = ids;
  await state.create(outboxName(one), bytes);
  await state.create(outboxName(two), other.sign(outboxName(two), { ...entry, id: two, at: now() }));
  await tick(sender());
  assert.equal(received.length, 1);
});

test('who is configured later hears nothing of before; who is no longer hears nothing', async () => {
  await using stack = new AsyncDisposableStack();
  const { replica, state, sender, tick, received, webhooks } = await setUp(stack);
  await replica().approvals.ask(callOf());
  webhooks.late = JSON_HOOK;
  delete webhooks.siem;
  const one = sender();
  await tick(one);
  assert.equal(received.length, 0);
  delete webhooks.late;
  await replica().approvals.ask(callOf({ client: 'another' }));
  assert.equal((await namesIn(state, 'outbox/')).length, 1, 'nobody is to be told');
});

test('a secret is read at each use; one that is too short signs nothing', async () => {
  await using stack = new AsyncDisposableStack();
  const { replica, sender, tick, received, values, logged, clock } = await setUp(stack);
  values['env:SECRET'] = 'x'.repeat(31);
  const one = sender();
  await replica().approvals.ask(callOf());
  await tick(one);
  assert.deepEqual([received.length, logged[0]?.reason], [0, 'credential_unavailable']);
  const key = Buffer.alloc(32, 7);
  values['env:SECRET'] = `whsec_${key.toString('base64')}`;
  clock.now += 2000;
  await tick(one);
  const [{ headers, body } = assert.fail()] = received;
  const signed = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`;
  const mac = createHmac('sha256', key).update(signed).digest('base64');
  assert.equal(headers['webhook-signature'], `v1,${mac}`);
});

test('an answer without end is not read, and one that drips does not hold it up', async () => {
  await using stack = new AsyncDisposableStack();
  const { url, behaviour } = await receiver(stack);
  const post = createWebhookPost({ allow: ['loopback'], deadline: 300 });
  let written = 0;
  behaviour.answer = (_, response) => {
    response.writeHead(200);
    const more = (): void => {
      written += 16_384;
      if (!response.destroyed && written < 1e9) response.write(Buffer.alloc(16_384), more);
    };
    more();
  };
  assert.deepEqual(await post(url, {}, '{}'), { status: 200 });
  // What two sockets hold in between, and no more.
  assert.ok(written < 16e6, String(written));
  behaviour.answer = (_, response) => void response.writeHead(200).write('x');
  assert.deepEqual(await post(url, {}, '{}'), { status: 200 });
});

test('where a webhook may go', async () => {
  await using stack = new AsyncDisposableStack();
  const { url, received } = await receiver(stack);
  const resolve = async (hostname: string) => {
    if (hostname === 'mixed.example.com') {
      return [
        { address: '192.0.32.1', family: 4 },
        { address: '169.254.169.254', family: 4 },
      ];
    }
    return [{ address: '127.0.0.1', family: 4 }];
  };
  const post = createWebhookPost({ resolve, deadline: 2000 });
  for (const target of [
    'https://169.254.169.254/computeMetadata/v1/',
    'https://metadata.google.internal/',
    'https://rebound.example.com/',
    'https://mixed.example.com/',
    'http://hooks.example.com/',
    'https://user:secret@hooks.example.com/',
    'ftp://hooks.example.com/',
    'not an address',
  ]) {
    await isRefused(post(target, {}, '{}'), /address/, 'upstream_address_refused');
  }
  assert.equal(received.length, 0);
  // This machine, by its own address alone.
  assert.equal((await post(url, {}, '{}')).status, 200);
  assert.equal(received.length, 1);
  const nowhere = createWebhookPost({ allow: ['loopback'], deadline: 2000 });
  await assert.rejects(nowhere('http://127.0.0.1:1/s3cret', {}, ''), (error: unknown) => {
    assert.ok(error instanceof GatewayError && error.code === 'upstream_unreachable');
    assert.ok(!/s3cret|127\.0/.test(JSON.stringify([error.message, error.stack, String(error.cause)])));
    return true;
  });
});
