/** Calls that wait for a person: held, refused with a link, found again, made once. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, beforeEach, describe, test } from 'node:test';
import type { ApprovalRequest, Person } from '../gateway/sessions/approval.ts';
import { startIssuer } from './issuer.ts';
import { type Policed, type Reply, startPoliced } from './policed.ts';
import { call as rawCall } from './raw-client.ts';
import { exchangesOf, framesOf } from './recorded.ts';

const RULES = `
rules:
  - name: refunds
    principals: { groups: [analysts] }
    connections: [fixture]
    tools: [refund]
    effect: approve
    approval: { approvers: [leads], pending: 1h, usable: 10m }
  - name: elicit
    principals: any
    connections: [fixture]
    tools: [free]
    effect: allow
`;
const LEA: Person = {
  kind: 'human',
  issuer: 'https://idp.example.com',
  subject: 'lea',
  email: 'lea@example.com',
  groups: ['leads'],
};
const refund = (order: number, more: object = {}) => ({ name: 'refund', arguments: { order }, ...more });

/** Milliseconds: soon over, for what is refused as pending; and longer than any test, for what is decided meanwhile. */
const [SHORT, LONG] = [100, 60_000];

describe('calls that wait for approval', () => {
  /** Where calls are held for long, and where not. */
  let patient: Policed;
  let hasty: Policed;
  let at: Policed;
  let token = '';
  let people = 0;
  before(async () => {
    [patient, hasty] = await Promise.all([
      startPoliced(RULES, { approvalHold: LONG }),
      startPoliced(RULES, { approvalHold: SHORT }),
    ]);
    for (const one of [patient, hasty]) one.answer(() => ({ content: [{ type: 'text', text: 'refunded' }] }));
  });
  after(() => Promise.all([patient.close(), hasty.close()]));
  beforeEach(async () => {
    await hold(hasty);
  });

  async function hold(where: Policed): Promise<void> {
    at = where;
    people++;
    token = await at.gateway.tokenFor({ sub: `ana ${people}`, email: `ana${people}@example.com` });
  }

  const approvals = () => at.gateway.gateway.approving.approvals;
  const send = (params: object, id = 1): Promise<Reply> => at.send('tools/call', params, { token, id });
  const waiting = async (): Promise<ApprovalRequest> => {
    const [newest] = await approvals().waitingFor(LEA);
    assert.ok(newest !== undefined, 'nothing waits');
    return newest;
  };
  const decide = (id: string, verdict: 'approve' | 'deny', by: Person = LEA) =>
    approvals().decide(id, { by, authenticated: Date.now() / 1000, verdict });

  test('pending: an error with a link and a code, nothing upstream; approved, the same call passes, once', async () => {
    const before = at.reached.length;
    const first = await send(refund(7));
    assert.equal(first.code, 'approval_pending');
    const asked = await waiting();
    assert.equal(first.said.error?.data?.url, `http://127.0.0.1:${at.gateway.port}/approvals/${asked.id}`);
    assert.ok(first.said.error?.message.includes(asked.code));
    assert.deepEqual(asked.call.params, refund(7));
    assert.equal(at.reached.length, before);
    await decide(asked.id, 'approve');
    assert.equal((await send(refund(8))).code, 'approval_pending', 'another order is another call');
    // Another try: another id, another progress token, the keys in another order.
    const again = await send({ arguments: { order: 7 }, name: 'refund', _meta: { progressToken: 'x' } }, 2);
    assert.deepEqual([again.code, at.reached.length], [undefined, before + 1]);
    assert.equal((await send(refund(7))).code, 'approval_pending', 'it was approved once');
    const frames = (await framesOf(at.gateway)).filter((frame) => frame.type === 'approval');
    const approved = frames.find(({ approval }) => approval.id === asked.id && approval.state === 'approved');
    assert.deepEqual(approved?.approval.by, [{ rule: 'refunds', subject: 'lea' }]);
  });

  test('approved while it is held, it goes out, and only then', async () => {
    await hold(patient);
    const before = at.reached.length;
    const held = send(refund(21));
    const asked = await untilAsked(waiting, 21);
    assert.equal(at.reached.length, before);
    await decide(asked.id, 'approve');
    const reply = await held;
    assert.deepEqual([reply.code, at.reached.length], [undefined, before + 1]);
  });

  test('denied: by words, at once, and for the next try too', async () => {
    await hold(patient);
    const held = send(refund(31));
    const asked = await untilAsked(waiting, 31);
    await decide(asked.id, 'deny');
    assert.equal((await held).code, 'approval_denied');
    assert.equal((await send(refund(31))).code, 'approval_denied');
  });

  test('nobody approves their own, nor with another’s session; arguments moved to _meta are other arguments', async () => {
    await send(refund(41));
    const asked = await waiting();
    const self = { ...LEA, ...asked.call.principal, kind: 'human' as const, groups: ['leads'] };
    await assert.rejects(decide(asked.id, 'approve', self));
    await decide(asked.id, 'approve');
    const other = await at.gateway.tokenFor({ sub: 'other', email: 'other@example.com' });
    assert.equal((await at.send('tools/call', refund(41), { token: other })).code, 'approval_pending');
    assert.equal((await send(refund(41, { _meta: { order: 42 } }))).code, 'approval_pending');
    assert.equal((await send(refund(41, { task: {} }))).code, 'approval_pending');
    assert.equal((await send(refund(41))).code, undefined);
  });

  test('a client that asked for progress is told while it is held, and gets its answer on that stream', async () => {
    await hold(patient);
    const body = JSON.stringify({
      jsonrpc: '2.0',
      id: 9,
      method: 'tools/call',
      params: refund(51, { _meta: { progressToken: 'p' } }),
    });
    const answer = await rawCall(at.gateway.url, { token, body }).answer;
    await answer.until((bytes) => bytes.includes('notifications/progress'));
    const asked = await untilAsked(waiting, 51);
    await decide(asked.id, 'approve');
    const whole = (await answer.whole()).toString();
    assert.match(whole, /Waits for approval: http:\S+ \(code [0-9A-Z-]+\)/);
    assert.match(whole, /data: \{"jsonrpc":"2\.0","id":9,"result":\{.*refunded/);
    const exchange = (await exchangesOf(at.gateway)).at(-1);
    assert.deepEqual([exchange?.end?.outcome.result, exchange?.end?.outcome.http], ['complete', 200]);
  });

  test('cancelled while it is held, it is never made, whatever an approver says', async () => {
    await hold(patient);
    const before = at.reached.length;
    const held = send(refund(61), 77);
    const asked = await untilAsked(waiting, 61);
    const cancelled = JSON.stringify({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 77 } });
    await (await rawCall(at.gateway.url, { token, body: cancelled }).answer).whole();
    assert.equal((await held).code, 'approval_denied');
    await decide(asked.id, 'approve');
    assert.deepEqual(
      at.reached.slice(before).map(({ method }) => method),
      ['notifications/cancelled'],
    );
  });

  test('a modern client that opens addresses is asked to; what it sends back is the gateway’s own', async () => {
    const meta = {
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientCapabilities': { elicitation: { url: {} } },
    };
    const headers = ['MCP-Protocol-Version: 2026-07-28', 'Mcp-Method: tools/call', 'Mcp-Name: refund'];
    const ask = (more: object = {}) => at.send('tools/call', refund(81, { _meta: meta, ...more }), { token, headers });
    const first = await ask();
    const result = first.said.result as {
      resultType: string;
      requestState: string;
      inputRequests: Record<string, { params: { url: string; message: string } }>;
    };
    assert.equal(result.resultType, 'input_required');
    const asked = await waiting();
    const { url, message } = result.inputRequests['verbatim-approval']?.params ?? assert.fail();
    assert.ok(url.endsWith(asked.id) && message.includes(asked.code));
    await decide(asked.id, 'approve');
    const before = at.reached.length;
    const back = { requestState: result.requestState, inputResponses: { 'verbatim-approval': { action: 'accept' } } };
    const done = await ask(back);
    assert.deepEqual([done.code, at.reached.length], [undefined, before + 1]);
    assert.deepEqual(at.reached.at(-1)?.params, refund(81, { _meta: meta }));
    // A client sends one state back: where it is the server's, the gateway's own question has no place.
    at.answer(() => ({ resultType: 'complete', requestState: 'of-the-server', content: [] }));
    const free = { name: 'free', arguments: {}, _meta: meta };
    await at.send('tools/call', free, { token, headers: [...headers.slice(0, 2), 'Mcp-Name: free'] });
    const both = await at.send('tools/call', refund(82, { _meta: meta, requestState: 'of-the-server' }), {
      token,
      headers,
    });
    assert.equal(both.code, 'approval_pending');
    // Another session's state is nobody's.
    const other = await at.gateway.tokenFor({ sub: 'thief', email: 'thief@example.com' });
    const stolen = await at.send('tools/call', refund(81, { _meta: meta, ...back }), { token: other, headers });
    assert.equal(stolen.code, 'handle_unknown');
  });

  test('what a rule denies by the time of its release is not made, though it was approved', async () => {
    await hold(patient);
    const until = Date.now() + 1500;
    const rule = `{ name: closed, principals: any, connections: [fixture], tools: [refund], effect: deny, condition: 'now > timestamp("${new Date(until).toISOString()}")' }`;
    await at.rules(`${RULES}  - ${rule}\n`);
    const held = send(refund(95));
    const asked = await untilAsked(waiting, 95);
    while (Date.now() <= until) await new Promise((done) => setTimeout(done, 20));
    await decide(asked.id, 'approve');
    assert.equal((await held).code, 'denied');
    await at.rules(RULES);
  });

  test('a changed policy asks anew, and batches and notifications never wait', async () => {
    await send(refund(91));
    const asked = await waiting();
    await decide(asked.id, 'approve');
    await at.rules(`${RULES}  - { name: more, principals: any, connections: [fixture], tools: [x], effect: deny }\n`);
    assert.equal((await send(refund(91))).code, 'approval_pending');
    const batch = JSON.stringify([
      { jsonrpc: '2.0', id: 1, method: 'tools/call', params: refund(92) },
      { jsonrpc: '2.0', id: 2, method: 'tools/call', params: { name: 'free' } },
    ]);
    const body = await (await rawCall(at.gateway.url, { token, body: batch }).answer).whole();
    assert.deepEqual(
      (JSON.parse(body.toString()) as { error: { data: { code: string } } }[]).map(({ error }) => error.data.code),
      ['denied', 'denied'],
    );
  });
});

async function untilAsked(waiting: () => Promise<ApprovalRequest>, order: number): Promise<ApprovalRequest> {
  for (let attempt = 0; attempt < 500; attempt++) {
    const asked = await waiting().catch(() => undefined);
    if ((asked?.call.params as { arguments: { order: number } } | undefined)?.arguments.order === order && asked)
      return asked;
    await new Promise((done) => setTimeout(done, 5));
  }
  throw new Error('Nothing was asked.');
}

test('an agent is not held; a webhook tells of its call, without its arguments', async () => {
  const received: { headers: IncomingHttpHeaders; body: string }[] = [];
  const receiver = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      received.push({ headers: request.headers, body: Buffer.concat(chunks).toString() });
      response.end();
    });
  }).listen(0, '127.0.0.1');
  await once(receiver, 'listening');
  const { port } = receiver.address() as AddressInfo;
  const issuer = await startIssuer();
  process.env.VERBATIM_TEST_WEBHOOK = randomBytes(32).toString('base64');
  const policed = await startPoliced(RULES, {
    issuer,
    approvalHold: 60_000,
    config: {
      issuers: { robots: { issuer: issuer.url, jwksUri: `${issuer.url}/jwks`, kind: 'agent' } },
      webhooks: { siem: { url: `http://127.0.0.1:${port}/hook`, secret: 'env:VERBATIM_TEST_WEBHOOK' } },
    },
  });
  try {
    const started = performance.now();
    assert.equal((await policed.send('tools/call', refund(4711))).code, 'approval_pending');
    assert.ok(performance.now() - started < 30_000, 'it was held');
    const told = await untilTold(received);
    const { event, link } = JSON.parse(told.body) as { event: string; link: string };
    assert.equal(event, 'approval.requested');
    assert.match(link, /\/approvals\/[0-9a-f-]{36}$/);
    assert.ok(!told.body.includes('4711'));
    assert.match(String(told.headers['webhook-signature']), /^v1,/);
  } finally {
    await policed.close();
    await issuer.close();
    receiver.closeAllConnections();
    receiver.close();
    delete process.env.VERBATIM_TEST_WEBHOOK;
  }
});

async function untilTold<T>(received: readonly T[]): Promise<T> {
  for (let attempt = 0; attempt < 1000; attempt++) {
    const [first] = received;
    if (first !== undefined) return first;
    await new Promise((done) => setTimeout(done, 10));
  }
  throw new Error('Nobody was told.');
}
