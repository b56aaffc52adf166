import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createUnsealed, principalName } from './unsealed.ts';

test('bytes count to each of their holders, and go again', () => {
  const unsealed = createUnsealed();
  const ana = unsealed.open({ principal: 'ana', connection: 'orders', upstream: 'http://a' });
  const bob = unsealed.open({ principal: 'bob', connection: 'orders', upstream: 'http://a' });
  ana.add(30);
  bob.add(12);
  assert.equal(unsealed.held('principal', 'ana'), 30);
  assert.equal(unsealed.held('connection', 'orders'), 42);
  assert.deepEqual(unsealed.others('principal', 'ana'), [12]);
  assert.deepEqual(unsealed.others('connection', 'orders'), []);
  ana.take(30);
  assert.equal(unsealed.held('upstream', 'http://a'), 12);
});

test('a holder is forgotten once its accounts are closed and nothing of it is left', () => {
  const unsealed = createUnsealed();
  const first = unsealed.open({ principal: 'ana' });
  const second = unsealed.open({ principal: 'ana' });
  first.add(5);
  first.close();
  second.close();
  assert.equal(unsealed.count('principal'), 1);
  first.take(5);
  assert.equal(unsealed.count('principal'), 0);
  assert.equal(unsealed.held('principal', 'ana'), 0);
});

test('no more is taken than was added: what an earlier process wrote does not make a holder negative', () => {
  const unsealed = createUnsealed();
  const account = unsealed.open({ principal: 'ana' });
  account.add(5);
  account.take(9);
  assert.equal(unsealed.held('principal', 'ana'), 0);
});

test('nobody holds what is of the system', () => {
  const unsealed = createUnsealed();
  unsealed.open({}).add(100);
  assert.equal(unsealed.count('principal') + unsealed.count('connection') + unsealed.count('upstream'), 0);
});

test('a principal is its issuer and subject, and no two of them are one', () => {
  assert.notEqual(principalName({ issuer: 'a', subject: 'b,c' }), principalName({ issuer: 'a,b', subject: 'c' }));
});
