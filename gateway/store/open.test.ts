import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { openStore } from './open.ts';

test('an address opens the store that it names', () => {
  assert.equal(openStore('memory:').url, 'memory:');
  assert.equal(openStore('file:///var/lib/verbatim').url, 'file:///var/lib/verbatim');
  assert.equal(openStore('file:///var/lib/a%20b/').url, 'file:///var/lib/a%20b');
});

test('a bucket is its name alone', () => {
  const long = `${'a'.repeat(63)}.${'b'.repeat(63)}.${'c'.repeat(63)}`;
  for (const name of ['abc', 'a-b_c.d', '0xy', 'a'.repeat(63), long]) {
    assert.equal(openStore(`gs://${name}`).url, `gs://${name}`);
  }
  const malformed = [
    '',
    'ab',
    'Abc',
    'abc/',
    'abc/folder',
    'abc?x',
    'abc#x',
    '-abc',
    'abc-',
    'a..b',
    'a.-b.c',
    'a b c',
  ];
  const refused = ['192.168.1.1', 'goog-x', 'my-google-x', 'my-g00gle', 'a'.repeat(64), `${long}.${'d'.repeat(63)}`];
  for (const name of [...malformed, ...refused, 'user@abc', 'abc:80', '%61bc', 'b\u00fccher', 'abc\n']) {
    assert.throws(() => openStore(`gs://${name}`), { code: 'invalid_url', message: /Write gs:\/\/BUCKET/ }, name);
  }
  for (const url of ['gs:bucket', 'gs:/bucket', 'gs:///bucket']) {
    assert.throws(() => openStore(url), { code: 'invalid_url' }, url);
  }
});

const LOADED = `
  import { createRequire } from 'node:module';
  await import(${JSON.stringify(import.meta.resolve('../gateway.ts'))});
  await import(${JSON.stringify(import.meta.resolve('../cli/main.ts'))});
  const { openStore } = await import(${JSON.stringify(import.meta.resolve('./open.ts'))});
  for (const url of ['gs://bucket', 'memory:']) openStore(url);
  const { cache } = createRequire(import.meta.url);
  const library = () => Object.keys(cache).some((path) => /google-cloud.storage|google-auth-library/.test(path));
  const before = library();
  await import('@google-cloud/storage');
  console.log(JSON.stringify([before, library()]));
`;

test("no program loads Google's library before a bucket is asked for something", async () => {
  const args = ['--input-type=module', '--eval', LOADED];
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: import.meta.dirname });
  assert.deepEqual(JSON.parse(stdout), [false, true]);
});

test('everything else is told how to write it', () => {
  const malformed = [
    '',
    '/var/lib/verbatim',
    'relative',
    'file:relative',
    'file://host/path',
    'file://relative',
    'file:///a?b',
    'file:///a#b',
    'file:///a%2Fb',
    'file:///a%00b',
    'file:///a%zz',
    'memory:x',
    's3://bucket',
  ];
  for (const url of malformed) {
    assert.throws(() => openStore(url), { code: 'invalid_url', message: /Write file:\/\/\// }, url);
  }
});
