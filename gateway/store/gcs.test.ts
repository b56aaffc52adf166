import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { OAuth2Client } from 'google-auth-library';
import { type FaultPlan, type GcsDouble, type Grant, startGcs } from '../../test/gcs/gcs.ts';
import { startGoogle } from '../../test/google/google.ts';
import { storeBehaviour } from './behaviour.ts';
import { createGcsStore, type GcsTiming } from './gcs.ts';
import { CREATION } from './gcs-upload.ts';
import type { Store } from './store.ts';

let gcs: GcsDouble;
let guarded: GcsDouble;
const IDENTITY = 'gateway@example.com';
before(async () => {
  gcs = await startGcs();
  guarded = await startGcs({ tokens: { token: IDENTITY } });
});
after(() => Promise.all([gcs.close(), guarded.close()]));

let made = 0;
let bucket = '';
function emptyStore(timing: Partial<GcsTiming> = {}): Store {
  bucket = `bucket-${made++}`;
  gcs.createBucket(bucket);
  return createGcsStore(`gs://${bucket}`, { at: { endpoint: gcs.url }, timing });
}

storeBehaviour('GCS', () => emptyStore(), { flat: true });

/** A clock that only waiting moves, and what was waited for. */
function clock(): { timing: Partial<GcsTiming>; waits: number[] } {
  let now = 0;
  const waits: number[] = [];
  const wait = async (milliseconds: number): Promise<void> => {
    waits.push(milliseconds);
    now += milliseconds;
  };
  return { timing: { now: () => now, wait, random: () => 0.5 }, waits };
}

const BYTES = Buffer.from('what is stored');
const stored = (name = 'a/b') => gcs.objects(bucket).get(name)?.bytes.toString();

async function listed(store: Store, prefix = '', options?: Parameters<Store['list']>[1]): Promise<string[]> {
  const names: string[] = [];
  for await (const name of store.list(prefix, options)) names.push(name);
  return names;
}

