import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ApprovalState } from './approval.ts';
import {
  ANA,
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
  world,
} from './approvals-fixture.ts';
import { createSigning } from './signed.ts';

const EXCHANGE = '01980000-0000-7000-8000-0000000000ee';

async function pendingId(asked: Promise<ApprovalState>): Promise<string> {
  const state = await asked;
  assert.equal(state.state, 'pending');
  return state.id;
}

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
