import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { decodeJwt } from 'jose';
import { createMemoryStore } from '../../store/memory.ts';
import {
  type AuthorizationState,
  CONNECTION,
  openAuthorizationState,
  PUBLIC_URL,
  RESOURCE,
  type Replica,
  redeeming,
  refreshing,
} from './fixture.ts';

interface Tokens {
  readonly access_token: string;
  readonly refresh_token: string;
  readonly expires_in: number;
  readonly error?: string;
}

let world: AuthorizationState;
let one: Replica;
let two: Replica;
before(async () => {
  world = openAuthorizationState();
  [one, two] = [await world.start(), await world.start()];
});
after(() => world.close());
beforeEach(() => {
  world.events.length = 0;
  world.refused.length = 0;
});

async function login(): Promise<{ session: string; tokens: Tokens }> {
  const { code, record } = await world.code(one);
  const { status, body } = await one.ask(redeeming(code));
  assert.equal(status, 200, JSON.stringify(body));
  return { session: record.session, tokens: body };
}

const names = (): string[] => world.events.map(([name]) => name);

describe('the record', () => {
  test('says who got tokens for which session, and holds none of them', async () => {
    const { session, tokens } = await login();
    await two.ask(refreshing(tokens.refresh_token));
    const facts = { connection: CONNECTION, client: 'alpha', session };
    assert.deepEqual(world.events, [
      ['token.issued', { ...facts, grant: 'authorization_code' }],
      ['token.issued', { ...facts, grant: 'refresh_token' }],
    ]);
    const { iss, aud, sub, exp, session: named } = decodeJwt(tokens.access_token);
    assert.deepEqual([iss, aud, named], [`${PUBLIC_URL}/orders`, RESOURCE, session]);
    assert.match(String(sub), /^[0-9a-f]{32}$/);
    // As long as the session may last at most.
    assert.ok(Math.abs(Number(exp) - world.clock.millis() / 1000 - 3600) < 5, String(exp));
  });

  test('is durable before a token leaves; where it can not be, none does', async () => {
    const durable = Promise.withResolvers<void>();
    const asked = Promise.withResolvers<void>();
    const slow = await world.start({
      event() {
        asked.resolve();
        return durable.promise;
      },
    });
    const { code } = await world.code(one);
    let answered = false;
    const answer = slow.ask(redeeming(code)).then((got) => {
      answered = true;
      return got;
    });
    await asked.promise;
    // As many turns as the answer could need to get out.
    for (let turn = 0; turn < 20; turn++) await new Promise((done) => setImmediate(done));
    assert.equal(answered, false);
    durable.resolve();
    assert.equal((await answer).status, 200);

    const broken = await world.start({ event: () => Promise.reject(new Error('no journal')) });
    const other = await world.code(one);
    const failed = await broken.ask(redeeming(other.code));
    assert.equal(failed.status, 500);
    assert.ok(!JSON.stringify(failed.body).includes('_token"'), JSON.stringify(failed));
    assert.deepEqual(world.failures.splice(0).map(String), ['Error: no journal']);
  });

  test('of what was refused has the address, the code and why, and nothing that was sent', async () => {
    const { code } = await world.code(one);
    await one.ask(redeeming(code, { code_verifier: 'x'.repeat(43) }));
    await one.ask(refreshing('a-refresh-token-that-nobody-gave-out-0000000'));
    await one.ask({ client_id: 'nobody', grant_type: 'refresh_token', refresh_token: 'x' });
    assert.deepEqual(
      world.refused.map(({ reason, connection, detail }) => [reason, connection, String(detail).split(':')[0]]),
      [
        ['token_refused', CONNECTION, 'invalid_grant'],
        ['token_refused', CONNECTION, 'invalid_grant'],
        ['token_refused', CONNECTION, 'invalid_client'],
      ],
    );
    assert.ok(world.refused.every(({ address }) => /^(::ffff:)?127\.0\.0\.1$/.test(String(address))));
    assert.ok(!JSON.stringify(world.refused).includes('nobody-gave-out'));
    assert.deepEqual(names(), []);
  });
});