describe('a bucket that fails', () => {
  beforeEach(() => gcs.heal());
  after(() => gcs.heal());

  /** Each failure twice: it failed and did not persist, it failed and did. */
  const CREATE: [FaultPlan, 'created' | 'exists', requests: number, reads: number][] = [
    [{ fault: 'return-503', times: 3 }, 'created', 4, 0],
    [{ fault: 'return-500', times: 1 }, 'created', 2, 0],
    [{ fault: 'return-429', times: 1 }, 'created', 2, 0],
    [{ fault: 'return-408', times: 1 }, 'created', 2, 0],
    [{ fault: 'reset-connection', times: 2 }, 'created', 3, 0],
    [{ fault: 'truncated-answer', times: 1 }, 'created', 2, 1],
    [{ fault: 'persist-then-503', times: 1 }, 'created', 2, 1],
    [{ fault: 'persist-then-reset', times: 1 }, 'created', 2, 1],
    [{ fault: 'duplicate-request', times: 1 }, 'created', 1, 1],
    [{ fault: 'precondition-race', times: 1 }, 'exists', 1, 1],
  ];
  for (const [plan, outcome, requests, reads] of CREATE) {
    test(`create: ${plan.fault} ${plan.times} times is ${outcome}`, async () => {
      const store = emptyStore(clock().timing);
      gcs.fault({ ...plan, operation: 'objects.insert' });
      const before = { ...gcs.calls };
      assert.equal(await store.create('a/b', BYTES), outcome);
      assert.equal(gcs.calls['objects.insert'] - before['objects.insert'], requests);
      assert.equal(gcs.calls['objects.get'] - before['objects.get'], reads);
      if (outcome === 'created') assert.equal(stored(), BYTES.toString());
      assert.equal(gcs.objects(bucket).size, 1);
    });
  }

  test('create: no answer comes', async () => {
    const store = emptyStore({ ...clock().timing, writeWithin: 250 });
    for (const fault of ['silent-drop-of-request', 'silent-drop-of-response'] as const) {
      gcs.fault({ fault, times: 1, operation: 'objects.insert' });
      assert.equal(await store.create(fault, BYTES), 'created');
      assert.equal(stored(fault), BYTES.toString());
    }
  });

  test('create: another one was faster while our answer was lost', async () => {
    const store = emptyStore(clock().timing);
    gcs.fault({ fault: 'return-503', times: 1, operation: 'objects.insert' });
    gcs.fault({ fault: 'precondition-race', after: 1, operation: 'objects.insert' });
    assert.equal(await store.create('a/b', BYTES), 'exists');
    assert.notEqual(stored(), BYTES.toString());
  });

  test('create: the read that decides fails too, and is tried again', async () => {
    const store = emptyStore(clock().timing);
    gcs.fault({ fault: 'persist-then-503', times: 1, operation: 'objects.insert' });
    gcs.fault({ fault: 'return-503', times: 1, operation: 'objects.get' });
    assert.equal(await store.create('a/b', BYTES), 'created');
  });

  test('create: a whole segment whose upload breaks off inside', async () => {
    const store = emptyStore(clock().timing);
    const bytes = Buffer.alloc(3 * 1024 * 1024, 7);
    gcs.fault({ fault: 'return-503-after-256K', times: 1, operation: 'objects.insert' });
    gcs.fault({ fault: 'reset-connection-after-512K', times: 1, after: 1, operation: 'objects.insert' });
    assert.equal(await store.create('a/b', bytes), 'created');
    assert.deepEqual(Buffer.from((await store.get('a/b')) ?? []), bytes);
  });

  test('one request an object, whatever its size; each attempt sends the same bytes', async () => {
    const store = emptyStore();
    const before = { ...gcs.calls };
    for (const [name, size] of [
      ['none', 0],
      ['small', 900],
      ['large', 9 * 1024 * 1024],
    ] as const) {
      assert.equal(await store.create(name, Buffer.alloc(size, 1)), 'created');
    }
    assert.deepEqual(
      Object.entries(gcs.calls).flatMap(([name, calls]) =>
        calls === before[name as keyof typeof before] ? [] : [[name, calls - before[name as keyof typeof before]]],
      ),
      [['objects.insert', 3]],
    );
    const { attributes } = gcs.objects(bucket).get('small') ?? {};
    assert.equal(attributes?.contentType, 'application/octet-stream');
    assert.equal(attributes?.contentEncoding, undefined);
    assert.match(attributes?.metadata?.[CREATION] ?? '', /^[0-9a-f-]{36}$/);
  });

  test('get and list: what fails for a moment, arrives changed or in part is asked for again', async () => {
    const { timing } = clock();
    const store = emptyStore({ ...timing, readWithin: 250 });
    for (const name of ['a/b', 'a/c', 'd']) await store.create(name, Buffer.from(name));
    const faults = [
      'return-503',
      'return-429',
      'reset-connection',
      'truncated-answer',
      'silent-drop-of-request',
    ] as const;
    for (const fault of [...faults, 'corrupt-media'] as const) {
      gcs.fault({ fault, times: 1, operation: 'objects.getMedia' });
      assert.equal(Buffer.from((await store.get('a/b')) ?? []).toString(), 'a/b', fault);
    }
    for (const fault of [...faults, 'short-page'] as const) {
      const struck = gcs.fault({ fault, times: 1, operation: 'objects.list' });
      assert.deepEqual(await listed(store), ['a/b', 'a/c', 'd'], fault);
      assert.equal(struck.hits, 1, fault);
    }
    gcs.fault({ fault: 'short-page', operation: 'objects.list' });
    gcs.fault({ fault: 'return-503', after: 1, times: 1, operation: 'objects.list' });
    assert.deepEqual(await listed(store), ['a/b', 'a/c', 'd']);
    assert.deepEqual(await listed(store, '', { delimiter: '/' }), ['a/', 'd']);
    assert.deepEqual(await listed(store, 'a/', { startAfter: 'a/b' }), ['a/c']);
  });

  test('bytes that are always changed are never given', async () => {
    const store = emptyStore(clock().timing);
    await store.create('a/b', BYTES);
    gcs.fault({ fault: 'corrupt-media', operation: 'objects.getMedia' });
    await assert.rejects(store.get('a/b'), { code: 'io' });
  });

  test('the budget ends, and what was waited for is in it', async () => {
    for (const operation of ['objects.insert', 'objects.getMedia', 'objects.list'] as const) {
      const { timing, waits } = clock();
      const store = emptyStore({ ...timing, budget: 20_000 });
      const fault = gcs.fault({ fault: 'return-503', operation });
      const work = { 'objects.insert': () => store.create('a', BYTES), 'objects.getMedia': () => store.get('a') };
      const doing = operation === 'objects.list' ? listed(store) : work[operation]();
      await assert.rejects(doing, { code: 'unavailable' }, operation);
      assert.ok(waits.reduce((sum, one) => sum + one, 0) < 20_000);
      assert.deepEqual(waits.slice(0, 3), [100, 200, 400]);
      assert.equal(Math.max(...waits), 2_500);
      assert.equal(fault.hits, waits.length + 1);
      fault.remove();
    }
  });

  test('Retry-After is waited for, by calls that come meanwhile too, and not beyond the budget', async () => {
    const { timing, waits } = clock();
    const store = emptyStore({ ...timing, budget: 10_000 });
    gcs.fault({ fault: 'return-429', times: 1, retryAfter: 7, operation: 'objects.insert' });
    assert.equal(await store.create('a', BYTES), 'created');
    assert.deepEqual(waits, [7_000]);
    const long = gcs.fault({ fault: 'return-503', retryAfter: 30, operation: 'objects.insert' });
    await assert.rejects(store.create('b', BYTES), { code: 'unavailable' });
    await assert.rejects(store.create('b', BYTES), { code: 'unavailable' });
    assert.equal(long.hits, 1);
    assert.deepEqual(waits, [7_000]);
    // Who reads is not held back by who writes.
    assert.equal(await store.get('b'), undefined);
    assert.deepEqual(await listed(store), ['a']);
  });

  test('a request that is given up is ended: no socket is left waiting', async () => {
    const store = emptyStore({ ...clock().timing, budget: 1, readWithin: 100, writeWithin: 100 });
    const sockets = (): number => process.getActiveResourcesInfo().filter((one) => one === 'TCPSocketWrap').length;
    const before = sockets();
    gcs.fault({ fault: 'silent-drop-of-response' });
    const doings = [store.create('b', BYTES), store.get('a'), listed(store)];
    assert.deepEqual(
      (await Promise.allSettled(doings)).map(({ status }) => status),
      ['rejected', 'rejected', 'rejected'],
    );
    for (let turns = 0; turns < 1_000 && sockets() > before; turns++) await setImmediate();
    assert.ok(sockets() <= before);
  });
});

