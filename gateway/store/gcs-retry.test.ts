import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRetry, type Ended } from './gcs-retry.ts';
import { StoreError } from './store-error.ts';

const DONE: Ended<string> = { kind: 'done', value: 'done' };
const busy = (after: number): Ended<string> => ({
  kind: 'again',
  error: new StoreError('unavailable', 'It is busy.'),
  after,
});

/** A clock that waiting moves, and a test. */
function retrying() {
  let now = 0;
  const wait = async (milliseconds: number): Promise<void> => {
    now += milliseconds;
  };
  const retry = createRetry({ budget: 10_000, now: () => now, wait, random: () => 0 });
  return { retry, wait };
}

test('one answer that asks for minutes holds the calls after it back for seconds', async () => {
  const { retry, wait } = retrying();
  let attempts = 0;
  const call = (ended: Ended<string>) =>
    retry(async () => {
      attempts++;
      return ended;
    });
  await assert.rejects(call(busy(300_000)), { code: 'unavailable' });
  await assert.rejects(call(DONE), { code: 'unavailable' });
  assert.equal(attempts, 1);
  await wait(5_001);
  assert.equal(await call(DONE), 'done');
  assert.equal(attempts, 2);
});

test('a call that is served takes back what an answer to another asked for', async () => {
  const { retry } = retrying();
  const underWay = Promise.withResolvers<Ended<string>>();
  const served = retry(() => underWay.promise);
  await assert.rejects(
    retry(async () => busy(300_000)),
    { code: 'unavailable' },
  );
  underWay.resolve(DONE);
  assert.equal(await served, 'done');
  assert.equal(await retry(async () => DONE), 'done');
});
