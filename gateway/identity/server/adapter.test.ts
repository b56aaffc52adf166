import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { errors } from 'oidc-provider';
import { createMemoryStore } from '../../store/memory.ts';
import { createAdapters, GRACE_MS } from './adapter.ts';
import { type AuthorizationState, grantRecord, openAuthorizationState, RESOURCE, type Replica } from './fixture.ts';
import { accountIdOf } from './grants.ts';

let world: AuthorizationState;
let one: Replica;
let two: Replica;
let other: Replica;
before(async () => {
  world = openAuthorizationState();
  [one, two] = [await world.start(), await world.start()];
  other = await world.start({ connection: 'other' });
});
after(() => world.close());

describe('oidc-provider’s own models, on two replicas over one state', () => {
  test('a code is found wherever it was given out, at this issuer alone, and used once', async () => {
    const { code, record } = await world.code(one);
    assert.equal(await other.provider.AuthorizationCode.find(code), undefined);
    const [here, there] = [
      await one.provider.AuthorizationCode.find(code),
      await two.provider.AuthorizationCode.find(code),
    ];
    assert.ok(here !== undefined && there !== undefined);
    assert.deepEqual([there.grantId, there.accountId], [record.session, accountIdOf(record)]);
    assert.equal(there.jti, code);
    await there.consume();
    await assert.rejects(here.consume(), { name: 'InvalidGrant' });
    assert.equal((await one.provider.AuthorizationCode.find(code))?.isValid, false);
    assert.equal(await one.provider.AuthorizationCode.find('another'), undefined);
  });

  test('of many uses at once one succeeds', async () => {
    const { code } = await world.code(one);
    const found = await Promise.all([one, two, one, two].map(({ provider }) => provider.AuthorizationCode.find(code)));
    const used = await Promise.allSettled(found.map((each) => each?.consume()));
    assert.equal(used.filter(({ status }) => status === 'fulfilled').length, 1);
  });

  test('a grant is the session: found while it is alive, at its issuer, with what may be asked for', async () => {
    const record = grantRecord(world.clock);
    await one.grants.open(record);
    const grant = await two.provider.Grant.find(record.session);
    assert.equal(grant?.accountId, accountIdOf(record));
    assert.equal(grant?.clientId, 'alpha');
    assert.deepEqual(grant?.getOIDCScope(), 'openid mcp');
    assert.equal(grant?.getResourceScope(RESOURCE), 'mcp');
    assert.equal(grant?.getResourceScope('http://127.0.0.1:8080/other/mcp'), '');
    assert.equal(await other.provider.Grant.find(record.session), undefined);
    await grant?.destroy();
    assert.equal(await one.provider.Grant.find(record.session), undefined);
    assert.equal(await two.ends.reasonOf(record.session), 'refresh_token_reused');
    assert.equal(world.events.at(-1)?.[0], 'session.revoked', 'it is recorded before it ends');
    for (const strange of ['../grants/x', 'none', '']) assert.equal(await one.provider.Grant.find(strange), undefined);
  });

  test('a grant is opened by a login, never by the library', async () => {
    const grant = new one.provider.Grant({ accountId: 'a', clientId: 'alpha' });
    grant.addOIDCScope('openid');
    await assert.rejects(grant.save());
  });

  test('sessions of the library are never kept: each authorization asks who it is', async () => {
    const session = new one.provider.Session();
    await session.save(60);
    assert.equal(await one.provider.Session.find(session.jti), undefined);
    assert.equal(await one.provider.Session.findByUid(session.uid), undefined);
  });

  test('nothing that is stored says what finds it', async () => {
    const { code } = await world.code(one);
    const stored = await world.stored();
    assert.ok(!stored.includes(code));
    assert.match(stored, /oauth\/orders\/codes\/[0-9a-f]{64}\.json/);
  });
});

function adapters(connection = 'orders', state = createMemoryStore()) {
  let now = 1_800_000_000_000;
  const again: string[] = [];
  const make = createAdapters({
    state,
    connection,
    grants: one.grants,
    now: () => now,
    errors,
    findClient: async () => undefined,
    ended: async () => {},
    reasonToEnd: () => 'x',
    usedAgain: (hash) => void again.push(hash),
  });
  return {
    make,
    again,
    state,
    pass(milliseconds: number) {
      now += milliseconds;
    },
  };
}

