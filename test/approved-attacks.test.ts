/** Approved calls under attack: used once whoever asks, void once anything has changed, held by nothing that has ended. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { writePins } from '../gateway/policy/pins.ts';
import type { ApprovalRequest, Person } from '../gateway/sessions/approval.ts';
import { createFreeze, liftFreeze } from '../gateway/sessions/freeze-record.ts';
import { revokeSession } from '../gateway/sessions/revoke.ts';
import { openStore } from '../gateway/store/open.ts';
import { secret } from './canaries.ts';
import { createGate } from './gate.ts';
import { type GatewayUnderTest, startGatewayInFrontOf } from './gateway-under-test.ts';
import { type Policed, type Reply, startPoliced } from './policed.ts';
import { call as rawCall } from './raw-client.ts';
import { ask, openRaw, requestOf } from './raw-socket.ts';
import { framesOf } from './recorded.ts';

const RULES = `
rules:
  - name: refunds
    principals: { groups: [analysts] }
    connections: [fixture]
    tools: [refund]
    effect: approve
    approval: { approvers: [leads], pending: 1h, usable: 10m }
    masks: [email]
  - name: wipes
    principals: { groups: [analysts] }
    connections: [fixture]
    tools: [wipe]
    effect: approve
    approval: { approvers: [leads], pending: 1h, usable: 10m }
  - name: tasks
    principals: { groups: [analysts] }
    connections: [fixture]
    methods: [tasks/result]
    effect: allow
`;
const LEA: Person = {
  kind: 'human',
  issuer: 'https://idp.example.com',
  subject: 'lea',
  email: 'lea@example.com',
  groups: ['leads'],
};
const EMAIL = 'maya.okonkwo@example.com';
const OTHER_RULE = '  - { name: more, principals: any, connections: [fixture], tools: [x], effect: deny }\n';
const refund = (order: number, more: object = {}) => ({ name: 'refund', arguments: { order }, ...more });

describe('approved calls, attacked', () => {
  let policed: Policed;
  let second: GatewayUnderTest;
  let folder = '';
  let token = '';
  let orders = 1000;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'verbatim-approved-'));
    const file = join(folder, 'secret');
    await writeFile(file, secret('s'.repeat(43), 'the secret of the replicas'));
    const provider = (issuer: string) => ({ oidc: { issuer, clientId: 'v', clientSecret: `file:${file}` } });
    const login = (issuer: string) => ({ secrets: [`file:${file}`], providers: { corp: provider(issuer) } });
    policed = await startPoliced(RULES, {
      approvalHold: 12_000,
      config: { login: login('https://idp.example.com') },
      connection: { changedTools: 'flag' },
    });
    const { gateway } = policed;
    const disk = join(folder, 'second');
    await import('node:fs/promises').then(({ mkdir }) => mkdir(disk));
    second = await startGatewayInFrontOf(`${policed.upstream}`, {
      folder: disk,
      issuer: gateway.issuer,
      approvalHold: 12_000,
      config: {
        policies: policed.policies,
        login: login('https://idp.example.com'),
        stores: { recordings: gateway.storeUrl },
        publicUrl: `http://127.0.0.1:${gateway.port}`,
      },
    });
    policed.answer(() => ({ content: [{ type: 'text', text: 'refunded' }] }));
  });
  after(async () => {
    await second.close();
    await policed.close();
    await rm(folder, { recursive: true, force: true });
  });
  beforeEach(async () => {
    orders++;
    token = await policed.gateway.tokenFor({ sub: `ana ${orders}`, email: `ana${orders}@example.com` });
  });

  const approvals = () => policed.gateway.gateway.approving.approvals;
  const sent = (id: number) =>
    policed.reached.filter(({ params }) => (params as { arguments?: { order?: number } })?.arguments?.order === id);
  const send = (params: object, id: number | string = 1): Promise<Reply> =>
    policed.send('tools/call', params, { token, id });
  /** A call by a client that does not wait. */
  async function pending(params: object): Promise<ApprovalRequest> {
    const { order } = (params as { arguments: { order: number } }).arguments;
    const held = await openRaw(policed.gateway.port);
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params });
    held.send(requestOf({ token, body }));
    const asked = await waitingFor(order);
    held.socket.destroy();
    return asked;
  }
  async function waitingFor(order: number): Promise<ApprovalRequest> {
    for (let attempt = 0; attempt < 1000; attempt++) {
      for (const one of await approvals().waitingFor(LEA)) {
        if ((one.call.params as { arguments: { order: number } }).arguments.order === order) return one;
      }
      await new Promise((done) => setTimeout(done, 5));
    }
    throw new Error('Nothing was asked.');
  }
  const decide = (id: string, verdict: 'approve' | 'deny' = 'approve', of = approvals()) =>
    of.decide(id, { by: LEA, authenticated: Date.now() / 1000, verdict });
  const stores = () => ({
    state: openStore(`${policed.gateway.storeUrl}-state`),
    audit: openStore(`${policed.gateway.storeUrl}-audit`),
    now: Date.now,
  });

  async function sendTo(gateway: GatewayUnderTest, params: object, method = 'tools/call'): Promise<string | undefined> {
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params });
    const answer = await ask(gateway.port, requestOf({ token, body, host: `127.0.0.1:${policed.gateway.port}` }));
    return /"code":"([a-z_]+)"/.exec(answer.body)?.[1];
  }

  test('of forty at once, on two replicas, one is made', async () => {
    const asked = await pending(refund(orders));
    await decide(asked.id);
    const codes = await Promise.all(
      Array.from({ length: 40 }, async (_, index) => {
        const replica = index % 2 === 0 ? policed.gateway : second;
        const body = JSON.stringify({ jsonrpc: '2.0', id: index, method: 'tools/call', params: refund(orders) });
        const raw = await openRaw(replica.port);
        raw.send(requestOf({ token, body, host: `127.0.0.1:${policed.gateway.port}` }));
        // The others wait for another approval, which comes never.
        const all = await Promise.race([
          raw.until((got) => got.includes('}')),
          new Promise<string>((done) => setTimeout(() => done(''), 700)),
        ]);
        raw.socket.destroy();
        return all.includes('refunded');
      }),
    );
    assert.equal(codes.filter(Boolean).length, 1);
    assert.equal(sent(orders).length, 1);
  });

  test('what one replica asked another decides, and a third try finds it used', async () => {
    const asked = await pending(refund(orders));
    await decide(asked.id, 'approve', second.gateway.approving.approvals);
    assert.equal(await sendTo(second, refund(orders)), undefined);
    assert.equal(sent(orders).length, 1);
    const again = await pending(refund(orders));
    assert.notEqual(again.id, asked.id);
    await decide(again.id, 'deny');
    assert.equal(await sendTo(second, refund(orders)), 'approval_denied');
    assert.equal(sent(orders).length, 1);
  });

  test('another value in any place is another call', async () => {
    const asked = await pending(refund(orders));
    await decide(asked.id);
    const others: object[] = [
      refund(orders, { _meta: { x: 1 } }),
      refund(orders, { _meta: { baggage: 'tenant=other' } }),
      refund(orders, { _meta: { 'io.modelcontextprotocol/related-task': { taskId: 'x' } } }),
      refund(orders, { task: {} }),
      refund(orders, { extra: 1 }),
      { name: 'refund', arguments: { order: orders, more: null } },
      { name: 'refund', arguments: { order: String(orders) } },
      { name: 'refund', arguments: { order: [orders] } },
      { name: 'wipe', arguments: { order: orders } },
    ];
    for (const params of others) {
      const raw = await openRaw(policed.gateway.port);
      raw.send(requestOf({ token, body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params }) }));
      await new Promise((done) => setTimeout(done, 40));
      raw.socket.destroy();
    }
    // As a notification nobody could hear of it.
    const note = JSON.stringify({ jsonrpc: '2.0', method: 'tools/call', params: refund(orders, { x: 2 }) });
    const raw = await openRaw(policed.gateway.port);
    raw.send(requestOf({ token, body: note }));
    await new Promise((done) => setTimeout(done, 40));
    raw.socket.destroy();
    assert.deepEqual(
      policed.reached.filter(({ params }) => JSON.stringify(params)?.includes(String(orders))),
      [],
    );
    const other = await policed.gateway.tokenFor({ sub: `eve ${orders}`, email: `eve${orders}@example.com` });
    const theirs = await openRaw(policed.gateway.port);
    theirs.send(
      requestOf({
        token: other,
        body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: refund(orders) }),
      }),
    );
    await new Promise((done) => setTimeout(done, 40));
    theirs.socket.destroy();
    assert.equal(sent(orders).length, 0);
    assert.equal((await send(refund(orders))).code, undefined);
    assert.equal(sent(orders).length, 1);
  });

  test('a policy that changes while it is held makes what was approved void', async () => {
    const held = send(refund(orders));
    const asked = await waitingFor(orders);
    await policed.rules(RULES + OTHER_RULE);
    await decide(asked.id);
    assert.equal((await held).code, 'approval_denied');
    assert.equal(sent(orders).length, 0);
    await policed.rules(RULES);
  });

  test('a freeze that comes while it is held stops it', async () => {
    const held = send(refund(orders));
    const asked = await waitingFor(orders);
    const scope = { connection: 'fixture', tool: 'refund' };
    const { id } = await createFreeze(stores(), { scope, reason: 'x', actor: 'os:x' });
    const logged = (event: string) => async () => policed.gateway.logged.some((line) => line.includes(event));
    await until(logged('"freeze_on"'));
    await decide(asked.id);
    assert.equal((await held).code, 'frozen');
    assert.equal(sent(orders).length, 0);
    await liftFreeze(stores(), { id, actor: 'os:x', reason: 'x' });
    await until(logged('"freeze_off"'));
  });
  test('a session that ends while it is held takes the call along', async () => {
    const held = send(refund(orders));
    const asked = await waitingFor(orders);
    await revokeSession(stores(), { session: asked.call.session, actor: 'os:x', reason: 'x' });
    assert.equal((await held).code, 'session_ended');
    await decide(asked.id);
    assert.equal(sent(orders).length, 0);
  });

  test('two that are held under one id are both cancelled', async () => {
    const first = send(refund(orders), 'same');
    const asked = await waitingFor(orders);
    const next = send({ name: 'wipe', arguments: { order: orders + 500_000 } }, 'same');
    const other = await waitingFor(orders + 500_000);
    const cancelled = JSON.stringify({
      jsonrpc: '2.0',
      method: 'notifications/cancelled',
      params: { requestId: 'same' },
    });
    await (await rawCall(policed.gateway.url, { token, body: cancelled }).answer).whole();
    await decide(asked.id);
    await decide(other.id);
    assert.deepEqual([(await first).code, (await next).code], ['approval_denied', 'approval_denied']);
    assert.equal(sent(orders).length + sent(orders + 500_000).length, 0);
  });

  test('a client that leaves while it is told of progress has no call made', async () => {
    const body = JSON.stringify({
      jsonrpc: '2.0',
      id: 9,
      method: 'tools/call',
      params: refund(orders, { _meta: { progressToken: 'p' } }),
    });
    const answer = await rawCall(policed.gateway.url, { token, body }).answer;
    await answer.until((bytes) => bytes.includes('notifications/progress'));
    const asked = await waitingFor(orders);
    answer.close();
    // One that comes later is answered: by then the gateway knows of the close.
    await policed.send('ping', {}, { token });
    await decide(asked.id);
    await until(async () =>
      (await framesOf(policed.gateway)).some((frame) => frame.type === 'end' && frame.exchange === asked.call.exchange),
    );
    assert.equal(sent(orders).length, 0);
    // Who comes back makes it.
    assert.equal((await send(refund(orders))).code, undefined);
    assert.equal(sent(orders).length, 1);
  });

  test('a task that one replica began is masked when another fetches it', async () => {
    const asked = await pending(refund(orders, { task: {} }));
    await decide(asked.id);
    policed.answer(() => ({ task: { taskId: 'far-1', status: 'working' } }));
    assert.equal((await send(refund(orders, { task: {} }))).code, undefined);
    policed.answer(() => ({ content: [{ type: 'text', text: EMAIL }] }));
    for (const replica of [policed.gateway, second]) {
      const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tasks/result', params: { taskId: 'far-1' } });
      const got = await ask(replica.port, requestOf({ token, body, host: `127.0.0.1:${policed.gateway.port}` }));
      assert.match(got.body, /\[email:[0-9a-f]{8}\]/);
      assert.doesNotMatch(got.body, /maya/);
    }
    policed.answer(() => ({ content: [{ type: 'text', text: 'refunded' }] }));
  });

  test('thousands that one session asks for are few that wait', async () => {
    const codes: Record<string, number> = {};
    // Held ones end with their clients.
    const sockets = await Promise.all(Array.from({ length: 50 }, () => openRaw(policed.gateway.port)));
    for (const [index, raw] of sockets.entries()) {
      raw.send(
        requestOf({
          token,
          body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: refund(orders * 1000 + index) }),
        }),
      );
    }
    await until(async () => sockets.filter((raw) => raw.received().includes('too_many_waiting')).length >= 30);
    for (const raw of sockets) {
      const code = /"code":"([a-z_]+)"/.exec(raw.received())?.[1] ?? 'held';
      codes[code] = (codes[code] ?? 0) + 1;
      raw.socket.destroy();
    }
    assert.deepEqual(codes, { held: 20, too_many_waiting: 30 });
    const other = await policed.gateway.tokenFor({ sub: `bob ${orders}`, email: `bob${orders}@example.com` });
    const raw = await openRaw(policed.gateway.port);
    raw.send(
      requestOf({
        token: other,
        body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: refund(orders) }),
      }),
    );
    assert.ok(await waitingFor(orders), 'another session still asks');
    raw.socket.destroy();
  });

  test('a tool that changes while its call is held is not called', async () => {
    const pinned = { name: 'refund', description: 'Refunds.', inputSchema: { type: 'object' } };
    await writeFile(join(policed.policies, 'tools', 'fixture.json'), writePins('fixture', [pinned]));
    const strict = await startPoliced(
      `${RULES}  - { name: list, principals: any, connections: [fixture], tools: ["*"], methods: [tools/list], effect: allow }\n`,
      {
        approvalHold: 3000,
        connection: { changedTools: 'refuse' },
      },
    );
    try {
      await writeFile(join(strict.policies, 'tools', 'fixture.json'), writePins('fixture', [pinned]));
      await strict.gateway.gateway.reload();
      const held = strict.send('tools/call', refund(1));
      const theirs = strict.gateway.gateway.approving.approvals;
      await until(async () => (await theirs.waitingFor(LEA)).length > 0);
      strict.answer(() => ({ tools: [{ ...pinned, description: 'Refunds all.' }] }));
      await strict.send('tools/list');
      const [asked] = await theirs.waitingFor(LEA);
      await decide(asked?.id ?? '', 'approve', theirs);
      assert.equal((await held).code, 'tool_changed');
      assert.deepEqual(
        strict.reached.map(({ method }) => method),
        ['tools/list'],
      );
    } finally {
      await strict.close();
    }
  });

  test('a journal that fails while a call is held lets it out neither then nor afterwards', async () => {
    const gate = createGate();
    const one = await startPoliced(RULES, { approvalHold: 30_000, fileSystem: gate.fileSystem });
    try {
      const held = one.send('tools/call', refund(1));
      const theirs = one.gateway.gateway.approving.approvals;
      await until(async () => (await theirs.waitingFor(LEA)).length > 0);
      const [asked] = await theirs.waitingFor(LEA);
      gate.fail(new Error('disk full'));
      await decide(asked?.id ?? '', 'approve', theirs);
      const reply = await held;
      assert.deepEqual([reply.code, reply.body.includes('"fate":"not_forwarded"')], ['recording_unavailable', true]);
      assert.equal(one.reached.length, 0);
    } finally {
      gate.open();
      await one.close();
    }
  });

  test('a gateway that stops lets no held call out', async () => {
    const one = await startPoliced(RULES, { approvalHold: 30_000, config: { drain: '200ms' } });
    const held = await openRaw(one.gateway.port);
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: refund(1) });
    held.send(requestOf({ token: one.gateway.token, body }));
    const theirs = one.gateway.gateway.approving.approvals;
    await until(async () => (await theirs.waitingFor(LEA)).length > 0);
    const before = performance.now();
    await one.close();
    assert.ok(performance.now() - before < 5000, 'it waits for the person');
    assert.match(await held.closed(), /"code":"shutting_down".*"fate":"not_forwarded"/);
    assert.equal(one.reached.length, 0);
  });
});

async function until(is: () => Promise<boolean>): Promise<void> {
  for (let attempt = 0; attempt < 600; attempt++) {
    if (await is()) return;
    await new Promise((done) => setTimeout(done, 10));
  }
  throw new Error('It did not come.');
}
