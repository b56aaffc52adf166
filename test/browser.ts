/**
 * A real Chromium for tests of what a person sees: from the npm package `@sparticuz/chromium`, driven by playwright-core.
 *
 * VERBATIM_CHROMIUM names another one. Where none can be had, tests are skipped aloud, or fail where
 * VERBATIM_REQUIRE_TOOLS=1 says that nothing may be skipped.
 */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import axeCore from 'axe-core';
import { type Browser, type BrowserContextOptions, chromium, type LaunchOptions, type Page } from 'playwright-core';

const run = promisify(execFile);

/**
 * Not the package's own arguments: among them are `--single-process`, under which closing a context ends the browser, and
 * `--disable-web-security`, under which nothing here would prove anything.
 */
const ARGS = [
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-quic',
  '--disable-sync',
  '--no-first-run',
  // Only this machine is reached. Sites of a test are `http://<any>.localhost:<port>`: each a site of its own, and trusted
  // as https is (cookies with `__Host-`, Cross-Origin-Opener-Policy).
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE *.localhost, EXCLUDE 127.0.0.1, EXCLUDE [::1]',
];

/** For a machine without fonts: those of the package. Its own file names folders of the cloud that it was made for. */
const FONTS = `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir prefix="relative">fonts</dir></fontconfig>
`;

export interface TestBrowser {
  readonly browser: Browser;
  /** A browser of its own as far as pages can tell: cookies, cache. Closed with the browser. */
  page(options?: BrowserContextOptions): Promise<Page>;
  close(): Promise<void>;
}

/** Starts Chromium: 0.1 s, and 2 s more the first time on a machine. Throws where there is none. */
export async function openBrowser(): Promise<TestBrowser> {
  const browser = await chromium.launch({
    ...(await program()),
    args: ARGS,
    // Neither root nor a system that keeps user namespaces from programs has a sandbox; only our own pages are opened.
    chromiumSandbox: false,
  });
  return {
    browser,
    async page(options) {
      const context = await browser.newContext({ locale: 'en-US', ...options });
      context.setDefaultTimeout(10_000);
      return context.newPage();
    },
    close: () => browser.close(),
  };
}

export interface SiteRequest {
  /** Of a POST. */
  readonly form: Record<string, string> | undefined;
  readonly origin: string | undefined;
}

export interface TestSite {
  /** An address on the site of that name. */
  at(site: string, path: string): string;
  close(): Promise<void>;
}

/** Several sites on one server, told apart by their host: an answer is a page, HTML without any header, or a redirect. */
export async function serveSites(
  answer: (url: URL, request: SiteRequest) => ServedPage | string | { readonly to: string },
): Promise<TestSite> {
  const server = createServer((request, response) => {
    // What a test's answer throws is seen by the test, in the browser, and not waited for.
    respond(request, response).catch((error: unknown) => response.writeHead(500).end(String(error)));
  });
  const respond = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? '/', `http://${request.headers.host}`);
    const body = request.method === 'POST' ? new URLSearchParams(await text(request)) : undefined;
    const said = answer(url, { form: body && Object.fromEntries(body), origin: request.headers.origin });
    if (typeof said === 'string') response.writeHead(200, { 'Content-Type': 'text/html' }).end(said);
    else if ('to' in said) response.writeHead(303, { Location: said.to }).end();
    else response.writeHead(said.status, said.headers).end(said.html);
  };
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    at: (site, path) => `http://${site}.localhost:${port}${path}`,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

interface ServedPage {
  readonly status: number;
  readonly html: string;
  readonly headers: Readonly<Record<string, string>>;
}

async function program(): Promise<LaunchOptions> {
  if (process.env.VERBATIM_CHROMIUM) return { executablePath: process.env.VERBATIM_CHROMIUM };
  // The package has a build for these alone.
  if (process.platform !== 'linux' || process.arch !== 'x64') return { channel: 'chrome' };
  const folder = await unpacked();
  const fonts = existsSync('/etc/fonts/fonts.conf') ? {} : { FONTCONFIG_FILE: join(folder, 'own-fonts.conf') };
  return { executablePath: join(folder, 'chromium'), env: { ...process.env, ...fonts } };
}

/** For `skip` of a test: false, or why no browser can be had here. With VERBATIM_REQUIRE_TOOLS=1 it throws instead. */
export async function whyNoBrowser(): Promise<string | false> {
  try {
    await (await openBrowser()).close();
    return false;
  } catch (error) {
    const reason = `Chromium does not start here: ${String(error).split('\n', 3).join(' ')}`;
    if (process.env.VERBATIM_REQUIRE_TOOLS === '1') throw new Error(`VERBATIM_REQUIRE_TOOLS=1, but ${reason}`);
    return reason;
  }
}

/** What axe finds wrong with a page. Evaluated in it: a policy that allows no script keeps script elements out. */
export async function axe(page: Page): Promise<readonly string[]> {
  await page.evaluate(axeCore.source);
  const results = await page.evaluate<{ violations: AxeViolation[] }>(
    'axe.run(document, { resultTypes: ["violations"] })',
  );
  return results.violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
}

interface AxeViolation {
  readonly id: string;
  readonly nodes: readonly { readonly html: string }[];
}

/**
 * The folder with the unpacked browser (200 MB), once a version and machine. The package itself unpacks into the temporary
 * folder and takes a half-written file of another process for a whole one: so it is given a folder of its own, which then
 * appears under its name at once.
 */
async function unpacked(): Promise<string> {
  const installed = new URL('../package.json', import.meta.resolve('@sparticuz/chromium'));
  const { version } = JSON.parse(await readFile(installed, 'utf8')) as { version: string };
  const cache =
    process.env.VERBATIM_TOOLS || join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'verbatim-tools');
  const folder = join(cache, `chromium-${version}-${process.arch}`);
  if (existsSync(folder)) return folder;
  await mkdir(cache, { recursive: true });
  const fresh = await mkdtemp(join(cache, '.chromium-'));
  try {
    const script = `await (await import('${import.meta.resolve('@sparticuz/chromium')}')).default.executablePath()`;
    const env = { ...process.env, TMPDIR: fresh };
    await run(process.execPath, ['--input-type=module', '--eval', script], { env });
    await writeFile(join(fresh, 'own-fonts.conf'), FONTS);
    await rename(fresh, folder).catch((error: unknown) => {
      if (!existsSync(folder)) throw error;
    });
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
  return folder;
}
