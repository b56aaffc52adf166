/** Attacks on what the gateway's authorization server issues: access tokens at a connection, codes, refresh tokens. */
import assert from 'node:assert/strict';
import { createHash, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { after, test } from 'node:test';
import { importJWK, type JWK, type JWTHeaderParameters, SignJWT } from 'jose';
import { openStore } from '../gateway/store/open.ts';
import { secret } from './canaries.ts';
import { type Attack, refuseAll } from './login-attack-cases.ts';
import { startAttackWorld } from './login-attack-world.ts';
import {
  answered,
  callWith,
  claimsOf,
  createVisitor,
  logIn,
  type Outcome,
  post,
  redeem,
  refresh,
  tokensIn,
  type Visitor,
} from './login-visitor.ts';

const world = await startAttackWorld();
after(() => world[Symbol.asyncDispose]());

/** A session of ana's at `fixture`, which every test may use and none may end. */
const ana = tokensIn(await redeem(await logIn(world)));
const elsewhere = tokensIn(await redeem(await logIn(world, { connection: 'other' })));
const [ownKey] = world.keyring.signingKeys;
if (ownKey === undefined) throw new Error('There is no key.');
const claims = claimsOf(ana.access);
const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const mcp = `${world.origin}/fixture/mcp`;

function part(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

/** The session's own claims, changed, under a header of the attacker's. */
async function forged(
  header: Partial<JWTHeaderParameters>,
  changed: Record<string, unknown> = {},
  key: KeyObject | Uint8Array | 'own' = 'own',
): Promise<string> {
  const signing = key === 'own' ? await importJWK(ownKey as JWK, 'ES256') : key;
  const whole = { alg: 'ES256', kid: ownKey?.kid ?? '', typ: 'at+jwt', ...header };
  return secret(await new SignJWT({ ...claims, ...changed }).setProtectedHeader(whole).sign(signing), 'a forged token');
}

const publicPem = createPublicKey({ key: ownKey as JWK, format: 'jwk' }).export({ type: 'spki', format: 'pem' });
const strangerJwk = { ...(stranger.publicKey.export({ format: 'jwk' }) as JWK), kid: 'stranger', alg: 'ES256' };
const UNAUTHENTICATED = { refused: [401, 'unauthenticated'], recorded: { reason: 'unauthenticated' } } as const;

/** A token that opens nothing at `fixture`. */
function token(name: string, make: () => Promise<string> | string): Attack {
  return { name, run: async (by) => callWith(by, await make()), ...UNAUTHENTICATED };
}

test('before all: the session that the attacks are about is one that may call', async () => {
  assert.deepEqual(await callWith(createVisitor(world), ana.access), [200, undefined]);
  assert.deepEqual(await callWith(createVisitor(world), await forged({})), [200, undefined]);
  assert.deepEqual(await callWith(createVisitor(world), elsewhere.access, { connection: 'other' }), [200, undefined]);
});

refuseAll('tokens that are none of this connection’s', world, [
  token('alg none', () => `${part({ alg: 'none', typ: 'at+jwt' })}.${part(claims)}.`),
  token(
    'alg none, with a signature',
    () => `${part({ alg: 'none', typ: 'at+jwt' })}.${ana.access.split('.').slice(1).join('.')}`,
  ),
  token('HS256 with the public key as secret', () => forged({ alg: 'HS256' }, {}, Buffer.from(publicPem))),
  token('another key under the kid of ours', () => forged({}, {}, stranger.privateKey)),
  token('an unknown kid', () => forged({ kid: 'nobody' })),
  token('a kid that is a path', () => forged({ kid: '../../../../dev/null' }, {}, stranger.privateKey)),
  token('a key in the header (jwk)', () => forged({ kid: 'stranger', jwk: strangerJwk }, {}, stranger.privateKey)),
  token('the address of a key (jku)', () =>
    forged({ kid: 'stranger', jku: `${world.upstream.url}/jwks` }, {}, stranger.privateKey),
  ),
  token('an ID token', () => ana.id),
  token('a token of another type', () => forged({ typ: 'JWT' })),
  token('an expired token', () => forged({}, { exp: Math.floor(Date.now() / 1000) - 1 })),
  token('a token without an end', () => forged({}, { exp: undefined })),
  token('a token of another connection', () => elsewhere.access),
  token('a token for another connection by our issuer', () => forged({}, { aud: `${world.origin}/other/mcp` })),
  token('a token for another path of this connection', () => forged({}, { aud: `${mcp}/more` })),
  token('a token of no session', () => forged({}, { session: undefined })),
  {
    name: 'a token of this connection whose session is of another',
    run: async (by) => callWith(by, await forged({}, { session: elsewhere.session })),
    refused: [401, 'session_ended'],
    recorded: { reason: 'session_ended' },
  },
  {
    name: 'a session that nobody has opened, by the name of a file',
    run: async (by) => callWith(by, await forged({}, { session: `../grants/${ana.session}` })),
    refused: [401, 'session_ended'],
    recorded: { reason: 'session_ended' },
  },
  token('a refresh token', () => ana.refresh),
  {
    name: 'a token in the query',
    run: (by) => callWith(by, undefined, { query: `?access_token=${ana.access}` }),
    ...UNAUTHENTICATED,
  },
]);

/** At the token endpoint, with what somebody else's login gave or could give. */
function exchange(name: string, error: string, run: (by: Visitor) => Promise<Outcome>, status = 400): Attack {
  return { name, run, refused: [status, error], recorded: { reason: 'token_refused', connection: 'fixture' } };
}

refuseAll('codes', world, [
  exchange('a wrong verifier', 'invalid_grant', async (by) =>
    answered(await redeem(await logIn(world), { code_verifier: 'x'.repeat(43) }, by)),
  ),
  exchange('no verifier', 'invalid_grant', async (by) =>
    answered(await redeem(await logIn(world), { code_verifier: undefined }, by)),
  ),
  exchange('a verifier that is too short', 'invalid_request', async (by) =>
    answered(await redeem(await logIn(world), { code_verifier: 'short' }, by)),
  ),
  exchange('the challenge as verifier', 'invalid_grant', async (by) => {
    const login = await logIn(world);
    return answered(
      await redeem(login, { code_verifier: createHash('sha256').update(login.verifier).digest('base64url') }, by),
    );
  }),
  exchange('another client’s code', 'invalid_grant', async (by) =>
    answered(await redeem(await logIn(world), { client_id: 'beta' }, by)),
  ),
  exchange('another way back', 'invalid_grant', async (by) =>
    answered(await redeem(await logIn(world), { redirect_uri: 'http://127.0.0.1:10/callback' }, by)),
  ),
  exchange('a code at another connection’s token endpoint', 'invalid_grant', async (by) => {
    const login = await logIn(world, { connection: 'other' });
    return answered(await redeem({ ...login, connection: 'fixture' }, {}, by));
  }),
  exchange('the address of another connection', 'invalid_target', async (by) =>
    answered(await redeem(await logIn(world), { resource: `${world.origin}/other/mcp` }, by)),
  ),
  exchange('a refresh token as code', 'invalid_grant', async (by) =>
    answered(await redeem({ ...(await logIn(world)), code: ana.refresh }, {}, by)),
  ),
  exchange('two addresses at once', 'invalid_target', async (by) => {
    const login = await logIn(world);
    const form = new URLSearchParams({
      ...{ grant_type: 'authorization_code', code: login.code, code_verifier: login.verifier },
      ...{ redirect_uri: login.redirect, client_id: login.client, resource: mcp },
    });
    form.append('resource', mcp);
    return answered(await post(by, '/fixture/oauth/token', form));
  }),
  exchange('a parameter twice', 'invalid_request', async (by) => {
    const form = new URLSearchParams({ grant_type: 'authorization_code', client_id: 'alpha' });
    form.append('client_id', 'beta');
    return answered(await post(by, '/fixture/oauth/token', form));
  }),
  exchange('a password', 'unsupported_grant_type', async (by) =>
    answered(
      await post(by, '/fixture/oauth/token', {
        grant_type: 'password',
        username: 'ana',
        password: 'x',
        client_id: 'alpha',
      }),
    ),
  ),
  exchange(
    'a client of nobody',
    'invalid_client',
    async (by) => answered(await redeem(await logIn(world), { client_id: 'nobody' }, by)),
    401,
  ),
  exchange('a person’s client as an agent', 'invalid_request', async (by) =>
    answered(await post(by, '/fixture/oauth/token', { grant_type: 'client_credentials', client_id: 'alpha' })),
  ),
]);

refuseAll('refresh tokens', world, [
  exchange('another client’s', 'invalid_grant', async (by) =>
    answered(await refresh(by, ana.refresh, { client_id: 'beta' })),
  ),
  exchange('another connection’s', 'invalid_grant', async (by) => answered(await refresh(by, elsewhere.refresh))),
  exchange('for another connection', 'invalid_target', async (by) =>
    answered(await refresh(by, ana.refresh, { resource: `${world.origin}/other/mcp` })),
  ),
  exchange('for more than was granted', 'invalid_scope', async (by) =>
    answered(await refresh(by, ana.refresh, { scope: 'openid mcp offline_access' })),
  ),
  exchange('an access token', 'invalid_grant', async (by) => answered(await refresh(by, ana.access))),
]);

test('after all of it: the session still calls, and its refresh token is still good', async () => {
  const by = createVisitor(world);
  assert.deepEqual(await callWith(by, ana.access), [200, undefined]);
  const next = tokensIn(await refresh(by, ana.refresh));
  assert.equal(next.session, ana.session);
  assert.deepEqual(await callWith(by, next.access), [200, undefined]);
});

test('that a session was authorized is in the audit store before it is', async () => {
  const audit = openStore(`${world.gateway.storeUrl}-audit`);
  const kinds: unknown[] = [];
  for await (const name of audit.list('audit/')) {
    const { kind, session } = JSON.parse(Buffer.from((await audit.get(name)) ?? []).toString());
    if (session === ana.session) kinds.push(kind);
  }
  assert.ok(kinds.includes('session.authorized'));
});

test('without `resource` a token is for the issuer’s own connection', async () => {
  assert.equal(claims.aud, mcp);
  assert.equal(claimsOf(elsewhere.access).aud, `${world.origin}/other/mcp`);
});

test('a code that comes again ends what was issued from it', async () => {
  const login = await logIn(world);
  const tokens = tokensIn(await redeem(login));
  const thief = createVisitor(world);
  assert.deepEqual(await callWith(thief, tokens.access), [200, undefined]);
  assert.deepEqual(answered(await redeem(login, {}, thief)), [400, 'invalid_grant']);
  assert.deepEqual(answered(await refresh(thief, tokens.refresh)), [400, 'invalid_grant']);
  await world.eventually(
    (event) => event.name === 'session.revoked' && event.session === tokens.session && event.reason === 'code_reused',
  );
  await becomes([401, 'session_ended'], () => callWith(thief, tokens.access));
});

test('of a code’s uses at once one is answered', async () => {
  const login = await logIn(world);
  const answers = await Promise.all([1, 2, 3].map(() => redeem(login, {}, createVisitor(world))));
  assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 400, 400]);
});

/** Within the five seconds in which an end is in force everywhere. */
async function becomes(expected: Outcome, call: () => Promise<Outcome>): Promise<void> {
  for (const deadline = performance.now() + 5000; ; ) {
    const now = await call();
    if (now[1] === expected[1]) return assert.deepEqual(now, expected);
    assert.ok(performance.now() < deadline, `still ${now}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}
