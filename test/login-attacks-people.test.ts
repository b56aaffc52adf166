/** Attacks with identities: two identity providers, what they say of people, and the pages of a person. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { readRegistration, sealClientId } from '../gateway/identity/clients/registration.ts';
import { type Attack, isLike, refuseAll } from './login-attack-cases.ts';
import { startAttackWorld } from './login-attack-world.ts';
import {
  type Answer,
  agree,
  answered,
  atIdp,
  type ConsentPage,
  callWith,
  createVisitor,
  follow,
  logIn,
  type Outcome,
  readConsent,
  redeem,
  refresh,
  refusalIn,
  requestFor,
  toConsent,
  tokensIn,
  type Visitor,
} from './login-visitor.ts';
import { WRAPPINGS } from './saml-attacks.ts';
import { startSamlIdp } from './saml-idp.ts';

/** Asks for groups so often that a second later is later enough. */
const one = await startAttackWorld({ login: { recheckEvery: '50ms' } });
after(() => one[Symbol.asyncDispose]());
const two = await startAttackWorld({ companies: 'two', login: { registration: 'off' } });
after(() => two[Symbol.asyncDispose]());

/** A login of this browser at one of the two companies, up to its identity provider. */
async function toCompany(by: Visitor, email: string): Promise<URL> {
  const { onward } = await agree(by, await toConsent(by, requestFor(two)), { email });
  if (onward === undefined) throw new Error('Nobody logs in there.');
  return onward;
}

function answerOf(arrived: URL | Answer): Answer {
  if (arrived instanceof URL) throw new Error(`It went on to ${arrived}.`);
  return arrived;
}

async function outcomeOf(by: Visitor, back: URL, of = two): Promise<Outcome> {
  return [answerOf(await follow(by, back, of.origin)).status, undefined];
}

/** What one company's provider answered, as if another had. */
function moved(back: URL, changed: Record<string, string>, to: 'corp' | 'other'): URL {
  const url = new URL(back);
  url.pathname = `/oauth/callback/${to}`;
  for (const [name, value] of Object.entries(changed)) url.searchParams.set(name, value);
  return url;
}

const INVALID = { refused: [403, undefined], recorded: { name: 'login.refused', reason: 'answer_invalid' } } as const;
const OVER = {
  refused: [400, undefined],
  recorded: { name: 'refused', reason: 'login_refused', detail: 'login_over' },
} as const;

refuseAll('two identity providers, mixed up', two, [
  {
    name: 'the answer to one at the address of the other',
    async run(by) {
      const back = await atIdp(two.corp, await toCompany(by, 'ana@example.com'));
      return outcomeOf(by, moved(back, {}, 'other'));
    },
    ...OVER,
  },
  {
    name: 'the code of one as answer to the other',
    async run(by) {
      const asked = await toCompany(by, 'ana@example.com');
      const theirs = await atIdp(two.other, await toCompany(createVisitor(two), 'mallory@example.org'));
      theirs.searchParams.set('state', asked.searchParams.get('state') ?? '');
      return outcomeOf(by, moved(theirs, {}, 'corp'));
    },
    ...INVALID,
  },
  {
    name: 'the same in the name of the other (iss)',
    async run(by) {
      const asked = await toCompany(by, 'ana@example.com');
      const theirs = await atIdp(two.other, await toCompany(createVisitor(two), 'mallory@example.org'));
      return outcomeOf(
        by,
        moved(theirs, { state: asked.searchParams.get('state') ?? '', iss: two.corp.issuer }, 'corp'),
      );
    },
    ...INVALID,
  },
  {
    name: 'the victim’s code of one in the attacker’s login at the other',
    async run(by) {
      const victims = await atIdp(two.corp, await toCompany(createVisitor(two), 'ana@example.com'));
      const mine = await atIdp(two.other, await toCompany(by, 'mallory@example.org'));
      return outcomeOf(by, moved(mine, { code: victims.searchParams.get('code') ?? '' }, 'other'));
    },
    ...INVALID,
  },
  {
    name: 'an answer without its issuer',
    async run(by) {
      const back = await atIdp(two.corp, await toCompany(by, 'ana@example.com'));
      back.searchParams.delete('iss');
      return outcomeOf(by, back);
    },
    ...INVALID,
  },
  {
    name: 'two states in one answer',
    async run(by) {
      const back = await atIdp(two.corp, await toCompany(by, 'ana@example.com'));
      back.searchParams.append('state', 'x');
      return outcomeOf(by, back);
    },
    ...OVER,
  },
  {
    name: 'no identity provider of that name',
    async run(by) {
      const back = await atIdp(two.corp, await toCompany(by, 'ana@example.com'));
      back.pathname = '/oauth/callback/constructor';
      return outcomeOf(by, back);
    },
    ...OVER,
  },
]);

