import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, beforeEach, test } from 'node:test';
import { assertNoSecrets } from '../../test/canaries.ts';
import { placesIn } from '../../test/canary-watch.ts';
import { startUpstreamOAuth, type UpstreamOAuth } from '../../test/upstream-oauth.ts';
import { openReplica, personOf, type UserReplica, userConnection } from '../../test/user-replica.ts';
import { GatewayError } from '../errors.ts';
import { createFilesystemStore } from '../store/filesystem.ts';
import { CLAIM_MS, folderOf } from './credential-user-versions.ts';

const HOUR = 3_600_000;
const LOOK = 5000;
const root = mkdtempSync(join(tmpdir(), 'verbatim-user-'));
let folder: string;
let time: number;
let double: UpstreamOAuth;
let one: UserReplica;
let two: UserReplica;

const replica = (connection = userConnection(double.url)): Promise<UserReplica> =>
  openReplica({ state: createFilesystemStore({ root: folder }), now: () => time, connection });

beforeEach(async () => {
  folder = mkdtempSync(join(root, 'store-'));
  time = Date.now();
  double = await startUpstreamOAuth();
  [one, two] = [await replica(), await replica()];
});
afterEach(async () => {
  for (const { upstream } of [one, two]) await upstream.close();
  await double.close();
  const places = placesIn('the store', folder);
  assertNoSecrets(places);
});
after(() => rmSync(root, { recursive: true }));

async function consentNeeded(call: Promise<unknown>): Promise<void> {
  await assert.rejects(call, (error) => {
    assert.ok(error instanceof GatewayError);
    assert.deepEqual(error.toJsonRpc().data, {
      code: 'user_consent_needed',
      fate: 'not_forwarded',
      url: 'https://mcp.example.com/connect/orders',
    });
    return true;
  });
}

const unavailable = { code: 'credential_unavailable', fate: 'not_forwarded' };

test('two people on two replicas: each call has its own person’s token, whoever serves it', async () => {
  await consentNeeded(one.call('ana'));
  await one.connect(double, 'ana');
  await consentNeeded(one.call('ben'));
  await consentNeeded(two.call('ben'));
  await two.connect(double, 'ben');
  const calls = await Promise.all([one, two].flatMap((at) => [at.call('ana'), at.call('ben')]));
  assert.deepEqual(
    calls.map(({ who }) => who),
    ['ana', 'ben', 'ana', 'ben'],
  );
  assert.equal(new Set(double.shown).size, 2);
  assert.equal(double.registered(), 1);
  const versionOf = async (at: UserReplica, person: string) =>
    (await at.upstream.credentialFor({ groups: [], ...personOf(person) }).current()).version;
  assert.match((await versionOf(one, 'ana')) ?? '', /^user:[0-9a-f]{12}$/);
  assert.equal(await versionOf(one, 'ana'), await versionOf(two, 'ana'));
  assert.notEqual(await versionOf(one, 'ana'), await versionOf(one, 'ben'));
  // The same subject at another issuer is somebody else.
  await consentNeeded(one.credentials.credentialFor(one.connection, { issuer: 'https://b', subject: 'ana' }).current());
});

test('nothing of a person’s is there for who is nobody in particular', async () => {
  await one.connect(double, 'ana');
  await assert.rejects(one.upstream.credentialFor({ groups: ['all'] }).current(), unavailable);
});

test('both replicas at the end of a token, many calls at once: one refresh, and everybody has its token', async () => {
  await one.connect(double, 'ana');
  await Promise.all([one.call('ana'), two.call('ana')]);
  time += HOUR;
  const calls = await Promise.all([one, two].flatMap((at) => Array.from({ length: 5 }, () => at.call('ana'))));
  assert.ok(calls.every(({ who }) => who === 'ana'));
  assert.deepEqual(double.granted, { authorization_code: 1, refresh_token: 1, refused: 0 });
  assert.equal(new Set(double.shown).size, 2);
});

test('many rounds of both: refresh tokens rotate, and none comes twice', async () => {
  await one.connect(double, 'ana');
  for (let round = 1; round <= 5; round++) {
    time += HOUR;
    await Promise.all([two, one].map((at) => at.call('ana')));
    assert.deepEqual(double.granted, { authorization_code: 1, refresh_token: round, refused: 0 });
  }
});

test('a token that is nearly over is used while its successor is fetched', async () => {
  await one.connect(double, 'ana');
  await one.call('ana');
  time += HOUR - 60_000;
  const held = Promise.withResolvers<void>();
  const reached = Promise.withResolvers<void>();
  double.hold = {
    before: () => {
      reached.resolve();
      return held.promise;
    },
  };
  const [first] = double.shown;
  assert.equal((await one.call('ana')).who, 'ana');
  assert.equal(double.shown.at(-1), first);
  await reached.promise;
  time += LOOK;
  // Another replica sees the claim, and goes on with what it has.
  assert.equal((await two.call('ana')).who, 'ana');
  assert.equal(double.shown.at(-1), first);
  held.resolve();
  time += 60_000;
  await one.call('ana');
  await two.call('ana');
  assert.equal(double.granted.refresh_token, 1);
  assert.deepEqual([one.failures, two.failures], [[], []]);
  assert.notEqual(double.shown.at(-1), first);
});

