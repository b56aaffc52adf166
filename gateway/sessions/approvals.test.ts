import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createFilesystemStore } from '../store/filesystem.ts';
import { createMemoryStore } from '../store/memory.ts';
import type { Store } from '../store/store.ts';
import type { ApprovalState, BoundCall } from './approval.ts';
import {
  ANA,
  auditIn,
  CHAT,
  callOf,
  isRefused,
  keyOf,
  LEAD,
  MINUTE,
  namesIn,
  person,
  ROBOT,
  rule,
  START,
  stoppingAt,
  world,
} from './approvals-fixture.ts';
import { createSigning } from './signed.ts';

const EXCHANGE = '01980000-0000-7000-8000-0000000000ee';

async function pendingId(asked: Promise<ApprovalState>): Promise<string> {
  const state = await asked;
  assert.equal(state.state, 'pending');
  return state.id;
}

for (const kind of ['memory', 'filesystem'] as const) {
  const onStores = (what: string, run: (state: Store) => Promise<void>): void => {
    test(`${kind}: ${what}`, async () => {
      if (kind === 'memory') return run(createMemoryStore());
      const folder = await mkdtemp(join(tmpdir(), 'verbatim-approvals-'));
      try {
        await run(createFilesystemStore({ root: join(folder, 'state') }));
      } finally {
        await rm(folder, { recursive: true });
      }
    });
  };

  onStores('asked on one replica, approved on another, used once after a restart', async (state) => {
    const { replica, fresh, clock, audit } = world(state);
    const [one, two] = [replica().approvals, replica().approvals];
    assert.deepEqual(await two.waitingFor(LEAD), []);
    const first = await one.ask(callOf());
    assert.ok(first.state === 'pending');
    assert.match(first.code, /^[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}$/);
    assert.equal(first.expires, START + 10 * MINUTE);
    clock.now += 1000;
    assert.deepEqual(await two.ask(callOf({ exchange: 'another' })), first, 'a retry finds it');
    const [shown, ...others] = await two.waitingFor(LEAD);
    assert.deepEqual(others, []);
    assert.deepEqual(shown?.call.params, callOf().params);
    assert.deepEqual([shown?.code, shown?.hash.length, shown?.state], [first.code, 64, first]);
    assert.deepEqual(await two.waitingFor(ANA), []);
    const { id } = first;
    const approved = await two.decide(id, { by: LEAD, authenticated: fresh(), verdict: 'approve', reason: 'fine' });
    const expected = { state: 'approved', id, by: [{ rule: 'refunds', subject: 'lead' }] };
    assert.deepEqual(approved, { ...expected, until: START + 1000 + 5 * MINUTE });
    const next = replica().approvals;
    assert.deepEqual(await next.ask(callOf()), approved);
    assert.equal(await next.use(id, EXCHANGE), 'ours');
    assert.equal(await one.use(id, EXCHANGE), 'used');
    assert.deepEqual((await one.read(id))?.state, { state: 'void', id, why: 'used' });
    const again = await one.ask(callOf());
    assert.ok(again.state === 'pending' && again.id !== id, 'a used one is followed by another');
    const recorded = await auditIn(audit);
    assert.deepEqual(
      recorded.map(({ kind: what, actor }) => [what, actor]),
      [
        ['approval.approved', 'lead@example.com'],
        ['approval.used', 'ana@example.com'],
      ],
    );
    assert.ok(!JSON.stringify(recorded).includes('12.5'), 'no argument is recorded');
  });

  onStores('of two that use it, or ask for it, at once, one is first', async (state) => {
    const { replica, fresh } = world(state);
    const both = [replica().approvals, replica().approvals] as const;
    const asked = await Promise.all([...both, ...both].map((one) => one.ask(callOf())));
    assert.equal(new Set(asked.map(({ id }) => id)).size, 1);
    const id = asked[0]?.id ?? '';
    await both[0].decide(id, { by: LEAD, authenticated: fresh(), verdict: 'approve' });
    const uses = await Promise.all([...both, ...both].map((one, at) => one.use(id, `exchange-${at}`)));
    assert.deepEqual(uses.sort(), ['ours', 'used', 'used', 'used']);
  });
}

