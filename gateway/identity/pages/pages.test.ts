/**
 * The pages in a real browser: what a person sees, what the keyboard reaches, what a form sends, what an attacker's page
 * gets of them. `VERBATIM_SCREENSHOTS` names a folder for pictures of all of them.
 */
import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import type { Page as BrowserPage } from 'playwright-core';
import { axe, openBrowser, type TestBrowser, whyNoBrowser } from '../../../test/browser.ts';
import { type ConnectPage, connectPage } from './connect.ts';
import { type ConsentQuestion, consentPage } from './consent.ts';
import { messagePage, onwardPage } from './message.ts';
import type { Page } from './page.ts';
import { chooseProviderPage, signInPage } from './sign-in.ts';

const skip = await whyNoBrowser();

const NOW = Date.UTC(2026, 10, 28, 13, 21);
const HOUR = 3_600_000;
const okta = { name: 'okta', title: 'Okta' };
const google = { name: 'google', title: 'Google Workspace' };
const entra = { name: 'entra', title: 'Contoso (Entra ID)' };
const post = { csrf: 'csrf-of-this-browser', action: '/post', formOrigins: [] };

/** Everything that a page may be made to show. */
const HOSTILE = `</title></style><script>document.title='pwned'</script><img src=x onerror="document.title='pwned'">"' style="position:fixed\u202egpj.exe\u2066 \u200b${'Z\u0335\u0321\u0322\u0327\u0328\u0321\u0322\u0327\u0328'.repeat(4)} 👩‍💻❤️ שלום ${'a'.repeat(10_000)}`;

const asked: ConsentQuestion = {
  client: { name: 'Claude Code', id: 'dcr-1', verified: 'self-registered' },
  redirect: 'http://localhost:54212/callback',
  connection: { name: 'orders', title: 'Orders database', host: 'mcp.example.com', recording: 'on' },
  lasts: { longest: 12 * HOUR, idle: 8 * HOUR },
  providers: [okta],
  ...post,
};

const connect: ConnectPage = {
  person: { name: 'Ana Keller', email: 'ana@example.com', provider: 'Okta' },
  connections: [
    {
      name: 'orders',
      title: 'Orders database',
      url: 'https://mcp.example.com/orders/mcp',
      recording: 'on',
      sessions: [{ id: 's1', client: 'Claude Code', since: NOW - 4 * HOUR, until: NOW + 8 * HOUR }],
      consents: [
        { id: 'c1', client: 'Claude Code', redirect: 'a program on this computer', until: NOW + 700 * HOUR },
        { id: 'c2', client: 'Claude', redirect: 'claude.ai', until: NOW + 500 * HOUR },
      ],
      account: { state: 'not_needed' },
    },
    {
      name: 'tickets',
      title: 'Tickets',
      url: 'https://tickets.mcp.example.com/mcp',
      recording: 'off',
      lastUsed: NOW - 50 * HOUR,
      sessions: [],
      consents: [],
      lastError: {
        at: NOW - 49 * HOUR,
        words: 'The upstream answered 503. Nothing was executed: try again, or ask the team that runs it.',
        reference: '0193-7c1e-4b55',
      },
      account: { state: 'needed' },
    },
    {
      name: 'wiki',
      title: 'Company wiki',
      url: 'https://mcp.example.com/wiki/mcp',
      recording: 'on',
      sessions: [],
      consents: [],
      account: {
        state: 'failed',
        words: 'The wiki no longer accepts your account: its consent was taken back there. Connect it again.',
      },
    },
  ],
  notice: { kind: 'good', words: 'The session of Codex has ended.' },
  signOutAction: '/sign-out',
  now: NOW,
  ...post,
};

const hostileConnection = {
  name: 'orders',
  title: HOSTILE,
  url: 'https://mcp.example.com/orders/mcp',
  recording: 'on',
  sessions: [{ id: '"><script>', client: HOSTILE, since: NOW, until: NOW }],
  consents: [{ id: "'", client: HOSTILE, redirect: HOSTILE, until: NOW }],
  lastError: { at: NOW, words: HOSTILE, reference: HOSTILE },
  account: { state: 'failed', words: HOSTILE },
} as const;

