import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { clientOf } from './client.ts';
import { type GcsDouble, startGcs } from './gcs.ts';

describe('reads', () => {
  let gcs: GcsDouble;
  before(async () => {
    gcs = await startGcs({ buckets: { b: {} } });
    for (const name of ['a', 'b', 'c/d', 'c/e', 'f'])
      await clientOf(gcs).bucket('b').file(name).save(`<${name}>`, { resumable: false });
  });
  after(() => gcs.close());
  const get = (path: string, headers: Record<string, string> = {}) =>
    fetch(`${gcs.url}/storage/v1/b/b/${path}`, { headers });
  const listed = async (
    query: string,
  ): Promise<{ items?: { name: string }[]; prefixes?: string[]; nextPageToken?: string }> => {
    const response = await get(`o?${query}`);
    assert.equal(response.status, 200, query);
    return (await response.json()) as Awaited<ReturnType<typeof listed>>;
  };
  const names = async (query: string) => (await listed(query)).items?.map(({ name }) => name) ?? [];

  test('ranges, and a whole object with its sums', async () => {
    const whole = await get('o/a?alt=media');
    assert.equal(await whole.text(), '<a>');
    assert.match(whole.headers.get('x-goog-hash') ?? '', /^crc32c=.{8},md5=.{24}$/);
    assert.equal(whole.headers.get('x-goog-stored-content-encoding'), 'identity');
    const table: [string, number, string, string | null][] = [
      ['bytes=1-1', 206, 'a', 'bytes 1-1/3'],
      ['bytes=1-', 206, 'a>', 'bytes 1-2/3'],
      ['bytes=-1', 206, '>', 'bytes 2-2/3'],
      ['bytes=0-99', 206, '<a>', 'bytes 0-2/3'],
      ['bytes=2-1', 200, '<a>', null],
      ['pages=1', 200, '<a>', null],
      ['bytes=3-', 416, 'Request range not satisfiable', 'bytes */3'],
    ];
    for (const [range, status, text, contentRange] of table) {
      const response = await get('o/a?alt=media', { range });
      assert.equal(response.status, status, range);
      assert.equal(await response.text(), text, range);
      assert.equal(response.headers.get('content-range'), contentRange, range);
    }
  });

  test('conditions and generations', async () => {
    const { generation, etag } = (await (await get('o/a')).json()) as { generation: string; etag: string };
    const table: [string, Record<string, string>, number][] = [
      [`ifGenerationMatch=${generation}`, {}, 200],
      ['ifGenerationMatch=1', {}, 412],
      ['ifMetagenerationMatch=1', {}, 200],
      ['ifMetagenerationMatch=2', {}, 412],
      [`ifGenerationNotMatch=${generation}`, {}, 304],
      ['ifGenerationNotMatch=1', {}, 200],
      ['ifMetagenerationNotMatch=1', {}, 304],
      [`generation=${generation}`, {}, 200],
      ['generation=1', {}, 404],
      ['', { 'if-none-match': etag }, 304],
    ];
    for (const [query, headers, status] of table) {
      for (const alt of ['json', 'media'])
        assert.equal((await get(`o/a?alt=${alt}&${query}`, headers)).status, status, query);
    }
  });

  test('lists from, to, in part, rolled up', async () => {
    assert.deepEqual(await names('startOffset=b&endOffset=f'), ['b', 'c/d', 'c/e']);
    assert.deepEqual(await names('prefix=c/&startOffset=c/e'), ['c/e']);
    assert.deepEqual(await names('prefix=zz'), []);
    assert.deepEqual((await listed('delimiter=/&startOffset=c/dd')).prefixes, ['c/']);
    assert.deepEqual(await listed('delimiter=/&maxResults=1&startOffset=c&fields=prefixes,nextPageToken'), {
      prefixes: ['c/'],
      nextPageToken: Buffer.from('\nc/').toString('base64'),
    });
    const { nextPageToken } = await listed('delimiter=/&maxResults=1&startOffset=c');
    assert.deepEqual(await names(`delimiter=/&startOffset=c&pageToken=${encodeURIComponent(nextPageToken ?? '')}`), [
      'f',
    ]);
    assert.deepEqual(await listed('fields=items(name,size)&prefix=a'), { items: [{ name: 'a', size: '3' }] });
    assert.deepEqual(await listed('fields=items/name&prefix=a'), { items: [{ name: 'a' }] });
    assert.deepEqual(await listed('fields=*/name&prefix=a'), { kind: 'storage#objects', items: [{ name: 'a' }] });
    for (const bad of ['maxResults=0', 'maxResults=x', 'pageToken=abc', 'fields=items(', 'fields=,', 'matchGlob=*']) {
      assert.equal((await get(`o?${bad}`)).status, 400, bad);
    }
  });

  test('compose, copy, patch and delete', async () => {
    const bucket = clientOf(gcs).bucket('b');
    const [composed] = await bucket.combine(['a', 'b'], 'composed');
    assert.equal((await composed.download())[0].toString(), '<a><b>');
    const [{ componentCount, md5Hash }] = await composed.getMetadata();
    assert.deepEqual([componentCount, md5Hash], [2, undefined]);
    await composed.copy(bucket.file('copied'), { preconditionOpts: { ifGenerationMatch: 0 } });
    await assert.rejects(composed.copy(bucket.file('copied'), { preconditionOpts: { ifGenerationMatch: 0 } }), {
      code: 412,
    });
    const customTime = '2026-01-01T00:00:00.000Z';
    await bucket.file('copied').setMetadata({ customTime, metadata: { a: '1', b: '2' } });
    await bucket.file('copied').setMetadata({ metadata: { a: null } });
    const [patched] = await bucket.file('copied').getMetadata();
    assert.deepEqual([patched.metadata, patched.customTime, patched.metageneration], [{ b: '2' }, customTime, '3']);
    await assert.rejects(bucket.file('copied').setMetadata({ customTime: '2025-01-01T00:00:00.000Z' }), { code: 400 });
    await assert.rejects(bucket.file('copied').delete({ ifGenerationMatch: 1 }), { code: 412 });
    await bucket.file('copied').delete();
    await assert.rejects(bucket.file('copied').delete(), { code: 404 });
    await composed.delete();
  });

  test('who may read and not list is not told which names are free', async () => {
    const grants = { 'reader@x': ['storage.objects.get'] } as const;
    const strict = await startGcs({ buckets: { b: { grants } }, tokens: { t: 'reader@x' } });
    try {
      await assert.rejects(clientOf(strict, { token: 't' }).bucket('b').file('none').getMetadata(), { code: 403 });
    } finally {
      await strict.close();
    }
  });

  test('what is stored compressed is opened for who does not take it so', async () => {
    const bytes = gzipSync('text');
    const path = `${gcs.url}/upload/storage/v1/b/b/o?uploadType=media&name=zipped&contentEncoding=gzip`;
    await fetch(path, { method: 'POST', body: new Uint8Array(bytes) });
    const opened = await get('o/zipped?alt=media', { 'accept-encoding': 'identity' });
    assert.equal(await opened.text(), 'text');
    assert.equal(opened.headers.get('x-goog-stored-content-encoding'), 'gzip');
    const [raw] = await clientOf(gcs).bucket('b').file('zipped').download({ decompress: false });
    assert.deepEqual(raw, bytes);
    gcs.objects('b');
  });

  test('buckets are made, found and asked about', async () => {
    const storage = clientOf(gcs);
    await storage.createBucket('made-here', { labels: { a: 'b' } });
    await assert.rejects(storage.createBucket('made-here'), { code: 409 });
    await assert.rejects(storage.createBucket('Bad'), { code: 400 });
    const [buckets] = await storage.getBuckets();
    assert.deepEqual(
      buckets.map(({ name }) => name),
      ['b', 'made-here'],
    );
    const [metadata] = await storage.bucket('made-here').getMetadata();
    assert.deepEqual([metadata.labels, metadata.metageneration], [{ a: 'b' }, '1']);
    const [permissions] = await storage
      .bucket('b')
      .iam.testPermissions(['storage.objects.create', 'storage.buckets.setIamPolicy']);
    assert.deepEqual(permissions, { 'storage.objects.create': true, 'storage.buckets.setIamPolicy': false });
    for (const path of ['o/a/b/c', 'nothing', 'o/a/acl']) assert.equal((await get(path)).status, 404);
  });
});