test('another value in anything that is bound is another call; what is not bound is not', async () => {
  const { replica } = world();
  const { approvals } = replica();
  const first = await approvals.ask(callOf());
  const other: Partial<BoundCall>[] = [
    { principal: { ...ANA, subject: 'bob' } },
    { principal: { ...ANA, issuer: 'https://other.example.com' } },
    { principal: { ...ANA, onBehalfOf: 'bob' } },
    { client: 'cursor' },
    { session: '01980000-0000-7000-8000-000000000002' },
    { connection: 'tickets' },
    { origin: 'https://orders.example.com' },
    { method: 'prompts/get' },
    { name: 'refunds' },
    { params: { name: 'refund', arguments: { order: 7, amount: 125 } } },
    { params: { name: 'refund', arguments: { order: '7', amount: 12.5 } } },
    { params: { name: 'refund', arguments: { order: 7, amount: 12.5 }, _meta: {} } },
    { params: JSON.parse('{"name":"refund","arguments":{"order":7,"amount":12.5,"__proto__":1}}') },
    { tool: 'c'.repeat(64) },
    { policy: 'c'.repeat(64) },
    { rules: [rule('refunds', ['leads', 'analysts'])] },
    { rules: [rule('refunds', ['leads']), rule('other', ['leads'])] },
    { rules: [rule('other', ['leads'])] },
  ];
  const ids = new Set([first.id]);
  for (const changes of other) {
    const { id } = await approvals.ask(callOf(changes));
    assert.ok(!ids.has(id), JSON.stringify(changes));
    ids.add(id);
  }
  const same: Partial<BoundCall>[] = [
    { exchange: 'another', title: 'Another title' },
    { principal: { ...ANA, groups: [], email: 'ana@example.org' } },
    { params: { arguments: { amount: 12.5, order: 7 }, name: 'refund' } },
  ];
  for (const changes of same) assert.equal((await approvals.ask(callOf(changes))).id, first.id);
});

test('nobody decides their own call or their agent’s, however they come', async () => {
  const { replica, fresh } = world();
  const { approvals } = replica();
  const own = await pendingId(approvals.ask(callOf({ rules: [rule('r', ['everybody'])] })));
  const agents = await pendingId(approvals.ask(callOf({ principal: ROBOT, rules: [rule('r', ['everybody'])] })));
  const all = ['everybody'];
  for (const [id, by] of [
    [own, { ...ANA, groups: all }],
    [own, { ...ANA, groups: all, email: 'other@example.com' }],
    [own, person('a-7', all, { issuer: 'https://other.example.com', email: 'ANA@Example.COM' })],
    [own, person('Ana@Example.com', all, { issuer: 'https://other.example.com', email: 'x@example.com' })],
    [own, person('robot', all, { kind: 'agent' })],
    [agents, { ...ANA, groups: all }],
    [agents, person('a-7', all, { email: 'ANA@example.com' })],
    [agents, person('ana@example.com', all, { email: 'x@example.com' })],
    [agents, person('pat', ['everybody', 'platform'])],
    [agents, { ...ROBOT, kind: 'human', groups: all }],
  ] as const) {
    const decision = { by, authenticated: fresh() };
    for (const verdict of ['approve', 'deny'] as const) {
      await isRefused(approvals.decide(id, { ...decision, verdict }), /Nobody decides|Only a person/);
    }
    assert.ok(!(await approvals.waitingFor(by)).some((one) => one.id === id), JSON.stringify(by));
  }
  const { approvals: same } = replica();
  const subjects = await pendingId(
    approvals.ask(callOf({ principal: { ...ROBOT, onBehalfOf: 'emp-7' }, rules: [rule('r', all)] })),
  );
  await isRefused(
    same.decide(subjects, { by: person('emp-7', all), authenticated: fresh(), verdict: 'approve' }),
    /acts for them/,
  );
  const approved = await same.decide(agents, { by: person('bob', all), authenticated: fresh(), verdict: 'approve' });
  assert.equal(approved.state, 'approved', 'anybody else does');
});

test('only members of the approvers, who have logged in within five minutes', async () => {
  const { replica, fresh, clock } = world();
  const { approvals } = replica();
  const id = await pendingId(approvals.ask(callOf()));
  const decide = (by = LEAD, authenticated = fresh()) =>
    approvals.decide(id, { by, authenticated, verdict: 'approve' });
  await isRefused(decide(person('bob', ['lead'])), /none of the groups/);
  await isRefused(decide(person('bob', [])), /none of the groups/);
  for (const authenticated of [fresh() - 300.001, fresh() + 31, Number.NaN, 0, Number.POSITIVE_INFINITY]) {
    await isRefused(decide(LEAD, authenticated), /Log in again/);
  }
  await isRefused(
    approvals.decide(id, { by: LEAD, authenticated: fresh(), verdict: 'deny', reason: 'two\nlines' }),
    /one line/,
  );
  await isRefused(
    approvals.decide('01980000-0000-7000-8000-00000000000f', { by: LEAD, authenticated: fresh(), verdict: 'deny' }),
    /nothing/,
    'not_found',
  );
  await isRefused(
    approvals.decide('../../x', { by: LEAD, authenticated: fresh(), verdict: 'deny' }),
    /nothing/,
    'not_found',
  );
  clock.now += 60_000;
  assert.equal((await decide(LEAD, fresh() - 300)).state, 'approved');
  await isRefused(decide(person('boss', ['leads'])), /approved already/);
});

