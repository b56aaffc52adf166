import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { clientOf } from './client.ts';
import type { FaultName } from './faults.ts';
import { type FaultPlan, type GcsDouble, startGcs } from './gcs.ts';
import { OPERATIONS } from './route.ts';

const UNIT = 256 * 1024;
const CREATE = { resumable: false, preconditionOpts: { ifGenerationMatch: 0 } } as const;

describe('faults', () => {
  let gcs: GcsDouble;
  let made = 0;
  let name = '';
  before(async () => {
    gcs = await startGcs({ buckets: { b: {}, other: {} } });
  });
  after(() => gcs.close());
  beforeEach(() => {
    name = `object-${++made}`;
    gcs.heal();
  });
  const bucket = () => clientOf(gcs).bucket('b');
  const create = (object = name) => bucket().file(object).save('mine', CREATE);
  const stored = (object = name) => gcs.objects('b').get(object)?.bytes.toString();
  const once = (fault: FaultName, more: Partial<FaultPlan> = {}) => gcs.fault({ fault, times: 1, ...more });
  const post = (body: Buffer<ArrayBuffer>, init: RequestInit = {}, query = '') =>
    fetch(`${gcs.url}/upload/storage/v1/b/b/o?uploadType=media&name=${name}${query}`, {
      method: 'POST',
      body,
      ...init,
    });
  const get = (path: string, init: RequestInit = {}) => fetch(`${gcs.url}/storage/v1/b/b/${path}`, init);

  async function until(holds: () => boolean): Promise<void> {
    const end = Date.now() + 10_000;
    while (!holds()) {
      assert.ok(Date.now() < end, 'it never came');
      await turn();
    }
  }

  test('return-…: nothing is stored, and the next call is no longer struck', async () => {
    for (const status of [503, 429, 401, 500, 408] as const) {
      const fault = once(`return-${status}`, { retryAfter: 7 });
      const response = await post(Buffer.from('x'));
      assert.equal(response.status, status);
      assert.equal(response.headers.get('retry-after'), '7');
      assert.equal(fault.hits, 1);
      assert.equal(stored(), undefined);
    }
    once('return-429');
    assert.equal((await post(Buffer.from('x'))).headers.get('retry-after'), null);
    once('return-503');
    await assert.rejects(create(), { code: 503 });
    await create();
  });

  test('return-503-after-256K: the upload breaks off inside; what is resumable has its first 256 KiB', async () => {
    const bytes = Buffer.alloc(8 * UNIT, 1);
    once('return-503-after-256K', { operation: 'objects.insert' });
    // Whether the answer is still read depends on who is faster; that it failed does not.
    const status = await post(bytes).then(
      (response) => response.status,
      () => 503,
    );
    assert.equal(status, 503);
    assert.equal(stored(), undefined);
    const [address] = await bucket().file(name).createResumableUpload();
    once('return-503-after-256K', { operation: 'uploads.chunk' });
    await fetch(address, { method: 'PUT', body: bytes }).catch(() => {});
    const headers = { 'content-range': `bytes */${bytes.length}` };
    const state = await fetch(address, { method: 'PUT', headers });
    assert.equal(state.status, 308);
    assert.equal(state.headers.get('range'), `bytes=0-${UNIT - 1}`);
  });

  test('a client resumes what broke off in the middle', async () => {
    const bytes = Buffer.alloc(3 * UNIT + 5, 2);
    once('return-503', { operation: 'uploads.chunk', after: 1 });
    const options = { resumable: true, chunkSize: UNIT, preconditionOpts: { ifGenerationMatch: 0 } };
    await clientOf(gcs, { retries: 3 }).bucket('b').file(name).save(bytes, options);
    assert.deepEqual(gcs.objects('b').get(name)?.bytes, bytes);
    assert.equal(gcs.calls['uploads.status'] > 0, true);
  });

  test('reset-connection: nothing is stored; in a download, so many bytes come before', async () => {
    once('reset-connection');
    await assert.rejects(create());
    assert.equal(stored(), undefined);
    once('reset-connection-after-1K');
    await assert.rejects(post(Buffer.alloc(4096)));
    assert.equal(stored(), undefined);
    await post(Buffer.alloc(4096));
    once('reset-connection-after-1K', { operation: 'objects.getMedia' });
    const response = await get(`o/${name}?alt=media`);
    assert.equal(response.status, 200);
    await assert.rejects(response.arrayBuffer());
  });

  test('stall-for-…: it is done after all, whether or not anybody waits', async () => {
    once('stall-for-1ms');
    await create();
    const fault = once('stall-for-100ms');
    const leaving = new AbortController();
    const given = post(Buffer.from('late'), { signal: leaving.signal }, '2');
    await until(() => fault.hits === 1);
    assert.equal(stored(`${name}2`), undefined);
    leaving.abort();
    await assert.rejects(given);
    await until(() => stored(`${name}2`) === 'late');
  });

  test('closing ends what stalls', async () => {
    const stalling = await startGcs({ buckets: { b: {} } });
    const fault = stalling.fault({ fault: 'stall-for-600s' });
    const waiting = fetch(`${stalling.url}/storage/v1/b/b/o`);
    const failed = assert.rejects(waiting);
    await until(() => fault.hits === 1);
    await stalling.close();
    await failed;
  });

  test('persist-then-…: it is stored, and nobody hears of it', async () => {
    for (const fault of ['persist-then-reset', 'persist-then-503', 'persist-then-stall-for-1ms'] as const) {
      const object = `${name}-${fault}`;
      once(fault, { operation: 'objects.insert' });
      if (fault === 'persist-then-stall-for-1ms') await create(object);
      else await assert.rejects(create(object));
      assert.equal(stored(object), 'mine');
      await assert.rejects(create(object), { code: 412 });
    }
  });

  test('silent-drop-of-…: no answer, done or not', async () => {
    const signal = new AbortController();
    once('silent-drop-of-response');
    const done = post(Buffer.from('mine'), { signal: signal.signal });
    await until(() => stored() === 'mine');
    const fault = once('silent-drop-of-request', { operation: 'objects.delete' });
    const undone = get(`o/${name}`, { method: 'DELETE', signal: signal.signal });
    await until(() => fault.hits === 1);
    signal.abort();
    await assert.rejects(done);
    await assert.rejects(undone);
    assert.equal(stored(), 'mine');
  });

  test('precondition-race: another writer was there just before; duplicate-request: oneself was', async () => {
    once('precondition-race');
    await assert.rejects(create(), { code: 412 });
    assert.equal(stored(), 'the bytes of another writer');
    once('duplicate-request');
    await assert.rejects(create(`${name}-twice`), { code: 412 });
    assert.equal(stored(`${name}-twice`), 'mine');
  });

  test('clock-skew: the answer and the object are of another time', async () => {
    once('clock-skew', { skew: 86_400_000 });
    const response = await post(Buffer.from('x'));
    const { timeCreated } = (await response.json()) as { timeCreated: string };
    const ahead = Date.now() + 80_000_000;
    assert.ok(Date.parse(timeCreated) > ahead);
    assert.ok(Date.parse(response.headers.get('date') ?? '') > ahead);
  });

  test('truncated-answer: less than was promised', async () => {
    await create();
    for (const path of [`o/${name}?alt=media`, `o/${name}`, 'o']) {
      once('truncated-answer');
      const response = await get(path);
      assert.equal(response.status, 200);
      await assert.rejects(response.arrayBuffer(), path);
    }
    once('truncated-answer');
    await assert.rejects(create(`${name}-2`));
    assert.equal(stored(`${name}-2`), 'mine');
  });

  test('corrupt-media: the client sees that the bytes are not those of the sums', async () => {
    await create();
    once('corrupt-media', { operation: 'objects.getMedia' });
    await assert.rejects(bucket().file(name).download(), { code: 'CONTENT_DOWNLOAD_MISMATCH' });
    assert.equal((await bucket().file(name).download())[0].toString(), 'mine');
  });

  test('short-page: the list is whole, in more pages', async () => {
    for (const part of ['a', 'b', 'c']) await create(`${name}/${part}`);
    gcs.fault({ fault: 'short-page' });
    const before = gcs.calls['objects.list'];
    const [files] = await bucket().getFiles({ prefix: `${name}/` });
    assert.equal(files.length, 3);
    assert.equal(gcs.calls['objects.list'], before + 3);
  });

  test('a plan strikes only what fits it, after so many, so many times, and may be taken back', async () => {
    const fault = gcs.fault({
      fault: 'return-503',
      operation: ['objects.get', 'objects.delete'],
      bucket: 'b',
      prefix: 'p/',
      name: 'x$',
      after: 1,
      times: 2,
    });
    const seen: number[] = [];
    const ask = async (path: string, init?: RequestInit) => (await get(path, init)).status;
    for (const path of ['o/p%2Fy', 'o/q%2Fx', 'o/p%2Fx?alt=media', 'o/p%2Fx', 'o/p%2Fx']) seen.push(await ask(path));
    seen.push((await fetch(`${gcs.url}/b/other/o/p%2Fx`)).status);
    seen.push(await ask('o/p%2Fx', { method: 'DELETE' }), await ask('o/p%2Fx'));
    assert.deepEqual(seen, [404, 404, 404, 404, 503, 404, 503, 404]);
    assert.equal(fault.hits, 2);
    const endless = gcs.fault({ fault: 'return-503' });
    assert.equal(await ask('o'), 503);
    endless.remove();
    assert.equal(await ask('o'), 200);
  });

  test('a probability is the same sequence for the same seed', async () => {
    const run = async (seed: number): Promise<string> => {
      const fault = gcs.fault({ fault: 'return-503', probability: 0.5, seed });
      const statuses: number[] = [];
      for (let call = 0; call < 24; call++) statuses.push((await get('o?maxResults=1')).status);
      fault.remove();
      return statuses.join(' ');
    };
    const first = await run(7);
    assert.equal(await run(7), first);
    assert.notEqual(await run(8), first);
    assert.match(first, /200/);
    assert.match(first, /503/);
  });

  test('the name that an upload says in its body alone is seen', async () => {
    once('return-503', { prefix: name });
    const body = `--x\r\ncontent-type: application/json\r\n\r\n{"name":"${name}"}\r\n--x\r\n\r\nabc\r\n--x--`;
    const send = () =>
      fetch(`${gcs.url}/upload/storage/v1/b/b/o?uploadType=multipart`, {
        method: 'POST',
        body,
        headers: { 'content-type': 'multipart/related; boundary=x' },
      });
    assert.equal((await send()).status, 503);
    assert.equal((await send()).status, 200);
  });

  test('what is no fault is refused, and every operation is counted', () => {
    for (const fault of [
      'return-',
      'return-503s',
      'stall-for-5',
      'persist-then-503-after-1K',
      'stall-for-1s-after-1K',
      '',
    ]) {
      assert.throws(() => gcs.fault({ fault: fault as FaultName }), fault);
    }
    assert.deepEqual(Object.keys(gcs.calls), [...OPERATIONS]);
  });
});
