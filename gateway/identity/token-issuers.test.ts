/** Several issuers of one connection, and their mappings: which one takes a token, and what it makes of it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { type Config, parseConfig } from '../config.ts';
import { GatewayError } from '../errors.ts';
import { createTokenCheck } from './token.ts';

const NOW = 1_800_000_000_000;
const SECONDS = NOW / 1000;
const GITHUB = 'https://github.example.com';
const CORP = 'https://idp.example.com';
const AUDIENCE = 'https://mcp.example.com/orders/mcp';

const keys = new Map(
  await Promise.all(
    [GITHUB, CORP].map(async (issuer) => [issuer, await generateKeyPair('ES256', { extractable: true })] as const),
  ),
);
let fetched: string[] = [];
const fetchKeys = async (input: Parameters<typeof fetch>[0]): Promise<Response> => {
  const url = String(input);
  fetched.push(url);
  const pair = keys.get(new URL(url).origin);
  if (pair === undefined) return Response.json({}, { status: 500 });
  return Response.json({ keys: [{ ...(await exportJWK(pair.publicKey)), kid: 'k', alg: 'ES256' }] });
};

const bot = (condition: string, groups: string, more: Record<string, unknown> = {}) => ({
  issuer: GITHUB,
  jwksUri: `${GITHUB}/jwks`,
  typ: ['JWT'],
  kind: 'agent',
  mapping: { condition, groups, session: 'claims.run_id', ...more },
});

function configured(issuers: Record<string, unknown>, connection: Record<string, unknown> = {}): Config {
  const open = { upstream: { url: 'http://10.0.0.1' }, groups: ['analysts', 'bots'], credential: { none: true } };
  return parseConfig({
    listen: { host: '127.0.0.1', port: 0 },
    publicUrl: 'https://mcp.example.com',
    data: '/data',
    stores: { recordings: 'file:///store' },
    policies: 'allow-all',
    issuers,
    connections: { orders: { ...open, ...connection } },
  });
}

const corp = { issuer: CORP, jwksUri: `${CORP}/jwks` };
const orders = bot('claims.repository == "acme/orders"', '["bots"]');
const tickets = bot('claims.repository == "acme/tickets"', '["bots"]', { owner: '"support"' });

function sign(claims: Record<string, unknown> = {}, header: Record<string, unknown> = {}, key = GITHUB) {
  const pair = keys.get(key);
  assert.ok(pair);
  const whole = { iss: GITHUB, aud: AUDIENCE, sub: 'repo:x', run_id: '1', iat: SECONDS, exp: SECONDS + 300, ...claims };
  return new SignJWT(whole).setProtectedHeader({ alg: 'ES256', kid: 'k', typ: 'JWT', ...header }).sign(pair.privateKey);
}

const check = async (token: string, config: Config) =>
  createTokenCheck({ now: () => NOW, fetch: fetchKeys }).check(token, 'orders', config);

async function refused(token: string, config: Config, code: string, detail: RegExp): Promise<void> {
  await assert.rejects(check(token, config), (error) => {
    assert.ok(error instanceof GatewayError, String(error));
    assert.equal(error.code, code);
    assert.match(error.detail ?? '', detail);
    return true;
  });
}

test('each token by the issuer that it names; others are not asked', async () => {
  const config = configured({ corp, orders }, { issuers: ['corp', 'orders'] });
  fetched = [];
  const agent = await check(await sign({ repository: 'acme/orders' }), config);
  assert.deepEqual([agent.kind, agent.subject, agent.groups, agent.issuedAt], ['agent', 'repo:x', ['bots'], SECONDS]);
  assert.deepEqual(fetched, [`${GITHUB}/jwks`]);
  const person = { iss: CORP, sub: 'ana', jti: 'j', groups: ['analysts'] };
  const ana = await check(await sign(person, { typ: 'at+jwt' }, CORP), config);
  assert.deepEqual([ana.kind, ana.subject], ['human', 'ana']);
  await refused(await sign({ iss: 'https://evil.example.com' }), config, 'unauthenticated', /unknown issuer/);
  await refused(await sign(person, { typ: 'at+jwt' }, GITHUB), config, 'unauthenticated', /signature/);
  await refused(
    await sign({ ...person, iss: GITHUB, repository: 'acme/orders' }, {}, CORP),
    config,
    'unauthenticated',
    /signature/,
  );
});

test('an issuer that the connection does not name is unknown to it', async () => {
  const config = configured({ corp, orders }, { issuers: ['corp'] });
  fetched = [];
  await refused(await sign({ repository: 'acme/orders' }), config, 'unauthenticated', /unknown issuer/);
  assert.deepEqual(fetched, []);
});

test('of entries for one issuer exactly one takes a token', async () => {
  const both = configured({ orders, tickets }, { issuers: ['orders', 'tickets'] });
  assert.equal((await check(await sign({ repository: 'acme/orders' }), both)).owner, undefined);
  assert.equal((await check(await sign({ repository: 'acme/tickets' }), both)).owner, 'support');
  await refused(await sign({ repository: 'acme/other' }), both, 'unauthenticated', /condition/);
  const wide = bot('claims.repository.startsWith("acme/")', '["bots"]');
  const overlapping = configured({ orders, wide }, { issuers: ['orders', 'wide'] });
  await refused(await sign({ repository: 'acme/orders' }), overlapping, 'unauthenticated', /must be one/);
  assert.equal((await check(await sign({ repository: 'acme/tickets' }), overlapping)).subject, 'repo:x');
});

test('one entry whose keys are out of reach refuses for all: which one it would be is not known', async () => {
  const elsewhere = { ...tickets, jwksUri: 'https://nowhere.example.com/jwks' };
  const config = configured({ orders, elsewhere }, { issuers: ['orders', 'elsewhere'] });
  await refused(await sign({ repository: 'acme/orders' }), config, 'identity_unavailable', /^$/);
});

test('a mapping replaces the claims that it gives, and plain names give the others', async () => {
  const mapping = {
    subject: '"bot-" + claims.repository',
    groups: 'claims.teams',
    email: '"bots@example.com"',
    owner: 'claims.team',
    onBehalfOf: 'claims.act.sub',
    session: 'claims.run_id + "/" + claims.run_attempt',
    attributes: { repository: 'claims.repository', actor: 'claims.actor' },
  };
  const claims = {
    who: 'x',
    repository: 'acme/orders',
    teams: ['bots'],
    team: 't',
    act: { sub: 'ana' },
    run_attempt: '2',
    actor: 'octo',
  };
  const config = configured({ one: { ...orders, mapping, claims: { subject: 'who' } } });
  const { sessionKey, ...principal } = await check(await sign(claims), config);
  assert.deepEqual(principal, {
    kind: 'agent',
    issuer: GITHUB,
    subject: 'bot-acme/orders',
    email: 'bots@example.com',
    groups: ['bots'],
    owner: 't',
    onBehalfOf: 'ana',
    attributes: { repository: 'acme/orders', actor: 'octo' },
    expires: SECONDS + 300,
    issuedAt: SECONDS,
  });
  const renewed = await check(await sign({ ...claims, jti: 'other', exp: SECONDS + 900 }), config);
  assert.equal(renewed.sessionKey, sessionKey);
  const again = await check(await sign({ ...claims, run_attempt: '3' }), config);
  assert.notEqual(again.sessionKey, sessionKey);
  const plain = configured({ one: { ...orders, claims: { subject: 'who' } } });
  assert.equal((await check(await sign(claims), plain)).subject, 'x');
});

test('an expression that errs refuses the token', async () => {
  const config = configured({ orders });
  await refused(
    await sign({ repository: 'acme/orders', run_id: undefined }),
    config,
    'unauthenticated',
    /mapping of session/,
  );
  await refused(await sign({}), config, 'unauthenticated', /condition/);
  const byClaim = configured({ one: bot('true', 'claims.teams') });
  await refused(await sign(), byClaim, 'not_in_group', /groups are unknown/);
  await refused(await sign({ teams: ['other'] }), byClaim, 'not_in_group', /^$/);
});

test('a condition comes after the audience and the type, never in their place', async () => {
  const config = configured({ orders });
  const good = { repository: 'acme/orders' };
  await refused(await sign({ ...good, aud: 'https://github.com/acme' }), config, 'unauthenticated', /another audience/);
  await refused(await sign({ ...good, exp: SECONDS }), config, 'unauthenticated', /expired/);
  await refused(await sign(good, { typ: 'at+jwt' }), config, 'unauthenticated', /typ/);
});

test('typ none is for tokens without one, and for no others', async () => {
  const claims = { repository: 'acme/orders' };
  const none = configured({ one: { ...orders, typ: ['none'] } });
  assert.equal((await check(await sign(claims, { typ: undefined }), none)).subject, 'repo:x');
  await refused(await sign(claims), none, 'unauthenticated', /typ/);
  await refused(await sign(claims, { typ: 'none' }), none, 'unauthenticated', /typ/);
  await refused(await sign(claims, { typ: undefined }), configured({ orders }), 'unauthenticated', /typ/);
});

test('a connection without issuers takes no token that is presented directly', async () => {
  const login = { providers: { corp: { oidc: { issuer: CORP, clientId: 'c', clientSecret: 'env:S' } } } };
  const config = { ...configured({ orders }), login } as unknown as Config;
  const { orders: open } = config.connections;
  assert.ok(open);
  const closed: Config = { ...config, connections: { orders: { ...open, issuers: [] } } };
  await refused(await sign({ repository: 'acme/orders' }), closed, 'unauthenticated', /unknown issuer/);
});