test('each rule is satisfied; one person may satisfy several; one denial is enough', async () => {
  const { replica, fresh, clock } = world();
  const { approvals } = replica();
  const rules = [rule('money', ['leads']), rule('data', ['privacy'])];
  const approve = (id: string, by: typeof LEAD) =>
    approvals.decide(id, { by, authenticated: fresh(), verdict: 'approve' });
  const first = await pendingId(approvals.ask(callOf({ rules })));
  assert.equal((await approve(first, LEAD)).state, 'pending');
  assert.equal((await approve(first, LEAD)).state, 'pending', 'the same person again changes nothing');
  clock.now += 4 * MINUTE;
  const done = await approve(first, person('pia', ['privacy']));
  assert.ok(done.state === 'approved');
  assert.deepEqual(done.by, [
    { rule: 'money', subject: 'lead' },
    { rule: 'data', subject: 'pia' },
  ]);
  assert.equal(done.until, START + 9 * MINUTE, 'usable from the last approval');

  const session = '01980000-0000-7000-8000-000000000002';
  const second = await pendingId(approvals.ask(callOf({ rules, session })));
  assert.equal((await approve(second, person('boss', ['privacy', 'leads']))).state, 'approved');
  const taken = await approvals.decide(second, { by: LEAD, authenticated: fresh(), verdict: 'deny', reason: 'no' });
  assert.deepEqual(taken, { state: 'denied', id: second, by: 'lead@example.com', reason: 'no' });
  assert.equal(await approvals.use(second, EXCHANGE), 'void');
  await isRefused(approve(second, person('other', ['leads'])), /denied by lead@example.com/);
});

test('who is denied hears of it until the request would have expired, and may ask again then', async () => {
  const { replica, fresh, clock } = world();
  const { approvals } = replica();
  const id = await pendingId(approvals.ask(callOf()));
  await approvals.decide(id, { by: LEAD, authenticated: fresh(), verdict: 'deny' });
  clock.now = START + 10 * MINUTE - 1;
  assert.deepEqual(await replica().approvals.ask(callOf()), { state: 'denied', id, by: 'lead@example.com' });
  clock.now++;
  assert.notEqual(await pendingId(approvals.ask(callOf())), id);
});

test('it expires to the millisecond, undecided or approved', async () => {
  const { replica, fresh, clock } = world();
  const { approvals } = replica();
  const id = await pendingId(approvals.ask(callOf()));
  clock.now = START + 10 * MINUTE - 1;
  assert.equal((await approvals.ask(callOf())).id, id);
  clock.now++;
  assert.deepEqual((await approvals.read(id))?.state, { state: 'void', id, why: 'expired' });
  await isRefused(approvals.decide(id, { by: LEAD, authenticated: fresh(), verdict: 'approve' }), /in time/);
  assert.deepEqual(await approvals.waitingFor(LEAD), []);
  const next = await pendingId(approvals.ask(callOf()));
  assert.notEqual(next, id);
  clock.now = START + 20 * MINUTE - 1;
  await approvals.decide(next, { by: LEAD, authenticated: fresh(), verdict: 'approve' });
  clock.now += 5 * MINUTE - 1;
  assert.equal((await approvals.read(next))?.state.state, 'approved');
  clock.now++;
  assert.deepEqual((await approvals.read(next))?.state, { state: 'void', id: next, why: 'expired' });
  assert.equal(await approvals.use(next, EXCHANGE), 'void');
  assert.notEqual(await pendingId(approvals.ask(callOf())), next);
});

