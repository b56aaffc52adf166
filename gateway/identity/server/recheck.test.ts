import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import type { Clock } from '../../clock.ts';
import { createMemoryStore } from '../../store/memory.ts';
import type { Store } from '../../store/store.ts';
import {
  type IdentityProvider,
  type LoginRefusal,
  LoginRefused,
  type Recheckable,
  type Rechecked,
} from '../broker/identity-provider.ts';
import { createKeyring } from '../keyring.ts';
import type { GrantRecord } from './grants.ts';
import { createRecheck, type Recheck, type StandingLost } from './recheck.ts';

const EVERY = 60_000;
const WITHIN = 600_000;
const START = 1_800_000_000_000;
const SESSION = '01980000-0000-7000-8000-000000000001';
const keyring = createKeyring([randomBytes(32)]);

type Asked = (who: Recheckable) => Promise<Rechecked | undefined>;

/** Replicas over one store, whose identity provider answers as it is told to. */
function start(
  options: { every?: number; token?: string; provider?: string | undefined; canAsk?: boolean; issuer?: string } = {},
) {
  const state = createMemoryStore();
  let now = START;
  const clock: Clock = { millis: () => now, micros: () => now * 1000, offset: () => 0 };
  const asked: Recheckable[] = [];
  const changes: (readonly string[])[] = [];
  let answer: Asked = async () => ({ groups: ['analysts'] });
  let isThere = true;
  let agent: readonly string[] | undefined = ['analysts'];
  const nobody = async (): Promise<never> => assert.fail('nobody logs in here');
  const idp: IdentityProvider = {
    name: 'corp',
    issuer: options.issuer ?? 'https://idp.example',
    begin: nobody,
    stateOf: () => undefined,
    finish: nobody,
    ...(options.canAsk === false
      ? {}
      : {
          async recheck(who: Recheckable) {
            asked.push(who);
            return answer(who);
          },
        }),
  };
  const record: GrantRecord = {
    session: SESSION,
    connection: 'orders',
    client: { id: 'alpha' },
    ...('provider' in options && options.provider === undefined ? {} : { provider: 'corp' }),
    kind: 'human',
    issuer: 'https://idp.example',
    subject: 'ana',
    email: 'ana@example.com',
    groups: ['analysts'],
    opened: START,
    expires: START + 43_200_000,
    resources: [],
    ...(options.token === undefined ? {} : { recheck: keyring.seal('idp-refresh-token', options.token, SESSION) }),
  };
  const replica = (over: Store = state): Recheck =>
    createRecheck({
      state: over,
      clock,
      rules: () => ({
        every: options.every ?? EVERY,
        within: WITHIN,
        keyring,
        provider: () => (isThere ? idp : undefined),
        agentGroups: () => agent,
        groupsOf: () => ['analysts', 'owners'],
      }),
      changed: async (_, groups) => void changes.push(groups),
    });
  return {
    state: state as Store,
    asked,
    changes,
    record,
    replica,
    pass: (milliseconds: number) => (now += milliseconds),
    answers: (next: Asked) => (answer = next),
    refuses: (code: LoginRefusal) =>
      (answer = async () => {
        throw new LoginRefused(code, 'no');
      }),
    remove: () => (isThere = false),
    agent: (groups: readonly string[] | undefined) => (agent = groups),
  };
}

const lost = (reason: StandingLost['reason']) => (error: unknown) =>
  error instanceof Error && error.name === 'StandingLost' && (error as StandingLost).reason === reason;

test('the groups of the login hold until it is time to ask; calls at once ask once', async () => {
  const { replica, record, asked, pass, answers, changes } = start();
  const one = replica();
  pass(EVERY - 1);
  assert.deepEqual((await one.standing(record)).groups, ['analysts']);
  assert.equal(asked.length, 0);
  pass(1);
  answers(async () => ({ groups: ['owners'] }));
  const found = await Promise.all([1, 2, 3].map(() => one.standing(record)));
  assert.deepEqual(
    found.map(({ groups }) => groups),
    [['owners'], ['owners'], ['owners']],
  );
  assert.deepEqual(asked, [{ subject: 'ana', email: 'ana@example.com' }]);
  assert.deepEqual(changes, [['owners']]);
  pass(EVERY - 1);
  await one.standing(record);
  assert.equal(asked.length, 1);
});

