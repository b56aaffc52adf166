import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createAdapters } from './idp-adapter.ts';

const make = () => createAdapters(() => new Error('used'));

test('of many uses of a code at once, one succeeds', async () => {
  const codes = make()('AuthorizationCode');
  await codes.upsert('a', { grantId: 'g' }, 60);
  const uses = await Promise.allSettled([1, 2, 3].map(() => codes.consume('a')));
  assert.deepEqual(uses.map(({ status }) => status).sort(), ['fulfilled', 'rejected', 'rejected']);
  await assert.rejects(codes.consume('unknown'), /used/);
});

test('models do not mix, copies are given, a grant takes its codes with it', async () => {
  const adapters = make();
  const payload = { grantId: 'g', scope: 'openid' };
  await adapters('AuthorizationCode').upsert('a', payload, 60);
  payload.scope = 'changed';
  assert.equal(await adapters('Grant').find('a'), undefined);
  assert.deepEqual(await adapters('AuthorizationCode').find('a'), { grantId: 'g', scope: 'openid' });
  await adapters('Grant').revokeByGrantId('g');
  assert.equal(await adapters('AuthorizationCode').find('a'), undefined);
});

test('what has expired is gone, and the oldest go when there are too many', async () => {
  const grants = make()('Grant');
  await grants.upsert('expired', {}, 0);
  assert.equal(await grants.find('expired'), undefined);
  for (let n = 0; n <= 2_000; n++) await grants.upsert(`${n}`, {}, 60);
  assert.equal(await grants.find('0'), undefined);
  assert.deepEqual(await grants.find('2000'), {});
});

test('sessions are never kept', async () => {
  const sessions = make()('Session');
  await sessions.upsert('s', { accountId: 'ana' }, 60);
  assert.equal(await sessions.find('s'), undefined);
});