test('an e-mail address of nobody’s domain leads nowhere', async () => {
  const by = createVisitor(two);
  const page = await toConsent(by, requestFor(two));
  for (const email of ['ana@evil.example', 'ana', '', 'ana@example.com@evil.example', 'ana@example.com.evil.example']) {
    const again = await agree(by, page, { email });
    assert.equal(again.status, 200);
    assert.equal(again.onward, undefined, email);
  }
});

/** A login of somebody of whom the identity provider says this. */
function said(name: string, reason: string, claims: Record<string, unknown>): Attack {
  const person = name.replaceAll(' ', '-');
  return {
    name,
    async run(by) {
      const whole = { email: `${person}@example.com`, email_verified: true, groups: ['analysts'], ...claims };
      one.corp.people.set(person, JSON.parse(JSON.stringify(whole)));
      const { onward } = await agree(by, await toConsent(by, requestFor(one)));
      // The double finds people by their address; what it says of them may be another one.
      const { chosen } = one.corp;
      one.corp.chosen = person;
      const back = await one.corp.browse(onward?.href ?? '');
      one.corp.chosen = chosen;
      const refused = answerOf(await follow(by, back, one.origin));
      assert.match(refused.body, /You are not logged in/);
      // The client is told by the person's own click.
      const told = /<a class="button" href="([^"]+)"/.exec(refused.body)?.[1]?.replaceAll('&amp;', '&');
      const arrived = await follow(by, new URL(told ?? ''), one.origin);
      assert.equal(arrived instanceof URL && arrived.searchParams.get('error'), 'access_denied');
      return [refused.status, undefined];
    },
    refused: [403, undefined],
    recorded: { name: 'login.refused', reason, connection: 'fixture', client: 'alpha' },
  };
}

refuseAll('what identity providers say of people', one, [
  said('in no group', 'not_in_group', { groups: [] }),
  said('in another group', 'not_in_group', { groups: ['engineers'] }),
  said('in a group of another spelling', 'not_in_group', { groups: ['Analysts', 'analysts ', 'analyst'] }),
  said('no groups claim', 'groups_unknown', { groups: undefined }),
  said('a group that is a text', 'groups_unknown', { groups: 'analysts' }),
  said('groups that are one text', 'groups_unknown', { groups: 'analysts,engineers' }),
  said('groups that are objects', 'groups_unknown', { groups: [{ name: 'analysts' }] }),
  said('groups that are an object', 'groups_unknown', { groups: { 0: 'analysts', length: 1 } }),
  said('groups that did not fit', 'groups_unknown', {
    groups: undefined,
    _claim_names: { groups: 'src1' },
    _claim_sources: { src1: { endpoint: 'https://evil.example/groups' } },
  }),
  said('groups that did not fit beside some', 'groups_unknown', { _claim_names: { groups: 'src1' } }),
  said('an address that nobody verified', 'email_unverified', { email_verified: false }),
  said('an address verified in words', 'email_unverified', { email_verified: 'no' }),
]);

refuseAll('people of another company', two, [
  {
    name: 'the address of one company, at the provider of the other',
    async run(by) {
      two.other.people.set('spoof', { email: 'ana@example.com', email_verified: true, groups: ['analysts'] });
      const asked = await toCompany(by, 'mallory@example.org');
      asked.searchParams.delete('login_hint');
      const { chosen } = two.other;
      two.other.chosen = 'spoof';
      const back = await two.other.browse(asked.href);
      two.other.chosen = chosen;
      return outcomeOf(by, back);
    },
    refused: [403, undefined],
    recorded: { name: 'login.refused', reason: 'domain_not_allowed' },
  },
  {
    name: 'no verified address where the domain decides',
    async run(by) {
      two.other.people.set('mute', { email: 'mute@example.org', groups: ['analysts'] });
      return outcomeOf(by, await atIdp(two.other, await toCompany(by, 'mute@example.org'), 'mute'));
    },
    refused: [403, undefined],
    recorded: { name: 'login.refused', reason: 'domain_not_allowed' },
  },
]);

