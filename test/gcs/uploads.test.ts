import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { clientOf } from './client.ts';
import { type GcsDouble, startGcs } from './gcs.ts';

const UNIT = 256 * 1024;

describe('uploads', () => {
  let gcs: GcsDouble;
  before(async () => {
    gcs = await startGcs({ buckets: { b: {} } });
  });
  after(() => gcs.close());
  const stored = (name: string) => gcs.objects('b').get(name)?.bytes;
  const upload = (query: string) => `${gcs.url}/upload/storage/v1/b/b/o?${query}`;
  const post = (query: string, body: string | Buffer<ArrayBuffer>, headers: Record<string, string> = {}) =>
    fetch(upload(query), { method: 'POST', body, headers });
  const reasonOf = async (response: Response): Promise<unknown> => {
    const { error } = (await response.json()) as { error: { code: number; errors: { reason: string }[] } };
    assert.equal(error.code, response.status);
    return error.errors[0]?.reason;
  };

  async function begin(name: string, headers: Record<string, string> = {}, query = ''): Promise<string> {
    const response = await post(`uploadType=resumable&name=${name}${query}`, '{}', headers);
    assert.equal(response.status, 200);
    return response.headers.get('location') ?? '';
  }
  const put = (address: string, body: Buffer<ArrayBuffer>, range: string, headers: Record<string, string> = {}) =>
    fetch(address, { method: 'PUT', body, headers: { 'content-range': `bytes ${range}`, ...headers } });

  test('the client in chunks and in one stream, with a precondition', async () => {
    const bytes = randomBytes(2 * UNIT + 77);
    const bucket = clientOf(gcs).bucket('b');
    for (const options of [{ chunkSize: UNIT }, {}]) {
      const name = `resumable-${JSON.stringify(options)}`;
      await bucket.file(name).save(bytes, { ...options, resumable: true, preconditionOpts: { ifGenerationMatch: 0 } });
      assert.deepEqual(stored(name), bytes);
      const again = bucket
        .file(name)
        .save('x', { ...options, resumable: true, preconditionOpts: { ifGenerationMatch: 0 } });
      await assert.rejects(again, { status: 412 });
      assert.deepEqual((await bucket.file(name).download())[0], bytes);
    }
  });

  test('only whole units of a chunk count, and a status says how far it is', async () => {
    const bytes = randomBytes(UNIT + 10);
    const address = await begin('units');
    const nothing = await put(address, Buffer.alloc(0), '*/*');
    assert.equal(nothing.status, 308);
    assert.equal(nothing.headers.get('range'), null);
    const first = await put(address, bytes.subarray(0, UNIT + 5), `0-${UNIT + 4}/*`);
    assert.equal(first.status, 308);
    assert.equal(first.headers.get('range'), `bytes=0-${UNIT - 1}`);
    assert.equal((await put(address, Buffer.alloc(0), '*/*')).headers.get('range'), `bytes=0-${UNIT - 1}`);
    assert.equal(stored('units'), undefined);
    const ahead = await put(address, bytes.subarray(UNIT + 5), `${UNIT + 5}-${UNIT + 9}/${UNIT + 10}`);
    assert.equal(ahead.status, 503);
    const last = await put(address, bytes.subarray(UNIT), `${UNIT}-${UNIT + 9}/${UNIT + 10}`);
    assert.equal(last.status, 200);
    assert.deepEqual(stored('units'), bytes);
    const done = await put(address, Buffer.alloc(0), '*/*');
    assert.equal(done.status, 200);
    assert.equal(((await done.json()) as { name: string }).name, 'units');
  });

  test('the precondition of an upload is asked again when it ends', async () => {
    const address = await begin('late', {}, '&ifGenerationMatch=0');
    await clientOf(gcs).bucket('b').file('late').save('first', { resumable: false });
    assert.equal((await put(address, Buffer.from('second'), '0-5/6')).status, 412);
    assert.equal(stored('late')?.toString(), 'first');
    assert.equal((await post('uploadType=resumable&name=late&ifGenerationMatch=0', '{}')).status, 412);
  });

  test('bytes that are not those of the stated sums are refused, wherever the sums were stated', async () => {
    const bytes = Buffer.from('abc');
    const md5 = createHash('md5').update('abd').digest('base64');
    const body = (metadata: object) =>
      `--x\r\ncontent-type: application/json\r\n\r\n${JSON.stringify(metadata)}\r\n--x\r\n\r\nabc\r\n--x--`;
    const multipart = { 'content-type': 'multipart/related; boundary="x"' };
    const wrong = [
      await post('uploadType=multipart', body({ name: 'sum', md5Hash: md5 }), multipart),
      await post('uploadType=multipart', body({ name: 'sum', crc32c: 'AAAAAA==' }), multipart),
      await post('uploadType=media&name=sum', bytes, { 'x-goog-hash': 'crc32c=AAAAAA==' }),
      await post('uploadType=media&name=sum', bytes, { 'x-goog-hash': `md5=${md5}` }),
      await put(await begin('sum'), bytes, '0-2/3', { 'x-goog-hash': `md5=${md5}` }),
    ];
    for (const response of wrong) {
      assert.equal(response.status, 400);
      assert.equal(await reasonOf(response), 'invalid');
    }
    assert.equal(stored('sum'), undefined);
    const right = createHash('md5').update('abc').digest('base64');
    assert.equal((await post('uploadType=multipart', body({ name: 'sum', md5Hash: right }), multipart)).status, 200);
    assert.deepEqual(stored('sum'), bytes);
  });

  test('what is malformed is refused', async () => {
    const multipart = { 'content-type': 'multipart/related; boundary=x' };
    const part = '--x\r\ncontent-type: application/json\r\n\r\n{}\r\n';
    const table: [string, string, Record<string, string>, string][] = [
      ['uploadType=multipart&name=bad', 'abc', { 'content-type': 'text/plain' }, 'invalid'],
      ['uploadType=multipart&name=bad', part, multipart, 'invalid'],
      ['uploadType=multipart&name=bad', `${part}--x--`, multipart, 'invalid'],
      ['uploadType=multipart&name=bad', `${part}${part}${part}--x--`, multipart, 'invalid'],
      ['uploadType=multipart&name=bad', `--x\r\n\r\n{\r\n${part}--x--`, multipart, 'parseError'],
      ['uploadType=multipart&name=bad', `--x\r\n\r\n{"metadata":1}\r\n${part}--x--`, multipart, 'invalid'],
      ['uploadType=media', 'abc', {}, 'required'],
      ['uploadType=media&name=a%0Ab', 'abc', {}, 'invalid'],
      [`uploadType=media&name=${'x'.repeat(1025)}`, 'abc', {}, 'invalid'],
      ['uploadType=media&name=bad&ifGenerationMatch=x', 'abc', {}, 'invalid'],
    ];
    for (const [query, body, headers, reason] of table) {
      const response = await post(query, body, headers);
      assert.equal(response.status, 400, `${query} ${body}`);
      assert.equal(await reasonOf(response), reason, `${query} ${body}`);
    }
    assert.equal((await put(upload('upload_id=none'), Buffer.from('x'), '0-0/1')).status, 404);
    assert.equal(gcs.objects('b').has('bad'), false);
  });

  test('one write a second and name, where that is switched on', async () => {
    let now = Date.now();
    const strict = await startGcs({ buckets: { b: {} }, objectWriteRate: true, now: () => now });
    try {
      const bucket = clientOf(strict).bucket('b');
      const write = () => bucket.file('a').save('x', { resumable: false });
      await write();
      await assert.rejects(write(), { code: 429 });
      await bucket.file('b').save('x', { resumable: false });
      now += 1000;
      await write();
    } finally {
      await strict.close();
    }
  });

  test('a missing right to delete may go before the precondition', async () => {
    const grants = { 'creator@x': ['roles/storage.objectCreator'] } as const;
    const options = { buckets: { b: { grants } }, tokens: { t: 'creator@x' }, accessBeforePreconditions: true };
    const strict = await startGcs(options);
    try {
      const file = clientOf(strict, { token: 't' }).bucket('b').file('a');
      const create = () => file.save('x', { resumable: false, preconditionOpts: { ifGenerationMatch: 0 } });
      await create();
      await assert.rejects(create(), { code: 403 });
    } finally {
      await strict.close();
    }
  });
});
