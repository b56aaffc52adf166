/** Two gateways over one state store: what one issued, ended or refused is issued, ended and refused on both. */
import assert from 'node:assert/strict';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { after, describe, test } from 'node:test';
import { importJWK, type JWK, SignJWT } from 'jose';
import { uuidv7 } from 'uuidv7';
import { parse, stringify } from 'yaml';
import { sha256 } from '../gateway/identity/server/one-time.ts';
import { secret } from './canaries.ts';
import { type AttackWorld, freshSecret, startAttackWorld } from './login-attack-world.ts';
import {
  answered,
  callWith,
  claimsOf,
  createVisitor,
  logIn,
  type Outcome,
  post,
  readConsent,
  redeem,
  refresh,
  type Tokens,
  tokensIn,
  type Visitor,
} from './login-visitor.ts';
import { call } from './raw-client.ts';
import { openRaw, requestOf } from './raw-socket.ts';

const world = await startAttackWorld({ replicas: [{}, {}] });
after(() => world[Symbol.asyncDispose]());

const PROMISED_MS = 5000;
const BOTH = [0, 1];

/** A browser, or a client, that is always served by this replica. */
function at(replica: number, of = world): Visitor {
  return createVisitor(of, { replica: () => replica });
}

async function openStream(of: AttackWorld, replica: number, token: string): Promise<{ closed(): Promise<number> }> {
  const { host } = new URL(of.origin);
  const url = `http://127.0.0.1:${of.replicas[replica]?.port}/fixture/mcp`;
  const stream = await call(url, { method: 'GET', token, headers: { host } }).answer;
  await stream.until((body) => body.includes(': open'));
  return {
    async closed() {
      await stream.whole().catch(() => {});
      return performance.now();
    },
  };
}

/** Changes the section `login` of the first replica while it runs. */
async function reconfigure(
  { gateway: { configFile, gateway } }: AttackWorld,
  change: (login: { secrets: string[]; providers: Record<string, unknown> }) => void,
): Promise<void> {
  const config = parse(await readFile(configFile, 'utf8'));
  change(config.login);
  await writeFile(configFile, stringify(config));
  await gateway.reload();
}

