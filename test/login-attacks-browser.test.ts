/** Attacks on the way of a browser: consent, the identity provider and back, other people's links and cookies. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { type Attack, isLike, refuseAll } from './login-attack-cases.ts';
import { startAttackWorld } from './login-attack-world.ts';
import {
  type Answer,
  agree,
  atIdp,
  callWith,
  createVisitor,
  follow,
  logIn,
  type Outcome,
  readConsent,
  redeem,
  requestFor,
  toConsent,
  tokensIn,
  type Visitor,
} from './login-visitor.ts';

/** Behind TLS, as in earnest: its cookies are `__Host-` ones. */
const world = await startAttackWorld({ publicUrl: 'https://gateway.example.com' });
after(() => world[Symbol.asyncDispose]());

const OVER = {
  refused: [400, undefined],
  recorded: { name: 'refused', reason: 'login_refused', detail: 'login_over' },
} as const;

function over(name: string, run: (by: Visitor) => Promise<Answer>): Attack {
  return { name, run: async (by) => statusOf(await run(by)), ...OVER };
}

function statusOf({ status }: Answer): Outcome {
  return [status, undefined];
}

async function consentIn(by: Visitor) {
  return toConsent(by, requestFor(world));
}

/** The person's own consent, sent in a way that no page of this gateway sends it. */
function sentBy(name: string, headers: Record<string, string>): Attack {
  return over(name, async (by) => {
    const { action, csrf } = await consentIn(by);
    return by.send(action, { form: { csrf, action: 'continue' }, headers });
  });
}

refuseAll('consents that nobody gave', world, [
  over('without the cookie of the login', async (by) => agree(by, await consentIn(createVisitor(world)))),
  over('without the form’s secret', async (by) =>
    by.send((await consentIn(by)).action, { form: { action: 'continue' } }),
  ),
  over('with an empty secret', async (by) =>
    by.send((await consentIn(by)).action, { form: { action: 'continue', csrf: '' } }),
  ),
  over('with the secret of another tab', async (by) => {
    const [one, another] = [await consentIn(by), await consentIn(by)];
    return agree(by, { ...one, csrf: another.csrf });
  }),
  over('with the secret of another browser', async (by) => {
    const another = await consentIn(createVisitor(world));
    return agree(by, { ...(await consentIn(by)), csrf: another.csrf });
  }),
  over('with the secret of the form at /connect', async (by) => {
    const connect = await by.send('/connect');
    const { csrf } = readConsent(new URL('/connect', world.origin), connect);
    return agree(by, { ...(await consentIn(by)), csrf });
  }),
  sentBy('from another site', { origin: 'https://evil.example' }),
  sentBy('from nowhere (a sandboxed frame)', { origin: 'null' }),
  sentBy('from another site, as the browser says', { 'sec-fetch-site': 'cross-site' }),
  sentBy('from a neighbouring host', { 'sec-fetch-site': 'same-site' }),
  sentBy('from the same host by http', { origin: 'http://gateway.example.com' }),
  sentBy('as a form of another type', { 'content-type': 'text/plain' }),
  over('longer than a form is', async (by) => {
    const { action, csrf } = await consentIn(by);
    return by.send(action, { form: { csrf, action: 'continue', more: 'x'.repeat(17_000) } });
  }),
  {
    ...over('a second time, when the login is over', async (by) => {
      const page = await consentIn(by);
      const cancelled = await by.send(page.action, { form: { csrf: page.csrf, action: 'cancel' } });
      await follow(by, cancelled.onward ?? page.url, world.origin);
      return agree(by, page);
    }),
    recorded: { name: 'refused', reason: 'login_refused' },
  },
]);

test('a consent in an address is none: the page asks again', async () => {
  const by = createVisitor(world);
  const { action, csrf } = await consentIn(by);
  action.searchParams.set('csrf', csrf);
  action.searchParams.set('action', 'continue');
  const again = await by.send(action);
  assert.equal(again.status, 200);
  assert.equal(again.onward, undefined);
  assert.ok(readConsent(action, again));
});

