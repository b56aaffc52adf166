import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { EVE, MARKUP, RESPONSE_WRAPPINGS, TAMPERINGS, WRAPPINGS } from '../../../test/saml-attacks.ts';
import { type SamlAnswer, startSamlIdp, type TestSamlIdp } from '../../../test/saml-idp.ts';
import { selfSigned } from '../../../test/self-signed.ts';
import type { SamlConfig } from '../../config-login.ts';
import { GatewayError } from '../../errors.ts';
import { createMemoryStore } from '../../store/memory.ts';
import type { Store } from '../../store/store.ts';
import { type BrokeredIdentity, type LoginRefusal, LoginRefused } from './identity-provider.ts';
import { createSamlProvider, samlMetadata } from './saml.ts';

const NOW = Date.parse('2026-11-22T10:00:00Z');
const PUBLIC_URL = 'https://mcp.example.com';
const CALLBACK = `${PUBLIC_URL}/oauth/callback/corp`;
const STATE = 'k'.repeat(43);
const NAME_ID = 'urn:oasis:names:tc:SAML:1.1:nameid-format:';

let idp: TestSamlIdp;
before(async () => {
  idp = await startSamlIdp(() => NOW);
});
after(() => idp.close());

interface Asked {
  readonly config?: Partial<SamlConfig>;
  readonly certificates?: readonly string[];
  readonly state?: Store;
}

function provider({ config = {}, certificates = [idp.certificate], state = createMemoryStore() }: Asked = {}) {
  return createSamlProvider({
    name: 'corp',
    config: {
      entryPoint: idp.entryPoint,
      entityId: idp.entityId,
      certificates: ['file:idp.pem'],
      emailAttribute: 'email',
      groupsAttribute: 'groups',
      ...config,
    },
    publicUrl: PUBLIC_URL,
    certificates,
    state,
    now: () => NOW,
  });
}

async function begun(from = provider()) {
  const { url, memory } = await from.begin({ state: STATE, callback: CALLBACK });
  return { request: idp.read(url), login: { state: STATE, callback: CALLBACK, memory } };
}

async function logIn(how: SamlAnswer = {}, asked: Asked = {}): Promise<BrokeredIdentity> {
  const { request, login } = await begun(provider(asked));
  const form = idp.answer(request, how);
  // Another object, as on another replica: what `begin` knew is in `memory` alone.
  return provider(asked).finish({ url: new URL(CALLBACK), form }, login);
}

function xmlOf(form: URLSearchParams): string {
  return Buffer.from(form.get('SAMLResponse') ?? '', 'base64').toString();
}

/** The refusal's code. Its words are for a person: nothing of the answer is in them. */
async function refusal(attempt: Promise<unknown>, what = ''): Promise<LoginRefusal> {
  const error = await attempt.then(
    (identity) => assert.fail(`${what} logged in: ${JSON.stringify(identity)}`),
    (reason: unknown) => reason,
  );
  if (!(error instanceof LoginRefused)) throw error;
  assert.doesNotMatch(error.message, /00u-|[<>]|_assertion|analysts|staff/);
  return error.code;
}

