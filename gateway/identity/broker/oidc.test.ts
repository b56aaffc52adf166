import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, beforeEach, test } from 'node:test';
import { type OidcIdp, startOidcIdp } from '../../../test/oidc-idp.ts';
import type { OidcConfig } from '../../config-login.ts';
import { type BrokeredIdentity, type IdentityProvider, type LoginRefusal, LoginRefused } from './identity-provider.ts';
import { createOidcProvider } from './oidc.ts';
import { authenticatedOf } from './person.ts';
import { loggedWords } from './refusal.ts';

const CALLBACK = 'https://mcp.example.com/oauth/callback/okta';
const ANA = { email: 'ana@Example.com', email_verified: true, name: 'Ana', groups: ['analysts', 'oncall'] };

let idp: OidcIdp;
before(async () => {
  idp = await startOidcIdp({ redirectUris: [CALLBACK] });
});
after(() => idp.close());
beforeEach(() => {
  idp.people.clear();
  idp.people.set('00uana', { ...ANA });
  idp.people.set('00ubob', { email: 'bob@example.com', email_verified: true, groups: [] });
  idp.chosen = '00uana';
  idp.onlyInUserinfo.clear();
  idp.metadata = {};
  idp.authMethods = ['client_secret_basic', 'client_secret_post'];
  idp.rotation = 'rotates';
  idp.idTokenAtRefresh = true;
  idp.refreshTokens = 'asked for';
  Object.assign(idp.misbehave, {
    idToken: {},
    signed: 'right',
    iss: idp.issuer,
    deny: undefined,
    userinfo: {},
    tokenError: undefined,
  });
  for (const endpoint of ['discovery', 'jwks', 'authorize', 'token', 'userinfo'] as const)
    idp.outage(endpoint, undefined);
});

function open(changes: Partial<OidcConfig> = {}, deps: { now?: () => number } = {}): IdentityProvider {
  const config: OidcConfig = {
    idJag: 'off',
    issuer: idp.issuer,
    clientId: idp.clientId,
    clientSecret: 'env:UNUSED',
    scopes: ['openid', 'profile', 'email'],
    offlineAccess: 'on',
    groupsClaim: 'groups',
    emailClaim: 'email',
    ...changes,
  };
  return createOidcProvider({ name: 'okta', config, clientSecret: async () => idp.clientSecret, ...deps });
}

async function begin(provider: IdentityProvider) {
  const state = randomUUID();
  const { url, memory } = await provider.begin({ state, callback: CALLBACK });
  return { url: await idp.browse(url), login: { state, callback: CALLBACK, memory } };
}

async function logIn(provider: IdentityProvider): Promise<BrokeredIdentity> {
  const { url, login } = await begin(provider);
  return provider.finish({ url }, login);
}

async function refused(work: Promise<unknown>, code: LoginRefusal): Promise<LoginRefused> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof LoginRefused, `refused with ${code}, not ${error}`);
  assert.equal(error.code, code, loggedWords(error));
  const words = `${error.message} ${loggedWords(error)}`;
  for (const secret of [...idp.secrets, 'CANARY-words']) assert.ok(!words.includes(secret), words);
  return error;
}

test('who has to prove anew who they are is asked for that, and the ID token says when they did', async () => {
  const provider = open();
  const state = randomUUID();
  const begin = async (fresh: { fresh?: true }) => {
    const { url, memory } = await provider.begin({ state, callback: CALLBACK, ...fresh });
    return { url: await idp.browse(url), login: { state, callback: CALLBACK, memory } };
  };
  await begin({});
  assert.equal(idp.lastAuthorization().get('prompt'), null);
  assert.equal(idp.lastAuthorization().get('max_age'), null);
  for (const [auth_time, authenticated] of [
    [undefined, undefined],
    [1_700_000_000, 1_700_000_000],
  ]) {
    idp.misbehave.idToken = { auth_time };
    const { url, login } = await begin({ fresh: true });
    assert.equal(idp.lastAuthorization().get('prompt'), 'login');
    assert.equal(idp.lastAuthorization().get('max_age'), '0');
    assert.equal((await provider.finish({ url }, login)).authenticated, authenticated);
  }
  for (const auth_time of ['1700000000', null, -1]) {
    idp.misbehave.idToken = { auth_time };
    const { url, login } = await begin({ fresh: true });
    await refused(provider.finish({ url }, login), 'answer_invalid');
    // Whatever a library lets pass one day is long ago.
    assert.ok(Number(authenticatedOf({ auth_time }).authenticated) <= 0);
  }
});