refuseAll('links that lead into another’s login', world, [
  over('the consent page of another browser', async (by) => by.send((await consentIn(createVisitor(world))).url)),
  over('the way back from the identity provider, with the attacker’s account', async (by) => {
    const attacker = createVisitor(world);
    const { onward } = await agree(attacker, await consentIn(attacker));
    return answerOf(await follow(by, await atIdp(world.corp, onward, 'eve'), world.origin));
  }),
  over('the attacker’s login at /connect', async (by) =>
    answerOf(await follow(by, await connectCallback(createVisitor(world), 'eve'), world.origin)),
  ),
  over('the same with a login of one’s own under way', async (by) => {
    await connectCallback(by, 'ana');
    return answerOf(await follow(by, await connectCallback(createVisitor(world), 'eve'), world.origin));
  }),
  over('the way back a second time', async (by) => {
    const { onward } = await agree(by, await consentIn(by));
    const callback = await atIdp(world.corp, onward);
    await createVisitor(world).send(callback);
    return by.send(callback);
  }),
  over('a ticket a second time', async (by) => {
    const { onward } = await agree(by, await consentIn(by));
    const finish = (await createVisitor(world).send(await atIdp(world.corp, onward, 'bob'))).onward;
    // Bob may not open a session here: the login goes on after the ticket is used up.
    await by.send(finish ?? '');
    return by.send(finish ?? '');
  }),
  over('a ticket of another tab', async (by) => {
    const [one, another] = [await consentIn(by), await consentIn(by)];
    const { onward } = await agree(by, another);
    const finish = (await by.send(await atIdp(world.corp, onward))).onward;
    return by.send(`${one.url.pathname}/finish${finish?.search}`);
  }),
  over('a ticket of a login at /connect', async (by) => {
    const { url } = await consentIn(by);
    const finish = (await by.send(await connectCallback(by, 'ana'))).onward;
    return by.send(`${url.pathname}/finish${finish?.search}`);
  }),
  over('a ticket of a client’s login at /connect', async (by) => {
    const { onward } = await agree(by, await consentIn(by));
    await by.send('/connect');
    const finish = (await by.send(await atIdp(world.corp, onward))).onward;
    return by.send(`/connect/finish${finish?.search}`);
  }),
  over('no ticket at all', async (by) => by.send(`${(await consentIn(by)).url.pathname}/finish`)),
  over('another login in the place of this one', async (by) => {
    const [theirs, mine] = [await consentIn(createVisitor(world)), await consentIn(by)];
    for (const [name, value] of by.cookiesFor(mine.url)) by.plant(name, value, theirs.url.pathname);
    return by.send(theirs.url);
  }),
  over('a login that was begun at another connection', async (by) => {
    const theirs = await toConsent(by, requestFor(world, { connection: 'other' }));
    const here = theirs.url.pathname.replace('/other/', '/fixture/');
    for (const [name, value] of by.cookiesFor(theirs.url)) {
      if (!name.startsWith('__Host-')) by.plant(name, value, here);
    }
    return by.send(here);
  }),
  over('the attacker’s consent, in the victim’s browser, to a login that a neighbouring host put there', async (by) => {
    const attacker = createVisitor(world);
    const page = await consentIn(attacker);
    for (const [name, value] of attacker.cookiesFor(page.url)) {
      if (!name.startsWith('__Host-')) by.plant(name, value, page.url.pathname);
    }
    await by.send(page.url);
    return agree(by, page);
  }),
  {
    name: 'the victim’s code in the attacker’s login',
    async run(by) {
      const victim = createVisitor(world);
      const theirs = await atIdp(world.corp, (await agree(victim, await consentIn(victim))).onward, 'ana');
      const mine = await atIdp(world.corp, (await agree(by, await consentIn(by))).onward, 'eve');
      mine.searchParams.set('code', theirs.searchParams.get('code') ?? '');
      return statusOf(answerOf(await follow(by, mine, world.origin)));
    },
    refused: [403, undefined],
    recorded: { name: 'login.refused', reason: 'answer_invalid' },
  },
  {
    name: 'an answer of the identity provider as somebody else’s (iss)',
    async run(by) {
      const back = await atIdp(world.corp, (await agree(by, await consentIn(by))).onward);
      back.searchParams.set('iss', world.other.issuer);
      return statusOf(answerOf(await follow(by, back, world.origin)));
    },
    refused: [403, undefined],
    recorded: { name: 'login.refused', reason: 'answer_invalid' },
  },
]);

