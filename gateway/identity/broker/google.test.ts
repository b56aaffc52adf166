import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, beforeEach, test } from 'node:test';
import { type GoogleDouble, startGoogle } from '../../../test/google/google.ts';
import { type OidcIdp, startOidcIdp } from '../../../test/oidc-idp.ts';
import type { GoogleConfig } from '../../config-login.ts';
import { createGoogleIdentity } from '../../google-identity.ts';
import { createGoogleProvider } from './google.ts';
import { memberQuery } from './google-groups.ts';
import { type BrokeredIdentity, type IdentityProvider, type LoginRefusal, LoginRefused } from './identity-provider.ts';
import { loggedWords } from './refusal.ts';

const CALLBACK = 'https://mcp.example.com/oauth/callback/google';
const ADMIN = 'admin@example.com';
const SERVICE_ACCOUNT = 'verbatim-directory@verbatim.iam.gserviceaccount.com';
const ANA = { email: 'ana@example.com', email_verified: true, hd: 'example.com', name: 'Ana' };
const DIRECTORY = { groups: 'directory', directory: { serviceAccount: SERVICE_ACCOUNT, admin: ADMIN } } as const;

let idp: OidcIdp;
let google: GoogleDouble;
let now = Date.now();
before(async () => {
  idp = await startOidcIdp({ redirectUris: [CALLBACK] });
  google = await startGoogle(() => now);
  google.impersonable.add(SERVICE_ACCOUNT);
});
after(async () => {
  await idp.close();
  await google.close();
});
beforeEach(() => {
  now = Date.now();
  idp.people.clear();
  idp.people.set('117', { ...ANA });
  idp.chosen = '117';
  idp.rotation = 'stays';
  idp.misbehave.idToken = {};
  // Google has no such scope, and does not say who it is in its answers.
  idp.metadata = {
    scopes_supported: ['openid', 'email', 'profile'],
    authorization_response_iss_parameter_supported: undefined,
  };
  const { groups } = google;
  groups.of.clear();
  groups.of.set('ana@example.com', ['analysts@example.com', 'oncall@example.com']);
  groups.of.set('analysts@example.com', ['everybody@example.com']);
  groups.of.set('everybody@example.com', ['analysts@example.com']);
  groups.foreign.clear();
  groups.role = 'groups reader';
  groups.nameless = false;
  groups.delegations.clear();
  groups.delegations.add(`${SERVICE_ACCOUNT} ${ADMIN}`);
  for (const api of ['searchTransitiveGroups', 'directory', 'signJwt', 'delegatedToken', 'metadata'] as const) {
    google.trouble(api, undefined);
  }
});

function open(changes: Partial<GoogleConfig> = {}): IdentityProvider {
  const config: GoogleConfig = {
    clientId: idp.clientId,
    clientSecret: 'env:UNUSED',
    hostedDomains: ['example.com'],
    groups: 'cloudIdentity',
    issuer: idp.issuer,
    ...changes,
  };
  return createGoogleProvider({
    name: 'google',
    config,
    clientSecret: async () => idp.clientSecret,
    google: google.google,
    identity: createGoogleIdentity(),
    now: () => now,
  });
}

async function logIn(provider: IdentityProvider): Promise<BrokeredIdentity> {
  const state = randomUUID();
  const { url, memory } = await provider.begin({ state, callback: CALLBACK });
  return provider.finish({ url: await idp.browse(url) }, { state, callback: CALLBACK, memory });
}

async function refused(work: Promise<unknown> | undefined, code: LoginRefusal, words?: RegExp): Promise<void> {
  const error = await Promise.resolve(work).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof LoginRefused, `refused with ${code}, not ${error}`);
  assert.equal(error.code, code, loggedWords(error));
  const all = `${error.message} ${loggedWords(error)}`;
  for (const secret of [...idp.secrets, ...google.secrets]) assert.ok(!all.includes(secret), all);
  if (words !== undefined) assert.match(loggedWords(error), words);
}