test('a person logs in, and every guard of the protocol is asked for', async () => {
  const provider = open();
  const state = randomUUID();
  const { url, memory } = await provider.begin({ state, callback: CALLBACK, loginHint: 'ana@Example.com' });
  const back = await idp.browse(url);
  const asked = idp.lastAuthorization();
  assert.equal(asked.get('scope'), 'openid profile email offline_access');
  assert.equal(asked.get('code_challenge_method'), 'S256');
  assert.equal(asked.get('login_hint'), 'ana@Example.com');
  assert.equal(asked.get('nonce'), memory.nonce);
  assert.equal(provider.stateOf({ url: back }), state);
  const { refreshToken, ...identity } = await provider.finish({ url: back }, { state, callback: CALLBACK, memory });
  assert.deepEqual(identity, {
    issuer: idp.issuer,
    subject: '00uana',
    email: 'ana@example.com',
    name: 'Ana',
    groups: ['analysts', 'oncall'],
  });
  assert.ok(refreshToken?.startsWith('CANARY-refresh-token-'));
});

test('state is one value or none', () => {
  const provider = open();
  const of = (query: string) => provider.stateOf({ url: new URL(`${CALLBACK}${query}`) });
  assert.deepEqual(
    [of(''), of('?state='), of('?state=a&state=b'), of('?state=a')],
    [undefined, undefined, undefined, 'a'],
  );
});

test('a secret goes the way that the provider announces, whatever is in it', async () => {
  for (const methods of [['client_secret_basic'], ['client_secret_post']] as (typeof idp.authMethods)[]) {
    idp.authMethods = methods;
    idp.changeSecret();
    assert.equal((await logIn(open())).subject, '00uana');
  }
  idp.authMethods = ['client_secret_basic'];
  idp.metadata = { token_endpoint_auth_methods_supported: undefined };
  assert.equal((await logIn(open())).subject, '00uana');
  const provider = open();
  await begin(provider);
  idp.changeSecret();
  assert.equal((await logIn(provider)).subject, '00uana', 'a changed secret needs no restart');
});

