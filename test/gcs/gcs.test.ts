import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Bucket, type File, Storage } from '@google-cloud/storage';
import { clientOf } from './client.ts';
import { type GcsDouble, startGcs } from './gcs.ts';

const CREATE = { resumable: false, preconditionOpts: { ifGenerationMatch: 0 } } as const;

interface Listed {
  readonly prefixes?: readonly string[];
}

/** Every name and prefix, page by page as they came. */
async function shown(bucket: Bucket, query: object): Promise<string[]> {
  const names: string[] = [];
  for (let next: object | null = { ...query, autoPaginate: false }; next !== null; ) {
    const [files, following, answer] = (await bucket.getFiles(next)) as unknown as [File[], object | null, Listed];
    names.push(...files.map((file) => file.name), ...(answer.prefixes ?? []));
    next = following;
  }
  return names;
}

describe('the double, by the real client', () => {
  let gcs: GcsDouble;
  let storage: Storage;
  let made = 0;
  before(async () => {
    gcs = await startGcs();
    storage = clientOf(gcs);
  });
  after(() => gcs.close());
  const newBucket = () => {
    const name = `bucket-${made++}`;
    gcs.createBucket(name);
    return { name, bucket: storage.bucket(name), objects: gcs.objects(name) };
  };

  test('an object is created in one request, once, and comes back with its sums', async () => {
    const { name, bucket, objects } = newBucket();
    const bytes = Buffer.from(Array.from({ length: 32 }, (_, byte) => byte));
    const before = gcs.calls['objects.insert'];
    const metadata = { contentType: 'application/gzip', metadata: { a: 'b' } };
    await bucket.file('a/b c+ü').save(bytes, { ...CREATE, metadata });
    assert.equal(gcs.calls['objects.insert'], before + 1);
    await assert.rejects(bucket.file('a/b c+ü').save('else', CREATE), { code: 412 });
    assert.deepEqual(objects.get('a/b c+ü')?.bytes, bytes);
    const [read] = await bucket.file('a/b c+ü').download();
    assert.deepEqual(read, bytes);
    const [found] = await bucket.file('a/b c+ü').getMetadata();
    assert.equal(found.bucket, name);
    assert.equal(found.size, '32');
    // RFC 3720, appendix B.4: 32 bytes that count up.
    assert.equal(found.crc32c, Buffer.from('46dd794e', 'hex').toString('base64'));
    assert.equal(found.contentType, 'application/gzip');
    assert.deepEqual(found.metadata, { a: 'b' });
    assert.equal(found.metageneration, '1');
  });

  test('where nothing is, reading says 404', async () => {
    const { bucket } = newBucket();
    await assert.rejects(bucket.file('x').download(), { code: 404 });
    await assert.rejects(bucket.file('x').getMetadata(), { code: 404 });
    await assert.rejects(storage.bucket('no-such').file('x').save('', CREATE), { code: 404 });
  });

  test('STORAGE_EMULATOR_HOST alone is enough', async () => {
    const { name, objects } = newBucket();
    process.env.STORAGE_EMULATOR_HOST = gcs.url;
    try {
      const bucket = new Storage().bucket(name);
      await bucket.file('a/b').save('abc', CREATE);
      assert.equal(objects.get('a/b')?.bytes.toString(), 'abc');
      assert.equal((await bucket.file('a/b').download())[0].toString(), 'abc');
      const [files] = await bucket.getFiles({ prefix: 'a/' });
      assert.deepEqual(
        files.map((file) => file.name),
        ['a/b'],
      );
    } finally {
      delete process.env.STORAGE_EMULATOR_HOST;
    }
  });

  test('lists go by bytes, in pages, rolled up', async () => {
    const { bucket } = newBucket();
    const names = ['a-b', 'a/b', 'a/c/d', 'a/c/e', 'a0', 'b/\ue000', 'b/\u{1f600}'];
    for (const name of names.toReversed()) await bucket.file(name).save(name, CREATE);
    const [all] = await bucket.getFiles();
    assert.deepEqual(
      all.map((file) => file.name),
      names,
    );
    const before = gcs.calls['objects.list'];
    assert.deepEqual(await shown(bucket, { maxResults: 3 }), names);
    assert.equal(gcs.calls['objects.list'], before + 3);
    assert.deepEqual(await shown(bucket, { delimiter: '/', maxResults: 1 }), ['a-b', 'a/', 'a0', 'b/']);
    assert.deepEqual(await shown(bucket, { prefix: 'a/', delimiter: '/' }), ['a/b', 'a/c/']);
  });
});

describe('who may do what', () => {
  let gcs: GcsDouble;
  before(async () => {
    gcs = await startGcs({
      tokens: { 'token-creator': 'creator@x', 'token-viewer': 'viewer@x', 'token-nobody': 'nobody@x' },
      buckets: {
        b: {
          grants: { 'creator@x': ['roles/storage.objectCreator'], 'viewer@x': ['roles/storage.objectViewer'] },
        },
      },
    });
  });
  after(() => gcs.close());
  const as = (token?: string) => clientOf(gcs, token === undefined ? {} : { token }).bucket('b');

  test('a creator creates, and neither reads, lists, deletes nor replaces', async () => {
    const bucket = as('token-creator');
    await bucket.file('a').save('one', CREATE);
    await assert.rejects(bucket.file('a').save('two', CREATE), { code: 412 });
    await assert.rejects(bucket.file('a').save('two', { resumable: false }), { code: 403 });
    await assert.rejects(bucket.file('a').download(), { code: 403 });
    await assert.rejects(bucket.file('a').getMetadata(), { code: 403 });
    await assert.rejects(bucket.getFiles(), { code: 403 });
    await assert.rejects(bucket.file('a').delete(), { code: 403 });
    assert.equal(gcs.objects('b').get('a')?.bytes.toString(), 'one');
  });

  test('a viewer reads and lists, and writes nothing', async () => {
    const bucket = as('token-viewer');
    assert.equal((await bucket.file('a').download())[0].toString(), 'one');
    assert.equal((await bucket.getFiles())[0].length, 1);
    await assert.rejects(bucket.file('b').save('x', CREATE), { code: 403 });
  });

  test('no token is 401 where anonymous callers may nothing, and so is a token of nobody', async () => {
    await assert.rejects(as().file('a').getMetadata(), { code: 401 });
    await assert.rejects(as('token-of-nobody').file('a').getMetadata(), { code: 401 });
    await assert.rejects(as('token-nobody').file('a').getMetadata(), { code: 403 });
  });
});