describe('a refresh token that comes several times', () => {
  test('at once, at any replica: one refresh, the same answer for all', async () => {
    const { session, tokens } = await login();
    world.events.length = 0;
    const answers = await Promise.all(
      [one, two, one, two].map((replica) => replica.ask(refreshing(tokens.refresh_token))),
    );
    assert.deepEqual(
      answers.map(({ status }) => status),
      [200, 200, 200, 200],
    );
    assert.equal(new Set(answers.map(({ body }) => JSON.stringify(body))).size, 1);
    assert.deepEqual(names(), ['token.issued']);
    assert.deepEqual(world.refused, []);
    assert.equal(await one.ends.reasonOf(session), undefined);
    // The next one is good: nobody was taken for a thief.
    const [answer] = answers;
    assert.ok(answer !== undefined);
    const { refresh_token: next } = answer.body as Tokens;
    assert.equal((await two.ask(refreshing(next))).status, 200);
  });

  test('within ten seconds gets the first answer still; later it ends the session', async () => {
    const { session, tokens } = await login();
    const first = await one.ask(refreshing(tokens.refresh_token));
    world.clock.pass(9_999);
    const late = await two.ask(refreshing(tokens.refresh_token));
    assert.deepEqual([late.status, late.body], [200, first.body]);
    world.clock.pass(1);
    const replay = await two.ask(refreshing(tokens.refresh_token));
    assert.deepEqual([replay.status, (replay.body as Tokens).error], [400, 'invalid_grant']);
    assert.deepEqual(world.events.at(-1), ['session.revoked', { session, reason: 'refresh_token_reused' }]);
    assert.equal(await one.ends.reasonOf(session), 'refresh_token_reused');
    const { refresh_token: next } = first.body as Tokens;
    assert.equal((await one.ask(refreshing(next))).status, 400, 'what the first use got has ended with it');
  });

  test('gets nothing for another client, resource or scope, and the session goes on', async () => {
    const { session, tokens } = await login();
    await one.ask(refreshing(tokens.refresh_token));
    for (const changes of [{ client_id: 'beta' }, { resource: `${PUBLIC_URL}/other/mcp` }, { scope: 'openid' }]) {
      const answer = await two.ask(refreshing(tokens.refresh_token, changes));
      assert.equal(answer.status, 400, JSON.stringify(changes));
      assert.ok(!JSON.stringify(answer.body).includes('access_token'));
    }
    // Not the same words, though the same thing is meant: who asks so is answered as a stranger is.
    assert.equal((await two.ask(refreshing(tokens.refresh_token, { resource: RESOURCE }))).status, 400);
    assert.equal(await one.ends.reasonOf(session), undefined);
    assert.equal((await two.ask(refreshing(tokens.refresh_token))).status, 200);
  });

  test('gets nothing when the session has ended in the meantime', async () => {
    const { session, tokens } = await login();
    await one.ask(refreshing(tokens.refresh_token));
    await two.grants.end(session, 'revoked');
    assert.equal((await one.ask(refreshing(tokens.refresh_token))).status, 400);
    assert.equal((await two.ask(refreshing(tokens.refresh_token))).status, 400);
  });
});

test('a code that comes twice ends the session that it opened', async () => {
  const { code, record } = await world.code(one);
  const { body } = await one.ask(redeeming(code));
  const again = await two.ask(redeeming(code));
  assert.deepEqual([again.status, (again.body as Tokens).error], [400, 'invalid_grant']);
  assert.equal(await one.ends.reasonOf(record.session), 'code_reused');
  assert.equal((await one.ask(refreshing((body as Tokens).refresh_token))).status, 400);
});

test('of a code that comes several times at once one gets tokens', async () => {
  const { code } = await world.code(one);
  const answers = await Promise.all([one, two, one, two].map((replica) => replica.ask(redeeming(code))));
  assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 400, 400, 400]);
});

test('a client that gives its refresh token back signs out, another one does not', async () => {
  const { session, tokens } = await login();
  const form = { token: tokens.refresh_token, token_type_hint: 'refresh_token' };
  await one.ask({ ...form, client_id: 'beta' }, 'revoke');
  assert.equal(await one.ends.reasonOf(session), undefined);
  assert.equal((await one.ask({ ...form, client_id: 'alpha' }, 'revoke')).status, 200);
  assert.equal(await two.ends.reasonOf(session), 'signed_out');
  assert.deepEqual(world.events.at(-1), ['session.revoked', { session, reason: 'signed_out' }]);
  assert.equal((await two.ask(refreshing(tokens.refresh_token))).status, 400);
});

test('who may not be here any more is not refreshed, and the token is not used up by asking', async () => {
  let may = false;
  const strict = await world.start({ mayGoOn: async () => may });
  const { tokens } = await login();
  assert.equal((await strict.ask(refreshing(tokens.refresh_token))).status, 400);
  may = true;
  assert.equal((await strict.ask(refreshing(tokens.refresh_token))).status, 200);
});

test('a state that can not be read is an answer, and said to whoever runs this', async () => {
  const memory = createMemoryStore();
  let broken = false;
  const get = (name: string) => (broken ? Promise.reject(new Error('no store')) : memory.get(name));
  const own = openAuthorizationState({ ...memory, get });
  try {
    const replica = await own.start();
    const { code } = await own.code(replica);
    broken = true;
    const { status, body } = await replica.ask(redeeming(code));
    assert.deepEqual([status, (body as Tokens).error], [500, 'server_error']);
    assert.deepEqual(own.failures.map(String), ['Error: no store']);
    broken = false;
    assert.equal((await replica.ask(redeeming(code))).status, 200, 'nothing was used up');
  } finally {
    own.close();
  }
});

test('neither a code nor a token is in the state, and where the answer can not be kept its first asker has it', async () => {
  const memory = createMemoryStore();
  const state = {
    ...memory,
    create: (name: string, bytes: Uint8Array) =>
      name.startsWith('oauth/refreshed/') ? Promise.reject(new Error('no store')) : memory.create(name, bytes),
  };
  for (const own of [openAuthorizationState(), openAuthorizationState(state)]) {
    try {
      const replica = await own.start();
      const { code } = await own.code(replica);
      const { body } = await replica.ask(redeeming(code));
      const first = body as Tokens;
      const answer = await replica.ask(refreshing(first.refresh_token));
      assert.equal(answer.status, 200);
      const second = answer.body as Tokens;
      const stored = await own.stored();
      for (const value of [code, ...[first, second].flatMap((got) => [got.access_token, got.refresh_token])]) {
        assert.ok(!stored.includes(value));
        assert.ok(!stored.includes(Buffer.from(value).toString('base64url')));
      }
    } finally {
      own.close();
    }
  }
});