test('a person of the domain logs in, with groups through groups, over pages', async () => {
  const provider = open();
  const { refreshToken, groups, ...identity } = await logIn(provider);
  assert.deepEqual(identity, { issuer: idp.issuer, subject: '117', email: 'ana@example.com', name: 'Ana' });
  assert.deepEqual([...groups].sort(), ['analysts@example.com', 'everybody@example.com', 'oncall@example.com']);
  assert.ok(refreshToken !== undefined);
  const asked = idp.lastAuthorization();
  assert.deepEqual(
    ['hd', 'access_type', 'prompt', 'scope'].map((name) => asked.get(name)),
    ['example.com', 'offline', 'consent', 'openid profile email'],
  );
  const chosen = await provider.begin({ state: 'a', callback: CALLBACK, fresh: true });
  assert.equal(new URL(chosen.url).searchParams.get('prompt'), 'select_account consent');
  assert.equal(new URL(chosen.url).searchParams.get('max_age'), null);
  const several = open({ hostedDomains: ['example.com', 'example.org'] });
  const { url } = await several.begin({ state: 'a', callback: CALLBACK });
  assert.equal(new URL(url).searchParams.get('hd'), '*');
});

test('the directory knows direct groups, by a token that is kept until it ends or is refused', async () => {
  const fresh = open(DIRECTORY);
  const before = google.calls.delegatedToken;
  const ana = { subject: '117', email: 'ana@example.com' };
  await Promise.all([fresh.recheck?.(ana), fresh.recheck?.(ana), fresh.recheck?.(ana)]);
  assert.equal(google.calls.delegatedToken, before + 1);
  const provider = open(DIRECTORY);
  const direct = ['analysts@example.com', 'oncall@example.com'];
  assert.deepEqual((await logIn(provider)).groups, direct);
  const asked = google.calls.delegatedToken;
  await Promise.all([logIn(provider), logIn(provider)]);
  assert.equal(google.calls.delegatedToken, asked);
  google.groups.revokeDelegated();
  assert.deepEqual((await logIn(provider)).groups, direct);
  assert.equal(google.calls.delegatedToken, asked + 1);
  now += 56 * 60_000;
  assert.deepEqual((await logIn(provider)).groups, direct);
  assert.equal(google.calls.delegatedToken, asked + 2);
});

test('nobody without groups is somebody whose groups are unknown', async () => {
  google.groups.of.set('ana@example.com', []);
  assert.deepEqual((await logIn(open())).groups, []);
  assert.deepEqual((await logIn(open(DIRECTORY))).groups, []);
});

test('refused: who is not of the company, or not surely so', async () => {
  const cases: readonly (readonly [Record<string, unknown>, LoginRefusal])[] = [
    [{ hd: undefined }, 'domain_not_allowed'],
    [{ hd: 'evil.example' }, 'domain_not_allowed'],
    [{ hd: ['example.com'] }, 'domain_not_allowed'],
    [{ hd: 'evil.example', email: 'ana@example.com' }, 'domain_not_allowed'],
    [{ email_verified: false }, 'email_unverified'],
    [{ email_verified: undefined }, 'email_unverified'],
    [{ email: undefined }, 'email_unverified'],
    [{ email: "x' || member_key_id == 'ana@example.com" }, 'email_unverified'],
    [{ email: "x'||true||'@example.com" }, 'groups_unknown'],
  ];
  for (const [claims, code] of cases) {
    idp.people.set('117', { ...ANA, ...claims });
    await refused(logIn(open()), code);
  }
});

test('an address is one text in the query, whatever it holds', async () => {
  assert.equal(
    memberQuery("o'brien@example.com", 'C046psxkn'),
    String.raw`member_key_id == 'o\'brien@example.com' && 'cloudidentity.googleapis.com/groups.discussion_forum' in labels && parent == 'customers/C046psxkn'`,
  );
  idp.people.set('117', { ...ANA, email: "o'brien@example.com" });
  google.groups.of.set("o'brien@example.com", ['oncall@example.com']);
  assert.deepEqual((await logIn(open())).groups, ['oncall@example.com']);
  for (const hostile of ["a\\'@example.com", "a'\n@example.com", 'a"@example.com', "a' || '@example.com", 'a@b@c']) {
    assert.throws(() => memberQuery(hostile, undefined), LoginRefused, hostile);
  }
});

