/** How people approve, and get access for a time, in a real browser, with axe on every page that they see. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { BrowserContext, Page } from 'playwright-core';
import { approverToken } from '../gateway/cli/approver-token.ts';
import { ANA, createTestApproving } from './approving.ts';
import { axe, openBrowser, type TestBrowser, whyNoBrowser } from './browser.ts';
import { type LoginWorld, startLoginWorld } from './login-world.ts';

const skip = await whyNoBrowser();
const approving = createTestApproving(() => world.gateway);
let browser: TestBrowser;
let world: LoginWorld;
let origin = '';

before(async () => {
  if (skip !== false) return;
  const access = {
    justInTime: { approvers: ['engineers'], longest: '4h' },
    breakGlass: { groups: ['analysts'], reviewers: ['engineers'], longest: '1h' },
  };
  const connections = { orders: { access, title: 'Orders database' } };
  [browser, world] = await Promise.all([openBrowser(), startLoginWorld({ connections })]);
  origin = new URL(world.mcp).origin;
});
after(async () => {
  if (skip !== false) return;
  await browser.close();
  await world[Symbol.asyncDispose]();
});

const ask = (call: Parameters<typeof approving.ask>[0] = {}) =>
  approving.ask({ principal: { ...ANA, issuer: world.idp.issuer }, ...call });

/** States that are broken over lines, or cut off by what holds them. */
const brokenPills = (page: Page): Promise<number> =>
  page
    .locator('.pill, .pills')
    .evaluateAll(
      (all) =>
        all.filter((one) => one.scrollWidth > one.clientWidth || (one.matches('.pill') && one.clientHeight >= 30))
          .length,
    );

async function look(page: Page, name: string): Promise<void> {
  const folder = process.env.VERBATIM_SCREENSHOTS;
  for (const [colorScheme, width] of [
    ['dark', 360],
    ['light', 1100],
  ] as const) {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize({ width, height: 800 });
    assert.equal(await page.evaluate('document.documentElement.scrollWidth'), width, name);
    assert.equal(await brokenPills(page), 0, name);
    assert.deepEqual(await axe(page), [], `${name}, ${colorScheme}`);
    const file = `approvals-${name}-${width}.png`;
    if (folder !== undefined) await writeFile(join(folder, file), await page.screenshot({ fullPage: true }));
  }
}

/** A browser in which this person has opened a page and logged in for it. */
async function open(who: RegExp, path: string): Promise<{ page: Page; context: BrowserContext; said: string[] }> {
  const context = await browser.browser.newContext({ locale: 'en-US' });
  context.setDefaultTimeout(10_000);
  const page = await context.newPage();
  const said: string[] = [];
  page.on('console', (message) => said.push(message.text()));
  page.on('pageerror', (error) => said.push(String(error)));
  await page.goto(`${origin}${path}`);
  await page.getByRole('button', { name: /^Continue/ }).click();
  await page.getByRole('button', { name: who }).click();
  await page.waitForURL(`${origin}${path}`);
  return { page, context, said };
}

async function again(page: Page, button: RegExp, who: RegExp): Promise<void> {
  await page.getByRole('button', { name: button }).click();
  await page.getByRole('button', { name: who }).click();
  await page.getByRole('button', { name: button }).waitFor({ state: 'detached' });
}

test('a call is read, approved and taken back; who asked sees how it stands', { skip }, async () => {
  const request = await ask();
  const { page, context, said } = await open(/Bob/, '/approvals');
  await look(page, 'list');
  await page.getByRole('link', { name: /refund on/ }).click();
  await page.getByRole('heading', { name: 'Arguments' }).waitFor();
  assert.equal(await page.getByRole('button', { name: 'Approve this one call' }).count(), 0);
  await look(page, 'call-to-read');
  await again(page, /Log in again to decide/, /Bob/);
  await page.getByText(request.code).waitFor();
  await look(page, 'call-to-decide');

  const asked = await open(/Ana/, `/approvals/${request.id}`);
  await asked.page.getByText('Nobody has decided yet').waitFor();
  assert.equal(await asked.page.getByRole('button').count(), 1, 'to sign out');
  await look(asked.page, 'asked-waiting');

  await page.getByRole('button', { name: 'Approve this one call' }).click();
  await page.getByText('Approved. It works once').waitFor();
  await look(page, 'call-approved');
  await asked.page.reload();
  await asked.page.getByText('make exactly the same call again').waitFor();
  await look(asked.page, 'asked-approved');

  await page.getByRole('button', { name: 'Take the approval back' }).click();
  await page.getByText('Say why, in up to').waitFor();
  await page.goBack();
  await page.getByLabel(/^Reason/).fill('The wrong order');
  await page.getByRole('button', { name: 'Take the approval back' }).click();
  await page.getByText('The wrong order').waitFor();
  await asked.page.reload();
  await asked.page.getByText('The wrong order').waitFor();
  await look(asked.page, 'asked-denied');
  assert.deepEqual(
    [...said, ...asked.said].filter((words) => !words.includes('status of 4')),
    [],
  );
  await context.close();
  await asked.context.close();
});

