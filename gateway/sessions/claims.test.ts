import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMemoryStore } from '../store/memory.ts';
import { createClaims } from './claims.ts';
import { createEnds } from './ends.ts';

const NOW = Date.parse('2026-11-22T18:00:00Z');
const KEY = 'a'.repeat(64);
const HOUR = 3600;

function begin() {
  const state = createMemoryStore();
  let now = NOW;
  const clock = () => now;
  const ends = createEnds({ state, now: clock });
  const replica = () => createClaims({ state, ends: createEnds({ state, now: clock }), now: clock });
  const claims = replica();
  return {
    ends,
    replica,
    pass(seconds: number) {
      now += seconds * 1000;
    },
    /** The session of a token that was issued this many seconds after the beginning. */
    session: async (issued?: number, by = claims) =>
      (
        await by.claim({
          sessionKey: KEY,
          ...(issued === undefined ? {} : { issuedAt: NOW / 1000 + issued }),
        })
      ).session,
  };
}

const ended = { code: 'session_ended' };

test('a renewed token of the same run continues the session, on every replica', async () => {
  const { session, replica, pass } = begin();
  const first = await session(0);
  pass(HOUR);
  assert.equal(await session(HOUR), first);
  assert.equal(await session(HOUR, replica()), first);
});

test('a run goes on after a pause that was longer than its token lived: the next session, one for all replicas', async () => {
  const { session, replica, pass, ends } = begin();
  const first = await session(0);
  pass(HOUR);
  await ends.write({ session: first, reason: 'expired' }, false);
  pass(5 * HOUR);
  const [next, elsewhere] = await Promise.all([session(6 * HOUR), session(6 * HOUR, replica())]);
  assert.notEqual(next, first);
  assert.equal(elsewhere, next);
  assert.equal(await session(6 * HOUR + 60), next);
});

test('sessions of a service account follow one another for good', async () => {
  const { session, ends, pass } = begin();
  const seen = new Set<string>();
  for (let day = 0; day < 12; day++) {
    const one = await session(day * 12 * HOUR);
    seen.add(one);
    pass(12 * HOUR);
    await ends.write({ session: one, reason: 'expired' }, false);
    await assert.rejects(session(day * 12 * HOUR), ended, 'the token that opened it opens no other');
  }
  assert.equal(seen.size, 12);
});

test('a token that is kept by its client through the end of the longest time opens the next session', async () => {
  const { session, ends, pass } = begin();
  const first = await session(0);
  pass(12 * HOUR);
  await ends.write({ session: first, reason: 'expired' }, false);
  assert.notEqual(await session(11.5 * HOUR), first);
});

test('no token opens two sessions: neither that which opened one, nor an older one, nor one without a time', async () => {
  for (const reason of ['idle', 'expired', 'revoked']) {
    const { session, ends, pass } = begin();
    const first = await session(60);
    pass(8 * HOUR);
    await ends.write({ session: first, reason }, false);
    for (const issued of [60, 0, undefined]) await assert.rejects(session(issued), ended, `${reason} ${issued}`);
  }
  const { session, ends } = begin();
  await ends.write({ session: await session(), reason: 'idle' }, false);
  await assert.rejects(session(HOUR), ended, 'a session of a token without a time');
});

test('what was issued before a revocation stays out', async () => {
  const { session, ends, pass } = begin();
  const first = await session(0);
  pass(HOUR);
  await ends.write({ session: first, reason: 'revoked' }, true);
  for (const issued of [1, HOUR - 1, HOUR]) await assert.rejects(session(issued), ended);
  const next = await session(HOUR + 1);
  assert.notEqual(next, first);
});