test('after a success it is asked as often as it is said, however often that is', async () => {
  const { replica, record, asked, pass } = start({ every: 1000 });
  const one = replica();
  for (let round = 1; round <= 3; round++) {
    pass(1000);
    await one.standing(record);
    assert.equal(asked.length, round);
  }
});

test('a refresh token is used by one replica at a time, and the next one is sealed where it is stored', async () => {
  const { replica, record, asked, pass, answers, state } = start({ token: 'token-0' });
  const [one, another] = [replica(), replica()];
  let serial = 0;
  answers(async () => ({ groups: ['analysts'], refreshToken: `token-${++serial}` }));
  for (let round = 0; round < 3; round++) {
    pass(EVERY);
    await Promise.all([one.standing(record), another.standing(record)]);
    // Whichever did not ask reads what the other one found.
    pass(15_000);
    await Promise.all([one.standing(record), another.standing(record)]);
  }
  assert.deepEqual(
    asked.map(({ refreshToken }) => refreshToken),
    ['token-0', 'token-1', 'token-2'],
  );
  for await (const name of state.list('')) {
    const text = Buffer.from((await state.get(name)) ?? []).toString();
    assert.ok(!text.includes('token-'), name);
  }
});

test('a replica that dies while it asks holds the others up for a lease, no longer', async () => {
  const { replica, record, asked, pass, answers } = start({ token: 'token-0' });
  pass(EVERY);
  answers(() => new Promise(() => {}));
  void replica().standing(record);
  while (asked.length === 0) await new Promise(setImmediate);
  answers(async () => ({ groups: ['owners'], refreshToken: 'token-1' }));
  const another = replica();
  assert.deepEqual((await another.standing(record)).groups, ['analysts']);
  pass(15_000);
  assert.deepEqual((await another.standing(record)).groups, ['analysts']);
  assert.equal(asked.length, 1);
  pass(15_000);
  assert.deepEqual((await another.standing(record)).groups, ['owners']);
  assert.equal(asked.length, 2);
});

test('what one replica found is what another one begins with', async () => {
  const { replica, record, asked, pass, answers } = start();
  pass(EVERY);
  answers(async () => ({ groups: ['owners'] }));
  await replica().standing(record);
  assert.deepEqual((await replica().standing(record)).groups, ['owners']);
  assert.equal(asked.length, 1);
});

test('of two that found something at once, the one that was written counts on both', async () => {
  const { replica, record, pass, answers } = start();
  const [one, another] = [replica(), replica()];
  pass(EVERY);
  const both = ['owners', 'analysts'];
  const finds = [['owners'], both];
  answers(async () => {
    const groups = finds.shift() ?? [];
    await new Promise(setImmediate);
    return { groups };
  });
  const [first, second] = await Promise.all([one.standing(record), another.standing(record)]);
  assert.deepEqual(first.groups, second.groups);
});

test('a provider that does not answer is left alone for a while; too long, and the groups are unknown', async () => {
  const { replica, record, asked, pass, refuses, answers } = start({ token: 'token-0' });
  const one = replica();
  refuses('provider_unavailable');
  pass(EVERY);
  for (let calls = 0; calls < 5; calls++) assert.deepEqual((await one.standing(record)).groups, ['analysts']);
  assert.equal(asked.length, 1);
  pass(WITHIN - EVERY);
  assert.deepEqual((await one.standing(record)).groups, ['analysts']);
  pass(1);
  await assert.rejects(one.standing(record), lost('groups_unknown'));
  answers(async () => ({ groups: ['analysts'] }));
  pass(30_000);
  assert.deepEqual((await one.standing(record)).groups, ['analysts']);
});