test('a replica that dies with its claim: the others wait for it to end, then one of them refreshes', async () => {
  await one.connect(double, 'ana');
  time += HOUR;
  const claim = await two.versions.claim(folderOf('orders', personOf('ana')), 1);
  assert.deepEqual(claim, { kind: 'mine', until: time + CLAIM_MS });
  const waiting = one.call('ana');
  const also = two.call('ana');
  await new Promise((done) => setImmediate(done));
  assert.equal(double.granted.refresh_token, 0);
  time += CLAIM_MS;
  assert.deepEqual([(await waiting).who, (await also).who], ['ana', 'ana']);
  assert.deepEqual(double.granted, { authorization_code: 1, refresh_token: 1, refused: 0 });
});

test('what was renewed before a claim was made is not renewed again: the old refresh token is used up', async () => {
  await one.connect(double, 'ana');
  time += HOUR;
  const { claim } = one.versions;
  const late: typeof claim = async (...of) => {
    await two.call('ana');
    time += CLAIM_MS;
    return claim(...of);
  };
  Object.assign(one.versions, { claim: late });
  assert.equal((await one.call('ana')).who, 'ana');
  assert.deepEqual(double.granted, { authorization_code: 1, refresh_token: 1, refused: 0 });
});

test('a claim that has all but ended is not used: its request could meet that of the next one', async () => {
  await one.connect(double, 'ana');
  time += HOUR;
  const { claim } = one.versions;
  const late: typeof claim = async (...of) => {
    const made = await claim(...of);
    time += CLAIM_MS - 14_000;
    return made;
  };
  Object.assign(one.versions, { claim: late });
  await assert.rejects(one.call('ana'), unavailable);
  assert.equal(double.granted.refresh_token, 0);
});

test('a token endpoint in trouble: the token serves to its end, then calls fail in words, and later go on', async () => {
  await one.connect(double, 'ana');
  double.trouble = 503;
  time += HOUR - 60_000;
  assert.equal((await one.call('ana')).who, 'ana');
  while (one.failures.length === 0) await new Promise((done) => setImmediate(done));
  time += HOUR;
  await assert.rejects(one.call('ana'), unavailable);
  await assert.rejects(one.call('ana'), unavailable);
  assert.deepEqual(await one.credentials.stateOf(one.connection, personOf('ana')), {
    kind: 'connected',
    since: time - 2 * HOUR + 60_000,
  });
  double.trouble = undefined;
  time += CLAIM_MS;
  assert.equal((await one.call('ana')).who, 'ana');
});

test('revoked at its server: failed for good on every replica, until a new consent', async () => {
  await one.connect(double, 'ana');
  await two.call('ana');
  await double.revoke('ana');
  time += HOUR;
  await consentNeeded(one.call('ana'));
  await consentNeeded(two.call('ana'));
  assert.equal(double.granted.refused, 1);
  for (const at of [one, two]) {
    const state = await at.credentials.stateOf(at.connection, personOf('ana'));
    assert.equal(state.kind, 'failed');
  }
  await two.connect(double, 'ana');
  assert.deepEqual([(await one.call('ana')).who, (await two.call('ana')).who], ['ana', 'ana']);
});

test('a token that the upstream refuses early is renewed once, and for everybody', async () => {
  await one.connect(double, 'ana');
  await Promise.all([one.call('ana'), two.call('ana')]);
  const [first] = double.shown;
  double.refuses = (token) => token === first;
  // Fresh from the server and refused: another one would be, too.
  assert.equal((await one.call('ana')).status, 401);
  time += 61_000;
  assert.deepEqual([(await one.call('ana')).who, (await two.call('ana')).who], ['ana', 'ana']);
  assert.equal(double.granted.refresh_token, 1);
  double.refuses = () => true;
  for (let call = 0; call < 3; call++) assert.equal((await two.call('ana')).status, 401);
  assert.equal(double.granted.refresh_token, 1);
});

test('forgotten: at once here, within 5 s elsewhere; revoked at its server; others keep theirs', async () => {
  await one.connect(double, 'ana');
  await one.connect(double, 'ben');
  await two.call('ana');
  await one.credentials.forget(one.connection, personOf('ana'), 'revoked');
  await consentNeeded(one.call('ana'));
  time += LOOK;
  await consentNeeded(two.call('ana'));
  assert.equal(double.revoked(), 1);
  for (const at of [one, two]) {
    assert.deepEqual(await at.credentials.stateOf(at.connection, personOf('ana')), { kind: 'none' });
  }
  await one.credentials.forget(one.connection, personOf('ana'), 'again');
  assert.equal(double.revoked(), 1);
  assert.equal((await two.call('ben')).who, 'ben');
});

