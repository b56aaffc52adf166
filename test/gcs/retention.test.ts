import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import type { Bucket } from '@google-cloud/storage';
import { clientOf } from './client.ts';
import { type GcsDouble, startGcs } from './gcs.ts';

const SECOND = 1000;
const reason = (expected: string) => (error: { code?: unknown; errors?: { reason?: string }[] }) => {
  assert.equal(error.code, 403);
  assert.equal(error.errors?.[0]?.reason, expected);
  return true;
};

describe('retention', () => {
  let gcs: GcsDouble;
  let bucket: Bucket;
  let now = Date.UTC(2026, 10, 28);
  let made = 0;
  before(async () => {
    gcs = await startGcs({ now: () => now });
  });
  after(() => gcs.close());
  beforeEach(() => {
    gcs.createBucket(`kept-${++made}`);
    bucket = clientOf(gcs).bucket(`kept-${made}`);
  });
  const write = (name: string, text = 'one') => bucket.file(name).save(text, { resumable: false });

  test('what is retained is neither deleted nor overwritten before its time; its metadata are editable', async () => {
    await bucket.setRetentionPeriod(60);
    await write('a');
    await assert.rejects(bucket.file('a').delete(), reason('retentionPolicyNotMet'));
    await assert.rejects(write('a', 'two'), reason('retentionPolicyNotMet'));
    await assert.rejects(bucket.file('b').copy(bucket.file('a')), { code: 404 });
    await write('c', 'other');
    await assert.rejects(bucket.file('c').copy(bucket.file('a')), reason('retentionPolicyNotMet'));
    assert.equal(gcs.objects(bucket.name).get('a')?.bytes.toString(), 'one');
    const [changed] = await bucket.file('a').setMetadata({ metadata: { note: 'x' } });
    assert.equal(changed.metageneration, '2');
    assert.equal(changed.retentionExpirationTime, new Date(now + 60 * SECOND).toISOString());
    now += 60 * SECOND;
    await write('a', 'two');
    now += 60 * SECOND;
    await bucket.file('a').delete();
  });

  test('a policy holds for what was there before it', async () => {
    await write('old');
    now += 30 * SECOND;
    await bucket.setRetentionPeriod(60);
    await assert.rejects(bucket.file('old').delete(), reason('retentionPolicyNotMet'));
    now += 30 * SECOND;
    await bucket.file('old').delete();
  });

  test('unlocked it is lowered and removed; locked it only rises', async () => {
    await bucket.setRetentionPeriod(60);
    await bucket.setRetentionPeriod(30);
    await assert.rejects(bucket.lock(1), { code: 412 });
    const unconditional = `${gcs.url}/storage/v1/b/${bucket.name}/lockRetentionPolicy`;
    assert.equal((await fetch(unconditional, { method: 'POST' })).status, 400);
    const [{ metageneration }] = await bucket.getMetadata();
    await bucket.lock(String(metageneration));
    const [locked] = await bucket.getMetadata();
    assert.equal(locked.retentionPolicy?.isLocked, true);
    assert.equal(locked.retentionPolicy?.retentionPeriod, '30');
    await assert.rejects(bucket.setRetentionPeriod(29), { code: 403 });
    await assert.rejects(bucket.removeRetentionPeriod(), { code: 403 });
    await bucket.setRetentionPeriod(31);
    const [raised] = await bucket.getMetadata();
    assert.equal(raised.retentionPolicy?.isLocked, true);
    assert.equal(raised.retentionPolicy?.retentionPeriod, '31');
  });

  test('a locked bucket may be deleted while it is empty, and not otherwise', async () => {
    await bucket.setRetentionPeriod(60);
    const [{ metageneration }] = await bucket.getMetadata();
    await bucket.lock(String(metageneration));
    await write('a');
    await assert.rejects(bucket.delete(), { code: 409 });
    now += 60 * SECOND;
    await bucket.file('a').delete();
    await bucket.delete();
    await assert.rejects(bucket.getMetadata(), { code: 404 });
  });

  test('a bucket without a policy has none to lock, and no period is above 100 years', async () => {
    await assert.rejects(bucket.lock(1), { code: 400 });
    await assert.rejects(bucket.setRetentionPeriod(3_155_760_001), { code: 400 });
    await bucket.setRetentionPeriod(3_155_760_000);
  });

  test('holds keep what no policy keeps, until they are lifted', async () => {
    for (const hold of ['temporaryHold', 'eventBasedHold'] as const) {
      await write(hold);
      await bucket.file(hold).setMetadata({ [hold]: true });
      await assert.rejects(bucket.file(hold).delete(), reason('objectUnderActiveHold'));
      await assert.rejects(write(hold, 'two'), reason('objectUnderActiveHold'));
      await bucket.file(hold).setMetadata({ [hold]: false });
      await bucket.file(hold).delete();
    }
  });

  test('retention counts from the end of an event-based hold', async () => {
    await bucket.setRetentionPeriod(60);
    await bucket.setMetadata({ defaultEventBasedHold: true });
    await write('a');
    const [held] = await bucket.file('a').getMetadata();
    assert.equal(held.eventBasedHold, true);
    assert.equal(held.retentionExpirationTime, undefined);
    now += 60 * SECOND;
    await bucket.file('a').setMetadata({ eventBasedHold: false });
    await assert.rejects(bucket.file('a').delete(), reason('retentionPolicyNotMet'));
    now += 60 * SECOND;
    await bucket.file('a').delete();
  });

  test('an upload that is under way is no object, and no policy keeps it', async () => {
    await bucket.setRetentionPeriod(60);
    const [address] = await bucket.file('a').createResumableUpload();
    assert.equal((await bucket.file('a').exists())[0], false);
    assert.equal((await fetch(address, { method: 'DELETE' })).status, 499);
    assert.equal((await fetch(address, { method: 'PUT', body: 'x' })).status, 499);
    assert.deepEqual([...gcs.objects(bucket.name).keys()], []);
  });
});