test('a hostile call is text: nothing runs, nothing hides, the whole of it is there', { skip }, async () => {
  const script = '<script>document.title="pwned"</script><img src=x onerror="document.title=1">';
  const request = await ask({
    name: `${script}\u202efund`,
    title: script,
    client: script,
    params: { arguments: { script, rtl: 'gpj.\u202eexe', long: 'a'.repeat(1_000_000), last: 'the end' } },
  });
  const { page, context, said } = await open(/Bob/, `/approvals/${request.id}`);
  await page.getByText('This is only the beginning').waitFor();
  await look(page, 'hostile');
  assert.notEqual(await page.title(), 'pwned');
  assert.equal(await page.evaluate('document.querySelectorAll("script, img").length'), 0);
  assert.doesNotMatch((await page.textContent('main')) ?? '', /\u202e/);
  await page.getByRole('link', { name: 'all of the arguments' }).click();
  await page.waitForURL('**/arguments');
  const whole = (await page.textContent('body')) ?? '';
  assert.match(whole, /"the end"/);
  assert.doesNotMatch(whole, /\u202e/);
  assert.deepEqual(said, []);
  await context.close();
});

test('access is asked for from /connect, given, ended; glass is broken and reviewed', { skip }, async () => {
  const { page, context, said } = await open(/Ana/, '/connect');
  await page.getByRole('link', { name: /Get access/ }).click();
  await page.getByRole('button', { name: /^Continue/ }).click();
  await page.getByRole('button', { name: /Ana/ }).click();
  await page.getByRole('heading', { name: 'Access to Orders database' }).waitFor();
  await look(page, 'access-enter');
  await page.getByLabel('What you need it for').fill('Ticket 4711');
  await page.getByLabel('For how long').first().selectOption({ label: '2 hours' });
  await page.getByRole('button', { name: 'Ask for access' }).click();
  await page.waitForURL('**/access/requests/**');
  await look(page, 'access-requested');
  const { pathname } = new URL(page.url());

  const bob = await open(/Bob/, pathname);
  await again(bob.page, /Log in again to decide/, /Bob/);
  await look(bob.page, 'access-decide');
  await bob.page.getByRole('button', { name: 'Let them in' }).click();
  await bob.page.getByText('they are in').waitFor();
  await bob.page.getByRole('link', { name: 'an access window' }).click();
  await bob.page.getByLabel('Why it ends now').fill('Enough');
  await look(bob.page, 'access-window');
  await bob.page.getByRole('button', { name: 'End this access now' }).click();
  await bob.page.getByText('Revoked').waitFor();

  await page.goto(`${origin}/access/orders`);
  await again(page, /Log in again to break glass/, /Ana/);
  await look(page, 'access-break-glass');
  await page.getByLabel('What the emergency is').fill('Outage');
  await page.getByRole('button', { name: 'Break glass' }).click();
  await page.getByText('You are in.').waitFor();
  await look(page, 'access-broken');
  await bob.page.goto(page.url().replace(/\?.*/, ''));
  await bob.page.getByLabel(/^What you found/).fill('Read two orders,\nchanged none');
  await look(bob.page, 'access-review');
  await bob.page.getByRole('button', { name: 'Record the review' }).click();
  await bob.page.getByText('Read two orders, changed none').waitFor();
  await bob.page.getByRole('link', { name: 'Access', exact: true }).click();
  await bob.page.getByRole('heading', { name: 'Access windows' }).waitFor();
  await look(bob.page, 'access');
  await bob.page.getByRole('button', { name: 'Sign out' }).click();
  await bob.page.getByRole('heading', { name: 'You are signed out' }).waitFor();
  assert.deepEqual([...said, ...bob.said], []);
  await context.close();
  await bob.context.close();
});

test('a command is let in by who reads its code, and comes back to its terminal', { skip }, async () => {
  const context = await browser.browser.newContext();
  const page = await context.newPage();
  const lines: string[] = [];
  const token = await approverToken({
    gateway: origin,
    command: 'verbatim approvals approve 0197',
    scope: 'decide',
    write: (line) => void lines.push(line),
    // As a browser would: the command waits meanwhile.
    async openBrowser(url) {
      void (async () => {
        await page.goto(url.href);
        await page.getByRole('button', { name: /^Continue/ }).click();
        await page.getByRole('button', { name: /Bob/ }).click();
        await page.getByRole('heading', { name: 'Does your terminal show this code?' }).waitFor();
        const code = (await page.textContent('.code')) ?? '';
        assert.ok(lines.some((line) => line.endsWith(code)));
        await look(page, 'command');
        await page.getByRole('button', { name: /allow/ }).click();
      })();
    },
  });
  assert.match(token, /^[A-Za-z0-9_-]{43}$/);
  await page.getByText('You are logged in').waitFor();
  await context.close();
});

test('another site neither frames these pages nor sends their forms', { skip }, async () => {
  const request = await ask();
  const { page, context } = await open(/Bob/, `/approvals/${request.id}`);
  await again(page, /Log in again to decide/, /Bob/);
  const csrf = await page.locator('form:has([name=verdict]) [name=csrf]').inputValue();
  const { serveSites } = await import('./browser.ts');
  const action = `${origin}/approvals/${request.id}`;
  const site = await serveSites(
    () => `<title>attacker</title><iframe src="${action}"></iframe>
<form method="post" action="${action}"><input name="csrf" value="${csrf}"><button name="verdict" value="approve">Win</button></form>`,
  );
  await page.goto(site.at('attacker', '/'));
  const frame = page.frames()[1];
  assert.equal(await frame?.evaluate('document.querySelectorAll("form").length'), 0);
  // The secret of the form is right; what it comes from is not.
  await page.getByRole('button', { name: 'Win' }).click();
  await page.waitForURL(action);
  assert.equal((await approving.approvals.read(request.id))?.state.state, 'pending');
  await context.close();
  await site.close();
});
