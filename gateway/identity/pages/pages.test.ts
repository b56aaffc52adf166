/**
 * The pages in a real browser: what a person sees, and what an attacker's page gets of them. `VERBATIM_SCREENSHOTS` names
 * a folder for pictures of all of them.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Page as BrowserPage } from 'playwright-core';
import { axe, openBrowser, serveSites, type TestBrowser, type TestSite, whyNoBrowser } from '../../../test/browser.ts';
import { consentPage } from './consent.ts';
import { asked, pages } from './fixture.ts';
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

function answer(url: URL): Page | string {
  const framed = /^\/frame-(.+)$/.exec(url.pathname)?.[1];
  if (framed !== undefined) return `<title>attacker</title><iframe src="${site.at('gateway', `/${framed}`)}"></iframe>`;
  return pages[url.pathname.slice(1)] ?? '<title>nothing</title>';
}

/** A page, and all that the browser had to say about it. */
async function open(name: string): Promise<{ page: BrowserPage; said: string[] }> {
  const page = await chromium.page();
  const said: string[] = [];
  page.on('console', (message) => said.push(message.text()));
  page.on('pageerror', (error) => said.push(String(error)));
  page.on('requestfailed', (request) => said.push(request.url()));
  await page.goto(site.at('gateway', `/${name}`));
  return { page, said };
}

async function picture(page: BrowserPage, name: string): Promise<void> {
  const folder = process.env.VERBATIM_SCREENSHOTS;
  if (folder !== undefined) await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
}

describe('each page', { skip, concurrency: 3 }, () => {
  for (const name of Object.keys(pages)) {
    test(`${name}: axe finds nothing, nothing scrolls sideways, the browser has nothing to say`, async () => {
      const { page, said } = await open(name);
      await picture(page, name);
      await page.evaluate('for (const one of document.querySelectorAll("details")) { one.name = ""; one.open = true }');
      for (const [colorScheme, width] of [
        ['light', 1280],
        ['dark', 320],
        ['dark', 1280],
        ['light', 320],
      ] as const) {
        await page.emulateMedia({ colorScheme });
        await page.setViewportSize({ width, height: 800 });
        await picture(page, `${name}-${colorScheme}-${width}`);
        assert.equal(await page.evaluate('document.documentElement.scrollWidth'), width);
        // Both colours, both widths.
        if ((colorScheme === 'dark') === (width === 320)) assert.deepEqual(await axe(page), []);
      }
      assert.notEqual(await page.title(), 'pwned');
      assert.equal(await page.evaluate('document.querySelectorAll("script, img, [onerror]").length'), 0);
      assert.deepEqual(said.filter(saidOfPolicy), []);
      await page.context().close();
    });
  }
});

/** What a browser says of a page that is an error by its status is not of the page. */
function saidOfPolicy(words: string): boolean {
  return !words.startsWith('Failed to load resource: the server responded with a status of 4');
}

test('no text of a hostile page stands over another: stacked marks are cut off at their row', { skip }, async () => {
  const { page } = await open('consent-hostile');
  for (const selector of ['h1', '.facts > div']) {
    const clipped = `getComputedStyle(document.querySelector(${JSON.stringify(selector)})).overflow`;
    assert.equal(await page.evaluate(clipped), 'clip');
  }
  await page.context().close();
});

for (const name of ['consent', 'connect']) {
  test(`${name} can not be framed by another site`, { skip }, async () => {
    const page = await chromium.page();
    const refused = page.waitForEvent('console', (message) => /frame-ancestors|X-Frame-Options/.test(message.text()));
    await page.goto(site.at('attacker', `/frame-${name}`));
    await refused;
    const [, frame] = page.frames();
    assert.ok(frame);
    assert.equal(await frame.evaluate('document.querySelectorAll("form, button, h1").length'), 0);
    await page.context().close();
  });
}

test('every page is kept out of frames, caches, other styles and scripts', () => {
  for (const [name, page] of Object.entries(pages)) {
    const policy = page.headers['Content-Security-Policy'] ?? '';
    assert.match(
      policy,
      /^default-src 'none'; style-src 'sha256-[^']+'; img-src data:; form-action [^;]+; frame-ancestors 'none'; base-uri 'none'$/,
    );
    assert.equal(page.headers['X-Frame-Options'], 'DENY');
    assert.equal(page.headers['X-Content-Type-Options'], 'nosniff');
    assert.equal(page.headers['Referrer-Policy'], 'same-origin');
    assert.equal(page.headers['Cache-Control'], 'no-store');
    assert.equal(page.headers['Cross-Origin-Opener-Policy'], name.startsWith('consent') ? undefined : 'same-origin');
    assert.equal(policy.includes("form-action 'none'"), name.startsWith('message'));
  }
});

test('form-action holds sources and nothing else', () => {
  const policyOf = (...formOrigins: string[]) =>
    consentPage({ ...asked, formOrigins }).headers['Content-Security-Policy'];
  const sources = policyOf(
    'https://idp.example.com/authorize?a=b',
    'https://idp.example.com',
    'http://127.0.0.1:54212/callback',
    'http://[::1]:54212/callback',
    'cursor://anysphere.cursor-mcp/oauth/callback',
    'com.example.app:/callback',
  );
  assert.match(
    sources ?? '',
    /form-action 'self' https:\/\/idp\.example\.com http:\/\/127\.0\.0\.1:54212 http: cursor: com\.example\.app:; /,
  );
  for (const address of ["'unsafe-inline'", '*', "x; script-src 'self'"]) {
    assert.throws(() => policyOf(address), TypeError);
  }
  // Whatever a URL may hold, the header gets no more than its scheme or host.
  assert.match(
    policyOf('https://a.example/x;script-src *\r\nX: y') ?? '',
    /form-action 'self' https:\/\/a\.example; frame/,
  );
});

test('onward is to web sites alone', () => {
  for (const href of ['javascript:alert(1)', 'data:text/html,x', '/relative']) {
    assert.throws(() => onwardPage({ href, title: 'x' }), TypeError);
  }
});
