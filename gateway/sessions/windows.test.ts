import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createFilesystemStore } from '../store/filesystem.ts';
import { createMemoryStore } from '../store/memory.ts';
import type { Store } from '../store/store.ts';
import {
  ANA,
  auditIn,
  CHAT,
  isRefused,
  keyOf,
  LEAD,
  MINUTE,
  namesIn,
  person,
  ROBOT,
  START,
  stoppingAt,
  world,
} from './approvals-fixture.ts';
import { createSigning } from './signed.ts';

const asked = (changes = {}) => ({
  person: ANA,
  connection: 'orders',
  reason: 'incident 4711',
  duration: 30 * MINUTE,
  ...changes,
});
const ONCALL = person('olga', ['oncall']);
const SECURITY = person('sam', ['security']);

for (const kind of ['memory', 'filesystem'] as const) {
  test(`${kind}: asked, approved and open on every replica, until its time or its revocation`, async () => {
    const folder = await mkdtemp(join(tmpdir(), 'verbatim-windows-'));
    const state: Store =
      kind === 'memory' ? createMemoryStore() : createFilesystemStore({ root: join(folder, 'state') });
    const { replica, fresh, clock, audit } = world(state);
    const [one, two] = [replica().windows, replica().windows];
    assert.equal(one.known(), false);
    assert.deepEqual(await one.list(LEAD), { requests: [], windows: [] });
    assert.deepEqual(await one.poll(), { opened: [], ended: [] });
    assert.equal(one.known(), true);
    const request = await one.request(asked());
    assert.match(request.code, /^[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}$/);
    assert.equal(request.state, 'pending');
    assert.deepEqual((await two.list(LEAD)).requests, [request]);
    assert.deepEqual((await two.list(ANA)).requests, [request]);
    assert.deepEqual((await two.list(person('bob', ['analysts']))).requests, []);
    clock.now += MINUTE;
    const decision = { by: LEAD, authenticated: fresh(), verdict: 'approve' } as const;
    const approved = await two.decide(request.id, { ...decision, reason: 'fine' });
    assert.equal(approved.state, 'approved');
    const id = approved.window ?? '';
    assert.equal(one.openFor(ANA, 'orders'), undefined, 'not read yet');
    for (const each of [one, two, replica().windows]) {
      const window = {
        id,
        kind: 'justInTime',
        issuer: ANA.issuer,
        subject: 'ana',
        email: 'ana@example.com',
        connection: 'orders',
        reason: 'incident 4711',
        approvedBy: 'lead@example.com',
        from: START + MINUTE,
        expires: START + 31 * MINUTE,
        state: 'open',
      };
      assert.deepEqual(await each.poll(), { opened: [window], ended: [] });
      assert.deepEqual(each.openFor(ANA, 'orders'), window);
      assert.deepEqual(await each.readWindow(id), window);
      assert.deepEqual((await each.list(LEAD)).windows, [window]);
      assert.equal(each.openFor(ANA, 'wiki'), undefined);
      assert.equal(each.openFor({ issuer: 'https://other.example.com', subject: 'ana' }, 'orders'), undefined);
    }
    await one.revoke(id, { person: ANA, reason: 'done' });
    const { ended } = await two.poll();
    assert.deepEqual([ended.length, ended[0]?.id, ended[0]?.state], [1, id, 'revoked']);
    assert.equal(two.openFor(ANA, 'orders'), undefined);
    assert.equal((await two.readWindow(id))?.state, 'revoked');
    await isRefused(one.revoke(id, { person: ANA, reason: 'done' }), /revoked already/);
    assert.deepEqual(
      (await auditIn(audit)).map(({ kind: what, actor, reason }) => [what, actor, reason]),
      [
        ['access.approved', 'lead@example.com', 'fine'],
        ['access.revoked', 'ana@example.com', 'done'],
      ],
    );
    await rm(folder, { recursive: true });
  });
}

test('it ends to the millisecond, and a state that is not read for 10 s is not known', async () => {
  const { replica, fresh, clock } = world();
  const { windows } = replica();
  const { id } = await windows.request(asked());
  await windows.decide(id, { by: LEAD, authenticated: fresh(), verdict: 'approve' });
  await windows.poll();
  clock.now = START + 10_000;
  assert.equal(windows.known(), true);
  clock.now++;
  assert.equal(windows.known(), false);
  clock.now = START + 30 * MINUTE - 1;
  assert.equal(windows.openFor(ANA, 'orders')?.state, 'open');
  clock.now++;
  assert.equal(windows.openFor(ANA, 'orders'), undefined);
  assert.equal((await windows.poll()).ended[0]?.state, 'ended');
});