for (const [code, reason] of [
  ['provider_refused', 'refused_by_provider'],
  ['answer_invalid', 'refused_by_provider'],
  ['groups_unknown', 'groups_unknown'],
] as const) {
  test(`${code} is an end: ${reason}`, async () => {
    const { replica, record, pass, refuses } = start({ token: 'token-0' });
    refuses(code);
    pass(EVERY);
    await assert.rejects(replica().standing(record), lost(reason));
  });
}

test('without a group of the connection, without the provider, nobody may be here', async () => {
  const { replica, record, pass, answers, remove } = start();
  pass(EVERY);
  answers(async () => ({ groups: ['guests'] }));
  await assert.rejects(replica().standing(record), lost('groups_lost'));
  remove();
  pass(EVERY);
  await assert.rejects(replica().standing(record), lost('refused_by_provider'));
});

test('where nobody can be asked the login’s groups hold', async () => {
  const { replica, record, pass } = start({ canAsk: false });
  const one = replica();
  pass(WITHIN * 2);
  assert.deepEqual((await one.standing(record)).groups, ['analysts']);
  const unknown = start();
  unknown.answers(async () => undefined);
  unknown.pass(WITHIN * 2);
  assert.deepEqual((await unknown.replica().standing(unknown.record)).groups, ['analysts']);
});

test('an agent’s groups are the configuration’s, as long as it is in it', async () => {
  const { replica, record, agent } = start({ provider: undefined });
  const one = replica();
  assert.deepEqual((await one.standing(record)).groups, ['analysts']);
  agent(['guests']);
  await assert.rejects(one.standing(record), lost('groups_lost'));
  agent(undefined);
  await assert.rejects(one.standing(record), lost('refused_by_provider'));
});

test('what fails in another way is no loss of standing', async () => {
  const { replica, record, pass, answers } = start();
  answers(async () => {
    throw new TypeError('a fault of this program');
  });
  pass(EVERY);
  await assert.rejects(replica().standing(record), TypeError);
});

test('what was sealed with a secret that is gone asks nobody, and the session ends', async () => {
  const { replica, record, asked, pass } = start({ token: 'first' });
  const foreign = createKeyring([randomBytes(32)]).seal('idp-refresh-token', 'first', SESSION);
  pass(EVERY);
  await assert.rejects(replica().standing({ ...record, recheck: foreign }), lost('groups_unknown'));
  assert.equal(asked.length, 0);
});

test('however often asking failed, it is tried again', async () => {
  const { state, replica, record, asked, pass, answers } = start({ token: 'first' });
  for (let k = 0; k < 150; k++) {
    await state.create(`groups/${SESSION}/1.claim.${k}.json`, Buffer.from(JSON.stringify({ at: START })));
  }
  pass(EVERY);
  answers(async () => ({ groups: ['owners'], refreshToken: 'second' }));
  assert.deepEqual((await replica().standing(record)).groups, ['owners']);
  assert.equal(asked.length, 1);
});

test('what another replica found while this one claimed is not asked again', async () => {
  const { state, replica, record, asked, pass } = start({ token: 'first' });
  pass(EVERY);
  const slow: Store = {
    ...state,
    async create(name, bytes) {
      const outcome = await state.create(name, bytes);
      if (name.includes('.claim.')) {
        const found = { at: START + EVERY, groups: ['owners'], recheck: record.recheck };
        await state.create(`groups/${SESSION}/1.json`, Buffer.from(JSON.stringify(found)));
      }
      return outcome;
    },
  };
  assert.deepEqual((await replica(slow).standing(record)).groups, ['owners']);
  assert.equal(asked.length, 0);
});

test('a provider whose name is another’s now is told nothing of the one before', async () => {
  const { replica, record, asked, pass } = start({ token: 'first', issuer: 'https://another.example' });
  pass(EVERY);
  await assert.rejects(replica().standing(record), lost('refused_by_provider'));
  assert.equal(asked.length, 0);
});