test('a refresh token that was used looks unused for the time of grace, and can not be used up again', async () => {
  const { make, again, pass } = adapters();
  const tokens = make('RefreshToken');
  await tokens.upsert('a', { grantId: 'g' }, 60);
  await tokens.consume('a');
  assert.deepEqual(await tokens.find('a'), { grantId: 'g', jti: 'a' });
  await assert.rejects(tokens.consume('a'), { name: 'InvalidGrant' });
  assert.equal(again.length, 1);
  assert.match(again[0] ?? '', /^[0-9a-f]{64}$/);
  pass(GRACE_MS);
  assert.ok((await tokens.find('a'))?.consumed);
  // Codes have no grace: the client that lost the answer asks the person again.
  const codes = make('AuthorizationCode');
  await codes.upsert('a', { grantId: 'g' }, 60);
  await codes.consume('a');
  assert.ok((await codes.find('a'))?.consumed);
  await assert.rejects(codes.consume('a'), { name: 'InvalidGrant' });
  assert.equal(again.length, 1);
});

test('what is destroyed is used up, grace or not', async () => {
  const { make } = adapters();
  const tokens = make('RefreshToken');
  await tokens.upsert('a', { grantId: 'g' }, 60);
  await tokens.destroy('a');
  assert.ok((await tokens.find('a'))?.consumed);
});

test('a code that is drawn twice is an error, not somebody else’s', async () => {
  const { make } = adapters();
  await make('AuthorizationCode').upsert('a', { grantId: 'g' }, 60);
  await assert.rejects(make('AuthorizationCode').upsert('a', { grantId: 'h' }, 60));
  assert.equal((await make('AuthorizationCode').find('a'))?.grantId, 'g');
});

test('of an interaction the last version counts, on any replica, until it ends', async () => {
  const { state, make } = adapters();
  const [here, there] = [make('Interaction'), adapters('orders', state).make('Interaction')];
  assert.equal(await here.find('i'), undefined);
  await here.upsert('i', { params: { n: 1 } }, 60);
  await there.upsert('i', { params: { n: 2 } }, 60);
  assert.deepEqual(await here.find('i'), { params: { n: 2 }, jti: 'i' });
  assert.equal(await adapters('other', state).make('Interaction').find('i'), undefined);
  await there.destroy('i');
  assert.equal(await here.find('i'), undefined);
  // As a login that is over is: the person reads so, and nothing is a fault of the gateway's.
  await assert.rejects(here.upsert('i', { params: { n: 3 } }, 60), { name: 'SessionNotFound' });
  await assert.rejects(here.destroy('i'), { name: 'SessionNotFound' });
});

test('of two answers to one interaction at once, one counts', async () => {
  const { make } = adapters();
  const interactions = make('Interaction');
  await interactions.upsert('i', { n: 0 }, 60);
  const answers = await Promise.allSettled([1, 2, 3].map((n) => interactions.upsert('i', { n }, 60)));
  const failed = answers.filter((answer) => answer.status === 'rejected');
  assert.equal(failed.length, 2);
  for (const { reason } of failed) assert.equal(reason.name, 'SessionNotFound');
});

test('an assertion counts once at this issuer', async () => {
  const { make, state } = adapters();
  await make('ReplayDetection').upsert('client jti', { exp: 1 }, 60);
  await assert.rejects(make('ReplayDetection').upsert('client jti', { exp: 1 }, 60), { name: 'InvalidClient' });
  await adapters('other', state).make('ReplayDetection').upsert('client jti', { exp: 1 }, 60);
});

test('what is of no use here keeps nothing', async () => {
  const { make, state } = adapters();
  for (const model of ['Session', 'AccessToken', 'ClientCredentials', 'DeviceCode', 'InitialAccessToken']) {
    await make(model).upsert('a', { grantId: 'g' }, 60);
    assert.equal(await make(model).find('a'), undefined, model);
  }
  for await (const name of state.list('')) assert.fail(name);
});
