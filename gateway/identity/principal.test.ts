import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sessionKeyOf } from './principal.ts';

test('parts can not be moved across their borders', () => {
  const keys = [
    ['ab', 'c', 'd', 'e'],
    ['a', 'bc', 'd', 'e'],
    ['ab', 'cd', '', 'e'],
    ['ab', 'c', 'de', ''],
    ['', 'abc', 'd', 'e'],
  ].map(([issuer = '', subject = '', connection = '', claim = '']) => sessionKeyOf(issuer, subject, connection, claim));
  assert.equal(new Set(keys).size, keys.length);
});

test('the key is SHA-256 over four length-prefixed parts', () => {
  assert.equal(
    sessionKeyOf('https://idp', 'ana', 'orders', 'j1'),
    '8b13aa0bc45e8d80834ba6583afeaca17646cfeaabec9c7ce6dadad103b8a483',
  );
});
