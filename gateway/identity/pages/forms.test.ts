/** The pages in a real browser: what the keyboard reaches, what a form sends, and where it may lead. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Page as BrowserPage } from 'playwright-core';
import {
  openBrowser,
  type SiteRequest,
  serveSites,
  type TestBrowser,
  type TestSite,
  whyNoBrowser,
} from '../../../test/browser.ts';
import { consentPage } from './consent.ts';
import { asked, hostileConnection, pages } from './fixture.ts';
import { onwardPage } from './message.ts';
import type { Page } from './page.ts';

const skip = await whyNoBrowser();
let site: TestSite;
let chromium: TestBrowser;

if (skip === false) {
  before(async () => {
    site = await serveSites(answer);
    chromium = await openBrowser();
  });
  after(async () => {
    await chromium.close();
    await site.close();
  });
}

const posted: { path: string; form: Record<string, string>; origin: string | undefined }[] = [];

function answer(url: URL, request: SiteRequest): Page | string | { to: string } {
  if (request.form !== undefined) posted.push({ path: url.pathname, form: request.form, origin: request.origin });
  const to = url.searchParams.get('to') ?? '';
  if (url.pathname === '/hop') return { to };
  if (url.pathname === '/onward') return onwardPage({ href: to, title: 'Okta' });
  if (url.pathname === '/leading') {
    const action = url.searchParams.get('action') ?? '';
    return consentPage({ ...asked, action, formOrigins: url.searchParams.getAll('origin') });
  }
  return pages[url.pathname.slice(1)] ?? '<title>end</title>';
}

async function open(name: string): Promise<BrowserPage> {
  const page = await chromium.page();
  await page.goto(site.at('gateway', `/${name}`));
  return page;
}

test('the form of consent sends what was pressed, from its own origin', { skip }, async () => {
  for (const [button, action] of [
    ['Continue with Okta', 'continue'],
    ['Cancel', 'cancel'],
  ] as const) {
    const page = await open('consent');
    posted.length = 0;
    await page.getByRole('button', { name: button }).click();
    await page.waitForURL('**/post');
    const form = { csrf: 'csrf-of-this-browser', action };
    assert.deepEqual(posted, [{ path: '/post', form, origin: site.at('gateway', '') }]);
    await page.context().close();
  }
});

test('several identity providers: Enter in the address continues, Cancel needs no address', { skip }, async () => {
  const page = await open('consent-several');
  posted.length = 0;
  await page.getByLabel('Work e-mail').fill('ana@example.com');
  await page.keyboard.press('Enter');
  await page.waitForURL('**/post');
  await page.goto(site.at('gateway', '/consent-several'));
  await page.getByLabel('Work e-mail').fill('');
  await page.getByRole('button', { name: 'Cancel' }).click();
  await page.waitForURL('**/post');
  assert.deepEqual(
    posted.map(({ form }) => form),
    [
      { csrf: 'csrf-of-this-browser', email: 'ana@example.com', action: 'continue' },
      { csrf: 'csrf-of-this-browser', email: '', action: 'cancel' },
    ],
  );
  await page.context().close();
});

test('a problem with the address is said of the field', { skip }, async () => {
  const page = await open('consent-several');
  const field = page.getByLabel('Work e-mail');
  assert.equal(await field.getAttribute('aria-invalid'), 'true');
  const described = (await field.getAttribute('aria-describedby'))?.split(' ') ?? [];
  assert.equal(await page.locator(`#${described[1]}`).isVisible(), true);
  await page.context().close();
});

test('the list of connections sends what to end, forget and connect, and signs out', { skip }, async () => {
  const page = await open('connect');
  posted.length = 0;
  for (const [button, path] of [
    ['End the session of Claude Code', '/post'],
    ['Forget Claude', '/post'],
    ['Connect account for Tickets', '/post'],
    ['Sign out', '/sign-out'],
  ] as const) {
    await page.goto(site.at('gateway', '/connect'));
    await page.getByRole('button', { name: button, exact: true }).click();
    await page.waitForURL(`**${path}`);
  }
  const csrf = 'csrf-of-this-browser';
  assert.deepEqual(
    posted.map(({ form }) => form),
    [
      { csrf, connection: 'orders', end: 's1' },
      { csrf, connection: 'orders', forget: 'c2' },
      { csrf, connection: 'tickets', account: 'connect' },
      { csrf, action: 'sign-out' },
    ],
  );
  await page.context().close();
});

test('a hostile id comes back as it was', { skip }, async () => {
  const page = await open('connect-hostile');
  posted.length = 0;
  await page.getByRole('button', { name: 'End' }).click();
  await page.waitForURL('**/post');
  assert.equal(posted[0]?.form.end, hostileConnection.sessions[0].id);
  await page.context().close();
});