const SPOILED: readonly (readonly [string, () => void, LoginRefusal])[] = [
  ['another issuer', () => (idp.misbehave.idToken = { iss: 'https://evil.example.com' }), 'answer_invalid'],
  ['another audience', () => (idp.misbehave.idToken = { aud: 'somebody-else' }), 'answer_invalid'],
  ['two audiences without azp', () => (idp.misbehave.idToken = { aud: [idp.clientId, 'other'] }), 'answer_invalid'],
  [
    'two audiences, azp of another',
    () => (idp.misbehave.idToken = { aud: [idp.clientId, 'other'], azp: 'other' }),
    'answer_invalid',
  ],
  ['one audience, azp of another', () => (idp.misbehave.idToken = { azp: 'other' }), 'answer_invalid'],
  ['another nonce', () => (idp.misbehave.idToken = { nonce: 'other' }), 'answer_invalid'],
  ['no nonce', () => (idp.misbehave.idToken = { nonce: undefined }), 'answer_invalid'],
  ['no subject', () => (idp.misbehave.idToken = { sub: undefined }), 'answer_invalid'],
  ['an empty subject', () => (idp.misbehave.idToken = { sub: '' }), 'answer_invalid'],
  ['expired', () => (idp.misbehave.idToken = { exp: 1_700_000_000 }), 'answer_invalid'],
  ['not valid yet', () => (idp.misbehave.idToken = { nbf: 4_000_000_000 }), 'answer_invalid'],
  ['unsigned', () => (idp.misbehave.signed = 'none'), 'answer_invalid'],
  ['signed with the client secret', () => (idp.misbehave.signed = 'HS256'), 'answer_invalid'],
  ['signed by a stranger', () => (idp.misbehave.signed = 'stranger'), 'answer_invalid'],
  ['signed by an unknown key', () => (idp.misbehave.signed = 'unknown kid'), 'answer_invalid'],
  ['the answer of another provider', () => (idp.misbehave.iss = 'https://evil.example.com'), 'answer_invalid'],
  ['the answer of nobody', () => (idp.misbehave.iss = undefined), 'answer_invalid'],
  ['the person says no', () => (idp.misbehave.deny = 'access_denied'), 'provider_refused'],
  ['the provider wants the person', () => (idp.misbehave.deny = 'interaction_required'), 'provider_refused'],
  ['the provider is ill', () => (idp.misbehave.deny = 'server_error'), 'provider_unavailable'],
  ['a wrong registration', () => (idp.misbehave.deny = 'unauthorized_client'), 'provider_unavailable'],
  ['words of the provider', () => (idp.misbehave.deny = 'CANARY-words'), 'provider_unavailable'],
  ['the code is not good', () => (idp.misbehave.tokenError = 'invalid_grant'), 'answer_invalid'],
  ['the secret is not good', () => (idp.misbehave.tokenError = 'invalid_client'), 'provider_unavailable'],
  ['token endpoint down', () => idp.outage('token', 503), 'provider_unavailable'],
  ['token endpoint busy', () => idp.outage('token', 429), 'provider_unavailable'],
  ['token endpoint gone', () => idp.outage('token', 'gone'), 'provider_unavailable'],
  ['a page of a proxy', () => idp.outage('token', 'html'), 'provider_unavailable'],
  ['keys gone', () => idp.outage('jwks', 'gone'), 'provider_unavailable'],
  ['e-mail unverified', () => setAna({ email_verified: false }), 'email_unverified'],
  ['e-mail unverified, as text', () => setAna({ email_verified: 'false' }), 'email_unverified'],
  ['groups missing', () => setAna({ groups: undefined }), 'groups_unknown'],
  ['groups are text', () => setAna({ groups: 'analysts' }), 'groups_unknown'],
  ['groups hold an object', () => setAna({ groups: ['analysts', {}] }), 'groups_unknown'],
  ['groups overflowed', () => setAna({ groups: undefined, _claim_names: { groups: 'src1' } }), 'groups_unknown'],
  ['some groups, the rest elsewhere', () => setAna({ _claim_names: { groups: 'src1' } }), 'groups_unknown'],
  ['_claim_names is not an object', () => setAna({ _claim_names: 'groups' }), 'groups_unknown'],
];

function setAna(changes: Record<string, unknown>): void {
  idp.people.set('00uana', { ...ANA, ...changes });
}

for (const [what, spoil, code] of SPOILED) {
  test(`refused: ${what}`, async () => {
    spoil();
    await refused(logIn(open()), code);
  });
}

test('an answer is good for the login that it answers, once', async () => {
  const provider = open();
  const ana = await begin(provider);
  idp.chosen = '00ubob';
  const bob = await begin(provider);
  // A code that was stolen and sent into somebody's login: PKCE and nonce are the other's.
  const injected = new URL(bob.url);
  injected.searchParams.set('code', ana.url.searchParams.get('code') ?? '');
  await refused(provider.finish({ url: injected }, bob.login), 'answer_invalid');
  await refused(provider.finish({ url: ana.url }, bob.login), 'answer_invalid');

  const again = await begin(provider);
  assert.equal((await provider.finish({ url: again.url }, again.login)).subject, '00ubob');
  await refused(provider.finish({ url: again.url }, again.login), 'answer_invalid');

  const doubled = await begin(provider);
  doubled.url.searchParams.append('code', 'another');
  await refused(provider.finish({ url: doubled.url }, doubled.login), 'answer_invalid');
  const stateless = await begin(provider);
  stateless.url.searchParams.delete('state');
  await refused(provider.finish({ url: stateless.url }, stateless.login), 'answer_invalid');
});

test('what began at one provider does not end at another, even one that never says who it is', async () => {
  idp.metadata = { authorization_response_iss_parameter_supported: false };
  idp.misbehave.iss = undefined;
  const other = await startOidcIdp({ redirectUris: [CALLBACK], clientId: idp.clientId });
  try {
    const provider = open();
    assert.equal((await logIn(provider)).subject, '00uana', 'without iss where none is announced');
    other.metadata = { authorization_response_iss_parameter_supported: false };
    const elsewhere = open({ issuer: other.issuer });
    await elsewhere.begin({ state: 'a', callback: CALLBACK });
    const { url, login } = await begin(provider);
    await refused(elsewhere.finish({ url }, login), 'answer_invalid');
    assert.equal(other.calls.token, 0, 'the code of one provider is never shown to another');
  } finally {
    await other.close();
  }
});

