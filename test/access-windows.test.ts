/** Access for a time on the data path: no call without an open window, none after it, and the recording says so. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Person } from '../gateway/sessions/approval.ts';
import { type Policed, startPoliced } from './policed.ts';
import { framesOf, systemRefusals } from './recorded.ts';

const RULES = `
rules:
  - name: notes
    principals: { groups: [analysts] }
    connections: [fixture]
    tools: [note]
    effect: allow
  - name: only-when-asked-for
    principals: any
    connections: [fixture]
    tools: [repair]
    condition: access == "justInTime"
    effect: allow
`;
const REASON = 'ticket 4711';

let policed: Policed;
before(async () => {
  policed = await startPoliced(RULES, {
    connection: {
      access: {
        justInTime: { approvers: ['leads'], longest: '1h' },
        breakGlass: { groups: ['analysts'], reviewers: ['leads'], longest: '1h' },
      },
    },
  });
});
after(() => policed.close());

const call = (name = 'note') => policed.send('tools/call', { name, arguments: {} });
const now = (): number => Math.floor(Date.now() / 1000);

function person(subject: string, groups: readonly string[]): Person {
  return { kind: 'human', issuer: policed.gateway.issuer.url, subject, groups };
}

/** Replicas read windows every 2 s. */
async function until(code: string | undefined, name?: string): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    if ((await call(name)).code === code) return;
    await new Promise((done) => setTimeout(done, 50));
  }
  assert.fail(`calls never got ${code}`);
}

test('without a window no call passes, with words and the page to ask on', async () => {
  const { code, said } = await call();
  assert.equal(code, 'access_needed');
  assert.equal(said.error?.data?.url, `${policed.gateway.gateway.url}/access/fixture`);
  assert.equal(policed.reached.length, 0);
  assert.deepEqual(new Set(await systemRefusals(policed.gateway)), new Set(['access_needed']));
});

test('approved by somebody else it is a window: calls pass, rules know of it, and revoked they end at once', async () => {
  const { windows } = policed.gateway.gateway.approving;
  const duration = 600_000;
  const [ana, lea] = [person('ana', ['analysts']), person('lea', ['leads'])];
  const { id } = await windows.request({ person: ana, connection: 'fixture', reason: REASON, duration });
  assert.equal((await call()).code, 'access_needed');
  const own = windows.decide(id, { by: person('ana', ['leads']), authenticated: now(), verdict: 'approve' });
  await assert.rejects(own, { code: 'denied' });
  const { window = '' } = await windows.decide(id, { by: lea, authenticated: now(), verdict: 'approve' });
  await until(undefined);
  assert.equal((await call('repair')).code, undefined);
  const bob = await policed.gateway.tokenFor({ sub: 'bob' });
  assert.equal((await policed.send('tools/call', { name: 'note' }, { token: bob })).code, 'access_needed');

  const held = Promise.withResolvers<void>();
  policed.answer(() => held.resolve());
  const open = call();
  await held.promise;
  await windows.revoke(window, { person: lea, reason: 'done' });
  const { code, said } = await open;
  assert.equal(code, 'access_needed');
  assert.equal(said.error?.data?.fate, 'outcome_withheld');
  policed.answer(() => ({ ok: true }));
  assert.equal((await call()).code, 'access_needed');
});

test('what opened and ended is in the system strand', async () => {
  const events = (await framesOf(policed.gateway, 'system')).flatMap((frame) =>
    frame.type === 'event' && frame.event.name.startsWith('window.') ? [frame.event] : [],
  );
  assert.deepEqual(
    events.map(({ name, kind, subject, state }) => [name, kind, subject, state]),
    [
      ['window.opened', 'justInTime', 'ana', 'open'],
      ['window.ended', 'justInTime', 'ana', 'revoked'],
    ],
  );
});

test('break glass opens one alone, and rules tell it apart', async () => {
  const { windows } = policed.gateway.gateway.approving;
  await windows.breakGlass({
    person: person('ana', ['analysts']),
    authenticated: now(),
    connection: 'fixture',
    reason: 'outage',
    duration: 4000,
  });
  await until(undefined);
  assert.equal((await call('repair')).code, 'denied');
  assert.ok(policed.gateway.logged.some((line) => line.includes('break_glass_opened')));
});

test('a window ends by its time', () => until('access_needed'));
