/** Attacks on how people approve: with the wrong token, an old login, another's call, forms of other pages, hostile calls. */
import assert from 'node:assert/strict';
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { after, before, beforeEach, describe, test } from 'node:test';
import { type Approver, createApprovers } from '../gateway/identity/server/approver.ts';
import type { Login } from '../gateway/identity/server/login.ts';
import type { Person } from '../gateway/sessions/approval.ts';
import { createBlock, liftBlock } from '../gateway/sessions/block-record.ts';
import { openStore } from '../gateway/store/open.ts';
import { ANA, createTestApproving } from './approving.ts';
import { issued, secret } from './canaries.ts';
import { type AttackWorld, startAttackWorld } from './login-attack-world.ts';
import {
  type Answer,
  atIdp,
  callWith,
  createVisitor,
  follow,
  logIn,
  redeem,
  tokensIn,
  type Visitor,
} from './login-visitor.ts';

const access = {
  justInTime: { approvers: ['engineers'], longest: '4h' },
  breakGlass: { groups: ['analysts'], reviewers: ['engineers'], longest: '1h' },
};
const approving = createTestApproving(() => world.gateway);
let world: AttackWorld;
before(async () => {
  world = await startAttackWorld({ connections: { fixture2: { access } } });
});
after(() => world[Symbol.asyncDispose]());
beforeEach(() => {
  world.corp.misbehave.idToken = {};
});

const person = (name: string, groups: readonly string[]): Person => ({
  ...ANA,
  issuer: world.corp.issuer,
  subject: name,
  email: `${name}@example.com`,
  groups,
});
const ana = () => person('ana', ['analysts']);
const bob = () => person('bob', ['engineers']);

/** What this gateway knows of its own login, as far as approvers need it. */
const login = () =>
  ({
    keyring: world.keyring,
    config: { publicUrl: world.origin },
    providers: new Map([['corp', {}]]),
  }) as unknown as Login;

/** Seconds ago, and where. */
interface Ages {
  readonly loggedIn?: number;
  readonly authenticated?: number | null;
  readonly provider?: string;
}

function approverOf(
  who: Person,
  { loggedIn = 0, authenticated = 0, provider = 'corp' }: Ages = {},
): Omit<Approver, 'use' | 'audience'> {
  const now = Date.now();
  return {
    person: who,
    provider,
    loggedIn: now - loggedIn * 1000,
    ...(authenticated === null ? {} : { authenticated: now / 1000 - authenticated }),
  };
}

/** A browser that is logged in to these pages. */
async function browserOf(who: Person, ages?: Ages): Promise<Visitor> {
  const visitor = createVisitor(world);
  const lines: string[] = [];
  const response = { appendHeader: (_: string, line: string) => lines.push(line) } as unknown as ServerResponse;
  await createApprovers({ state: world.state, now: Date.now }).remember(login(), response, approverOf(who, ages));
  const [pair = ''] = (lines[0] ?? '').split(';');
  const [name = '', value = ''] = pair.split('=');
  visitor.plant(name, issued(value, 'the cookie of an approver'), '/');
  return visitor;
}

async function tokenOf(who: Person, ages?: Ages): Promise<string> {
  const approver = { ...approverOf(who, ages), use: 'page' as const, audience: '' };
  const { token } = await createApprovers({ state: world.state, now: Date.now }).token(login(), approver);
  return issued(token, 'the token of an approver');
}

const ask = () => approving.ask({ principal: ana() });
const pageOf = ({ id }: { id: string }) => `/approvals/${id}`;
const stateOf = async ({ id }: { id: string }) => (await approving.approvals.read(id))?.state.state;

function formIn({ body }: Answer, matching = /action="([^"]+)"/): { action: string; csrf: string } {
  for (const [form] of body.matchAll(/<form[\s\S]*?<\/form>/g)) {
    if (form.includes('/approvals/sign-out') || !matching.test(form)) continue;
    const action = /action="([^"]+)"/.exec(form)?.[1]?.replaceAll('&amp;', '&') ?? '';
    const csrf = /name="csrf" value="([^"]+)"/.exec(form)?.[1] ?? '';
    return { action, csrf: issued(csrf, 'the secret of a form') };
  }
  throw new Error(`No such form: ${body.slice(0, 2000)}`);
}

/** What the gateway would write into a form: for forms that it does not show. */
function csrfOf(visitor: Visitor, path: string, deed: string): string {
  const cookie = visitor.cookiesFor('/').get('verbatim-approver');
  return issued(world.keyring.mac('csrf/approver', JSON.stringify([cookie, path, deed])), 'the secret of a form');
}