test('approved and denied at once is denied; a denial that comes while it is being used keeps the call back', async () => {
  const { replica, fresh, state } = world();
  const boss = person('boss', ['leads']);
  const [one, two] = [replica().approvals, replica().approvals];
  const id = await pendingId(one.ask(callOf()));
  await Promise.all([
    one.decide(id, { by: LEAD, authenticated: fresh(), verdict: 'approve' }),
    two.decide(id, { by: boss, authenticated: fresh(), verdict: 'deny' }),
  ]);
  assert.equal((await one.read(id))?.state.state, 'denied');
  assert.equal(await one.use(id, EXCHANGE), 'void');

  const session = '01980000-0000-7000-8000-000000000002';
  const second = await pendingId(one.ask(callOf({ session })));
  await one.decide(second, { by: LEAD, authenticated: fresh(), verdict: 'approve' });
  const between: Store = {
    ...state,
    async create(name, bytes) {
      if (name.endsWith('/used.json')) {
        await two.decide(second, { by: boss, authenticated: fresh(), verdict: 'deny' });
      }
      return state.create(name, bytes);
    },
  };
  assert.equal(await replica([keyOf('first')], { state: between }).approvals.use(second, EXCHANGE), 'void');
});

test('what was not written with the key approves nothing: forged, altered, copied, planted', async () => {
  const { replica, fresh, state } = world();
  const { approvals } = replica();
  const sessions = [1, 2, 3, 4, 5].map((number) => `01980000-0000-7000-8000-00000000001${number}`);
  const ids: string[] = [];
  for (const session of sessions) ids.push(await pendingId(approvals.ask(callOf({ session }))));
  const [real = '', forged = '', altered = '', copied = '', planted = ''] = ids;
  await approvals.decide(real, { by: LEAD, authenticated: fresh(), verdict: 'approve' });
  const [name = ''] = await namesIn(state, `approvals-by-id/${real}/approved-`);
  const bytes = Buffer.from((await state.get(name)) ?? []);
  const to = (id: string): string => name.replace(real, id);

  const other = createSigning(() => [keyOf('somebody else')]);
  await state.create(to(forged), other.sign(to(forged), JSON.parse(bytes.toString().split('\n')[0] ?? '')));
  await state.create(to(altered), Buffer.from(bytes.toString().replace('"lead"', '"boss"')));
  await state.create(to(copied), bytes);
  await state.create(`approvals-by-id/${planted}/anything.json`, Buffer.from('{}'));
  for (const id of [forged, altered, copied, planted]) {
    for (const one of [approvals, replica().approvals]) {
      assert.deepEqual((await one.read(id))?.state, { state: 'void', id, why: 'unreadable' });
      assert.equal(await one.use(id, EXCHANGE), 'void');
      await isRefused(one.decide(id, { by: LEAD, authenticated: fresh(), verdict: 'approve' }), /not as this gateway/);
    }
  }
  assert.deepEqual(await approvals.waitingFor(LEAD), []);
  assert.equal((await approvals.read(real))?.state.state, 'approved', 'the others stand');
  const stranger = replica([keyOf('somebody else')]).approvals;
  assert.equal(await stranger.read(real), undefined);
  assert.deepEqual(await stranger.settled(real, AbortSignal.abort()), { state: 'void', id: real, why: 'unreadable' });
});

test('a request that was slipped in for a call is passed over', async () => {
  const { replica, state, fresh } = world();
  const { approvals } = replica();
  const id = await pendingId(approvals.ask(callOf()));
  await approvals.decide(id, { by: LEAD, authenticated: fresh(), verdict: 'approve' });
  const [claim = ''] = await namesIn(state, 'approvals/');
  // The approved request of this call, under the name of another call's.
  const { hash } = (await approvals.read(await pendingId(approvals.ask(callOf({ client: 'x' }))))) ?? {};
  const next = `approvals/${hash}/0000000002.json`;
  await state.create(next, (await state.get(claim)) ?? Buffer.of());
  const found = await replica().approvals.ask(callOf({ client: 'x' }));
  assert.ok(found.state === 'pending' && found.id !== id);
});

test('a secret is changed without a request being lost: the old one verifies as long as it is named', async () => {
  const { replica, fresh } = world();
  const first = await replica([keyOf('old')]).approvals.ask(callOf());
  const rotated = replica([keyOf('new'), keyOf('old')]).approvals;
  assert.deepEqual(await rotated.ask(callOf()), first, 'with the same code');
  await rotated.decide(first.id, { by: LEAD, authenticated: fresh(), verdict: 'approve' });
  assert.equal(await rotated.use(first.id, EXCHANGE), 'ours');
  assert.notEqual((await replica([keyOf('new')]).approvals.ask(callOf())).id, first.id);
});