function answerOf(arrived: URL | Answer): Answer {
  if (arrived instanceof URL) throw new Error(`It went on to ${arrived.origin}.`);
  return arrived;
}

/** The way back of a login at /connect that this browser has begun. */
async function connectCallback(by: Visitor, person: string): Promise<URL> {
  const page = readConsent(new URL('/connect', world.origin), await by.send('/connect'));
  const { onward } = await by.send(page.action, { form: { csrf: page.csrf, action: 'continue' } });
  return atIdp(world.corp, onward, person);
}

test('the victim goes through with the attacker’s link to the identity provider: the attacker gets nothing', async () => {
  const [attacker, victim] = [createVisitor(world), createVisitor(world)];
  const page = await consentIn(attacker);
  const { onward } = await agree(attacker, page);
  const stopped = answerOf(await follow(victim, await atIdp(world.corp, onward, 'ana'), world.origin));
  assert.equal(stopped.status, 400);
  const resume = page.url.pathname.replace('/interaction/', '/authorize/');
  const resumed = await attacker.send(resume);
  // Back where a login begins: another consent page.
  assert.match(resumed.onward?.pathname ?? '', /^\/fixture\/oauth\/interaction\//);
  assert.deepEqual([...attacker.got(), ...victim.got()], []);
});

test('a login that was put into the victim’s browser by a neighbouring host is not the attacker’s to resume', async () => {
  const [attacker, victim] = [createVisitor(world), createVisitor(world)];
  const page = await consentIn(attacker);
  const signed = [...attacker.cookiesFor(page.url)].filter(([name]) => !name.startsWith('__Host-'));
  assert.equal(signed.length, 2);
  for (const [name, value] of signed) victim.plant(name, value, page.url.pathname);
  const theirs = readConsent(page.url, await victim.send(page.url));
  const callback = await atIdp(world.corp, (await agree(victim, theirs)).onward, 'ana');
  const finish = (await victim.send(callback)).onward;
  const finished = await victim.send(finish ?? '');
  assert.match(finished.onward?.pathname ?? '', /^\/fixture\/oauth\/authorize\//);
  const arrived = await follow(attacker, finished.onward ?? page.url, world.origin);
  assert.deepEqual(attacker.got(), []);
  assert.equal(arrived instanceof URL && arrived.searchParams.get('error'), 'access_denied');
  await world.eventually((event) =>
    isLike(event, { reason: 'login_refused', detail: 'access_denied', address: attacker.address }),
  );
});

test('a resume before the consent gives nothing', async () => {
  const by = createVisitor(world);
  const page = await consentIn(by);
  const resumed = await by.send(page.url.pathname.replace('/interaction/', '/authorize/'));
  assert.match(resumed.onward?.pathname ?? '', /^\/fixture\/oauth\/interaction\//);
  assert.notEqual(resumed.onward?.pathname, page.url.pathname);
  assert.deepEqual(by.got(), []);
});

test('two tabs go to their ends side by side, each to its own', async () => {
  const by = createVisitor(world);
  const requests = [requestFor(world), requestFor(world, { client: 'beta', connection: 'other' })];
  const pages = [];
  for (const request of requests) pages.push(await toConsent(by, request));
  const ways = [];
  for (const page of pages.reverse()) ways.push((await agree(by, page)).onward);
  const callbacks = [];
  for (const way of ways.reverse()) callbacks.push(await atIdp(world.corp, way));
  for (const [index, callback] of callbacks.entries()) {
    const arrived = await follow(by, callback, world.origin);
    const code = arrived instanceof URL ? (arrived.searchParams.get('code') ?? '') : '';
    const request = requests[index];
    if (request === undefined) throw new Error('There are two.');
    const tokens = tokensIn(await redeem({ ...request, visitor: by, code, arrived: callback }));
    assert.deepEqual(await callWith(by, tokens.access, { connection: request.connection }), [200, undefined]);
  }
});

test('the consent is remembered for this client, way back, connection and person, and for nothing else', async () => {
  const by = createVisitor(world);
  await logIn(world, { visitor: by });
  const begin = async (asked: Parameters<typeof requestFor>[1]): Promise<Answer> => {
    const { onward } = await by.send(requestFor(world, asked).url);
    return by.send(onward ?? '');
  };
  const same = await begin({});
  assert.equal(same.onward?.origin, world.corp.issuer);
  for (const asked of [{ client: 'beta' }, { connection: 'other' }]) {
    assert.equal((await begin(asked)).onward, undefined, JSON.stringify(asked));
  }
  // Somebody else logs in than the one who has consented.
  const finish = (await by.send(await atIdp(world.corp, same.onward, 'eve'))).onward ?? new URL(world.origin);
  const asked = await by.send(finish);
  assert.equal(asked.onward, undefined);
  const page = readConsent(finish, asked);
  assert.match(asked.body, /eve@example\.com/);
  const arrived = await agree(by, page);
  assert.match(arrived.onward?.pathname ?? '', /\/oauth\/authorize\//);
});

test('a person who cancels gives nothing, and the client is told', async () => {
  const by = createVisitor(world);
  const page = await consentIn(by);
  const { onward } = await by.send(page.action, { form: { csrf: page.csrf, action: 'cancel' } });
  const arrived = await follow(by, onward ?? page.url, world.origin);
  assert.equal(arrived instanceof URL && arrived.searchParams.get('error'), 'access_denied');
  assert.deepEqual(by.got(), []);
});

test('pages can be neither framed nor kept, cookies neither read nor set by others', async () => {
  const by = createVisitor(world);
  const begun = await by.send(requestFor(world).url);
  const consent = await by.send(begun.onward ?? '');
  for (const { headers } of [consent, await by.send('/connect'), await by.send('/oauth/callback/corp')]) {
    const policy = String(headers['content-security-policy']);
    assert.match(policy, /default-src 'none'/);
    assert.match(policy, /frame-ancestors 'none'/);
    assert.match(policy, /base-uri 'none'/);
    assert.equal(headers['x-frame-options'], 'DENY');
    assert.equal(headers['cache-control'], 'no-store');
    assert.equal(headers['x-content-type-options'], 'nosniff');
    assert.equal(headers['referrer-policy'], 'same-origin');
  }
  assert.match(String(consent.headers['content-security-policy']), /form-action 'self' http:\/\/127\.0\.0\.1:9;/);
  const cookies = [begun, consent, await by.send('/connect')].flatMap(({ headers }) => headers['set-cookie'] ?? []);
  assert.ok(cookies.length >= 5);
  for (const cookie of cookies) {
    assert.match(cookie, /; ?secure/i, cookie);
    assert.match(cookie, /; ?httponly/i, cookie);
    assert.match(cookie, /; ?samesite=lax/i, cookie);
    assert.doesNotMatch(cookie, /domain=/i);
  }
  const signedIn = await logIn(world);
  assert.ok(signedIn.visitor.cookiesFor('/connect').has('__Host-verbatim'));
});

test('what a client calls itself is text', async () => {
  const by = createVisitor(world);
  const name = '<script>alert(1)</script><img src=x onerror=alert(1)>"\'';
  const registered = await by.send('/fixture/oauth/register', {
    body: JSON.stringify({ client_name: name, redirect_uris: ['http://127.0.0.1/callback'] }),
    headers: { 'content-type': 'application/json' },
  });
  const { client_id: client } = JSON.parse(registered.body) as { client_id: string };
  const page = await toConsent(by, requestFor(world, { client }));
  assert.match(page.answer.body, /&lt;script&gt;alert\(1\)/);
  assert.doesNotMatch(page.answer.body, /<script|<img/i);
  assert.match(page.answer.body, /Nobody has checked this client’s name/);
});

test('the identity provider’s tokens reach no client', async () => {
  const login = await logIn(world);
  const { json } = await redeem(login);
  const told = JSON.stringify(json) + login.arrived.href;
  for (const one of world.corp.secrets) assert.ok(!told.includes(one));
});
