import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GatewayError } from '../errors.ts';
import type { Credential, UsedCredential } from './credential.ts';
import { createCredentialCache, type Fresh, freshToken, type SourceKind } from './credential-cache.ts';
import { credentialError } from './credential-error.ts';

const SECOND = 1000;
const MINUTE = 60_000;

function used(value: string): UsedCredential {
  return { headers: [['authorization', value]], version: value };
}

/** A cache over a source that the test answers, with a clock that the test moves. */
function setUp(kind: SourceKind, life: (at: number, value: string) => Fresh) {
  let time = 1_000_000;
  const asked: PromiseWithResolvers<Fresh>[] = [];
  const reported: unknown[] = [];
  const closing = new AbortController();
  const cache: Credential = createCredentialCache({
    kind,
    now: () => time,
    closed: closing.signal,
    refreshFailed: (error) => void reported.push(error),
    load: () => {
      const one = Promise.withResolvers<Fresh>();
      asked.push(one);
      return one.promise;
    },
  });
  /** Lets what has been settled run on. */
  const settled = (): Promise<void> => new Promise((done) => setImmediate(done));
  async function give(value: string): Promise<void> {
    asked.at(-1)?.resolve(life(time, value));
    await settled();
  }
  return {
    cache,
    asked,
    reported,
    closing,
    pass: (milliseconds: number) => {
      time += milliseconds;
    },
    give,
    async refuse(transient: boolean): Promise<void> {
      asked.at(-1)?.reject(credentialError('No.', 'no', transient));
      await settled();
    },
    async first(value: string): Promise<UsedCredential> {
      const current = cache.current();
      await give(value);
      return current;
    },
  };
}

const token = (at: number, value: string): Fresh => freshToken(used(value), at, at + 60 * MINUTE);
const secret = (at: number, value: string): Fresh => ({
  used: used(value),
  refreshAt: at + 45 * SECOND,
  awaitAt: at + MINUTE,
  deadAt: at + 10 * MINUTE,
});
const local = (at: number, value: string): Fresh => {
  const until = at + 10 * SECOND;
  return { used: used(value), refreshAt: until, awaitAt: until, deadAt: until };
};

function unavailable(error: unknown): boolean {
  assert.ok(error instanceof GatewayError);
  assert.deepEqual([error.code, error.fate], ['credential_unavailable', 'not_forwarded']);
  return true;
}

for (const [name, life, refresh, dead] of [
  ['an hour: 5 minutes before the end', 3600, 3300, 3590],
  ['12 hours: 5 minutes before the end', 43_200, 42_900, 43_190],
  ['10 minutes: at 80 %', 600, 480, 590],
  ['2 minutes: 30 s before the end', 120, 90, 110],
  ['a minute: at half', 60, 30, 54],
  ['40 s: at half', 40, 20, 36],
  ['already ended: a second', -5, 0.5, 0.9],
] as const) {
  test(`a token of ${name}`, () => {
    const fresh = freshToken(used('a'), 0, life * SECOND);
    assert.deepEqual(
      [fresh.refreshAt, fresh.awaitAt, fresh.deadAt],
      [refresh, dead, dead].map((at) => at * SECOND),
    );
  });
}

test('fifty calls at once ask once, and what they got is kept', async () => {
  const { cache, asked, give } = setUp('token', token);
  const calls = Array.from({ length: 50 }, () => cache.current());
  await give('a');
  for (const one of await Promise.all(calls)) assert.deepEqual(one, used('a'));
  await cache.current();
  assert.equal(asked.length, 1);
});

test('a token is refreshed while the one before it is used, and the new one then', async () => {
  const { cache, asked, give, first, pass } = setUp('token', token);
  await first('a');
  pass(54 * MINUTE);
  await cache.current();
  assert.equal(asked.length, 1);
  pass(MINUTE);
  for (let call = 0; call < 10; call++) assert.deepEqual(await cache.current(), used('a'));
  assert.equal(asked.length, 2);
  await give('b');
  assert.deepEqual(await cache.current(), used('b'));
});

test('a token is used to its end while refreshing fails, and not longer; the source is not hammered', async () => {
  const { cache, asked, refuse, give, reported, first, pass } = setUp('token', token);
  await first('a');
  pass(55 * MINUTE);
  for (let second = 0; second < 285; second++) {
    assert.deepEqual(await cache.current(), used('a'));
    await refuse(second % 2 === 0);
    pass(SECOND);
  }
  // 1, 2, 4, 8 and 16 seconds apart, then 30.
  assert.equal(asked.length - 1, 6 + Math.floor((285 - 31) / 30));
  assert.equal(reported.length, asked.length - 1);
  pass(6 * SECOND);
  const before = asked.length;
  await assert.rejects(cache.current(), unavailable);
  assert.equal(asked.length, before);
  pass(30 * SECOND);
  const call = cache.current();
  await give('b');
  assert.deepEqual(await call, used('b'));
});