describe('what an identity may', () => {
  function storeWith(token: string, double = guarded): Store {
    const auth = new OAuth2Client();
    auth.setCredentials({ access_token: token });
    return createGcsStore(`gs://${bucket}`, { at: { endpoint: double.url, auth }, timing: clock().timing });
  }
  function storeFor(grants: readonly Grant[], token = 'token'): Store {
    bucket = `guarded-${made++}`;
    guarded.createBucket(bucket, { grants: { [IDENTITY]: grants } });
    return storeWith(token);
  }

  test('roles/storage.objectCreator alone creates, and never overwrites', async () => {
    const store = storeFor(['roles/storage.objectCreator']);
    assert.equal(await store.create('a/b', BYTES), 'created');
    assert.equal(await store.create('a/b', Buffer.from('other')), 'exists');
    assert.equal(guarded.objects(bucket).get('a/b')?.bytes.toString(), BYTES.toString());
    await assert.rejects(store.get('a/b'), { code: 'permission_denied', message: /storage\.objects\.get/ });
    await assert.rejects(listed(store), { code: 'permission_denied', message: /roles\/storage\.objectViewer/ });
    // Whose it is can't be known without reading; it was not there when this call began.
    guarded.fault({ fault: 'persist-then-reset', times: 1, operation: 'objects.insert' });
    assert.equal(await store.create('a/c', BYTES), 'created');
    assert.equal(guarded.objects(bucket).get('a/c')?.bytes.toString(), BYTES.toString());
  });

  test('a bucket with a retention that is locked takes new objects, and keeps old ones', async () => {
    bucket = `guarded-${made++}`;
    const grants = { [IDENTITY]: ['roles/storage.objectAdmin'] as const };
    guarded.createBucket(bucket, { retentionSeconds: 3600, locked: true, grants });
    const store = storeWith('token');
    assert.equal(await store.create('a', BYTES), 'created');
    assert.equal(await store.create('a', Buffer.from('other')), 'exists');
    assert.equal(Buffer.from((await store.get('a')) ?? []).toString(), BYTES.toString());
  });

  test('reading needs roles/storage.objectViewer, creating is another thing', async () => {
    const store = storeFor(['roles/storage.objectViewer']);
    assert.equal(await store.get('a'), undefined);
    assert.deepEqual(await listed(store), []);
    await assert.rejects(store.create('a', BYTES), {
      code: 'permission_denied',
      message: `${IDENTITY} may not create objects in gs://${bucket}: storage.objects.create is missing. Grant it roles/storage.objectCreator on the bucket.`,
    });
  });

  test('no such bucket, and credentials that Google refuses, are told apart and tried once', async () => {
    const missing = createGcsStore('gs://there-is-none', { at: { endpoint: gcs.url }, timing: clock().timing });
    const before = gcs.calls['objects.insert'];
    await assert.rejects(missing.create('a', BYTES), { code: 'no_bucket' });
    assert.equal(gcs.calls['objects.insert'], before + 1);
    await assert.rejects(missing.get('a'), { code: 'no_bucket' });
    await assert.rejects(listed(missing), { code: 'no_bucket' });
    const refused = storeFor(['roles/storage.admin'], 'revoked');
    await assert.rejects(refused.create('a', BYTES), { code: 'no_credentials' });
    await assert.rejects(refused.get('a'), { code: 'no_credentials' });
    await assert.rejects(listed(refused), { code: 'no_credentials' });
  });

  test('an existing object that the identity may not overwrite exists, whatever Google checks first', async (t) => {
    const strict = await startGcs({ tokens: { token: IDENTITY }, accessBeforePreconditions: true });
    t.after(() => strict.close());
    bucket = 'strict';
    strict.createBucket(bucket, { grants: { [IDENTITY]: ['roles/storage.objectCreator'] } });
    const store = storeWith('token', strict);
    assert.equal(await store.create('a', BYTES), 'created');
    assert.equal(await store.create('a', BYTES), 'exists');
  });

  test('with the credentials of the machine, also once they are others', async (t) => {
    const google = await startGoogle();
    t.after(() => google.close());
    const tokens: Record<string, string> = {};
    const real = await startGcs({
      tokens,
      grants: { [IDENTITY]: ['roles/storage.objectUser'] },
      buckets: { real: {} },
    });
    t.after(() => real.close());
    const accept = (): void => {
      for (const token of Object.keys(tokens)) delete tokens[token];
      for (const token of google.secrets) tokens[token] = IDENTITY;
    };
    const store = createGcsStore('gs://real', { at: { endpoint: real.url, auth: 'default' }, timing: clock().timing });
    // Nobody knows the first token yet.
    await assert.rejects(store.create('a', BYTES), { code: 'no_credentials' });
    accept();
    assert.equal(await store.create('a', BYTES), 'created');
    // The next one is known before anybody has it: the call that finds the old one refused goes on with it.
    google.revokeOwnToken();
    const next = 'ya29.CANARY-own-token-2';
    assert.ok(!google.secrets.has(next));
    for (const token of Object.keys(tokens)) delete tokens[token];
    tokens[next] = IDENTITY;
    assert.equal(await store.create('b', BYTES), 'created');
    google.trouble('metadata', 503);
    assert.equal(Buffer.from((await store.get('b')) ?? []).toString(), BYTES.toString());
  });
});
