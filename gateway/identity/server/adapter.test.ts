import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Adapter, errors } from 'oidc-provider';
import type { Clock } from '../../clock.ts';
import { createEnds } from '../../sessions/ends.ts';
import { createMemoryStore } from '../../store/memory.ts';
import { createAdapters, GRACE_MS } from './adapter.ts';
import { createGrants, type GrantRecord } from './grants.ts';

const START = 1_800_000_000_000;
const SESSION = '01980000-0000-7000-8000-000000000001';

/** What oidc-provider sees of one store through each connection's adapters. */
function start() {
  const state = createMemoryStore();
  let now = START;
  const clock: Clock = { millis: () => now, micros: () => now * 1000, offset: () => 0 };
  const ends = createEnds({ state, now: () => now });
  const grants = createGrants({ state, audit: createMemoryStore(), ends, clock });
  const ended: string[] = [];
  const again: string[] = [];
  const of = (connection: string): ((model: string) => Adapter) =>
    createAdapters({
      state,
      connection,
      grants,
      now: () => now,
      errors,
      findClient: async () => undefined,
      ended: async (session, reason) => void ended.push(`${session} ${reason}`),
      reasonToEnd: () => 'signed_out',
      usedAgain: (hash) => void again.push(hash),
    });
  return { of, grants, ended, again, pass: (milliseconds: number) => (now += milliseconds), state };
}

const isGone = { name: 'InvalidGrant' };

for (const model of ['AuthorizationCode', 'RefreshToken']) {
  test(`${model}: used once, by one of those who use it at once, at its own connection`, async () => {
    const { of, state } = start();
    const [own, foreign] = [of('orders')(model), of('other')(model)];
    await own.upsert('secret', { jti: 'secret', accountId: 'ana' }, 60);
    assert.deepEqual(await own.find('secret'), { accountId: 'ana', jti: 'secret' });
    assert.equal(await foreign.find('secret'), undefined);
    await foreign.consume('secret');
    const uses = await Promise.allSettled([1, 2, 3].map(() => own.consume('secret')));
    assert.deepEqual(uses.map(({ status }) => status).sort(), ['fulfilled', 'rejected', 'rejected']);
    await assert.rejects(own.consume('secret') as Promise<void>, isGone);
    for await (const name of state.list('')) {
      const text = name + Buffer.from((await state.get(name)) ?? []).toString();
      assert.ok(!text.includes('secret'), name);
    }
    await assert.rejects(own.upsert('secret', { jti: 'secret' }, 60) as Promise<void>);
  });
}

test('a code that was used is used at once; a refresh token may come again for a while', async () => {
  const { of, again, pass } = start();
  const [codes, tokens] = [of('orders')('AuthorizationCode'), of('orders')('RefreshToken')];
  for (const one of [codes, tokens]) {
    await one.upsert('x', { jti: 'x' }, 60);
    await one.consume('x');
  }
  const consumed = async (one: Adapter) => ((await one.find('x')) as { consumed?: number } | undefined)?.consumed;
  assert.equal(await consumed(codes), START / 1000);
  await assert.rejects(codes.consume('x') as Promise<void>, isGone);
  assert.equal(again.length, 0);
  pass(GRACE_MS - 1);
  assert.equal(await consumed(tokens), undefined);
  await assert.rejects(tokens.consume('x') as Promise<void>, isGone);
  assert.equal(again.length, 1);
  pass(1);
  assert.equal(await consumed(tokens), START / 1000);
});

test('a refresh token that was taken back is used for good', async () => {
  const { of } = start();
  const tokens = of('orders')('RefreshToken');
  await tokens.upsert('x', { jti: 'x' }, 60);
  await tokens.destroy('x');
  assert.equal(((await tokens.find('x')) as { consumed?: number }).consumed, 1);
});

test('an interaction has one next version, and none when it is over', async () => {
  const { of } = start();
  const interactions = of('orders')('Interaction');
  await interactions.upsert('uid', { jti: 'uid', kind: 'first' }, 60);
  await interactions.upsert('uid', { jti: 'uid', kind: 'second' }, 60);
  assert.deepEqual(await interactions.find('uid'), { kind: 'second', jti: 'uid' });
  assert.equal(await of('other')('Interaction').find('uid'), undefined);
  // Two replicas answer it at once: one of them does.
  const answers = await Promise.allSettled([
    interactions.upsert('uid', { jti: 'uid', kind: 'third' }, 60),
    interactions.destroy('uid'),
  ]);
  assert.deepEqual(answers.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
  if ((await interactions.find('uid')) !== undefined) await interactions.destroy('uid');
  assert.equal(await interactions.find('uid'), undefined);
  await assert.rejects(interactions.upsert('uid', { jti: 'uid', kind: 'again' }, 60) as Promise<void>);
  await assert.rejects(interactions.destroy('uid') as Promise<void>);
});

test('an assertion is taken once', async () => {
  const { of } = start();
  const assertions = of('orders')('ReplayDetection');
  await assertions.upsert('client jti', { exp: 1 }, 60);
  await assert.rejects(assertions.upsert('client jti', { exp: 1 }, 60) as Promise<void>, { name: 'InvalidClient' });
});

test('a grant is its own connection’s, until its session ends', async () => {
  const { of, grants, ended, pass } = start();
  const record: GrantRecord = {
    session: SESSION,
    connection: 'orders',
    client: { id: 'alpha' },
    kind: 'human',
    issuer: 'https://idp.example',
    subject: 'ana',
    groups: [],
    opened: START,
    expires: START + 60_000,
    resources: ['https://gateway.example/orders/mcp'],
  };
  await grants.open(record);
  const own = of('orders')('Grant');
  assert.equal((await own.find(SESSION))?.clientId, 'alpha');
  assert.equal(await of('other')('Grant').find(SESSION), undefined);
  assert.equal(await own.find('../grants/x'), undefined);
  await assert.rejects(own.upsert('x', { jti: 'x' }, 60) as Promise<void>);
  await own.destroy(SESSION);
  assert.deepEqual(ended, [`${SESSION} signed_out`]);
  assert.equal(await own.find(SESSION), undefined);

  const another = { ...record, session: SESSION.replace(/1$/, '2') };
  await grants.open(another);
  pass(59_999);
  assert.equal((await own.find(another.session))?.kind, 'Grant');
  pass(1);
  assert.equal(await own.find(another.session), undefined);
});

test('sessions and tokens are not kept', async () => {
  const { of, state } = start();
  for (const model of ['Session', 'AccessToken', 'ClientCredentials']) {
    await of('orders')(model).upsert('x', { jti: 'x' }, 60);
    assert.equal(await of('orders')(model).find('x'), undefined);
  }
  for await (const name of state.list('')) assert.fail(name);
});