test('groups and e-mail come from userinfo where the ID token has none, of the same person', async () => {
  for (const name of ['groups', 'email', 'email_verified', 'name']) idp.onlyInUserinfo.add(name);
  const { groups, email, name } = await logIn(open());
  assert.deepEqual({ groups, email, name }, { groups: ANA.groups, email: 'ana@example.com', name: 'Ana' });
  idp.misbehave.userinfo = { sub: '00ubob' };
  await refused(logIn(open()), 'answer_invalid');
  idp.misbehave.userinfo = {};
  idp.outage('userinfo', 503);
  await refused(logIn(open()), 'provider_unavailable');
  idp.outage('userinfo', undefined);
  idp.metadata = { userinfo_endpoint: undefined };
  await refused(logIn(open()), 'groups_unknown');
});

test('groups that the ID token has are never mended with those of userinfo', async () => {
  // Without e-mail address in the ID token, so that userinfo is asked in any case.
  idp.onlyInUserinfo.add('email');
  idp.misbehave.userinfo = { groups: ['analysts'] };
  setAna({ groups: 'analysts' });
  await refused(logIn(open()), 'groups_unknown');
  idp.misbehave.userinfo = { groups: ['analysts'], _claim_names: undefined };
  setAna({ groups: undefined, _claim_names: { groups: 'src1' } });
  await refused(logIn(open()), 'groups_unknown');
});

test('an e-mail address of which nothing is said is none; another claim is the directory’s word', async () => {
  setAna({ email_verified: undefined, upn: 'ana@corp.example.com' });
  assert.equal((await logIn(open())).email, undefined);
  assert.equal((await logIn(open({ emailClaim: 'upn' }))).email, 'ana@corp.example.com');
  setAna({ email: 'ana@example.com\n<x>' });
  assert.equal((await logIn(open())).email, undefined);
  setAna({ email_verified: 'true' });
  assert.equal((await logIn(open())).email, 'ana@example.com');
  // Half of it in the ID token: userinfo's pair counts, never a mixture.
  setAna({ email_verified: false });
  idp.onlyInUserinfo.add('email_verified');
  await refused(logIn(open()), 'email_unverified');
});

test('a list as long as the provider’s limit counts as cut', async () => {
  await refused(logIn(open({ groupsLimit: 2 })), 'groups_unknown');
  assert.deepEqual((await logIn(open({ groupsLimit: 3 }))).groups, ANA.groups);
});

test('groups are asked for again by the refresh token, which rotates', async () => {
  const provider = open();
  const { refreshToken: first = '' } = await logIn(provider);
  setAna({ groups: ['oncall'] });
  const who = { subject: '00uana', refreshToken: first };
  const { groups, refreshToken: second = '' } = (await provider.recheck?.(who)) ?? {};
  assert.deepEqual(groups, ['oncall']);
  assert.notEqual(second, first);
  idp.onlyInUserinfo.add('groups');
  const third = await provider.recheck?.({ ...who, refreshToken: second });
  assert.deepEqual(third?.groups, ['oncall']);
  idp.idTokenAtRefresh = false;
  const fourth = await provider.recheck?.({ ...who, refreshToken: third?.refreshToken ?? '' });
  assert.deepEqual(fourth?.groups, ['oncall']);
  idp.rotation = 'stays';
  const fifth = await provider.recheck?.({ ...who, refreshToken: fourth?.refreshToken ?? '' });
  assert.deepEqual(fifth, { groups: ['oncall'] }, 'no new one, none to store');
});