test('who has lost the group before their first call never gets in, and that is recorded once', async () => {
  one.corp.people.set('dora', { email: 'dora@example.com', email_verified: true, groups: ['analysts'] });
  const login = await logIn(one, { person: 'dora' });
  const tokens = tokensIn(await redeem(login));
  one.corp.people.set('dora', { email: 'dora@example.com', email_verified: true, groups: ['guests'] });
  // Its groups were asked for when the token was issued.
  const until = performance.now() + 60;
  while (performance.now() < until) await new Promise(setImmediate);
  const calls = await Promise.all([1, 2, 3].map(() => callWith(login.visitor, tokens.access)));
  // Who asks while it is being found out is told the same, who asks later that it is over.
  for (const [, code] of calls) assert.match(String(code), /^(not_in_group|session_ended)$/);
  assert.ok(calls.some(([, code]) => code === 'not_in_group'));
  assert.deepEqual(await callWith(login.visitor, tokens.access), [401, 'session_ended']);
  const lost = (await one.events()).filter(
    ({ name, session }) => name === 'session.lost' && session === tokens.session,
  );
  assert.equal(lost.length, 1);
  const { calls: asked } = one.corp;
  const before = asked.token;
  await callWith(login.visitor, tokens.access);
  assert.equal(asked.token, before, 'the identity provider is not asked again');
});

test('who has lost the group gets no new token', async () => {
  one.corp.people.set('finn', { email: 'finn@example.com', email_verified: true, groups: ['analysts'] });
  const login = await logIn(one, { person: 'finn' });
  const tokens = tokensIn(await redeem(login));
  one.corp.people.set('finn', { email: 'finn@example.com', email_verified: true, groups: ['guests'] });
  const until = performance.now() + 60;
  while (performance.now() < until) await new Promise(setImmediate);
  assert.deepEqual(answered(await refresh(login.visitor, tokens.refresh)), [400, 'invalid_grant']);
  await one.eventually(({ name, session }) => name === 'session.lost' && session === tokens.session);
});

test('where nobody may register, nobody does, and ids that were given out before are none', async () => {
  const by = createVisitor(two);
  const body = JSON.stringify({ redirect_uris: ['http://127.0.0.1/callback'] });
  const answer = await by.send('/fixture/oauth/register', { body, headers: { 'content-type': 'application/json' } });
  assert.equal(answer.status, 404);
  const { body: metadata } = await by.send('/fixture/.well-known/openid-configuration');
  assert.ok(!metadata.includes('registration_endpoint'));
  const read = readRegistration(JSON.parse(body), { redirectHosts: [] });
  const id = read.ok ? sealClientId(two.keyring, read.metadata, Date.now()) : '';
  const refused = await by.send(requestFor(two, { client: id }).url);
  assert.deepEqual(refusalIn(refused), [400, 'invalid_client']);
});

/** The page of a person who is signed in to these pages. */
async function signedIn(
  person = 'ana',
  by = createVisitor(one),
  then = '',
): Promise<ConsentPage & { by: Visitor; landed: URL }> {
  const start = new URL(`/connect${then}`, one.origin);
  const asked = readConsent(start, await by.send(start));
  const { onward } = await by.send(asked.action, { form: { csrf: asked.csrf, action: 'continue' } });
  const finish = (await by.send(await atIdp(one.corp, onward, person))).onward;
  const landed = (await by.send(finish ?? '')).onward ?? assert.fail();
  const page = readConsent(landed, await by.send('/connect'));
  return { ...page, by, landed };
}

function form(name: string, run: (by: Visitor) => Promise<Answer>): Attack {
  return {
    name,
    run: async (by) => [(await run(by)).status, undefined],
    refused: [400, undefined],
    recorded: { name: 'refused', reason: 'login_refused', detail: 'form' },
  };
}

const victim = await logIn(one, { person: 'eve' });
const victims = tokensIn(await redeem(victim));

