import assert from 'node:assert/strict';
import { createHmac, createSecretKey, hkdfSync } from 'node:crypto';
import { test } from 'node:test';
import { createTagger } from './tagger.ts';

const key = createSecretKey(Buffer.alloc(32, 7));
const other = createSecretKey(Buffer.alloc(32, 8));
const derived = (purpose: string) => Buffer.from(hkdfSync('sha256', key, '', purpose, 32));

test('a tag and a witness are those of the documented keys', () => {
  const { tag, hmac } = createTagger(key).tag('email', 'a@b.é');
  const shown = createHmac('sha256', derived('verbatim/mask-tag')).update('email\0a@b.é').digest('hex').slice(0, 8);
  const witness = createHmac('sha256', derived('verbatim/mask-witness')).update('a@b.é').digest('hex');
  assert.equal(tag, `[email:${shown}]`);
  assert.equal(hmac, `hmac-sha256:${witness}`);
  assert.ok(!witness.startsWith(shown));
});

test('the same value has the same tag in a session, another in another, and one for each detector', () => {
  const tagger = createTagger(key);
  assert.deepEqual(tagger.tag('email', 'x'), createTagger(key).tag('email', 'x'));
  assert.notEqual(tagger.tag('email', 'x').tag, tagger.tag('email', 'y').tag);
  assert.notEqual(tagger.tag('email', 'x').tag, createTagger(other).tag('email', 'x').tag);
  assert.notEqual(tagger.tag('email', 'x').hmac, createTagger(other).tag('email', 'x').hmac);
  assert.notEqual(tagger.tag('card', 'x').tag.slice(-9), tagger.tag('iban', 'x').tag.slice(-9));
  assert.equal(tagger.tag('card', 'x').hmac, tagger.tag('iban', 'x').hmac);
});