test('who has lost the right to be here is told from who can not be asked about', async () => {
  const cases: readonly (readonly [string, () => void, LoginRefusal])[] = [
    ['revoked', () => idp.revoke('00uana'), 'provider_refused'],
    ['deleted', () => idp.people.delete('00uana'), 'provider_refused'],
    ['must come by', () => (idp.misbehave.tokenError = 'interaction_required'), 'provider_refused'],
    ['another person', () => (idp.misbehave.idToken = { sub: '00ubob' }), 'answer_invalid'],
    ['another issuer', () => (idp.misbehave.idToken = { iss: 'https://evil.example.com' }), 'answer_invalid'],
    ['a stranger’s signature', () => (idp.misbehave.signed = 'stranger'), 'answer_invalid'],
    ['groups missing', () => setAna({ groups: undefined }), 'groups_unknown'],
    ['a key from the future', () => (idp.misbehave.signed = 'unknown kid'), 'provider_unavailable'],
    ['the secret is not good', () => (idp.misbehave.tokenError = 'invalid_client'), 'provider_unavailable'],
    ['busy', () => idp.outage('token', 429), 'provider_unavailable'],
    ['down', () => idp.outage('token', 500), 'provider_unavailable'],
    ['gone', () => idp.outage('token', 'gone'), 'provider_unavailable'],
    ['garbage', () => idp.outage('token', 'garbage'), 'provider_unavailable'],
    ['blocked on the way', () => idp.outage('token', 403), 'provider_unavailable'],
  ];
  for (const [what, spoil, code] of cases) {
    const provider = open();
    const { refreshToken = '' } = await logIn(provider);
    spoil();
    const work = Promise.resolve(provider.recheck?.({ subject: '00uana', refreshToken }));
    await refused(work, code).catch((error: unknown) => assert.fail(`${what}: ${error}`));
    idp.outage('token', undefined);
    Object.assign(idp.misbehave, { idToken: {}, signed: 'right', tokenError: undefined });
    setAna({});
  }
});

test('a refresh token of somebody else is not this person', async () => {
  const provider = open();
  const { refreshToken = '' } = await logIn(provider);
  idp.idTokenAtRefresh = false;
  idp.onlyInUserinfo.add('groups');
  await refused(Promise.resolve(provider.recheck?.({ subject: '00ubob', refreshToken })), 'answer_invalid');
});

test('without offline access nobody can be asked', async () => {
  const off = open({ offlineAccess: 'off' });
  assert.equal(off.recheck, undefined);
  assert.equal((await logIn(off)).refreshToken, undefined);
  idp.refreshTokens = 'always';
  assert.equal((await logIn(off)).refreshToken, undefined);
  idp.refreshTokens = 'asked for';
  idp.metadata = { scopes_supported: ['openid'] };
  const without = open();
  assert.equal((await logIn(without)).refreshToken, undefined);
  assert.equal(idp.lastAuthorization().get('scope'), 'openid profile email');
  assert.equal(await without.recheck?.({ subject: '00uana' }), undefined);
});

test('a document that is not this provider’s is not used', async () => {
  const port = new URL(idp.issuer).host;
  for (const metadata of [
    { issuer: 'https://evil.example.com' },
    { issuer: `${idp.issuer}/` },
    { issuer: 'nonsense' },
    { issuer: undefined },
    { token_endpoint: 'http://example.com/token' },
    { token_endpoint: undefined },
    { jwks_uri: `ftp://${port}/jwks` },
    { authorization_endpoint: 'javascript:alert(1)' },
    { id_token_signing_alg_values_supported: ['none', 'HS256'] },
  ]) {
    idp.metadata = metadata;
    await refused(open().begin({ state: 'a', callback: CALLBACK }), 'provider_unavailable');
  }
});

test('discovery is read once, again after a failure, but not at once, and outlives an outage', async () => {
  let now = 1_000_000;
  const provider = open({}, { now: () => now });
  const start = () => provider.begin({ state: 'a', callback: CALLBACK });
  const asked = idp.calls.discovery;
  idp.outage('discovery', 'gone');
  await refused(start(), 'provider_unavailable');
  await refused(start(), 'provider_unavailable');
  assert.equal(idp.calls.discovery, asked + 1);
  idp.outage('discovery', undefined);
  now += 2000;
  await Promise.all([start(), start(), start()]);
  assert.equal(idp.calls.discovery, asked + 2);
  now += 3_600_000;
  idp.outage('discovery', 500);
  await start();
  await start();
  assert.equal(idp.calls.discovery, asked + 3);
  idp.outage('discovery', undefined);
  now += 2000;
  await start();
  assert.equal(idp.calls.discovery, asked + 4);
});