refuseAll('forms at /connect', one, [
  form('without their secret', async (by) => {
    await signedIn('eve', by);
    return by.send('/connect', { form: { end: victims.session } });
  }),
  form('with another browser’s secret', async (by) => {
    await signedIn('eve', by);
    const { csrf } = await signedIn('eve');
    return by.send('/connect', { form: { end: victims.session, csrf } });
  }),
  form('without the cookie that the secret is bound to', async (by) => {
    const { csrf } = await signedIn('eve');
    return by.send('/connect', { form: { end: victims.session, csrf } });
  }),
  form('from another site', async (by) => {
    const { csrf } = await signedIn('eve', by);
    return by.send('/connect', { form: { end: victims.session, csrf }, headers: { origin: 'https://evil.example' } });
  }),
  form('from another site, as the browser says', async (by) => {
    const { csrf } = await signedIn('eve', by);
    return by.send('/connect', { form: { end: victims.session, csrf }, headers: { 'sec-fetch-site': 'cross-site' } });
  }),
  form('a login that another site begins', async (by) => {
    const page = readConsent(new URL('/connect', one.origin), await by.send('/connect'));
    return by.send(page.action, { form: { csrf: page.csrf }, headers: { origin: 'https://evil.example' } });
  }),
  form('a sign-out without its secret', async (by) => {
    await signedIn('eve', by);
    return by.send('/connect/sign-out', { form: {} });
  }),
]);

test('nobody ends another’s session or forgets their consent, whatever a form says', async () => {
  const { by, csrf } = await signedIn('ana');
  const theirs = /<button[^>]* name="forget" value="([^"]+)"/.exec((await signedIn('eve')).answer.body)?.[1] ?? '';
  assert.match(theirs, /^[0-9a-f-]{36}$/);
  for (const fields of [
    { end: victims.session },
    { forget: theirs },
    { forget: `../${theirs}` },
    { account: 'connect', connection: 'constructor' },
  ]) {
    await by.send('/connect', { form: { csrf, ...fields } });
  }
  assert.deepEqual(await callWith(victim.visitor, victims.access), [200, undefined]);
  const { answer } = await signedIn('eve');
  assert.ok(answer.body.includes(`value="${theirs}"`), 'the consent is there');
  assert.ok(answer.body.includes(`value="${victims.session}"`), 'and so is the session');
  assert.ok(!(await one.events()).some(({ name }) => name === 'session.signed_out'));
});

test('somebody of the same name at another company is somebody else', async () => {
  two.other.people.set('ana', { email: 'ana@example.org', email_verified: true, groups: ['analysts'] });
  const login = async (person: string, idp: 'corp' | 'other', email: string) => {
    const by = createVisitor(two);
    const request = requestFor(two);
    const { onward } = await agree(by, await toConsent(by, request), { email });
    const arrived = await follow(by, await atIdp(two[idp], onward, person), two.origin);
    const code = arrived instanceof URL ? (arrived.searchParams.get('code') ?? '') : '';
    const tokens = tokensIn(await redeem({ ...request, visitor: by, code, arrived: request.url }));
    return { by, tokens, page: await by.send('/connect') };
  };
  const ana = await login('ana', 'corp', 'ana@example.com');
  const other = await login('ana', 'other', 'ana@example.org');
  assert.ok(ana.page.body.includes(ana.tokens.session));
  assert.ok(!other.page.body.includes(ana.tokens.session));
  assert.ok(other.page.body.includes(other.tokens.session));
});

test('no address in a query is where a login leads', async () => {
  for (const then of [
    'https://evil.example/',
    '//evil.example',
    '/\\evil.example',
    '/connect/../../evil',
    '/connect//evil.example',
    '/connect@evil.example',
    '/connect?x=1',
    '/connect\r\nlocation: https://evil.example',
    'javascript:alert(1)',
  ]) {
    const { landed } = await signedIn('ana', createVisitor(one), `?then=${encodeURIComponent(then)}`);
    assert.equal(landed.href, `${one.origin}/connect`, then);
  }
  const { landed } = await signedIn('ana', createVisitor(one), '?then=/connect/fixture');
  assert.equal(landed.href, `${one.origin}/connect/fixture`);
});