test('the one that ends last is the one that is open', async () => {
  const { replica, fresh, clock } = world();
  const { windows } = replica();
  const durations = [30, 60, 10].map((minutes) => minutes * MINUTE);
  for (const duration of durations) {
    const { id } = await windows.request(asked({ duration }));
    await windows.decide(id, { by: LEAD, authenticated: fresh(), verdict: 'approve' });
    clock.now += 1000;
  }
  await windows.poll();
  assert.equal(windows.openFor(ANA, 'orders')?.expires, START + 1000 + 60 * MINUTE);
});

test('who may ask for what', async () => {
  const { replica } = world();
  const { windows } = replica();
  for (const [changes, words] of [
    [{ connection: 'wiki' }, /not given on request/],
    [{ connection: 'nowhere' }, /not given on request/],
    [{ reason: '' }, /one line/],
    [{ reason: 'x'.repeat(501) }, /one line/],
    [{ reason: 'a\nb' }, /one line/],
    [{ reason: 'a\u202eb' }, /one line/],
    [{ duration: 0 }, /at most 240 minutes/],
    [{ duration: -1 }, /at most 240 minutes/],
    [{ duration: 0.5 }, /at most 240 minutes/],
    [{ duration: Number.NaN }, /at most 240 minutes/],
    [{ duration: 240 * MINUTE + 1 }, /at most 240 minutes/],
  ] as const) {
    await isRefused(windows.request(asked(changes)), words);
  }
  assert.equal((await windows.request(asked({ duration: 240 * MINUTE, reason: 'x'.repeat(500) }))).state, 'pending');
});

test('nobody decides their own request or their agent’s; only fresh members of the approvers do', async () => {
  const { replica, fresh, access } = world();
  const { windows } = replica();
  const { id } = await windows.request(asked());
  const agents = (await windows.request(asked({ person: ROBOT }))).id;
  const decide = (which: string, by: typeof ANA, authenticated = fresh()) =>
    windows.decide(which, { by, authenticated, verdict: 'approve' });
  await isRefused(decide(id, { ...ANA, groups: ['leads'] }), /their own/);
  await isRefused(decide(id, person('x', ['leads'], { issuer: 'https://b.example', email: 'ANA@example.com' })), /own/);
  await isRefused(decide(agents, { ...ANA, groups: ['leads'] }), /acts for them/);
  await isRefused(decide(agents, person('pat', ['leads', 'platform'])), /own group/);
  await isRefused(decide(id, person('x', ['leads'], { kind: 'agent' })), /Only a person/);
  await isRefused(decide(id, person('bob', ['analysts'])), /none of the groups/);
  await isRefused(decide(id, LEAD, fresh() - 301), /Log in again/);
  await isRefused(decide('01980000-0000-7000-8000-00000000000f', LEAD), /nothing/, 'not_found');
  access.orders = 'standing';
  await isRefused(decide(id, LEAD), /none of the groups/);
});

