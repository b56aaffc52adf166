import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, beforeEach, test } from 'node:test';
import { type GraphDouble, startGraph } from '../../../test/graph.ts';
import { type OidcIdp, startOidcIdp } from '../../../test/oidc-idp.ts';
import type { EntraConfig } from '../../config-login.ts';
import { createEntraProvider } from './entra.ts';
import { type BrokeredIdentity, type IdentityProvider, type LoginRefusal, LoginRefused } from './identity-provider.ts';
import { loggedWords } from './refusal.ts';

const CALLBACK = 'https://mcp.example.com/oauth/callback/entra';
const TENANT = '8f14e45f-ceea-467f-9a1b-000000000001';
const OID = '11111111-2222-3333-4444-555555555555';
const [ANALYSTS = '', ONCALL = '', ROLE = '', EVERYBODY = ''] = ['a', 'b', 'c', 'd'].map(
  (digit) => `${digit.repeat(8)}-0000-0000-0000-000000000000`,
);
const ANA = {
  tid: TENANT,
  oid: OID,
  name: 'Ana',
  preferred_username: 'ana@corp.example.com',
  email: 'ana@example.com',
  groups: [ANALYSTS, ONCALL],
};

let idp: OidcIdp;
let graph: GraphDouble;
before(async () => {
  idp = await startOidcIdp({ redirectUris: [CALLBACK], path: `/${TENANT}/v2.0` });
  graph = await startGraph();
});
after(async () => {
  await idp.close();
  await graph.close();
});
beforeEach(() => {
  idp.people.clear();
  idp.people.set('pairwise-1', { ...ANA });
  idp.chosen = 'pairwise-1';
  idp.misbehave.idToken = {};
  idp.misbehave.tokenError = undefined;
  graph.users.clear();
  graph.users.set(OID, {
    accountEnabled: true,
    memberOf: [
      { type: 'group', id: ANALYSTS },
      { type: 'directoryRole', id: ROLE },
      { type: 'group', id: EVERYBODY.toUpperCase() },
    ],
  });
  graph.accepts = (bearer) => idp.secrets.has(bearer) && bearer.startsWith('CANARY-own-token-');
  graph.trouble = undefined;
  graph.nextOrigin = graph.url;
  graph.asked.length = 0;
});

function open(changes: Partial<EntraConfig> = {}): IdentityProvider {
  const config: EntraConfig = {
    tenant: TENANT,
    clientId: idp.clientId,
    clientSecret: 'env:UNUSED',
    groups: 'token',
    issuer: idp.issuer,
    graph: graph.url,
    ...changes,
  };
  return createEntraProvider({ name: 'entra', config, clientSecret: async () => idp.clientSecret });
}

async function logIn(provider: IdentityProvider): Promise<BrokeredIdentity> {
  const state = randomUUID();
  const { url, memory } = await provider.begin({ state, callback: CALLBACK });
  return provider.finish({ url: await idp.browse(url) }, { state, callback: CALLBACK, memory });
}

async function refused(work: Promise<unknown> | undefined, code: LoginRefusal): Promise<void> {
  const error = await Promise.resolve(work).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof LoginRefused, `refused with ${code}, not ${error}`);
  assert.equal(error.code, code, loggedWords(error));
  const words = `${error.message} ${loggedWords(error)}`;
  for (const secret of idp.secrets) assert.ok(!words.includes(secret), words);
}

const setAna = (changes: Record<string, unknown>): void => void idp.people.set('pairwise-1', { ...ANA, ...changes });

test('a person is tenant and object id, with the groups of the token', async () => {
  const { refreshToken, ...identity } = await logIn(open());
  assert.deepEqual(identity, {
    issuer: idp.issuer,
    subject: `${TENANT}.${OID}`,
    email: 'ana@corp.example.com',
    name: 'Ana',
    groups: [ANALYSTS, ONCALL],
  });
  assert.ok(refreshToken !== undefined);
  assert.deepEqual(graph.asked, []);
});

test('groups that did not fit come from Graph, over pages, without roles and units', async () => {
  for (const overage of [{ _claim_names: { groups: 'src1' } }, { hasgroups: true }]) {
    setAna({ groups: undefined, ...overage });
    assert.deepEqual((await logIn(open())).groups, [ANALYSTS, EVERYBODY]);
  }
  setAna({});
  const always = await logIn(open({ groups: 'graph' }));
  assert.deepEqual([always.groups, always.refreshToken], [[ANALYSTS, EVERYBODY], undefined]);
  assert.equal(idp.lastAuthorization().get('scope'), 'openid profile email');
});

test('app roles are groups where they are configured so', async () => {
  setAna({ roles: ['Orders.Read'] });
  assert.deepEqual((await logIn(open({ groups: 'roles' }))).groups, ['Orders.Read']);
  setAna({});
  await refused(logIn(open({ groups: 'roles' })), 'groups_unknown');
});

test('refused: another tenant, no object id, groups missing', async () => {
  const cases: readonly (readonly [Record<string, unknown>, LoginRefusal])[] = [
    [{ tid: '8f14e45f-ceea-467f-9a1b-000000000002' }, 'answer_invalid'],
    [{ tid: undefined }, 'answer_invalid'],
    [{ oid: undefined }, 'answer_invalid'],
    [{ oid: `${OID}/../x` }, 'answer_invalid'],
    [{ groups: undefined }, 'groups_unknown'],
    [{ groups: ANALYSTS }, 'groups_unknown'],
  ];
  for (const [claims, code] of cases) {
    setAna(claims);
    await refused(logIn(open()), code);
  }
  setAna({});
  idp.misbehave.idToken = { iss: idp.issuer.replace(TENANT, '8f14e45f-ceea-467f-9a1b-000000000002') };
  await refused(logIn(open()), 'answer_invalid');
});