async function becomes(expected: Outcome, ask: () => Promise<Outcome>, within = PROMISED_MS): Promise<void> {
  for (const deadline = performance.now() + within; ; ) {
    const now = await ask();
    if (now[0] === expected[0] && now[1] === expected[1]) return;
    assert.ok(performance.now() < deadline, `still ${now}, not ${expected}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

/** A session with a stream on each replica: ended in a way, it is over on both within five seconds. */
async function endsEverywhere(
  of: AttackWorld,
  tokens: Tokens,
  end: () => Promise<unknown>,
  expected: Outcome = [401, 'session_ended'],
): Promise<void> {
  const streams = await Promise.all(BOTH.map((replica) => openStream(of, replica, tokens.access)));
  const began = performance.now();
  await end();
  for (const stream of streams) assert.ok((await stream.closed()) - began < PROMISED_MS);
  for (const replica of BOTH) {
    await becomes(expected, () => callWith(at(replica, of), tokens.access), PROMISED_MS);
    assert.deepEqual(answered(await refresh(at(replica, of), tokens.refresh)), [400, 'invalid_grant']);
  }
}

describe('replicas', { concurrency: true }, () => {
  test('a login whose every step is served by the other one works', async () => {
    let step = 0;
    const visitor = createVisitor(world, { replica: () => step++ % 2 });
    const tokens = tokensIn(await redeem(await logIn(world, { visitor })));
    assert.ok(step >= 7);
    for (const replica of BOTH) assert.deepEqual(await callWith(at(replica), tokens.access), [200, undefined]);
    const next = tokensIn(await refresh(at(1), tokens.refresh));
    assert.equal(next.session, tokens.session);
  });

  test('refreshes at once with one token are one refresh', async () => {
    const { refresh: token, session } = tokensIn(await redeem(await logIn(world)));
    const answers = await Promise.all([0, 1, 0, 1].map((replica) => refresh(at(replica), token)));
    assert.deepEqual(
      answers.map(({ status }) => status),
      [200, 200, 200, 200],
    );
    assert.equal(new Set(answers.map(({ json }) => `${json.access_token} ${json.refresh_token}`)).size, 1);
    const isOne = (event: Record<string, unknown>) =>
      event.name === 'token.issued' && event.session === session && event.grant === 'refresh_token';
    assert.equal((await world.events()).filter(isOne).length, 1);
    // The answer is for who asked first, and for what: another client or scope gets nothing of it.
    assert.deepEqual(answered(await refresh(at(1), token, { client_id: 'beta' })), [400, 'invalid_grant']);
    assert.deepEqual(answered(await refresh(at(1), token, { scope: 'mcp' })), [400, 'invalid_grant']);
    assert.equal((await refresh(at(1), token)).status, 200);
  });

  test('of a code’s uses at once on both, one is answered', async () => {
    const login = await logIn(world);
    const answers = await Promise.all([0, 1, 0, 1].map((replica) => redeem(login, {}, at(replica))));
    assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 400, 400, 400]);
  });

  test('a refresh token that comes again after the grace ends the session', async () => {
    const tokens = tokensIn(await redeem(await logIn(world)));
    const next = tokensIn(await refresh(at(0), tokens.refresh));
    const stolen = tokensIn(await redeem(await logIn(world)));
    // As if it had been used eleven seconds ago.
    const name = `oauth/fixture/refresh-tokens/${sha256(stolen.refresh)}.used.json`;
    assert.equal(await world.state.create(name, Buffer.from(JSON.stringify({ at: Date.now() - 11_000 }))), 'created');
    await endsEverywhere(world, stolen, async () => {
      assert.deepEqual(answered(await refresh(at(1), stolen.refresh)), [400, 'invalid_grant']);
    });
    await world.eventually(({ session, reason }) => session === stolen.session && reason === 'refresh_token_reused');
    assert.deepEqual(await callWith(at(0), next.access), [200, undefined], 'another session goes on');
  });

  test('a code that comes again ends the session', async () => {
    const login = await logIn(world);
    const tokens = tokensIn(await redeem(login));
    await endsEverywhere(world, tokens, () => redeem(login, {}, at(1)));
    await world.eventually(({ session, reason }) => session === tokens.session && reason === 'code_reused');
  });

  test('revoked by its own client a session ends; by another nothing changes', async () => {
    const tokens = tokensIn(await redeem(await logIn(world)));
    const by = at(1);
    const revoke = (client_id: string, token = tokens.refresh) =>
      post(by, '/fixture/oauth/revoke', { token, client_id });
    assert.equal((await revoke('beta')).status, 200);
    assert.equal((await post(at(1), '/other/oauth/revoke', { token: tokens.refresh, client_id: 'alpha' })).status, 200);
    assert.deepEqual(answered(await revoke('alpha', tokens.access)), [400, 'unsupported_token_type']);
    assert.deepEqual(answered(await revoke('nobody')), [401, 'invalid_client']);
    const { address } = by;
    await world.eventually((event) => event.reason === 'token_refused' && event.address === address);
    assert.deepEqual(await callWith(at(0), tokens.access), [200, undefined]);
    assert.ok(
      !(await world.events()).some(({ name, session }) => name === 'session.revoked' && session === tokens.session),
    );
    await endsEverywhere(world, tokens, () => revoke('alpha'));
    await world.eventually(
      ({ name, session, reason }) =>
        name === 'session.revoked' && session === tokens.session && reason === 'signed_out',
    );
  });

  test('ended by its person on their page it ends', async () => {
    const login = await logIn(world);
    const tokens = tokensIn(await redeem(login));
    const page = readConsent(new URL('/connect', world.origin), await login.visitor.send('/connect'));
    await endsEverywhere(world, tokens, () =>
      login.visitor.send('/connect', { form: { csrf: page.csrf, end: tokens.session } }),
    );
    await world.eventually(({ name, session }) => name === 'session.signed_out' && session === tokens.session);
  });

  test('who is taken out of the group is out, without a restart, and it is asked and recorded once', async () => {
    world.corp.people.set('dora', { email: 'dora@example.com', email_verified: true, groups: ['analysts'] });
    const tokens = tokensIn(await redeem(await logIn(world, { person: 'dora' })));
    const isLost = ({ name, session }: Record<string, unknown>) =>
      name === 'session.lost' && session === tokens.session;
    await endsEverywhere(world, tokens, async () => {
      world.corp.people.set('dora', { email: 'dora@example.com', email_verified: true, groups: ['guests'] });
    });
    const changed = await world.eventually(
      ({ name, session }) => name === 'groups.changed' && session === tokens.session,
    );
    assert.deepEqual(changed.groups, ['guests']);
    const lost = (await world.events()).filter(isLost).length;
    for (let calls = 0; calls < 10; calls++) await callWith(at(calls % 2), tokens.access);
    assert.equal((await world.events()).filter(isLost).length, lost);
    assert.ok(lost >= 1 && lost <= 2, `${lost}, one a replica at most`);
  });

  test('whose account is suspended at the identity provider is out', async () => {
    world.corp.people.set('gone', { email: 'gone@example.com', email_verified: true, groups: ['analysts'] });
    const tokens = tokensIn(await redeem(await logIn(world, { person: 'gone' })));
    await endsEverywhere(world, tokens, async () => world.corp.revoke('gone'));
    await world.eventually(
      ({ name, session, reason }) =>
        name === 'session.lost' && session === tokens.session && reason === 'refused_by_provider',
    );
  });

  test('a tombstone that is older than its session keeps it from opening', async () => {
    const tokens = tokensIn(await redeem(await logIn(world)));
    const record = JSON.parse(Buffer.from((await world.state.get(`grants/${tokens.session}.json`)) ?? []).toString());
    const [key] = world.keyring.signingKeys;
    const opened = async (before: (session: string) => Promise<unknown>): Promise<Outcome> => {
      const session = uuidv7();
      await before(session);
      await world.state.create(
        `grants/${session}.json`,
        Buffer.from(JSON.stringify({ ...record, session, recheck: undefined })),
      );
      const token = await new SignJWT({ ...claimsOf(tokens.access), session })
        .setProtectedHeader({ alg: 'ES256', kid: key?.kid ?? '', typ: 'at+jwt' })
        .sign(await importJWK(key as JWK, 'ES256'));
      return callWith(at(1), secret(token, 'a token of a session that the test made'));
    };
    assert.deepEqual(await opened(async () => {}), [200, undefined]);
    const tombstone = Buffer.from(
      JSON.stringify({ v: 1, session: '', reason: 'revoked', at: Date.now() - 86_400_000 }),
    );
    const buried = await opened((session) => world.state.create(`ended/${session}.json`, tombstone));
    assert.deepEqual(buried, [401, 'session_ended']);
  });

  test('replicas in the middle of a change of secrets take what the other one made', async () => {
    const [before, next] = [freshSecret(), freshSecret()];
    await using changing = await startAttackWorld({
      replicas: [{}, {}],
      secrets: [
        [next, before],
        [before, next],
      ],
    });
    for (const first of BOTH) {
      let step = first;
      const visitor = createVisitor(changing, { replica: () => step++ % 2 });
      const tokens = tokensIn(await redeem(await logIn(changing, { visitor })));
      for (const replica of BOTH) {
        assert.deepEqual(await callWith(at(replica, changing), tokens.access), [200, undefined]);
      }
      const answers = await Promise.all(BOTH.map((replica) => refresh(at(replica, changing), tokens.refresh)));
      assert.equal(new Set(answers.map(({ json }) => json.access_token)).size, 1);
      const { body } = await visitor.send('/connect');
      assert.ok(body.includes('<h1>Your connections</h1>'));
    }
  });

  test('what a secret has made that is gone is nothing any more, at once', async () => {
    const [gone, kept] = [freshSecret(), freshSecret()];
    await using changing = await startAttackWorld({ secrets: [[gone, kept]] });
    const login = await logIn(changing);
    const tokens = tokensIn(await redeem(login));
    assert.deepEqual(await callWith(login.visitor, tokens.access), [200, undefined]);
    await reconfigure(changing, ({ secrets }) => secrets.shift());
    assert.deepEqual(await callWith(login.visitor, tokens.access), [401, 'unauthenticated']);
    const { body } = await login.visitor.send('/connect');
    assert.ok(body.includes('<h1>Log in to see your connections</h1>'));
  });

  test('who came by an identity provider that is gone is out, and their browser is nobody’s', async () => {
    await using changing = await startAttackWorld();
    const login = await logIn(changing);
    const tokens = tokensIn(await redeem(login));
    assert.deepEqual(await callWith(login.visitor, tokens.access), [200, undefined]);
    await reconfigure(changing, ({ providers }) => {
      providers.renamed = providers.corp;
      delete providers.corp;
    });
    await becomes([401, 'session_ended'], () => callWith(login.visitor, tokens.access));
    const { body } = await login.visitor.send('/connect');
    assert.ok(body.includes('<h1>Log in to see your connections</h1>'));
  });

  test('state that can not be read for ten seconds: nothing is called, nothing issued', {
    timeout: 40_000,
  }, async () => {
    await using blind = await startAttackWorld();
    const login = await logIn(blind);
    const tokens = tokensIn(await redeem(await logIn(blind)));
    const by = createVisitor(blind);
    assert.deepEqual(await callWith(by, tokens.access), [200, undefined]);
    const { folder } = blind.gateway;
    await rename(`${folder}/store-state`, `${folder}/elsewhere`);
    // In its place a file: a store that is gone is a new one, as soon as something is written.
    await writeFile(`${folder}/store-state`, '');
    assert.notEqual((await redeem(login)).status, 200);
    assert.notEqual((await refresh(by, tokens.refresh)).status, 200);
    await becomes([503, 'state_unavailable'], () => callWith(by, tokens.access), 15_000);
    assert.deepEqual(by.got(), []);
    await rm(`${folder}/store-state`);
    await rename(`${folder}/elsewhere`, `${folder}/store-state`);
    await becomes([200, undefined], () => callWith(by, tokens.access));
    assert.equal((await refresh(by, tokens.refresh)).status, 200);
  });

  test('who never ends what they send is cut off', { timeout: 40_000 }, async () => {
    const { port = 0 } = world.replicas[0] ?? {};
    const { host } = new URL(world.origin);
    const form = { host, type: 'application/x-www-form-urlencoded', framing: ['Content-Length: 1000'], body: 'a' };
    await Promise.all(
      ['/fixture/oauth/token', '/fixture/oauth/register', '/oauth/callback/corp', '/connect'].map(async (target) => {
        const raw = await openRaw(port);
        raw.send(requestOf({ ...form, target }));
        const trickle = setInterval(() => raw.send('a'), 500);
        const began = performance.now();
        assert.equal(await raw.closed(), '', target);
        clearInterval(trickle);
        assert.ok(performance.now() - began < 15_000);
      }),
    );
  });
});
