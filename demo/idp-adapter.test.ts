import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createAdapters } from './idp-adapter.ts';

const make = (file?: string) => createAdapters(() => new Error('used'), file);

let folder = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'verbatim-idp-adapter-'));
});
after(() => rm(folder, { recursive: true }));

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

test('in a file, grants and refresh tokens outlive the process, as used as they were', async () => {
  const file = join(folder, 'grants.json');
  const first = make(file);
  await first('Grant').upsert('g', { accountId: 'ana' }, 60);
  await first('Grant').upsert('ended', { accountId: 'bob' }, 60);
  await first('RefreshToken').upsert('used', { grantId: 'g' }, 60);
  await first('RefreshToken').upsert('next', { grantId: 'g' }, 60);
  await first('RefreshToken').upsert('theirs', { grantId: 'ended' }, 60);
  await first('AuthorizationCode').upsert('c', { grantId: 'g' }, 60);
  await first('Interaction').upsert('i', {}, 60);
  await first('RefreshToken').consume('used');
  await first('RefreshToken').revokeByGrantId('ended');
  await first('Grant').destroy('ended');

  const second = make(file);
  assert.deepEqual(await second('Grant').find('g'), { accountId: 'ana' });
  assert.equal(await second('Grant').find('ended'), undefined);
  assert.deepEqual(await second('RefreshToken').find('next'), { grantId: 'g' });
  assert.equal(await second('RefreshToken').find('theirs'), undefined);
  assert.ok((await second('RefreshToken').find('used'))?.consumed);
  await assert.rejects(second('RefreshToken').consume('used'), /used/);
  assert.equal(await second('AuthorizationCode').find('c'), undefined);
  assert.equal(await second('Interaction').find('i'), undefined);
  await second('RefreshToken').consume('next');
  await assert.rejects(make(file)('RefreshToken').consume('next'), /used/);
});

test('the file is private, whole at each moment, and holds nothing else', async () => {
  const own = await mkdtemp(join(folder, 'own-'));
  const file = join(own, 'grants.json');
  const adapters = make(file);
  await adapters('AuthorizationCode').upsert('a-code', {}, 60);
  await adapters('Interaction').upsert('an-interaction', {}, 60);
  assert.deepEqual(await readdir(own), [], 'nothing that lasts is there yet');
  await adapters('Grant').upsert('a-grant', {}, 60);
  assert.equal((await stat(file)).mode & 0o777, 0o600);
  assert.deepEqual(await readdir(own), ['grants.json']);
  const text = await readFile(file, 'utf8');
  assert.ok(text.includes('a-grant') && !text.includes('a-code') && !text.includes('an-interaction'), text);
});

test('what has expired in the meantime is gone; a torn file is none', async () => {
  const file = join(folder, 'old.json');
  await writeFile(file, JSON.stringify([['Grant:g', { payload: {}, expires: Date.now() - 1 }]]));
  assert.equal(await make(file)('Grant').find('g'), undefined);
  await writeFile(file, '[["Grant:g",{"payl');
  const adapters = make(file);
  assert.equal(await adapters('Grant').find('g'), undefined);
  await adapters('Grant').upsert('g', {}, 60);
  assert.deepEqual(await make(file)('Grant').find('g'), {});
});
