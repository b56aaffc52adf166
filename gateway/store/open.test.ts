import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openStore } from './open.ts';

test('an address opens the store that it names', () => {
  assert.equal(openStore('memory:').url, 'memory:');
  assert.equal(openStore('file:///var/lib/verbatim').url, 'file:///var/lib/verbatim');
  assert.equal(openStore('file:///var/lib/a%20b/').url, 'file:///var/lib/a%20b');
});

test('buckets come later, and that is what is said', () => {
  assert.throws(() => openStore('gs://bucket'), { code: 'unsupported' });
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