test('after a failure with nothing to fall back on, calls fail at once until the next attempt', async () => {
  const { cache, asked, refuse, give, pass } = setUp('token', token);
  const calls = Array.from({ length: 50 }, () => assert.rejects(cache.current(), unavailable));
  await refuse(true);
  await Promise.all(calls);
  pass(999);
  await assert.rejects(cache.current(), unavailable);
  assert.equal(asked.length, 1);
  pass(1);
  const call = cache.current();
  await give('a');
  assert.deepEqual(await call, used('a'));
  assert.equal(asked.length, 2);
});

test('a remote secret: in the background after 45 s, waited for after 60', async () => {
  const { cache, asked, give, first, pass } = setUp('remoteSecret', secret);
  await first('a');
  pass(45 * SECOND);
  assert.deepEqual(await cache.current(), used('a'));
  assert.equal(asked.length, 2);
  await give('b');
  pass(MINUTE);
  const call = cache.current();
  assert.equal(asked.length, 3);
  await give('c');
  assert.deepEqual(await call, used('c'));
});

test('a remote secret is kept for 10 minutes while its source does not answer, and calls do not wait', async () => {
  const { cache, asked, refuse, first, pass } = setUp('remoteSecret', secret);
  await first('a');
  pass(2 * MINUTE);
  const waiting = cache.current();
  await refuse(true);
  assert.deepEqual(await waiting, used('a'));
  for (let second = 0; second < 470; second += 10) {
    // Not answered yet: a call that waited would never end.
    assert.deepEqual(await cache.current(), used('a'));
    pass(10 * SECOND);
  }
  assert.equal(asked.length, 3);
  await refuse(true);
  pass(10 * SECOND);
  const last = assert.rejects(cache.current(), unavailable);
  await refuse(true);
  await last;
});

test('a remote secret that was taken away is gone at once, also where only the background saw it', async () => {
  const { cache, refuse, first, pass, asked } = setUp('remoteSecret', secret);
  await first('a');
  pass(46 * SECOND);
  assert.deepEqual(await cache.current(), used('a'));
  await refuse(false);
  await assert.rejects(cache.current(), unavailable);
  assert.equal(asked.length, 2);
});

test('a local secret: a failure is never remembered, and nothing old is used', async () => {
  const { cache, asked, refuse, first, pass } = setUp('localSecret', local);
  await first('a');
  pass(10 * SECOND);
  for (let attempt = 0; attempt < 3; attempt++) {
    const call = assert.rejects(cache.current(), unavailable);
    await refuse(true);
    await call;
  }
  assert.equal(asked.length, 4);
});

test('renew: once for all who ask meanwhile; who comes later gets what it brought', async () => {
  const { cache, asked, give, first } = setUp('token', token);
  const a = await first('a');
  const renewals = Array.from({ length: 50 }, () => cache.renew(a));
  await give('b');
  for (const one of await Promise.all(renewals)) assert.deepEqual(one, used('b'));
  assert.deepEqual(await cache.renew(a), used('b'));
  assert.deepEqual(await cache.current(), used('b'));
  assert.equal(asked.length, 2);
});

test('renew: the same headers, or none to be had, is no other one', async () => {
  for (const kind of ['token', 'remoteSecret', 'localSecret'] as const) {
    const { cache, give, refuse, first, pass } = setUp(kind, kind === 'localSecret' ? local : secret);
    const a = await first('a');
    const same = cache.renew({ ...a });
    await give('a');
    assert.equal(await same, undefined);
    pass(2 * SECOND);
    const failing = cache.renew(a);
    await refuse(true);
    assert.equal(await failing, undefined);
  }
});

test('renew does not count what began before the refusal, unless it is another one', async () => {
  const { cache, asked, give, first, pass } = setUp('remoteSecret', secret);
  const a = await first('a');
  pass(46 * SECOND);
  await cache.current();
  const renewed = cache.renew(a);
  await give('a');
  assert.equal(asked.length, 3);
  await give('b');
  assert.deepEqual(await renewed, used('b'));
});

test('renew: an upstream that refuses everything does not turn each call into a new token', async () => {
  const { cache, asked, give, first, pass } = setUp('token', token);
  let now = await first('first');
  let renewals = 0;
  for (let call = 0; call < 600; call++) {
    const renewing = cache.renew(now);
    await give(`token-${call}`);
    const next = await renewing;
    if (next !== undefined) {
      renewals++;
      now = next;
    }
    pass(100);
  }
  assert.ok(renewals >= 5 && renewals <= 7, String(renewals));
  assert.equal(asked.length, renewals + 1);
  pass(2 * MINUTE);
  const later = cache.renew(now);
  await give('later');
  assert.deepEqual(await later, used('later'));
});

test('after closing nothing is refreshed in the background', async () => {
  const { cache, asked, first, pass, closing } = setUp('token', token);
  await first('a');
  pass(56 * MINUTE);
  closing.abort();
  assert.deepEqual(await cache.current(), used('a'));
  assert.equal(asked.length, 1);
});