test('the cookie of a browser that signed out is nobody’s, on any page; a made-up one neither', async () => {
  const { by, csrf } = await signedIn('ana');
  const stolen = by.cookiesFor('/connect').get('verbatim') ?? '';
  assert.equal(stolen.length, 43);
  await by.send('/connect/sign-out', { form: { csrf } });
  assert.equal(by.cookiesFor('/connect').get('verbatim'), undefined);
  for (const value of [stolen, 'x'.repeat(43), '..', `${stolen}.used`]) {
    const thief = createVisitor(one);
    thief.plant('verbatim', value, '/');
    const { body } = await thief.send('/connect');
    assert.ok(body.includes('<h1>Log in to see your connections</h1>'), value.slice(0, 2));
  }
});

test('of two cookies of one name neither is who sits there', async () => {
  const { by } = await signedIn('ana');
  const attackers = (await signedIn('eve')).by.cookiesFor('/connect').get('verbatim') ?? '';
  by.plant('verbatim', attackers, '/connect');
  const { body } = await by.send('/connect');
  assert.ok(body.includes('<h1>Log in to see your connections</h1>'));
});

test('a page offers no connection, and no account of one, that its person may not open', async () => {
  const ana = await signedIn('ana');
  const bob = await signedIn('bob');
  assert.ok(ana.answer.body.includes(`${one.origin}/fixture/mcp`));
  assert.ok(!bob.answer.body.includes(`${one.origin}/fixture/mcp`));
  const asked = { csrf: bob.csrf, account: 'connect', connection: 'fixture' };
  const { status, onward } = await bob.by.send('/connect', { form: asked });
  assert.deepEqual([status, onward?.href], [303, `${one.origin}/connect`]);
});

test('what a query says was done is one of a few words', async () => {
  const { by } = await signedIn('ana');
  for (const done of ['constructor', '__proto__', '<script>alert(1)</script>']) {
    const { status, body } = await by.send(`/connect?done=${encodeURIComponent(done)}`);
    assert.equal(status, 200);
    assert.ok(!body.includes('class="note'), done);
  }
});

test('SAML: an assertion is taken once, in the login that asked for it, and as it was signed', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'verbatim-saml-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const idp = await startSamlIdp();
  t.after(() => idp.close());
  await writeFile(join(folder, 'idp.pem'), idp.certificate);
  const saml = {
    entryPoint: idp.entryPoint,
    entityId: idp.entityId,
    certificates: [`file:${join(folder, 'idp.pem')}`],
  };
  await using world = await startAttackWorld({ login: { providers: { saml: { title: 'SAML', saml } } } });
  const begin = async (by: Visitor) => {
    const { onward } = await agree(by, await toConsent(by, requestFor(world)));
    const asked = idp.read(onward?.href ?? '');
    return { asked, answer: idp.answer(asked) };
  };
  const send = async (by: Visitor, answer: URLSearchParams): Promise<URL | Answer> => {
    const posted = await by.send('/oauth/callback/saml', { form: answer, headers: { origin: 'null' } });
    return posted.onward === undefined ? posted : follow(by, posted.onward, world.origin);
  };
  const refused = (by: Visitor, reason: string) => {
    const facts = reason === 'login_over' ? { detail: reason } : { reason };
    return world.eventually((event) => isLike(event, { ...facts, address: by.address }), reason);
  };

  const good = createVisitor(world);
  const { answer } = await begin(good);
  const arrived = await send(good, answer);
  assert.ok(arrived instanceof URL && arrived.searchParams.has('code'));

  await t.test('replayed in the same login', async () => {
    const by = createVisitor(world);
    assert.equal(answerOf(await send(by, answer)).status, 400);
    await refused(by, 'login_over');
  });
  await t.test('replayed in the attacker’s own login', async () => {
    const by = createVisitor(world);
    const { asked } = await begin(by);
    const stolen = new URLSearchParams(answer);
    stolen.set('RelayState', asked.relayState);
    assert.equal(answerOf(await send(by, stolen)).status, 403);
    await refused(by, 'answer_invalid');
  });
  for (const [name, wrap] of Object.entries(WRAPPINGS).slice(0, 2)) {
    await t.test(`wrapped: ${name}`, async () => {
      const by = createVisitor(world);
      const { answer: fresh } = await begin(by);
      const xml = Buffer.from(fresh.get('SAMLResponse') ?? '', 'base64').toString();
      fresh.set('SAMLResponse', Buffer.from(wrap(xml)).toString('base64'));
      assert.equal(answerOf(await send(by, fresh)).status, 403);
      assert.deepEqual(by.got(), []);
      await refused(by, 'answer_invalid');
    });
  }
});