test('forgotten while another replica refreshes: what comes too late is revoked and never used', async () => {
  await one.connect(double, 'ana');
  time += HOUR;
  const reached = Promise.withResolvers<void>();
  const held = Promise.withResolvers<void>();
  double.hold = {
    after: () => {
      reached.resolve();
      return held.promise;
    },
  };
  const call = consentNeeded(two.call('ana'));
  await reached.promise;
  await one.credentials.forget(one.connection, personOf('ana'), 'revoked');
  held.resolve();
  await call;
  assert.equal(double.granted.refresh_token, 1);
  assert.equal(double.revoked(), 2);
  await consentNeeded(two.call('ana'));
});

test('tokens of another upstream, server or client are shown to nobody', async () => {
  await one.connect(double, 'ana');
  const elsewhere = await startUpstreamOAuth();
  const changed = [
    userConnection(elsewhere.url),
    userConnection(double.url, { authorizationServer: elsewhere.issuer }),
    userConnection(double.url, { client: { id: 'by-hand', auth: 'none' } }),
    userConnection(double.url, { resource: `${double.origin}/other` }),
  ];
  for (const connection of changed) {
    const at = await replica(connection);
    await consentNeeded(at.call('ana'));
    assert.equal((await at.credentials.stateOf(connection, personOf('ana'))).kind, 'failed');
    await at.upstream.close();
  }
  assert.deepEqual([elsewhere.calls, double.calls], [[], []]);
  const same = await replica(userConnection(double.url, { resource: `${double.origin}/./mcp` }));
  assert.equal((await same.call('ana')).who, 'ana');
  await same.upstream.close();
  await elsewhere.close();
});

test('the state unreadable: known for 10 s, then calls fail closed', async () => {
  await one.connect(double, 'ana');
  await one.call('ana');
  Object.assign(one.versions, { last: () => Promise.reject(new Error('no store')) });
  time += LOOK;
  assert.equal((await one.call('ana')).who, 'ana');
  time += LOOK;
  await assert.rejects(one.call('ana'), unavailable);
});

/** Tokens as a server gives them that does less than the double. */
function kept(over: { expires?: number } = {}): Promise<void> {
  return one.credentials.keep(one.connection, personOf('ana'), {
    access: 'an-access-token-of-another-time',
    obtained: time,
    since: time,
    issuer: double.issuer,
    client: { id: 'by-hand', from: 'configured' },
    resource: double.url,
    url: double.url,
    ...over,
  });
}

test('without a refresh token: good to its end, then the person is asked again', async () => {
  await kept({ expires: time + HOUR });
  const credential = one.upstream.credentialFor({ groups: [], ...personOf('ana') });
  time += HOUR - 11_000;
  assert.equal((await credential.current()).headers.length, 1);
  time += 11_000;
  await consentNeeded(credential.current());
  const { kind, ...rest } = await one.credentials.stateOf(one.connection, personOf('ana'));
  assert.ok(kind === 'failed' && 'words' in rest);
});

test('without an end: good until the upstream refuses it, and then the person is asked', async () => {
  await kept();
  time += 24 * HOUR;
  assert.equal((await one.call('ana')).status, 401);
  await consentNeeded(one.call('ana'));
  assert.equal((await two.credentials.stateOf(two.connection, personOf('ana'))).kind, 'failed');
});

test('a client that is registered no more: its tokens are over, and the next consent registers anew', async () => {
  await one.connect(double, 'ana');
  const state = createFilesystemStore({ root: folder });
  for await (const name of state.list('user-clients/')) {
    await state.create(name.replace('.json', '.gone.json'), Buffer.from('{}'));
  }
  time += HOUR;
  await consentNeeded(one.call('ana'));
  assert.deepEqual(double.granted, { authorization_code: 1, refresh_token: 0, refused: 0 });
  await two.connect(double, 'ana');
  assert.equal(double.registered(), 2);
  assert.equal((await one.call('ana')).who, 'ana');
});

test('a store whose answers get lost: what was stored all the same is known by its bytes', async () => {
  const inner = createFilesystemStore({ root: folder });
  const lost = new Set<string>();
  const state: typeof inner = {
    ...inner,
    async create(name, bytes) {
      const made = await inner.create(name, bytes);
      if (!/\/000000000[23]\.json$/.test(name) || lost.has(name)) return made;
      lost.add(name);
      throw new Error('The answer of the store was lost.');
    },
  };
  const at = await openReplica({ state, now: () => time, connection: userConnection(double.url) });
  await at.connect(double, 'ana');
  time += HOUR;
  assert.equal((await at.call('ana')).who, 'ana');
  assert.equal((await two.call('ana')).who, 'ana');
  assert.deepEqual(double.granted, { authorization_code: 1, refresh_token: 1, refused: 0 });
  await at.credentials.forget(at.connection, personOf('ana'), 'revoked');
  assert.equal(double.revoked(), 1);
  assert.equal(lost.size, 2);
  await at.upstream.close();
});

test('versions are bound to their place: one that is moved opens for nobody', async () => {
  await one.connect(double, 'ana');
  const state = createFilesystemStore({ root: folder });
  const [from, to] = [folderOf('orders', personOf('ana')), folderOf('orders', personOf('ben'))];
  const bytes = await state.get(`${from}0000000001.json`);
  await state.create(`${to}0000000001.json`, bytes ?? assert.fail());
  await consentNeeded(one.call('ben'));
  assert.deepEqual(double.calls, []);
});