test('a person logs in, whatever a good answer looks like', async () => {
  const ana = { issuer: idp.entityId, subject: '00u-ana', email: 'ana@example.com', groups: ['analysts', 'staff'] };
  const good: Record<string, [SamlAnswer, Partial<BrokeredIdentity>?]> = {
    'a signed assertion': [{}],
    'a signed response around it': [{ signed: 'both' }],
    'SHA-512': [{ algorithm: 'sha512' }],
    'a line for each element': [{ pretty: true }],
    'line ends of another system': [{ pretty: true, change: (xml) => xml.replaceAll('\n', '\r\n') }],
    'an XML declaration': [{ change: (xml) => `<?xml version="1.0" encoding="UTF-8"?>\n${xml}` }],
    'no format': [{ nameIdFormat: null }],
    'an unspecified format': [{ nameIdFormat: `${NAME_ID}unspecified` }],
    'an e-mail address': [
      { nameId: 'ana@example.com', nameIdFormat: `${NAME_ID}emailAddress` },
      { subject: 'ana@example.com' },
    ],
    'qualifiers of its own': [
      { nameIdQualifiers: ` NameQualifier="${idp.entityId}" SPNameQualifier="${PUBLIC_URL}/oauth/saml/corp"` },
    ],
    'no groups at all': [{ groups: [] }, { groups: [] }],
    'one group': [{ groups: ['analysts'] }, { groups: ['analysts'] }],
    'references in a group': [
      { groups: ['R&amp;D', '“a”'], change: (xml) => xml.replace('“', '&#x201C;').replace('”', '&#8221;') },
      { groups: ['R&D', '“a”'] },
    ],
    'no response issuer and destination': [{ responseIssuer: null, destination: null }],
    'clocks that differ': [{ notBefore: 50, confirmationEnds: -50, notOnOrAfter: -50 }],
    'conditions that are kept anyway': [{ conditions: '<saml:OneTimeUse></saml:OneTimeUse>' }],
    'an element for each group': [
      {
        rewrite: (xml) =>
          xml.replace(
            '</saml:AttributeValue><saml:AttributeValue>staff',
            `</saml:AttributeValue></saml:Attribute><saml:Attribute Name="groups"><saml:AttributeValue>staff`,
          ),
      },
    ],
    'another method of confirmation beside it': [
      {
        rewrite: (xml) =>
          xml.replace(
            '<saml:SubjectConfirmation ',
            `<saml:SubjectConfirmation Method="urn:x"></saml:SubjectConfirmation>$&`,
          ),
      },
    ],
    'times that do not say that they are UTC': [{ rewrite: (xml) => xml.replace(/( NotOnOrAfter="[^"]+)Z"/g, '$1"') }],
    'attributes named as what the library says itself': [
      {
        attributes: {
          ...{ email: ['ana@example.com'], groups: ['analysts', 'staff'], nameID: [EVE], issuer: ['x'] },
          ...{ getAssertion: ['x'], attributes: ['x'], constructor: ['x'], ['__proto__']: ['x'] },
        },
      },
    ],
  };
  for (const [what, [how, differs = {}]] of Object.entries(good)) {
    const identity = await logIn(how).catch((error: unknown) => error);
    assert.deepEqual(identity, { ...ana, ...differs, authenticated: NOW / 1000 }, what);
  }
});

test('who has to prove anew who they are is asked for that, and the assertion says when they did', async () => {
  const from = provider();
  const { url, memory } = await from.begin({ state: STATE, callback: CALLBACK, fresh: true });
  const request = idp.read(url);
  assert.match(request.xml, / ForceAuthn="true"/);
  assert.doesNotMatch((await begun()).request.xml, /ForceAuthn/);
  const earlier = (xml: string): string => xml.replace(/AuthnInstant="[^"]+"/, 'AuthnInstant="2026-11-22T09:00:00Z"');
  const form = idp.answer(request, { rewrite: earlier });
  const identity = await from.finish({ url: new URL(CALLBACK), form }, { state: STATE, callback: CALLBACK, memory });
  assert.equal(identity.authenticated, (NOW - 3_600_000) / 1000);
  const twice = (xml: string): string =>
    xml.replace(/<saml:AuthnStatement[\s\S]*<\/saml:AuthnStatement>/, (one) => one + earlier(one));
  assert.equal((await logIn({ rewrite: twice })).authenticated, (NOW - 3_600_000) / 1000, 'the first of two counts');
  const none = (xml: string): string => xml.replace(/ AuthnInstant="[^"]+"/, '');
  assert.equal((await logIn({ rewrite: none })).authenticated, undefined);
});

test('an answer that was not made for this login is refused', async () => {
  const bad: Record<string, SamlAnswer> = {
    unsigned: { signed: 'none' },
    'only the response is signed': { signed: 'response' },
    'SHA-1': { algorithm: 'sha1' },
    "another's key, whose certificate comes along": { key: selfSigned('somebody') },
    issuer: { issuer: 'https://other.example.com' },
    "the response's issuer": { responseIssuer: 'https://other.example.com' },
    audience: { audience: 'https://other.example.com' },
    'no audience': { audience: null },
    recipient: { recipient: `${PUBLIC_URL}/oauth/callback/other` },
    'no recipient': { recipient: null },
    destination: { destination: `${PUBLIC_URL}/oauth/callback/other` },
    'to another request': { inResponseTo: '_other', subjectInResponseTo: '_other' },
    'to no request': { inResponseTo: null, subjectInResponseTo: null },
    'the signed part is to another request': { subjectInResponseTo: '_other' },
    'the signed part is to no request': { subjectInResponseTo: null },
    'only the signed part is to the request': { inResponseTo: null },
    'not for the bearer': { method: 'urn:oasis:names:tc:SAML:2.0:cm:sender-vouches' },
    'two bearer confirmations': {
      rewrite: (xml) => xml.replace(/<saml:SubjectConfirmation .*<\/saml:SubjectConfirmation>/, '$&$&'),
    },
    'two names': { rewrite: (xml) => xml.replace(/<saml:NameID.*<\/saml:NameID>/, '$&$&') },
    'two issuers': { rewrite: (xml) => xml.replace('</saml:Issuer>', '$&<saml:Issuer>x</saml:Issuer>') },
    'two conditions': { rewrite: (xml) => xml.replace(/<saml:Conditions.*<\/saml:Conditions>/, '$&$&') },
    'no conditions': { rewrite: (xml) => xml.replace(/<saml:Conditions.*<\/saml:Conditions>/, '') },
    'no subject': { rewrite: (xml) => xml.replace(/<saml:Subject>.*<\/saml:Subject>/, '') },
    'another version': { rewrite: (xml) => xml.replace(' Version="2.0"', ' Version="1.1"') },
    'a time of another zone': { rewrite: (xml) => xml.replace(/(NotOnOrAfter="[^"]+)Z"/g, '$1+14:00"') },
    'a time that is none': { rewrite: (xml) => xml.replace(/NotBefore="[^"]+"/g, 'NotBefore="soon"') },
    'not valid yet': { notBefore: 61 },
    expired: { notOnOrAfter: -61 },
    'no end': { notOnOrAfter: null },
    'the confirmation expired': { confirmationEnds: -61 },
    'the confirmation has no end': { confirmationEnds: null },
    'the session has ended': { sessionEnds: -61 },
    'nobody authenticated': { authenticated: false },
    'an unknown condition': { conditions: '<saml:Condition></saml:Condition>' },
    transient: { nameIdFormat: 'urn:oasis:names:tc:SAML:2.0:nameid-format:transient' },
    'another format': { nameIdFormat: `${NAME_ID}WindowsDomainQualifiedName` },
    "another's name": { nameIdQualifiers: ' NameQualifier="https://other.example.com"' },
    'a name for another': { nameIdQualifiers: ' SPNameQualifier="https://other.example.com"' },
    'no name': { nameId: '' },
    'a name of spaces': { nameId: ' 00u-ana' },
    encrypted: { change: (xml) => xml.replaceAll('saml:Assertion', 'saml:EncryptedAssertion') },
    'no assertion': { change: (xml) => xml.replace(/<saml:Assertion .*<\/saml:Assertion>/s, '') },
    'a logout': { change: (xml) => xml.replaceAll('samlp:Response', 'samlp:LogoutResponse') },
    'base64 of nothing': { change: () => '' },
  };
  for (const [what, how] of Object.entries(bad)) {
    assert.equal(await refusal(logIn(how), what), 'answer_invalid', what);
  }
});

test('what was changed after it was signed is refused, and nothing of it is printed', async (context) => {
  const printed = (['log', 'info', 'warn', 'error', 'debug'] as const).map((name) =>
    context.mock.method(console, name, () => {}),
  );
  const attacks: Record<string, SamlAnswer> = {};
  for (const [what, change] of Object.entries({ ...TAMPERINGS, ...WRAPPINGS, ...MARKUP })) {
    attacks[what] = { change };
    attacks[`${what}, both signed`] = { change, signed: 'both' };
  }
  for (const [what, change] of Object.entries(RESPONSE_WRAPPINGS)) {
    attacks[what] = { change, signed: 'response' };
    attacks[`${what}, both signed`] = { change, signed: 'both' };
  }
  for (const [what, how] of Object.entries(attacks)) {
    const { change = String, ...unchanged } = how;
    const xml = xmlOf(idp.answer((await begun()).request, unchanged));
    assert.notEqual(change(xml), xml, `${what} changes nothing, and proves nothing`);
    assert.equal(await refusal(logIn(how), what), 'answer_invalid', what);
  }
  assert.deepEqual(
    printed.flatMap(({ mock }) => mock.calls),
    [],
  );
});

test('an answer is good for one login of one browser', async () => {
  const mine = await begun();
  const form = idp.answer(mine.request);
  const answer = { url: new URL(CALLBACK), form };
  const other = await begun();
  assert.equal(await refusal(provider().finish(answer, other.login)), 'answer_invalid', 'another request');
  assert.equal(await refusal(provider().finish(answer, { ...mine.login, memory: {} })), 'answer_invalid', 'no memory');
  const moved = { ...mine.login, callback: `${PUBLIC_URL}/oauth/callback/other` };
  assert.equal(await refusal(provider().finish(answer, moved)), 'answer_invalid', 'another callback');
  const state = { ...mine.login, state: 'l'.repeat(43) };
  assert.equal(await refusal(provider().finish(answer, state)), 'answer_invalid', 'another state');
  assert.equal((await provider().finish(answer, mine.login)).subject, '00u-ana');
});

test('an assertion is used once, on all replicas, even with the same memory', async () => {
  const state = createMemoryStore();
  const { request, login } = await begun();
  const answer = { url: new URL(CALLBACK), form: idp.answer(request, { assertionId: '_once' }) };
  const attempts = await Promise.allSettled([1, 2, 3].map(() => provider({ state }).finish(answer, login)));
  assert.equal(attempts.filter(({ status }) => status === 'fulfilled').length, 1);
  assert.equal(await refusal(provider({ state }).finish(answer, login)), 'answer_invalid');
  const again = { url: answer.url, form: idp.answer(request, { assertionId: '_once', nameId: EVE }) };
  assert.equal(await refusal(provider({ state }).finish(again, login)), 'answer_invalid');
  const names: string[] = [];
  for await (const name of state.list('saml-assertions/')) names.push(name);
  assert.equal(names.length, 1);
  const kept = JSON.parse(Buffer.from((await state.get(names[0] ?? '')) ?? []).toString());
  assert.deepEqual(kept, { v: 1, until: NOW + 360_000 });
});

test('where that can not be noted nobody is logged in', async () => {
  for (const [what, create] of Object.entries({
    'it failed and did not persist': () => Promise.reject(new Error('down')),
    'it failed and persisted': async (...[name, bytes]: Parameters<Store['create']>) => {
      await createMemoryStore().create(name, bytes);
      throw new Error('down');
    },
  })) {
    const state = { ...createMemoryStore(), create };
    await assert.rejects(
      logIn({}, { state }),
      (error) => error instanceof GatewayError && error.code === 'state_unavailable',
      what,
    );
  }
});

test("the provider's no is its own code, and its words are not repeated", async () => {
  const STATUS = 'urn:oasis:names:tc:SAML:2.0:status:';
  for (const how of [
    { status: `${STATUS}Responder` },
    { status: `${STATUS}Requester`, inResponseTo: null },
    { statusWithAssertion: `${STATUS}Responder` },
    { status: '' },
  ]) {
    assert.equal(await refusal(logIn(how)), 'provider_refused');
  }
  assert.equal(await refusal(logIn({ status: `${STATUS}Responder`, inResponseTo: '_other' })), 'answer_invalid');
});

test('groups that are missing, elsewhere or no texts are unknown', async () => {
  const email = ['ana@example.com'];
  const link = 'http://schemas.microsoft.com/claims/groups.link';
  for (const attributes of [
    {},
    { email },
    { email, Groups: ['analysts'] },
    { email, groups: [''] },
    { email, groups: ['analysts', 'staff<saml:NameID>x</saml:NameID>'] },
    { email, groups: ['analysts'], [link]: ['https://graph.microsoft.com/v1.0/users/1/getMemberObjects'] },
  ]) {
    assert.equal(await refusal(logIn({ attributes })), 'groups_unknown', JSON.stringify(attributes));
  }
});

test('attributes have the names that the configuration gives them', async () => {
  const claims = 'http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress';
  const config = { emailAttribute: claims, groupsAttribute: 'memberOf', audience: 'urn:verbatim' };
  const attributes = { [claims]: ['ana@example.com'], memberOf: ['a', 'b'], email: ['eve@example.com'], groups: ['c'] };
  const identity = await logIn({ attributes }, { config });
  assert.deepEqual([identity.email, identity.groups], ['ana@example.com', ['a', 'b']]);
  const split: SamlAnswer = {
    attributes: { memberOf: ['a'], x: ['b'] },
    nameIdQualifiers: ' SPNameQualifier="urn:verbatim"',
  };
  const { request, login } = await begun(provider({ config }));
  assert.equal(request.issuer, 'urn:verbatim');
  assert.deepEqual(
    (await provider({ config }).finish({ url: new URL(CALLBACK), form: idp.answer(request, split) }, login)).groups,
    ['a'],
  );
});

test('an e-mail address is one that is alone', async () => {
  for (const email of [
    [],
    [''],
    ['ana'],
    ['ana@example.com', 'eve@example.com'],
    ['ana@example.com\neve@example.com'],
  ]) {
    const identity = await logIn({ attributes: { email, groups: ['analysts'] } });
    assert.equal('email' in identity, false, JSON.stringify(email));
  }
});

test('a certificate is changed without a login being lost', async () => {
  const other = await startSamlIdp(() => NOW);
  const first = other.certificate;
  const next = other.rotate();
  try {
    const config = { entryPoint: other.entryPoint, entityId: other.entityId };
    const attempt = async (certificates: readonly string[]): Promise<BrokeredIdentity> => {
      const from = provider({ config, certificates });
      const { url, memory } = await from.begin({ state: STATE, callback: CALLBACK });
      const form = other.answer(other.read(url));
      return from.finish({ url: new URL(CALLBACK), form }, { state: STATE, callback: CALLBACK, memory });
    };
    assert.equal(await refusal(attempt([first])), 'answer_invalid');
    assert.equal((await attempt([first, next])).subject, '00u-ana');
    assert.equal((await attempt([next])).subject, '00u-ana');
  } finally {
    await other.close();
  }
});

test('a certificate that could verify nothing is refused at once', () => {
  for (const certificate of [
    '',
    'MIIB',
    idp.certificate + idp.certificate,
    idp.certificate.replace(/\n.{64}\n/, '\n'),
    selfSigned('weak', 1024).certificate,
    '-----BEGIN CERTIFICATE-----\nMIIBnDCCAUGgAwIBAgIUZJYse9XDVR4f\n-----END CERTIFICATE-----\n',
  ]) {
    assert.throws(() => provider({ certificates: [certificate] }), /login\.providers\.corp\.saml/);
  }
  provider({ certificates: [`Bag Attributes\n    friendlyName: idp\n${idp.certificate.replaceAll('\n', '\r\n')}`] });
});

test('a request says who asks, where the answer goes, and how nobody has to log in', async () => {
  const from = provider({ config: { entryPoint: `${idp.entryPoint}?idpid=C01` } });
  const one = await from.begin({ state: STATE, callback: CALLBACK, loginHint: 'ana@example.com' });
  const url = new URL(one.url);
  assert.equal(`${url.origin}${url.pathname}`, idp.entryPoint);
  assert.deepEqual([...url.searchParams.keys()].sort(), ['RelayState', 'SAMLRequest', 'idpid', 'login_hint']);
  const request = idp.read(one.url);
  assert.deepEqual(
    [request.issuer, request.acs, request.relayState, request.id],
    [`${PUBLIC_URL}/oauth/saml/corp`, CALLBACK, STATE, one.memory.request],
  );
  assert.doesNotMatch(request.xml, /RequestedAuthnContext|Format=/);
  const two = await from.begin({ state: STATE, callback: CALLBACK });
  assert.notEqual(two.memory.request, one.memory.request);
});

test('the state of an answer is one RelayState of its form', () => {
  const { stateOf } = provider();
  const url = new URL(`${CALLBACK}?RelayState=query`);
  assert.equal(stateOf({ url, form: new URLSearchParams({ RelayState: STATE }) }), STATE);
  for (const form of ['', 'RelayState=', 'RelayState=a&RelayState=a', `RelayState=${'a'.repeat(81)}`]) {
    assert.equal(stateOf({ url, form: new URLSearchParams(form) }), undefined);
  }
  assert.equal(stateOf({ url }), undefined);
});

test('the server of the test double is one that a browser can use', async () => {
  const { url, memory } = await provider().begin({ state: STATE, callback: CALLBACK });
  const page = await (await fetch(url)).text();
  assert.equal(/<form method="post" action="([^"]+)"/.exec(page)?.[1], CALLBACK);
  const form = new URLSearchParams();
  for (const [, name = '', value = ''] of page.matchAll(/name="(\w+)" value="([^"]+)"/g)) form.append(name, value);
  const identity = await provider().finish(
    { url: new URL(CALLBACK), form },
    { state: STATE, callback: CALLBACK, memory },
  );
  assert.equal(identity.subject, '00u-ana');
});

test('metadata names this gateway and its callback, the same each time', () => {
  const sp = { name: 'corp', publicUrl: PUBLIC_URL, config: {} };
  const metadata = samlMetadata(sp);
  assert.match(metadata, / entityID="https:\/\/mcp\.example\.com\/oauth\/saml\/corp"/);
  assert.match(metadata, / WantAssertionsSigned="true"/);
  assert.ok(metadata.includes(` Location="${CALLBACK}"`));
  assert.equal(samlMetadata(sp), metadata);
  assert.match(samlMetadata({ ...sp, config: { audience: 'urn:a&b' } }), / entityID="urn:a&amp;b"/);
});