test('of two who decide at once the first has decided; a request that nobody decides is over after a day', async () => {
  const { replica, fresh, clock, state } = world();
  const [one, two] = [replica().windows, replica().windows];
  const { id } = await one.request(asked());
  const both = await Promise.allSettled([
    one.decide(id, { by: LEAD, authenticated: fresh(), verdict: 'approve' }),
    two.decide(id, { by: person('boss', ['leads']), authenticated: fresh(), verdict: 'deny' }),
  ]);
  assert.deepEqual(both.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
  const won = both.find(({ status }) => status === 'fulfilled');
  assert.ok(won?.status === 'fulfilled');
  assert.deepEqual(await replica().windows.readRequest(id), won.value);
  assert.equal((await namesIn(state, 'windows/')).length, won.value.state === 'approved' ? 1 : 0);
  await isRefused(one.decide(id, { by: LEAD, authenticated: fresh(), verdict: 'approve' }), /already/);

  const late = await one.request(asked());
  clock.now = late.expires - 1;
  assert.equal((await one.readRequest(late.id))?.state, 'pending');
  clock.now++;
  assert.equal((await one.readRequest(late.id))?.state, 'void');
  await isRefused(one.decide(late.id, { by: LEAD, authenticated: fresh(), verdict: 'approve' }), /over already/);
});

test('a window that was not written with the key opens nothing, and shuts nobody out', async () => {
  const { replica, fresh, state } = world();
  const { windows } = replica();
  const { id } = await windows.request(asked({ duration: MINUTE }));
  const window = (await windows.decide(id, { by: LEAD, authenticated: fresh(), verdict: 'approve' })).window ?? '';
  const bytes = Buffer.from((await state.get(`windows/${window}.json`)) ?? []);
  const facts = JSON.parse(bytes.toString().split('\n')[0] ?? '');
  const other = createSigning(() => [keyOf('somebody else')]);
  const forged = [1, 2, 3, 4, 5].map((number) => `01980000-0000-7000-8000-00000000001${number}`);
  const [wrongKey = '', altered = '', copied = '', unsigned = '', junk = ''] = forged;
  const wide = { ...facts, subject: 'eve', expires: START + 1000 * MINUTE };
  await state.create(`windows/${wrongKey}.json`, other.sign(`windows/${wrongKey}.json`, { ...wide, id: wrongKey }));
  await state.create(`windows/${altered}.json`, Buffer.from(bytes.toString().replace('"ana"', '"eve"')));
  await state.create(`windows/${copied}.json`, bytes);
  await state.create(`windows/${unsigned}.json`, Buffer.from(JSON.stringify({ ...wide, id: unsigned })));
  await state.create(`windows/${junk}.json`, Buffer.from('{'));
  for (const each of [windows, replica().windows]) {
    const { opened } = await each.poll();
    assert.deepEqual(
      opened.map((one) => one.id),
      [window],
    );
    assert.equal(each.known(), true);
    assert.equal(each.openFor({ ...ANA, subject: 'eve' }, 'orders'), undefined);
    for (const one of forged) assert.equal(await each.readWindow(one), undefined);
    assert.equal((await each.list(LEAD)).windows.length, 1);
  }
  const stranger = replica([keyOf('somebody else')]).windows;
  await stranger.poll();
  assert.equal(stranger.openFor(ANA, 'orders'), undefined);
});

test('a decision that was slipped in opens nothing', async () => {
  const { replica, state, fresh } = world();
  const { windows } = replica();
  const first = await windows.request(asked());
  const second = await windows.request(asked());
  await windows.decide(first.id, { by: LEAD, authenticated: fresh(), verdict: 'approve' });
  const bytes = await state.get(`access-requests/${first.id}/decided.json`);
  await state.create(`access-requests/${second.id}/decided.json`, bytes ?? Buffer.of());
  assert.deepEqual(
    [(await windows.readRequest(second.id))?.state, (await namesIn(state, 'windows/')).length],
    ['void', 1],
  );
});

test('an approval whose replica stopped before its window was there opens it when it is looked at', async () => {
  const { replica, fresh, state } = world();
  const { id } = await replica().windows.request(asked());
  const dying = replica([keyOf('first')], { state: stoppingAt(state, (name) => name.startsWith('windows/')) }).windows;
  await assert.rejects(dying.decide(id, { by: LEAD, authenticated: fresh(), verdict: 'approve' }));
  const { windows } = replica();
  await windows.poll();
  assert.equal(windows.openFor(ANA, 'orders'), undefined);
  assert.equal((await windows.readRequest(id))?.state, 'approved');
  await windows.poll();
  assert.equal(windows.openFor(ANA, 'orders')?.approvedBy, 'lead@example.com');
});

test('where it can not be recorded nothing opens, closes or is reviewed', async () => {
  const { replica, fresh, state, audit } = world();
  const { windows } = replica();
  const mute = replica([keyOf('first')], { audit: stoppingAt(audit, () => true) }).windows;
  const { id } = await windows.request(asked());
  const now = { authenticated: fresh() };
  await assert.rejects(mute.decide(id, { by: LEAD, ...now, verdict: 'approve' }));
  await assert.rejects(mute.breakGlass({ ...asked({ person: ONCALL }), ...now }));
  assert.deepEqual(await namesIn(state, 'windows/'), []);
  const { id: glass } = await windows.breakGlass({ ...asked({ person: ONCALL }), ...now });
  await assert.rejects(mute.revoke(glass, { person: ONCALL, reason: 'done' }));
  await assert.rejects(mute.review(glass, { person: SECURITY, ...now, words: 'fine' }));
  assert.deepEqual(
    [(await windows.readWindow(glass))?.state, (await windows.readWindow(glass))?.review],
    ['open', 'due'],
  );
});

test('break glass opens at once for its groups, alerts, and is reviewed by somebody else', async () => {
  const { replica, fresh, audit, logged, state, webhooks } = world();
  webhooks.chat = CHAT;
  const { windows } = replica();
  const open = (changes = {}, authenticated = fresh()) =>
    windows.breakGlass({ ...asked({ person: ONCALL, ...changes }), authenticated });
  await isRefused(open({ person: ANA }), /none of the groups/);
  await isRefused(open({ person: { ...ONCALL, kind: 'agent' } }), /Only a person/);
  await isRefused(open({ connection: 'wiki' }), /none of the groups/);
  await isRefused(open({ duration: 61 * MINUTE }), /at most 60 minutes/);
  await isRefused(open({ reason: ' ' }), /one line/);
  await isRefused(open({}, fresh() - 301), /Log in again/);
  const window = await open();
  assert.deepEqual([window.kind, window.state, window.review], ['breakGlass', 'open', 'due']);
  assert.equal(logged[0]?.event, 'break_glass_opened');
  assert.equal((await namesIn(state, 'outbox/')).length, 1);
  const other = replica().windows;
  await other.poll();
  assert.equal(other.openFor(ONCALL, 'orders')?.id, window.id);
  assert.deepEqual((await other.list(SECURITY)).windows, [window]);
  const review = (by: typeof ANA, authenticated = fresh(), words = 'justified') =>
    other.review(window.id, { person: by, authenticated, words });
  await isRefused(review({ ...ONCALL, groups: ['security'] }), /their own/);
  await isRefused(review(person('x', ['security'], { issuer: 'https://b.example', email: 'OLGA@example.com' })), /own/);
  await isRefused(review(LEAD), /none of the groups/);
  await isRefused(review(SECURITY, fresh() - 301), /Log in again/);
  await isRefused(review(SECURITY, fresh(), ''), /one line/);
  await review(SECURITY);
  await isRefused(review(SECURITY), /reviewed already/);
  assert.deepEqual((await windows.readWindow(window.id))?.review, {
    by: 'sam@example.com',
    at: START,
    words: 'justified',
  });
  await other.revoke(window.id, { person: SECURITY, reason: 'over' });
  assert.equal((await windows.readWindow(window.id))?.state, 'revoked');
  assert.deepEqual(
    (await auditIn(audit)).map(({ kind: what, actor }) => [what, actor]),
    [
      ['break_glass.opened', 'olga@example.com'],
      ['access.reviewed', 'sam@example.com'],
      ['access.revoked', 'sam@example.com'],
    ],
  );
});

test('only its own person, approvers and reviewers revoke; only break glass is reviewed', async () => {
  const { replica, fresh } = world();
  const { windows } = replica();
  const { id } = await windows.request(asked());
  const window = (await windows.decide(id, { by: LEAD, authenticated: fresh(), verdict: 'approve' })).window ?? '';
  for (const by of [person('bob', ['analysts', 'oncall']), person('robot', ['leads'], { kind: 'agent' })]) {
    await isRefused(windows.revoke(window, { person: by, reason: 'x' }), /Only who has/);
  }
  await isRefused(windows.revoke(window, { person: LEAD, reason: 'a\u0000' }), /one line/);
  await isRefused(windows.review(window, { person: SECURITY, authenticated: fresh(), words: 'x' }), /break glass/);
  await isRefused(windows.revoke('x/../y', { person: LEAD, reason: 'x' }), /nothing/, 'not_found');
  await windows.revoke(window, { person: LEAD, reason: 'x' });
});

test('a person has at most 10 requests that wait', async () => {
  const { replica, fresh } = world();
  const { windows } = replica();
  const all = await Promise.allSettled(Array.from({ length: 15 }, () => windows.request(asked())));
  const made = all.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  assert.equal(made.length, 10);
  await isRefused(replica().windows.request(asked()), /10/, 'too_many_waiting');
  assert.equal((await windows.request(asked({ person: person('bob') }))).state, 'pending');
  await windows.decide(made[0]?.id ?? '', { by: LEAD, authenticated: fresh(), verdict: 'deny' });
  assert.equal((await windows.request(asked())).state, 'pending');
});
