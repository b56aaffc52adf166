/** Access for a time, on the data path: without a window no call enters, and its end ends what is under way. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Person } from '../gateway/sessions/approval.ts';
import { type Policed, startPoliced } from './policed.ts';
import { call as rawCall } from './raw-client.ts';
import { framesOf } from './recorded.ts';

const RULES = `
rules:
  - { name: read, principals: any, connections: [fixture], tools: [read], effect: allow }
  - { name: only-in-emergencies, principals: any, connections: [fixture], tools: [repair], condition: 'access == "breakGlass"', effect: allow }
`;
const access = {
  justInTime: { approvers: ['leads'], longest: '2h' },
  breakGlass: { groups: ['sre'], reviewers: ['security'], longest: '1h' },
};
const person = (subject: string, groups: string[], issuer: string): Person => ({
  kind: 'human',
  issuer,
  subject,
  email: `${subject}@example.com`,
  groups,
});
const HOUR = 3_600_000;

describe('a connection without standing access', () => {
  let policed: Policed;
  before(async () => {
    policed = await startPoliced(RULES, { connection: { access } });
    policed.answer(() => ({ content: [] }));
  });
  after(() => policed.close());

  const windows = () => policed.gateway.gateway.approving.windows;
  const issuer = () => policed.gateway.issuer.url;
  const authenticated = () => Date.now() / 1000;
  const tokenOf = (sub: string, groups: string[]) =>
    policed.gateway.tokenFor({ sub, email: `${sub}@example.com`, groups });
  const read = (token: string) => policed.send('tools/call', { name: 'read', arguments: {} }, { token });

  async function grant(sub: string, duration = HOUR): Promise<string> {
    const asked = await windows().request({
      person: person(sub, ['analysts'], issuer()),
      connection: 'fixture',
      reason: 'INC-7',
      duration,
    });
    const by = person('lea', ['leads'], issuer());
    const { window } = await windows().decide(asked.id, { by, authenticated: authenticated(), verdict: 'approve' });
    assert.ok(window !== undefined);
    return window;
  }

  test('no window, no call: words with a link, and no session', async () => {
    const token = await tokenOf('ana', ['analysts']);
    const refused = await read(token);
    assert.equal(refused.code, 'access_needed');
    assert.equal(refused.said.error?.data?.url, `http://127.0.0.1:${policed.gateway.port}/access/fixture`);
    assert.equal(policed.reached.length, 0);
    assert.deepEqual(await framesOf(policed.gateway), []);
  });

  test('an approved request lets in, this person alone; the session ends with the window', async () => {
    const ana = await tokenOf('ana', ['analysts']);
    const window = await grant('ana');
    assert.equal((await read(ana)).code, undefined);
    assert.equal((await read(await tokenOf('ben', ['analysts']))).code, 'access_needed');
    const repair = await policed.send('tools/call', { name: 'repair' }, { token: ana });
    assert.equal(repair.code, 'denied', 'a rule can ask how somebody got in');
    const start = (await framesOf(policed.gateway)).find((frame) => frame.type === 'session.start');
    assert.ok(start?.type === 'session.start');
    assert.deepEqual(start.start.access, { kind: 'justInTime', window });
    assert.ok(Date.parse(start.start.expires ?? '') <= Date.now() + HOUR, 'no longer than the window');
    const longer = await grant('ana', 2 * HOUR);
    assert.equal((await read(ana)).code, undefined);
    const noted = (await framesOf(policed.gateway)).find(
      (frame) => frame.type === 'event' && frame.event.name === 'access',
    );
    assert.ok(noted?.type === 'event');
    assert.equal(noted.event.window, longer);
  });

  test('one that is revoked ends calls under way, and lets nobody in', async () => {
    const token = await tokenOf('eve', ['analysts']);
    const window = await grant('eve');
    policed.answer(() => ': open\n\n');
    const hanging = await rawCall(policed.gateway.url, { token, method: 'GET' }).answer;
    assert.equal(hanging.status, 200);
    policed.answer(() => ({ content: [] }));
    await windows().revoke(window, { person: person('lea', ['leads'], issuer()), reason: 'done' });
    assert.match(await hanging.whole().then(String, String), /aborted|broken off/);
    assert.equal((await read(token)).code, 'access_needed');
  });

  test('glass is broken by who may, at once, and the recording says so', async () => {
    const token = await tokenOf('sam', ['sre']);
    assert.equal(
      (await read(token)).code,
      'access_needed',
      'not a member of the connection’s groups: a window is needed',
    );
    await windows().breakGlass({
      person: person('sam', ['sre'], issuer()),
      authenticated: authenticated(),
      connection: 'fixture',
      reason: 'INC-8',
      duration: HOUR,
    });
    // Every replica looks by itself, every 2 s.
    const opened = await untilEvent(policed, 'window.opened', 'breakGlass');
    assert.equal(opened.subject, 'sam');
    assert.equal((await policed.send('tools/call', { name: 'repair' }, { token })).code, undefined);
    assert.ok(policed.gateway.logged.some((line) => line.includes('break_glass_opened')));
    assert.equal((await read(await tokenOf('zoe', ['sre']))).code, 'access_needed');
    assert.equal((await read(await tokenOf('max', ['other']))).code, 'not_in_group');
  });
});

async function untilEvent(policed: Policed, name: string, kind: string): Promise<Record<string, unknown>> {
  for (let attempt = 0; attempt < 300; attempt++) {
    for (const frame of await framesOf(policed.gateway, 'system')) {
      if (frame.type === 'event' && frame.event.name === name && frame.event.kind === kind) return frame.event;
    }
    await new Promise((done) => setTimeout(done, 20));
  }
  throw new Error('It was not recorded.');
}
