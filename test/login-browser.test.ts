/** The login and /connect in a real browser: two tabs at once, with axe on every page that a person sees. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Page } from 'playwright-core';
import { axe, openBrowser, type TestBrowser, whyNoBrowser } from './browser.ts';
import { type LoginWorld, startLoginWorld } from './login-world.ts';

const skip = await whyNoBrowser();
let browser: TestBrowser;
let world: LoginWorld;
/** Where clients wait for their codes. */
const callback = createServer((_request, response) => response.end('<title>Client</title>done'));
let redirect = '';

before(async () => {
  if (skip !== false) return;
  [browser, world] = await Promise.all([openBrowser(), startLoginWorld()]);
  await new Promise<void>((done) => callback.listen(0, '127.0.0.1', done));
  redirect = `http://127.0.0.1:${(callback.address() as AddressInfo).port}/callback`;
});
after(async () => {
  if (skip !== false) return;
  callback.close();
  callback.closeAllConnections();
  await browser.close();
  await world[Symbol.asyncDispose]();
});

async function register(name: string): Promise<string> {
  const response = await fetch(world.mcp.replace('/mcp', '/oauth/register'), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ client_name: name, redirect_uris: [redirect] }),
  });
  return ((await response.json()) as { client_id: string }).client_id;
}

function authorizeUrl(client: string, state: string, more: Record<string, string> = {}): string {
  const url = new URL(world.mcp.replace('/mcp', '/oauth/authorize'));
  const parameters = {
    response_type: 'code',
    client_id: client,
    redirect_uri: redirect,
    state,
    code_challenge: 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM',
    code_challenge_method: 'S256',
    resource: world.mcp,
    ...more,
  };
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  return url.href;
}

async function look(page: Page, name: string): Promise<void> {
  const folder = process.env.VERBATIM_SCREENSHOTS;
  if (folder !== undefined) await writeFile(join(folder, `${name}.png`), await page.screenshot({ fullPage: true }));
  assert.deepEqual(await axe(page), [], name);
}

test('two tabs log in at once, each for its own client; the second time nobody is asked for consent', {
  skip,
}, async () => {
  const context = await browser.browser.newContext();
  const client = await register('Claude Code');
  const tabs = await Promise.all([context.newPage(), context.newPage()]);
  for (const [index, tab] of tabs.entries()) await tab.goto(authorizeUrl(client, `tab-${index}`));
  for (const tab of tabs) await look(tab, 'login-consent');
  for (const tab of tabs) {
    await tab.getByRole('button', { name: /^Continue/ }).click();
    await tab.getByRole('button', { name: /Ana Costa/ }).waitFor();
  }
  for (const [index, tab] of tabs.entries()) {
    await tab.getByRole('button', { name: /Ana Costa/ }).click();
    await tab.waitForURL(`${redirect}**`);
    const { searchParams } = new URL(tab.url());
    assert.equal(searchParams.get('state'), `tab-${index}`);
    assert.ok(searchParams.get('code'));
  }
  const [third] = tabs;
  await third.goto(authorizeUrl(client, 'again'));
  await third.getByRole('button', { name: /Ana Costa/ }).click();
  await third.waitForURL(`${redirect}**`);
  assert.equal(new URL(third.url()).searchParams.get('state'), 'again');
  await third.goto(authorizeUrl(client, 'asked', { prompt: 'consent' }));
  await third.getByRole('button', { name: /^Continue/ }).waitFor();
  await context.close();
});

test('who is in no group is told so, and the client with their click', { skip }, async () => {
  const context = await browser.browser.newContext();
  const page = await context.newPage();
  await page.goto(authorizeUrl(await register('Cursor'), 'no'));
  await page.getByRole('button', { name: /^Continue/ }).click();
  await page.getByRole('button', { name: /Carol/ }).click();
  await page.getByText('None of your groups').waitFor();
  await look(page, 'login-refused');
  await page.getByRole('link', { name: /Back to/ }).click();
  await page.waitForURL(`${redirect}**`);
  assert.equal(new URL(page.url()).searchParams.get('error'), 'access_denied');
  await context.close();
});

test('/connect: sign in, see one’s connections, end a session, forget a client, sign out', { skip }, async () => {
  const context = await browser.browser.newContext();
  const page = await context.newPage();
  const connect = new URL('/connect', world.mcp).href;
  await page.goto(authorizeUrl(await register('VS Code'), 'x'));
  await page.getByRole('button', { name: /^Continue/ }).click();
  await page.getByRole('button', { name: /Ana Costa/ }).click();
  await page.waitForURL(`${redirect}**`);

  await context.clearCookies();
  await page.goto(connect);
  await look(page, 'connect-sign-in');
  await page.getByRole('button', { name: /^Continue/ }).click();
  await page.getByRole('button', { name: /Ana Costa/ }).click();
  await page.waitForURL(connect);
  await page.getByRole('heading', { name: 'Your connections' }).waitFor();
  await look(page, 'connect');
  const ends = page.getByRole('button', { name: /^End/ });
  const open = await ends.count();
  assert.ok(open > 0);
  await ends.first().click();
  await page.getByRole('status').waitFor();
  assert.equal(await page.getByRole('button', { name: /^End/ }).count(), open - 1);
  const forgets = page.getByRole('button', { name: /^Forget/ });
  const remembered = await forgets.count();
  await forgets.first().click();
  await page.getByText('The client is forgotten').waitFor();
  assert.equal(await page.getByRole('button', { name: /^Forget/ }).count(), remembered - 1);
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('heading', { name: 'You are signed out' }).waitFor();
  await look(page, 'connect-signed-out');
  await page.goto(connect);
  await page.getByRole('button', { name: /^Continue/ }).waitFor();
  await context.close();
});