test('an e-mail address is one of a verified domain, or the user name of a member', async () => {
  const guest = { idp: 'https://sts.windows.net/9188040d-6c67-4c5b-b112-36a304b66dad/' };
  const cases: readonly (readonly [Record<string, unknown>, string | undefined])[] = [
    [{ xms_edov: true }, 'ana@example.com'],
    [{ xms_edov: '1' }, 'ana@example.com'],
    [{ xms_edov: false }, 'ana@corp.example.com'],
    [{ idp: idp.issuer }, 'ana@corp.example.com'],
    [guest, undefined],
    [{ ...guest, xms_edov: 0 }, undefined],
    [{ ...guest, xms_edov: 1 }, 'ana@example.com'],
    [{ preferred_username: 'ana' }, undefined],
  ];
  for (const [claims, email] of cases) {
    setAna(claims);
    assert.equal((await logIn(open())).email, email, JSON.stringify(claims));
  }
});

test('what Graph does not say whole is unknown', async () => {
  const provider = open({ groups: 'graph' });
  const cases: readonly (readonly [string, () => void, LoginRefusal])[] = [
    ['no permission', () => setTrouble(403, 1), 'provider_unavailable'],
    ['busy', () => setTrouble(429, 1), 'provider_unavailable'],
    ['down', () => setTrouble(503, 1), 'provider_unavailable'],
    ['down at the second page', () => setTrouble(503, 3), 'provider_unavailable'],
    ['not Graph’s 404', () => setTrouble(404, 1), 'provider_unavailable'],
    ['the token is refused', () => (graph.accepts = () => false), 'provider_unavailable'],
    ['a page elsewhere', () => (graph.nextOrigin = 'http://127.0.0.1:1'), 'groups_unknown'],
    ['account disabled', () => setAccount(false), 'provider_refused'],
    ['no such person', () => graph.users.clear(), 'provider_refused'],
  ];
  function setTrouble(status: number, from: number): void {
    graph.trouble = { status, from };
  }
  function setAccount(accountEnabled: boolean): void {
    graph.users.set(OID, { accountEnabled, memberOf: [] });
  }
  for (const [what, spoil, code] of cases) {
    const before = structuredClone(graph.users.get(OID));
    graph.asked.length = 0;
    spoil();
    await refused(logIn(provider), code).catch((error: unknown) => assert.fail(`${what}: ${error}`));
    graph.trouble = undefined;
    graph.nextOrigin = graph.url;
    graph.accepts = () => true;
    if (before !== undefined) graph.users.set(OID, before);
  }
});

test('Graph’s token is kept, and another one asked for where it is refused', async () => {
  const provider = open({ groups: 'graph' });
  const before = idp.calls.token;
  const ana = { subject: `${TENANT}.${OID}` };
  await Promise.all([provider.recheck?.(ana), provider.recheck?.(ana), provider.recheck?.(ana)]);
  assert.equal(idp.calls.token, before + 1);
  await logIn(provider);
  const asked = idp.calls.token;
  await logIn(provider);
  assert.equal(idp.calls.token, asked + 1, 'the code alone');
  const dead = new Set(idp.secrets);
  graph.accepts = (bearer) => idp.secrets.has(bearer) && !dead.has(bearer);
  assert.equal((await logIn(provider)).groups.length, 2);
});

test('a recheck asks where the login did', async () => {
  const byToken = open();
  const { subject, refreshToken = '' } = await logIn(byToken);
  setAna({ groups: [ONCALL] });
  const first = await byToken.recheck?.({ subject, refreshToken });
  assert.deepEqual(first?.groups, [ONCALL]);
  assert.notEqual(first?.refreshToken, undefined);
  assert.deepEqual(graph.asked, []);
  setAna({ groups: undefined, _claim_names: { groups: 'src1' } });
  const second = await byToken.recheck?.({ subject, refreshToken: first?.refreshToken ?? '' });
  assert.deepEqual(second?.groups, [ANALYSTS, EVERYBODY]);
  assert.deepEqual(await byToken.recheck?.({ subject }), { groups: [ANALYSTS, EVERYBODY] });
  assert.equal(await open({ groups: 'roles' }).recheck?.({ subject }), undefined);

  const other = { oid: OID.replace('1', '2') };
  setAna(other);
  await refused(byToken.recheck?.({ subject, refreshToken: second?.refreshToken ?? '' }), 'answer_invalid');
  idp.revoke('pairwise-1');
  await refused(byToken.recheck?.({ subject, refreshToken: second?.refreshToken ?? '' }), 'provider_refused');
  await refused(byToken.recheck?.({ subject: `${OID}.${OID}` }), 'answer_invalid');

  const byGraph = open({ groups: 'graph' });
  assert.deepEqual(await byGraph.recheck?.({ subject }), { groups: [ANALYSTS, EVERYBODY] });
  graph.users.set(OID, { accountEnabled: false, memberOf: [] });
  await refused(byGraph.recheck?.({ subject }), 'provider_refused');
});