/** The login that this page asks for, through the identity provider, to the page that it was for. */
async function throughLogin(visitor: Visitor, asked: Answer, who: string): Promise<URL | Answer> {
  const { action, csrf } = formIn(asked, /approvals\/login/);
  const { onward } = await visitor.send(action, { form: { csrf, action: 'continue' } });
  return follow(visitor, await atIdp(world.corp, onward, who), world.origin);
}

function pageIn(arrived: URL | Answer): Answer {
  if (arrived instanceof URL) throw new Error(`It went on to ${arrived}.`);
  return arrived;
}

describe('the login of those who approve', () => {
  test('to see it is a login of its own; to decide the provider has to ask anew', async () => {
    const request = await ask();
    const visitor = createVisitor(world);
    const first = await visitor.send(pageOf(request));
    assert.equal(first.status, 200);
    assert.match(first.body, /Log in to see approvals/);
    assert.doesNotMatch(first.body, /refund/);
    const seen = pageIn(await throughLogin(visitor, first, 'bob'));
    assert.match(seen.body, /&quot;order&quot;: 1017/);
    assert.doesNotMatch(seen.body, /value="approve"/);
    assert.equal(world.corp.lastAuthorization().get('prompt'), null);
    const again = pageIn(await throughLogin(visitor, seen, 'bob'));
    assert.equal(world.corp.lastAuthorization().get('prompt'), 'login');
    assert.equal(world.corp.lastAuthorization().get('max_age'), '0');
    const { action, csrf } = formIn(again);
    const done = await visitor.send(action, { form: { csrf, verdict: 'approve', reason: '' } });
    assert.equal(done.status, 303);
    assert.equal(await stateOf(request), 'approved');
  });

  test('a provider that did not ask anew lets nobody decide', async () => {
    const visitor = await browserOf(bob(), { authenticated: null });
    const asked = await visitor.send(pageOf(await ask()));
    world.corp.misbehave.idToken = { auth_time: Math.floor(Date.now() / 1000) - 120 };
    const refused = pageIn(await throughLogin(visitor, asked, 'bob'));
    assert.equal(refused.status, 403);
    assert.match(refused.body, /did not ask you again/);
    await world.eventually(({ reason }) => reason === 'not_fresh');
  });

  for (const [what, auth_time] of [
    ['not there', undefined],
    ['a text', 'now'],
    ['null', null],
    ['of 1970', 0],
  ] as const) {
    test(`a time of authentication that is ${what} is long ago`, async () => {
      const visitor = await browserOf(bob(), { authenticated: null });
      const asked = await visitor.send(pageOf(await ask()));
      world.corp.misbehave.idToken = { auth_time };
      assert.equal(pageIn(await throughLogin(visitor, asked, 'bob')).status, 403);
    });
  }

  test('a time of authentication in the future counts as now', async () => {
    const visitor = await browserOf(bob(), { authenticated: null });
    const asked = await visitor.send(pageOf(await ask()));
    world.corp.misbehave.idToken = { auth_time: Math.floor(Date.now() / 1000) + 86_400 };
    assert.match(pageIn(await throughLogin(visitor, asked, 'bob')).body, /value="approve"/);
    const event = await world.eventually(({ name, level }) => name === 'approver.login' && level === 'decide');
    assert.equal(event.subject, 'bob');
  });

  test('a login of more than five minutes ago decides nothing, and one of an hour ago sees nothing', async () => {
    const request = await ask();
    const fresh = await browserOf(bob());
    const { csrf } = formIn(await fresh.send(pageOf(request)));
    assert.notEqual(csrf, '');
    const stale = await browserOf(bob(), { authenticated: 301 });
    const shown = await stale.send(pageOf(request));
    assert.doesNotMatch(shown.body, /value="approve"/);
    assert.equal((await stale.send(pageOf(request), { form: { csrf, verdict: 'approve' } })).status, 404);
    const old = await browserOf(bob(), { loggedIn: 3601, authenticated: 0 });
    assert.match((await old.send(pageOf(request))).body, /Log in to see/);
    assert.equal(await stateOf(request), 'pending');
  });

  test('a form of when the login was fresh decides nothing any more', async () => {
    const request = await ask();
    const visitor = await browserOf(bob(), { authenticated: 301 });
    const form = { csrf: csrfOf(visitor, pageOf(request), 'decide'), verdict: 'approve', reason: '' };
    const answer = await visitor.send(pageOf(request), { form });
    assert.match(answer.body, /Log in again to decide/);
    assert.equal(await stateOf(request), 'pending');
    const fresh = await browserOf(bob(), { authenticated: 290 });
    const same = { ...form, csrf: csrfOf(fresh, pageOf(request), 'decide') };
    assert.equal((await fresh.send(pageOf(request), { form: same })).status, 303);
  });

  test('a login begun in one browser ends in no other, and a ticket works once', async () => {
    const visitor = createVisitor(world);
    const { action, csrf } = formIn(await visitor.send('/approvals'));
    const { onward } = await visitor.send(action, { form: { csrf, action: 'continue' } });
    const back = await atIdp(world.corp, onward, 'bob');
    const finish = (await visitor.send(back)).onward;
    assert.ok(finish?.pathname === '/approvals/finish');
    issued(finish.searchParams.get('ticket') ?? '', 'a ticket');
    const other = createVisitor(world);
    await other.send('/approvals');
    assert.equal((await other.send(finish)).status, 400);
    assert.equal((await visitor.send(finish)).status, 400);
  });

  test('where it leads afterwards is one of these pages', async () => {
    for (const place of [
      'https://evil.example/',
      '//evil.example',
      '/approvals/../fixture/oauth/authorize',
      '/approvals/finish',
      '/approvals@evil.example',
      '/access/a?x=https://evil.example',
      '/approvals/authorize?x=\r\nset-cookie: a=b',
      '/connect',
    ]) {
      const visitor = createVisitor(world);
      const { action, csrf } = formIn(await visitor.send('/approvals'));
      const url = new URL(action);
      url.searchParams.set('then', place);
      const { onward } = await visitor.send(url, { form: { csrf, action: 'continue' } });
      const finish = (await visitor.send(await atIdp(world.corp, onward, 'bob'))).onward;
      issued(finish?.searchParams.get('ticket') ?? '', 'a ticket');
      const end = await visitor.send(finish ?? '');
      const at = end.onward?.href.replace(world.origin, '');
      assert.ok(at === '/approvals' || at === '/access/a', `${place} led to ${at}`);
    }
  });

  test('of a provider that is not configured any more nobody is logged in', async () => {
    const visitor = await browserOf(bob(), { provider: 'gone' });
    assert.match((await visitor.send('/approvals')).body, /Log in to see/);
  });

  test('signed out is signed out, also for whoever kept the cookie', async () => {
    const visitor = await browserOf(bob());
    const kept = visitor.cookiesFor('/').get('verbatim-approver') ?? '';
    const page = await visitor.send('/approvals');
    const csrf = /sign-out"><input type="hidden" name="csrf" value="([^"]+)"/.exec(page.body)?.[1] ?? '';
    assert.match((await visitor.send('/approvals/sign-out', { form: { csrf } })).body, /signed out/);
    visitor.plant('verbatim-approver', kept, '/');
    assert.match((await visitor.send('/approvals')).body, /Log in to see/);
  });
});

describe('one audience', () => {
  const api = (visitor: Visitor, token: string, path: string, body?: unknown, headers = {}) =>
    visitor.send(`/approvals/api${path}`, {
      headers: {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });

  test('an MCP token approves nothing, and is no cookie', async () => {
    const visitor = createVisitor(world);
    const loggedIn = await logIn(world, { visitor });
    const { access: token } = tokensIn(await redeem(loggedIn));
    assert.equal((await callWith(visitor, token))[0], 200);
    assert.equal((await api(visitor, token, '/approvals')).status, 401);
    visitor.plant('verbatim-approver', token, '/');
    assert.match((await visitor.send('/approvals')).body, /Log in to see/);
  });

  test('a cookie of /connect approves nothing', async () => {
    const visitor = createVisitor(world);
    await logIn(world, { visitor });
    const value = visitor.cookiesFor('/').get('verbatim') ?? '';
    assert.notEqual(value, '');
    assert.match((await visitor.send('/approvals')).body, /Log in to see/);
    visitor.plant('verbatim-approver', value, '/');
    assert.match((await visitor.send('/approvals')).body, /Log in to see/);
    assert.equal((await api(visitor, value, '/approvals')).status, 401);
  });

  test("an approver's token and cookie open no session and no /connect", async () => {
    const token = await tokenOf(ana());
    const visitor = await browserOf(ana());
    const cookie = visitor.cookiesFor('/').get('verbatim-approver') ?? '';
    assert.equal((await api(visitor, token, '/approvals')).status, 200);
    for (const one of [token, cookie]) assert.deepEqual(await callWith(visitor, one), [401, 'unauthenticated']);
    visitor.plant('verbatim', cookie, '/');
    assert.match((await visitor.send('/connect')).body, /Log in to see your connections/);
  });

  test('a cookie is no token, and a token no cookie', async () => {
    const visitor = await browserOf(bob());
    assert.equal(
      (await api(visitor, visitor.cookiesFor('/').get('verbatim-approver') ?? '', '/approvals')).status,
      401,
    );
    const other = createVisitor(world);
    other.plant('verbatim-approver', await tokenOf(bob()), '/');
    assert.match((await other.send('/approvals')).body, /Log in to see/);
  });

  test('a token of another gateway with the same secret is none', async () => {
    const other = { ...login(), config: { publicUrl: 'https://other.example.com' } } as Login;
    const approver = { ...approverOf(bob()), use: 'page' as const, audience: '' };
    const { token } = await createApprovers({ state: world.state, now: Date.now }).token(other, approver);
    issued(token, 'the token of an approver');
    assert.equal((await api(createVisitor(world), token, '/approvals')).status, 401);
  });

  test('pages of browsers get nothing of the API, whatever they send', async () => {
    const token = await tokenOf(bob());
    const request = await ask();
    const body = { verdict: 'approve', code: request.code };
    for (const headers of [{ origin: world.origin }, { origin: 'null' }, { 'sec-fetch-site': 'same-origin' }]) {
      assert.equal((await api(createVisitor(world), token, pageOf(request), body, headers)).status, 403);
    }
    const asForm = { 'content-type': 'text/plain' };
    assert.equal((await api(createVisitor(world), token, pageOf(request), body, asForm)).status, 415);
    const cookie = await browserOf(bob());
    assert.equal((await cookie.send(`/approvals/api${pageOf(request)}`)).status, 401);
    assert.equal(await stateOf(request), 'pending');
  });

  test('what decides needs a fresh login, the right code, the right method and nothing else', async () => {
    const request = await ask();
    const by = createVisitor(world);
    const token = await tokenOf(bob());
    const stale = await tokenOf(bob(), { authenticated: 301 });
    const never = await tokenOf(bob(), { authenticated: null });
    const body = { verdict: 'approve', code: request.code };
    for (const one of [stale, never]) assert.equal((await api(by, one, pageOf(request), body)).status, 403);
    for (const wrong of [
      { ...body, code: 'AAAA-AAAA' },
      { verdict: 'approve' },
      { ...body, verdict: 'allow' },
      { ...body, by: 'somebody' },
      { verdict: 'deny', code: request.code },
      { ...body, reason: 'a\u202eb' },
      { ...body, reason: 'x'.repeat(501) },
      [],
      null,
    ]) {
      assert.equal((await api(by, token, pageOf(request), wrong)).status, 400, JSON.stringify(wrong));
    }
    assert.equal((await api(by, token, pageOf(request), { ...body, reason: 'x'.repeat(17_000) })).status, 413);
    assert.equal(
      (
        await by.send(`/approvals/api${pageOf(request)}`, {
          method: 'DELETE',
          headers: { authorization: `Bearer ${token}` },
        })
      ).status,
      405,
    );
    // What is overridden in a header or a field stays what it is.
    const overridden = { 'x-http-method-override': 'POST', 'x-http-method': 'POST', 'x-method-override': 'POST' };
    const get = await by.send(`/approvals/api${pageOf(request)}?_method=POST&verdict=approve&code=${request.code}`, {
      headers: { authorization: `Bearer ${token}`, ...overridden },
    });
    assert.equal(get.status, 200);
    assert.equal(await stateOf(request), 'pending');
    assert.equal((await api(by, token, pageOf(request), body)).status, 200);
    assert.equal(await stateOf(request), 'approved');
  });
});

describe('forms', () => {
  test('of another site, without a secret, with that of another id, deed or browser, decide nothing', async () => {
    const request = await ask();
    const other = await ask();
    const visitor = await browserOf(bob());
    const { action, csrf } = formIn(await visitor.send(pageOf(request)));
    const { csrf: ofOther } = formIn(await visitor.send(pageOf(other)));
    const { csrf: ofBrowser } = formIn(await (await browserOf(bob())).send(pageOf(request)));
    const form = { csrf, verdict: 'approve', reason: '' };
    for (const headers of [
      { origin: 'https://evil.example' },
      { origin: 'null' },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
      { 'content-type': 'text/plain' },
      { 'content-type': 'multipart/form-data; boundary=x' },
    ]) {
      assert.equal((await visitor.send(action, { form, headers })).status, 400, JSON.stringify(headers));
    }
    for (const wrong of ['', ofOther, ofBrowser, `${csrf}A`]) {
      assert.equal((await visitor.send(action, { form: { ...form, csrf: wrong } })).status, 404);
    }
    assert.equal((await visitor.send(`${action}?csrf=${csrf}&verdict=approve`)).status, 200);
    assert.equal((await visitor.send(action, { form: new URLSearchParams(), method: 'POST' })).status, 404);
    for (const method of ['PUT', 'PATCH', 'DELETE', 'OPTIONS', 'HEAD']) {
      const { status } = await visitor.send(action, { form, method });
      assert.ok(status === 404 || status === 400, `${method}: ${status}`);
    }
    const overridden = await visitor.send(`${action}?_method=POST`, { headers: { 'x-http-method-override': 'POST' } });
    assert.equal(overridden.status, 200);
    assert.equal(await stateOf(request), 'pending');
    assert.equal((await visitor.send(action, { form, headers: { origin: world.origin } })).status, 303);
    assert.equal(await stateOf(request), 'approved');
  });

  test('to deny one says why, and nothing that hides', async () => {
    const request = await ask();
    const visitor = await browserOf(bob());
    const { action, csrf } = formIn(await visitor.send(pageOf(request)));
    for (const reason of ['', ' ', 'a\u202eb', 'x'.repeat(501)]) {
      assert.equal((await visitor.send(action, { form: { csrf, verdict: 'deny', reason } })).status, 400);
    }
    assert.equal((await visitor.send(action, { form: { csrf, verdict: 'deny', reason: 'Not today' } })).status, 303);
    assert.deepEqual((await approving.approvals.read(request.id))?.state, {
      state: 'denied',
      id: request.id,
      by: 'bob@example.com',
      reason: 'Not today',
    });
  });

  test('a verdict that is none of the two denies nothing and approves nothing', async () => {
    const request = await ask();
    const visitor = await browserOf(bob());
    const { action, csrf } = formIn(await visitor.send(pageOf(request)));
    assert.equal((await visitor.send(action, { form: { csrf, verdict: 'APPROVE', reason: '' } })).status, 400);
    assert.equal(await stateOf(request), 'pending');
  });
});

describe('who may', () => {
  test('who asked sees code and status, and nothing to press', async () => {
    const request = await ask();
    const visitor = await browserOf({ ...ana(), groups: ['engineers'] });
    const page = await visitor.send(pageOf(request));
    assert.match(page.body, new RegExp(request.code));
    assert.match(page.body, /Waiting/);
    assert.doesNotMatch(page.body, /verdict|1017/);
    assert.equal((await visitor.send(`${pageOf(request)}/arguments`)).status, 404);
    const headers = { authorization: `Bearer ${await tokenOf({ ...ana(), groups: ['engineers'] })}` };
    const told = await visitor.send(`/approvals/api${pageOf(request)}`, { headers });
    assert.equal(told.status, 200);
    assert.equal((JSON.parse(told.body) as { call: { params?: unknown } }).call.params, undefined);
    await approving.approvals.decide(request.id, { by: bob(), authenticated: Date.now() / 1000, verdict: 'approve' });
    assert.match((await visitor.send(pageOf(request))).body, /Approved.*same call again.* before/s);
  });

  test('nobody sees or decides another connection’s calls, their own, or their agent’s', async () => {
    const agent = {
      ...ana(),
      kind: 'agent' as const,
      subject: 'robot',
      owner: 'engineers',
      email: 'robot@example.com',
    };
    const cases = [
      [await ask(), person('eve', ['analysts']), 404],
      [await ask(), ana(), 200],
      [await approving.ask({ principal: agent }), bob(), 200],
      [await approving.ask({ principal: { ...agent, owner: 'robots', onBehalfOf: 'bob' } }), bob(), 200],
    ] as const;
    for (const [request, who, status] of cases) {
      const visitor = await browserOf(who);
      const page = await visitor.send(pageOf(request));
      assert.equal(page.status, status);
      assert.doesNotMatch(page.body, /verdict/);
      const csrf = csrfOf(visitor, pageOf(request), 'decide');
      const posted = await visitor.send(pageOf(request), { form: { csrf, verdict: 'approve', reason: '' } });
      // The last word is that of the state, whatever the page shows.
      assert.equal(posted.status === 303 && who.subject === 'ana', false);
    }
  });

  test('an id that is guessed says what one says that is not there', async () => {
    const visitor = await browserOf(person('eve', ['analysts']));
    const there = await visitor.send(pageOf(await ask()));
    const not = await visitor.send(`/approvals/${randomUUID()}`);
    assert.equal(there.status, 404);
    assert.equal(there.body, not.body);
    const token = await tokenOf(person('eve', ['analysts']));
    const headers = { authorization: `Bearer ${token}` };
    const [one, other] = await Promise.all(
      [(await ask()).id, randomUUID()].map((id) => visitor.send(`/approvals/api/approvals/${id}`, { headers })),
    );
    assert.equal(one?.status, 404);
    assert.equal(one.body, other?.body);
  });

  test('whoever is blocked is out, with a cookie, with a token and at a login', async () => {
    const visitor = await browserOf(bob());
    const authorization = `Bearer ${await tokenOf(bob())}`;
    assert.equal((await visitor.send('/approvals')).status, 200);
    const stores = { state: world.state, audit: openStore(`${world.gateway.storeUrl}-audit`), now: Date.now };
    const { id } = await createBlock(stores, { who: { principal: 'bob' }, reason: 'test', actor: 'test' });
    // In force within five seconds.
    while ((await visitor.send('/approvals')).status === 200) await new Promise((done) => setTimeout(done, 100));
    assert.equal((await visitor.send('/approvals')).status, 403);
    assert.equal((await visitor.send('/approvals/api/approvals', { headers: { authorization } })).status, 403);
    const late = createVisitor(world);
    assert.equal(pageIn(await throughLogin(late, await late.send('/approvals'), 'bob')).status, 403);
    assert.match((await late.send('/approvals')).body, /Log in to see/);
    await liftBlock(stores, { id, reason: 'test', actor: 'test' });
    while ((await visitor.send('/approvals')).status === 403) await new Promise((done) => setTimeout(done, 100));
  });
});

describe('hostile calls', () => {
  test('arguments are text: no markup, nothing that moves, hides or reorders', async () => {
    const request = await approving.ask({
      principal: { ...ana(), email: '<img src=x>@example.com', subject: '"><script>alert(1)</script>' },
      name: 're\u202efund',
      title: '</h1><script>alert(2)</script>',
      client: 'javascript:alert(3)',
      params: {
        name: 'refund',
        arguments: {
          html: '</pre><script>alert(4)</script>',
          rtl: 'evil\u202etxt.exe',
          zero: 'a\u200b\u0000\u001b[2J\u{e0041}b',
          lone: '\ud800',
          'name\u2066': 1,
          proto: JSON.parse('{"__proto__":"own"}'),
        },
      },
    });
    const page = await (await browserOf(bob())).send(pageOf(request));
    assert.equal(page.status, 200);
    assert.doesNotMatch(page.body, /<script|<img|<\/h1><script|\u202e|\u200b|\u2066|\u001b|\u0000/);
    assert.match(page.body, /&quot;__proto__&quot;: &quot;own&quot;/);
    assert.match(page.body, /evil\\u202etxt\.exe/);
    assert.match(page.body, /a\\u200b\\u0000\\u001b\[2J\\udb40\\udc41b/);
    assert.match(String(page.headers['content-security-policy']), /^default-src 'none'; style-src 'sha256-/);
    assert.equal(page.headers['x-frame-options'], 'DENY');
    assert.equal(page.headers['cache-control'], 'no-store');
  });

  test('of a megabyte the beginning is shown, and all of it is there to read', async () => {
    const long = 'x'.repeat(500_000);
    const nested = JSON.parse(`${'['.repeat(120)}1${']'.repeat(120)}`) as unknown;
    const arguments_ = { a: nested, long, more: Array.from({ length: 100_000 }, () => 7), z: 'the end\u202e' };
    const request = await approving.ask({ principal: ana(), params: { arguments: arguments_ } });
    const visitor = await browserOf(bob());
    const page = await visitor.send(pageOf(request));
    assert.ok(page.body.length < 60_000, `${page.body.length}`);
    assert.match(page.body, /only the beginning/);
    assert.ok(page.body.includes(request.hash));
    const whole = await visitor.send(`${pageOf(request)}/arguments`);
    assert.equal(whole.headers['content-type'], 'text/plain; charset=utf-8');
    assert.match(String(whole.headers['content-security-policy']), /sandbox/);
    assert.equal(whole.headers['x-content-type-options'], 'nosniff');
    assert.doesNotMatch(whole.body, /\u202e/);
    assert.deepEqual(JSON.parse(whole.body), { arguments: arguments_ });
  });
});

describe('a command', () => {
  const verifier = secret(randomBytes(32).toString('base64url'), 'a verifier of a command');
  const challenge = createHash('sha256').update(verifier).digest('base64url');
  const redirect = 'http://127.0.0.1:49152/callback';
  const state = 's'.repeat(22);
  const url = (changed: Record<string, string> = {}): string =>
    `/approvals/authorize?${new URLSearchParams({
      response_type: 'code',
      redirect_uri: redirect,
      state,
      code_challenge: challenge,
      code_challenge_method: 'S256',
      scope: 'decide',
      command: 'verbatim approvals list',
      ...changed,
    })}`;

  async function codeFor(visitor: Visitor, changed: Record<string, string> = {}): Promise<string> {
    const { action, csrf } = formIn(await visitor.send(url(changed)));
    const answer = await visitor.send(action, { form: { csrf, action: 'continue' } });
    assert.equal(answer.status, 303);
    assert.equal(answer.onward?.searchParams.get('iss'), `${world.origin}/approvals`);
    return issued(answer.onward?.searchParams.get('code') ?? '', 'a code of a command');
  }

  async function redeemed(
    code: string,
    changed: Record<string, string> = {},
  ): Promise<[number, Record<string, string>]> {
    const form = {
      grant_type: 'authorization_code',
      code,
      code_verifier: verifier,
      redirect_uri: redirect,
      ...changed,
    };
    const answer = await createVisitor(world).send('/approvals/token', { form });
    const json = JSON.parse(answer.body) as Record<string, string>;
    if (json.access_token !== undefined) issued(json.access_token, 'the token of a command');
    return [answer.status, json];
  }

  test('its code gives a token once, to who has the verifier', async () => {
    const visitor = await browserOf(bob());
    const code = await codeFor(visitor);
    const [status, json] = await redeemed(code);
    assert.equal(status, 200);
    assert.equal(json.scope, 'decide');
    assert.deepEqual(await redeemed(code), [400, { error: 'invalid_grant' }]);
  });

  test('PKCE is S256 and its verifier is checked; a redirect goes to 127.0.0.1 alone', async () => {
    const visitor = await browserOf(bob());
    for (const changed of [
      { code_challenge_method: 'plain' },
      { code_challenge_method: '' },
      { code_challenge: '' },
      { code_challenge: verifier.slice(1) },
      { response_type: 'token' },
      { redirect_uri: 'http://localhost:49152/callback' },
      { redirect_uri: 'https://127.0.0.1:49152/callback' },
      { redirect_uri: 'http://127.0.0.1.evil.example:1/callback' },
      { redirect_uri: 'http://127.0.0.1:49152@evil.example/' },
      { redirect_uri: 'http://127.0.0.1:99999/callback' },
      { redirect_uri: 'http://127.0.0.1/callback' },
      { redirect_uri: 'http://127.0.0.1:49152/callback#x' },
      { redirect_uri: 'http://127.0.0.1:49152/callback?code=x' },
      { redirect_uri: 'javascript:alert(1)' },
      { state: '' },
      { scope: 'everything' },
      { command: '' },
    ]) {
      const answer = await visitor.send(url(changed));
      assert.equal(answer.status, 400, JSON.stringify(changed));
      assert.equal(answer.onward, undefined);
    }
    for (const twice of ['redirect_uri=http://127.0.0.1:1/x', 'code_challenge_method=plain', 'scope=read']) {
      assert.equal((await visitor.send(`${url()}&${twice}`)).status, 400, twice);
    }
    for (const changed of [
      { code_verifier: 'v'.repeat(43) },
      { code_verifier: '' },
      { code_verifier: challenge },
      { redirect_uri: 'http://127.0.0.1:49153/callback' },
      { grant_type: 'client_credentials' },
    ]) {
      const code = await codeFor(visitor);
      assert.equal((await redeemed(code, changed))[0], 400, JSON.stringify(changed));
      // A code that somebody has tried is nobody's any more.
      assert.equal((await redeemed(code))[0], 400);
    }
  });

  test('one that only reads gets a token that decides nothing', async () => {
    const request = await ask();
    const visitor = await browserOf(bob());
    const [, { access_token: token = '', scope }] = await redeemed(await codeFor(visitor, { scope: 'read' }));
    assert.equal(scope, 'read');
    const answer = await visitor.send(`/approvals/api${pageOf(request)}`, {
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ verdict: 'approve', code: request.code }),
    });
    assert.equal(answer.status, 403);
    assert.equal(JSON.parse(answer.body).error, 'login_needed');
  });

  test('to decide it needs a fresh login', async () => {
    const visitor = await browserOf(bob(), { authenticated: 301 });
    assert.match((await visitor.send(url())).body, /Log in again to decide/);
    assert.match((await visitor.send(url({ scope: 'read' }))).body, /Does your terminal show/);
  });

  test('what the page agrees to is what it showed', async () => {
    const visitor = await browserOf(bob());
    const { csrf } = formIn(await visitor.send(url({ scope: 'read' })));
    for (const changed of [
      {},
      { scope: 'read', redirect_uri: 'http://127.0.0.1:49153/callback' },
      { scope: 'read', command: 'another' },
      { scope: 'read', code_challenge: 'A'.repeat(43) },
    ]) {
      const answer = await visitor.send(url(changed), { form: { csrf, action: 'continue' } });
      assert.equal(answer.status, 400, JSON.stringify(changed));
    }
    const other = await browserOf(ana());
    assert.equal((await other.send(url({ scope: 'read' }), { form: { csrf, action: 'continue' } })).status, 400);
    const cancelled = await visitor.send(url({ scope: 'read' }), { form: { csrf, action: 'cancel' } });
    assert.equal(cancelled.onward?.searchParams.get('error'), 'access_denied');
    assert.equal(cancelled.onward?.searchParams.get('code'), null);
  });

  test('its words are text, however they are written', async () => {
    const visitor = await browserOf(bob());
    const { body } = await visitor.send(url({ command: '<script>alert(1)</script>\u202e\n' }));
    assert.doesNotMatch(body, /<script|\u202e/);
  });
});

describe('access', () => {
  const at = '/access/fixture2';

  test('asked for, decided, ended, by form', async () => {
    const visitor = await browserOf(ana());
    const { action, csrf } = formIn(await visitor.send(at), /value="request"/);
    for (const [reason, duration] of [
      ['', '900000'],
      ['a\u202eb', '900000'],
      ['x', '14400001'],
      ['x', '0'],
      ['x', '-1'],
      ['x', '1e3'],
    ]) {
      const wrong = { csrf, reason: reason ?? '', duration: duration ?? '', action: 'request' };
      assert.equal((await visitor.send(action, { form: wrong })).status, 400);
    }
    const asked = await visitor.send(action, {
      form: { csrf, reason: 'Ticket 7', duration: '900000', action: 'request' },
    });
    const page = asked.onward?.pathname ?? '';
    assert.match(page, /^\/access\/requests\//);
    assert.doesNotMatch((await visitor.send(page)).body, /value="approve"/);
    const approver = await browserOf(bob());
    const decide = formIn(await approver.send(page), /verdict/);
    const form = { csrf: decide.csrf, verdict: 'approve', reason: '' };
    assert.equal((await approver.send(decide.action, { form })).status, 303);
    const window = /\/access\/windows\/[0-9a-f-]{36}/.exec((await approver.send(page)).body)?.[0] ?? '';
    const revoke = formIn(await visitor.send(window), /revoke/);
    const ended = { csrf: revoke.csrf, reason: 'Done', action: 'revoke' };
    assert.equal((await visitor.send(revoke.action, { form: ended })).status, 303);
    assert.match((await visitor.send(window)).body, /Revoked/);
  });

  test('glass is broken by who may, with a login that is fresh, and reviewed by another', async () => {
    const stale = await browserOf(ana(), { authenticated: null });
    const shown = await stale.send(at);
    assert.match(shown.body, /Log in again to break glass/);
    assert.doesNotMatch(shown.body, /value="break-glass"/);
    const visitor = await browserOf(ana());
    const request = formIn(await visitor.send(at), /value="request"/);
    const form = { reason: 'Outage', duration: '900000', action: 'break-glass' };
    // The secret of the one form is not that of the other.
    assert.equal((await visitor.send(at, { form: { ...form, csrf: request.csrf } })).status, 404);
    const { csrf } = formIn(await visitor.send(at), /value="break-glass"/);
    const opened = await visitor.send(at, { form: { ...form, csrf } });
    const window = opened.onward?.pathname ?? '';
    assert.match(window, /^\/access\/windows\//);
    assert.doesNotMatch((await visitor.send(window)).body, /value="review"/);
    const reviewer = await browserOf(bob());
    const review = formIn(await reviewer.send(window), /review/);
    const said = { csrf: review.csrf, words: 'Read two orders.', action: 'review' };
    assert.equal((await reviewer.send(window, { form: said })).status, 303);
    assert.match((await reviewer.send(window)).body, /Read two orders/);
    const stranger = await browserOf(bob());
    assert.match((await stranger.send(at)).body, /None of your groups/);
    const none = await browserOf(person('eve', ['nobody']));
    assert.equal((await none.send(window)).status, 404);
  });

  test('what is none of their business is not there, on a page and for a command', async () => {
    const authenticated = Date.now() / 1000;
    const asked = { connection: 'fixture2', reason: 'Ticket 8', duration: 900_000, person: ana() };
    const request = await approving.windows.request(asked);
    const window = await approving.windows.breakGlass({ ...asked, authenticated });
    const eve = person('eve', ['analysts']);
    const visitor = await browserOf(eve);
    const headers = { authorization: `Bearer ${await tokenOf(eve)}`, 'content-type': 'application/json' };
    for (const [path, body] of [
      [`/access/requests/${request.id}`, { verdict: 'approve', code: request.code }],
      [`/access/windows/${window.id}`, undefined],
      [`/access/windows/${window.id}/revoke`, { reason: 'x' }],
      [`/access/windows/${window.id}/review`, { words: 'x' }],
    ] as const) {
      assert.equal((await visitor.send(path)).status, 404, path);
      const sending = { headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) };
      assert.equal((await visitor.send(`/approvals/api${path}`, sending)).status, 404, path);
    }
    const long = { connection: 'fixture2', reason: 'x', duration: 14_400_001 };
    const refused = await visitor.send('/approvals/api/access', { headers, body: JSON.stringify(long) });
    assert.match(refused.body, /at most 240 minutes/);
    const proto = { ...long, connection: '__proto__', duration: 1 };
    const none = await visitor.send('/approvals/api/access', { headers, body: JSON.stringify(proto) });
    assert.equal(none.status, 403);
  });

  test('a connection without windows looks like one that is not there', async () => {
    const visitor = await browserOf(ana());
    const [one, other] = [await visitor.send('/access/fixture'), await visitor.send('/access/nothing')];
    assert.equal(one.status, 404);
    assert.equal(one.body, other.body);
  });
});