test('a group of another company hides all of them, unless only ours are asked for', async () => {
  google.groups.of.set('ana@example.com', ['oncall@example.com', 'vendors@other.example']);
  google.groups.foreign.add('vendors@other.example');
  await refused(logIn(open()), 'provider_unavailable', /403 PERMISSION_DENIED/);
  assert.deepEqual((await logIn(open({ customer: 'C046psxkn' }))).groups, ['oncall@example.com']);
});

test('groups that can not be read are unknown, never fewer', async () => {
  const { groups } = google;
  const cloud = open();
  const directory = open(DIRECTORY);
  groups.nameless = true;
  await refused(logIn(cloud), 'groups_unknown');
  await refused(logIn(directory), 'groups_unknown');
  groups.nameless = false;

  groups.role = 'none';
  await refused(logIn(cloud), 'provider_unavailable', /searching transitive groups: HTTP 403 PERMISSION_DENIED/);
  groups.role = 'groups reader';
  for (const trouble of [429, 500, 503, 'redirect', 'garbage', 'huge', 'echo'] as const) {
    google.trouble('searchTransitiveGroups', trouble);
    await refused(logIn(cloud), 'provider_unavailable');
    google.trouble('directory', trouble);
    await refused(logIn(directory), 'provider_unavailable');
  }
  google.trouble('directory', 403);
  await refused(logIn(directory), 'provider_unavailable', /listing groups: HTTP 403/);
  google.trouble('directory', undefined);

  groups.delegations.clear();
  await refused(logIn(open(DIRECTORY)), 'provider_unavailable', /delegation to .*: HTTP 401/);
  google.trouble('delegatedToken', 'echo');
  await refused(logIn(open(DIRECTORY)), 'provider_unavailable');
  google.trouble('signJwt', 403);
  await refused(logIn(open(DIRECTORY)), 'provider_unavailable', /signing for .*: HTTP 403/);

  groups.of.delete('ana@example.com');
  await refused(logIn(directory), 'provider_refused');
});

test('a second page that fails leaves nobody with the first', async () => {
  const provider = open();
  google.groups.of.set('ana@example.com', ['a@example.com', 'b@example.com', 'c@example.com']);
  let pages = 0;
  const fetched = await import('../../proxy/credential-fetch.ts');
  const real = fetched.createCredentialFetch();
  const config: GoogleConfig = {
    clientId: idp.clientId,
    clientSecret: 'env:UNUSED',
    hostedDomains: ['example.com'],
    groups: 'cloudIdentity',
    issuer: idp.issuer,
  };
  const failing = createGoogleProvider({
    name: 'google',
    config,
    clientSecret: async () => idp.clientSecret,
    google: google.google,
    identity: createGoogleIdentity(),
    fetch: async (url, init) => {
      if (url.includes('searchTransitiveGroups')) pages++;
      return pages === 2 ? new Response('', { status: 503 }) : real(url, init);
    },
  });
  await refused(logIn(failing), 'provider_unavailable');
  assert.equal(pages, 2);
  assert.equal((await logIn(provider)).groups.length, 3);
});

test('a recheck finds new groups, the account’s end and its new address', async () => {
  const provider = open();
  const { refreshToken = '', email = '' } = await logIn(provider);
  const who = { subject: '117', email, refreshToken };
  google.groups.of.set('ana@example.com', ['oncall@example.com']);
  assert.deepEqual(await provider.recheck?.(who), { groups: ['oncall@example.com'] });
  assert.deepEqual(await provider.recheck?.({ subject: '117', email }), { groups: ['oncall@example.com'] });
  assert.equal(await provider.recheck?.({ subject: '117' }), undefined);

  // She married, and the old address is somebody else's now.
  idp.people.set('117', { ...ANA, email: 'ana.b@example.com' });
  google.groups.of.set('ana.b@example.com', ['analysts@example.com']);
  const renamed = await provider.recheck?.(who);
  assert.deepEqual([...(renamed?.groups ?? [])].sort(), ['analysts@example.com', 'everybody@example.com']);

  google.groups.role = 'none';
  await refused(provider.recheck?.(who), 'provider_unavailable');
  idp.misbehave.idToken = { sub: '118' };
  await refused(provider.recheck?.(who), 'answer_invalid');
  idp.misbehave.idToken = { hd: 'evil.example' };
  await refused(provider.recheck?.(who), 'domain_not_allowed');
  idp.revoke('117');
  await refused(provider.recheck?.(who), 'provider_refused');
});