test('a call that is held hears of the decision, made here or elsewhere, or of its time', async () => {
  const { replica, fresh, clock } = world();
  const [one, two] = [replica().approvals, replica().approvals];
  const id = await pendingId(one.ask(callOf()));
  const never = new AbortController().signal;
  const held = one.settled(id, never);
  await two.decide(id, { by: LEAD, authenticated: fresh(), verdict: 'approve' });
  assert.equal((await held).state, 'approved');
  const session = '01980000-0000-7000-8000-000000000002';
  const second = await pendingId(one.ask(callOf({ session })));
  assert.equal((await one.settled(second, AbortSignal.abort())).state, 'pending');
  const later = one.settled(second, never);
  clock.now += 10 * MINUTE;
  assert.deepEqual(await later, { state: 'void', id: second, why: 'expired' });
});

test('a session has at most 20 that wait; what is decided or expired makes room', async () => {
  const { replica, fresh, clock } = world();
  const { approvals } = replica();
  const numbered = (number: number) => callOf({ params: { number } });
  const asked = await Promise.allSettled(Array.from({ length: 30 }, (_, number) => approvals.ask(numbered(number))));
  const [first] = asked;
  assert.equal(asked.filter(({ status }) => status === 'fulfilled').length, 20);
  await isRefused(replica().approvals.ask(numbered(40)), /20/, 'too_many_waiting');
  assert.ok(first?.status === 'fulfilled');
  assert.deepEqual(await approvals.ask(numbered(0)), first.value, 'a retry is none more');
  const elsewhere = callOf({ session: '01980000-0000-7000-8000-000000000002' });
  assert.equal((await approvals.ask(elsewhere)).state, 'pending', 'another session has its own');
  await approvals.decide(first.value.id, { by: LEAD, authenticated: fresh(), verdict: 'deny' });
  assert.equal((await approvals.ask(numbered(41))).state, 'pending');
  await isRefused(approvals.ask(numbered(42)), /20/, 'too_many_waiting');
  clock.now += 10 * MINUTE;
  assert.equal((await approvals.ask(numbered(42))).state, 'pending');
});

test('a list has the newest 200, the newest first', async () => {
  const { replica, clock } = world();
  const { approvals } = replica();
  const sessions = Array.from({ length: 11 }, (_, number) => `01980000-0000-7000-8000-0000000001${10 + number}`);
  for (const session of sessions) {
    for (let number = 0; number < 20; number++) {
      clock.now++;
      await approvals.ask(callOf({ session, params: { number } }));
    }
  }
  const list = await replica().approvals.waitingFor(LEAD);
  assert.equal(list.length, 200);
  assert.deepEqual([list[0]?.at, list[199]?.at], [START + 220, START + 21]);
});

test('killed anywhere on its way, a retry finds or finishes it, and nothing is approved or used unrecorded', async () => {
  const steps = ['approvals/', 'approvals-waiting/', 'outbox/', 'asked.json'];
  for (const step of steps) {
    const { replica, state, webhooks } = world();
    webhooks.chat = CHAT;
    const dying = replica([keyOf('first')], { state: stoppingAt(state, (name) => name.includes(step)) });
    await assert.rejects(dying.approvals.ask(callOf()));
    const { approvals } = replica();
    const id = await pendingId(approvals.ask(callOf()));
    assert.equal((await approvals.waitingFor(LEAD))[0]?.id, id, step);
    assert.equal((await namesIn(state, 'outbox/')).length, 1, step);
    assert.equal((await namesIn(state, 'approvals/')).length, 1, step);
  }
  const { replica, state, audit, fresh } = world();
  const id = await pendingId(replica().approvals.ask(callOf()));
  const mute = { audit: stoppingAt(audit, () => true) };
  const decision = { by: LEAD, authenticated: fresh(), verdict: 'approve' } as const;
  await assert.rejects(replica([keyOf('first')], mute).approvals.decide(id, decision));
  assert.equal((await replica().approvals.read(id))?.state.state, 'pending');
  await replica().approvals.decide(id, decision);
  await assert.rejects(replica([keyOf('first')], mute).approvals.use(id, EXCHANGE));
  assert.equal((await replica().approvals.read(id))?.state.state, 'approved');
  assert.deepEqual(await namesIn(state, `approvals-by-id/${id}/used`), []);
});

test('nobody waits for ever: one that is not signed, or not there, is void', async () => {
  const { replica } = world();
  const id = '01980000-0000-7000-8000-00000000000f';
  assert.deepEqual(await replica().approvals.settled(id, new AbortController().signal), {
    state: 'void',
    id,
    why: 'unreadable',
  });
  assert.equal(await replica().approvals.use(id, EXCHANGE), 'void');
  assert.equal(await replica().approvals.read('x/../y'), undefined);
});