const pages: Readonly<Record<string, Page>> = {
  consent: consentPage(asked),
  'consent-document': consentPage({
    ...asked,
    client: { name: 'Claude', id: 'https://claude.ai/oauth/client', verified: 'document', host: 'claude.ai' },
    redirect: 'https://claude.ai/api/mcp/auth_callback',
    email: 'ana@example.com',
  }),
  'consent-several': consentPage({
    ...asked,
    client: { name: 'Cursor', id: 'cursor', verified: 'registered' },
    redirect: 'cursor://anysphere.cursor-mcp/oauth/callback',
    connection: { ...asked.connection, recording: 'off' },
    providers: [okta, google, entra],
    email: 'ana@exmple.com',
    problem: 'Nobody logs in with exmple.com here. Check the address, or ask the administrators of this gateway.',
  }),
  'consent-hostile': consentPage({
    ...asked,
    client: { name: HOSTILE, id: HOSTILE, verified: 'document', host: HOSTILE },
    redirect: `https://${'a.'.repeat(120)}example.com/${encodeURIComponent(HOSTILE)}`,
    connection: { ...asked.connection, title: HOSTILE, host: HOSTILE },
    providers: [okta, { name: 'x', title: HOSTILE }],
    email: HOSTILE,
    problem: HOSTILE,
  }),
  'sign-in': signInPage({ ...post, provider: okta }),
  'choose-provider': chooseProviderPage({ ...post, providers: [okta, google, entra] }),
  'message-error': messagePage({
    status: 403,
    title: 'You are not in a group that may use this',
    words: 'You are logged in as ana@example.com, but none of your groups may open a session on Orders database.',
    hint: 'Ask the team that runs it to let one of your groups in, then log in again. They will want to know:',
    details: [
      ['Reference', '0193f0a2-7c1e-7b55-9c1d-2f6f0f3f1a11'],
      ['Connection', 'orders'],
      ['Time', '2026-11-28 13:21:04 UTC'],
    ],
    action: { label: 'Your connections', href: '/connect' },
  }),
  'message-done': messagePage({
    status: 200,
    title: 'You are signed out',
    words: 'Sessions that are open go on. End them on the page with your connections.',
  }),
  'message-hostile': messagePage({
    status: 400,
    title: HOSTILE,
    words: HOSTILE,
    hint: HOSTILE,
    details: [[HOSTILE, HOSTILE]],
    action: { label: HOSTILE, href: '/connect' },
  }),
  connect: connectPage(connect),
  'connect-empty': connectPage({ ...connect, connections: [], notice: { kind: 'good', words: 'You are logged in.' } }),
  'connect-hostile': connectPage({
    ...connect,
    person: { name: HOSTILE, email: HOSTILE, provider: HOSTILE },
    connections: [hostileConnection],
    notice: { kind: 'bad', words: HOSTILE },
  }),
};

let server: Server;
let port: number;
let chromium: TestBrowser;
const posted: { path: string; form: Record<string, string>; origin: string | undefined }[] = [];

/** Sites are told apart by their host, all on this server: the gateway is `gateway.localhost`. */
async function answer(request: IncomingMessage): Promise<Page | string | { to: string }> {
  const url = new URL(request.url ?? '/', `http://${request.headers.host}`);
  if (request.method === 'POST') {
    const form = Object.fromEntries(new URLSearchParams(await text(request)));
    posted.push({ path: url.pathname, form, origin: request.headers.origin });
  }
  const to = url.searchParams.get('to');
  if (url.pathname === '/hop' && to !== null) return { to };
  if (url.pathname === '/onward' && to !== null) return onwardPage({ href: to, title: 'Okta' });
  if (url.pathname === '/leading') {
    const action = url.searchParams.get('action') ?? '';
    return consentPage({ ...asked, action, formOrigins: url.searchParams.getAll('origin') });
  }
  const page = pages[url.pathname.slice(1)];
  if (page !== undefined) return page;
  if (url.pathname === '/frame')
    return `<title>attacker</title><iframe src="http://gateway.localhost:${port}/consent"></iframe>`;
  return '<title>end</title>';
}

if (skip === false) {
  before(async () => {
    server = createServer(async (request, response) => {
      const said = await answer(request);
      if (typeof said === 'string') response.writeHead(200, { 'Content-Type': 'text/html' }).end(said);
      else if ('to' in said) response.writeHead(303, { Location: said.to }).end();
      else response.writeHead(said.status, said.headers).end(said.html);
    });
    await new Promise<void>((resolve) => server.listen(0, resolve));
    port = (server.address() as AddressInfo).port;
    chromium = await openBrowser();
  });
  after(async () => {
    await chromium.close();
    server.closeAllConnections();
    server.close();
  });
}

const at = (host: string, path: string): string => `http://${host}.localhost:${port}${path}`;

/** A page, and all that the browser had to say about it. */
async function open(name: string): Promise<{ page: BrowserPage; said: string[] }> {
  const page = await chromium.page();
  const said: string[] = [];
  page.on('console', (message) => said.push(message.text()));
  page.on('pageerror', (error) => said.push(String(error)));
  page.on('requestfailed', (request) => said.push(request.url()));
  await page.goto(at('gateway', `/${name}`));
  return { page, said };
}

async function picture(page: BrowserPage, name: string): Promise<void> {
  const folder = process.env.VERBATIM_SCREENSHOTS;
  if (folder !== undefined) await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
}

for (const name of Object.keys(pages)) {
  test(`${name}: axe finds nothing, nothing scrolls sideways, the browser has nothing to say`, { skip }, async () => {
    const { page, said } = await open(name);
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
      if ((colorScheme === 'dark') === (width === 320)) assert.deepEqual(await axe(page), []);
    }
    assert.equal(await page.title(), (await page.title()).replace(/^pwned$/, 'a script has run'));
    if (name === 'message-error')
      said.splice(
        said.findIndex((words) => words.includes('403')),
        1,
      );
    if (name === 'message-hostile')
      said.splice(
        said.findIndex((words) => words.includes('400')),
        1,
      );
    assert.deepEqual(said, []);
    await page.context().close();
  });
}
