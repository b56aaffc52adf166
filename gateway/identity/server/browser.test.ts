import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { describe, test } from 'node:test';
import { createMemoryStore } from '../../store/memory.ts';
import { createKeyring } from '../keyring.ts';
import { bind, bindingOf, browserOf } from './binding.ts';
import { createBrowsers, type Person } from './browser.ts';
import { configFor, stoppedClock } from './fixture.ts';
import { accountIdOf } from './grants.ts';
import type { Login } from './login.ts';

const ANA: Person = {
  provider: 'corp',
  issuer: 'https://idp.example.com',
  subject: 'ana',
  email: 'ana@example.com',
  groups: ['analysts'],
};

/** A browser that keeps what it is given; what it sends is the header `Cookie`. */
function createBrowser() {
  const cookies = new Map<string, string>();
  const given: string[] = [];
  const response = {
    appendHeader(name: string, line: string) {
      assert.equal(name, 'set-cookie');
      given.push(line);
      const [cookie = '', ...attributes] = line.split('; ');
      const at = cookie.indexOf('=');
      if (attributes.includes('Max-Age=0')) cookies.delete(cookie.slice(0, at));
      else cookies.set(cookie.slice(0, at), cookie.slice(at + 1));
    },
  } as unknown as ServerResponse;
  return {
    given,
    cookies,
    response,
    request: () =>
      ({
        headers: { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') },
      }) as unknown as IncomingMessage,
  };
}

function loginFor(keyring = createKeyring([randomBytes(32)]), publicUrl = 'https://mcp.example.com'): Login {
  const config = { ...configFor(), publicUrl };
  const providers = new Map([['corp', { name: 'corp' }]]);
  return { config, keyring, providers } as unknown as Login;
}

describe('who sits at a browser', () => {
  test('is known to every replica, from a cookie that says nothing, for as long as a session may last', async () => {
    const state = createMemoryStore();
    const clock = stoppedClock();
    const open = () => createBrowsers({ state, now: clock.millis });
    const login = loginFor();
    const browser = createBrowser();
    assert.equal(await open().whoIs(login, browser.request()), undefined);
    await open().remember(login, browser.response, ANA);
    assert.deepEqual(await open().whoIs(login, browser.request()), { ...ANA, account: accountIdOf(ANA) });
    const longest = login.config.sessions.longest;
    assert.deepEqual(
      browser.given.map((line) => line.replace(/=[A-Za-z0-9_-]{43};/, '=<random>;')),
      [`__Host-verbatim=<random>; Path=/; Max-Age=${longest / 1000}; HttpOnly; SameSite=Lax; Secure`],
    );
    clock.pass(longest - 1);
    assert.equal((await open().whoIs(login, browser.request()))?.subject, 'ana');
    clock.pass(1);
    assert.equal(await open().whoIs(login, browser.request()), undefined);
  });

  test('is nobody for a cookie that was made up, sealed elsewhere, or of another provider', async () => {
    const state = createMemoryStore();
    const browsers = createBrowsers({ state, now: Date.now });
    const login = loginFor();
    const browser = createBrowser();
    await browsers.remember(login, browser.response, ANA);
    assert.equal(await browsers.whoIs(loginFor(), browser.request()), undefined, 'another secret');
    const gone = { ...login, providers: new Map() } as Login;
    assert.equal(await browsers.whoIs(gone, browser.request()), undefined, 'its provider is not configured any more');
    const stranger = createBrowser();
    for (const value of ['', 'x', randomBytes(32).toString('base64url'), '../browsers/x']) {
      stranger.cookies.set('__Host-verbatim', value);
      assert.equal(await browsers.whoIs(login, stranger.request()), undefined, value);
    }
    // Without the prefix a neighbouring host could have set it.
    const [[, own = ''] = []] = browser.cookies;
    stranger.cookies.clear();
    stranger.cookies.set('verbatim', own);
    assert.equal(await browsers.whoIs(login, stranger.request()), undefined);
  });

  test('is forgotten on every replica, whoever still has the cookie; others are not', async () => {
    const state = createMemoryStore();
    const open = () => createBrowsers({ state, now: Date.now });
    const login = loginFor();
    const [browser, thief, other] = [createBrowser(), createBrowser(), createBrowser()];
    await open().remember(login, browser.response, ANA);
    await open().remember(login, other.response, ANA);
    for (const [name, value] of browser.cookies) thief.cookies.set(name, value);
    await open().forget(login, browser.request(), browser.response);
    assert.equal(browser.cookies.size, 0);
    assert.equal(await open().whoIs(login, thief.request()), undefined);
    assert.equal((await open().whoIs(login, other.request()))?.subject, 'ana');
    // Twice, or without a cookie, changes nothing.
    await open().forget(login, thief.request(), thief.response);
    await open().forget(login, createBrowser().request(), createBrowser().response);
  });

  test('is sealed where it is stored', async () => {
    const state = createMemoryStore();
    const browser = createBrowser();
    await createBrowsers({ state, now: Date.now }).remember(loginFor(), browser.response, ANA);
    const [[, value = ''] = []] = browser.cookies;
    for await (const name of state.list('')) {
      const text = `${name} ${Buffer.from((await state.get(name)) ?? []).toString()}`;
      for (const word of [value, 'ana', 'analysts']) assert.ok(!text.includes(word), word);
    }
  });
});

describe('which browser goes through a login', () => {
  const id = { publicUrl: 'https://mcp.example.com', uid: 'login-one' };

  test('is a cookie for each login, given once', () => {
    const browser = createBrowser();
    assert.equal(bindingOf(browser.request(), id), undefined);
    const first = bind(browser.request(), browser.response, id);
    assert.match(first, /^[A-Za-z0-9_-]{43}$/);
    assert.equal(bind(browser.request(), browser.response, id), first);
    assert.equal(browser.given.length, 1);
    assert.match(browser.given[0] ?? '', /^__Host-verbatim-login-login-one=.*; Max-Age=600; HttpOnly; .*; Secure$/);
    const second = bind(browser.request(), browser.response, { ...id, uid: 'login-two' });
    assert.notEqual(second, first);
    assert.equal(bindingOf(browser.request(), id), first, 'another tab does not disturb it');
    assert.match(browserOf(first), /^[0-9a-f]{64}$/);
  });

  test('is none by a cookie that a neighbouring host could have set', () => {
    const planted = createBrowser();
    planted.cookies.set('verbatim-login-login-one', 'x'.repeat(43));
    assert.equal(bindingOf(planted.request(), id), undefined);
    assert.notEqual(bind(planted.request(), planted.response, id), 'x'.repeat(43));
  });
});