/** What the Tab key comes by, in order. */
async function tabStops(page: BrowserPage, count: number): Promise<string[]> {
  const stops: string[] = [];
  while (stops.length < count) {
    await page.keyboard.press('Tab');
    stops.push(await page.evaluate<string>('document.activeElement.textContent || document.activeElement.name'));
  }
  return stops;
}

test('the keyboard reaches everything: first what goes on, then what does not', { skip }, async () => {
  const page = await open('consent');
  assert.deepEqual(await tabStops(page, 2), ['Continue with Okta', 'Cancel']);
  await page.goto(site.at('gateway', '/consent-several'));
  assert.deepEqual(await tabStops(page, 3), ['email', 'Continue', 'Cancel']);
  await page.goto(site.at('gateway', '/choose-provider'));
  assert.deepEqual(await tabStops(page, 2), ['email', 'Continue']);
  await page.context().close();
});

test('the address and the commands of a client are copied without a mouse', { skip }, async () => {
  const page = await open('connect');
  const wiki = page.getByRole('region', { name: 'Company wiki' });
  await wiki.getByRole('button', { name: 'Connect account' }).focus();
  await page.keyboard.press('Tab');
  const selected =
    'document.activeElement.value.slice(document.activeElement.selectionStart, document.activeElement.selectionEnd)';
  assert.equal(await page.evaluate(selected), 'https://mcp.example.com/wiki/mcp');
  for (const key of ['Tab', 'Tab', 'Enter', 'Tab', 'Control+A']) await page.keyboard.press(key);
  const command = 'claude mcp add --scope user --transport http wiki https://mcp.example.com/wiki/mcp';
  assert.equal(await page.evaluate(selected), command);
  await page.context().close();
});

describe('where a form may lead', { skip }, () => {
  /** Presses Continue where the form leads to `action`, with one more origin allowed. */
  async function leads(action: string, origin = site.at('gateway', '')): Promise<string> {
    const query = new URLSearchParams({ action, origin });
    const page = await chromium.page();
    await page.goto(site.at('gateway', `/leading?${query}`));
    const blocked = page.waitForEvent('console', { predicate: (message) => message.text().includes('form-action') });
    await page.getByRole('button', { name: 'Continue' }).click();
    const end = await Promise.race([page.waitForURL('**/end').then(() => page.url()), blocked.then(() => 'blocked')]);
    await page.context().close();
    return end;
  }
  const hop = (to: string, host = 'gateway'): string => site.at(host, `/hop?to=${encodeURIComponent(to)}`);
  const idp = () => site.at('idp', '');

  test('not to a site that is not allowed, not even by a redirect', async () => {
    assert.equal(await leads(hop(site.at('idp', '/end'))), 'blocked');
  });
  test('to a site that is allowed', async () => {
    assert.equal(await leads(hop(site.at('idp', '/end')), `${idp()}/authorize?x=1`), site.at('idp', '/end'));
  });
  test('not on from there to a third, which nobody knew of', async () => {
    assert.equal(await leads(hop(hop(site.at('other', '/end'), 'idp')), idp()), 'blocked');
  });
  test('through the page that goes onward: anywhere, with nothing allowed', async () => {
    const onward = site.at('gateway', `/onward?to=${encodeURIComponent(hop(site.at('other', '/end'), 'idp'))}`);
    assert.equal(await leads(onward), site.at('other', '/end'));
  });
});

test('a client that opened the login as a popup is still its opener when it comes back', { skip }, async () => {
  const client = await chromium.page();
  await client.goto(site.at('client', '/'));
  const onward = site.at('gateway', `/onward?to=${encodeURIComponent(site.at('client', '/end'))}`);
  const opening = client.waitForEvent('popup');
  const consent = site.at('gateway', `/leading?action=${encodeURIComponent(onward)}`);
  await client.evaluate(`void window.open(${JSON.stringify(consent)}, 'login', 'popup')`);
  const popup = await opening;
  await popup.getByRole('button', { name: 'Continue' }).click();
  await popup.waitForURL('**/end');
  assert.equal(await popup.evaluate('window.opener !== null'), true);
  await client.context().close();
});

test('a site that opens the list of connections has no hold on its window', { skip }, async () => {
  const attacker = await chromium.page();
  await attacker.goto(site.at('attacker', '/'));
  const opening = attacker.waitForEvent('popup');
  await attacker.evaluate(`void (window.held = window.open(${JSON.stringify(site.at('gateway', '/connect'))}))`);
  await (await opening).waitForURL('**/connect');
  await attacker.waitForFunction('window.held.closed');
  await attacker.context().close();
});
