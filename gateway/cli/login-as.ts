import { LoginError, reason } from './login-error.ts';
import { isLoopback } from './login-metadata.ts';

const REQUEST_TIMEOUT_MS = 10_000;
const MOST_STEPS = 24;
/** What the login page of the demo's identity provider carries, and no other page. */
const DEMO_PAGE = '<meta name="verbatim-demo" content="login">';
/** Pages of the gateway where a person goes on: whether a client may call as them, who approves, whether a command may. */
const OWN_PAGES = ['Allow access', 'Log in', 'Allow a command'].map((title) => `<title>${title} · Verbatim</title>`);

interface Cookie {
  readonly value: string;
  readonly path: string;
}
/** By origin: the gateway and the identity provider are two, though both may be on 127.0.0.1. */
type Cookies = Map<string, Map<string, Cookie>>;

/** Where the browser goes next, with a form or without. */
interface Step {
  readonly url: URL;
  readonly form?: URLSearchParams | undefined;
}

/**
 * Logs in at a gateway before the demo's identity provider without a browser: agrees on the gateway's page, chooses
 * `user` on the provider's, then follows to the loopback redirect. Until then it stays on this machine, so that nothing
 * can send it elsewhere; it agrees where the login began alone, and answers no login page but the demo's.
 *
 * @throws LoginError `not_the_demo`, `no_such_user`, `refused`, `unreachable`
 */
export async function loginAs(
  user: string,
  options: { authorizationUrl: URL; redirectUri: string; fetch: typeof globalThis.fetch },
): Promise<void> {
  const { authorizationUrl, redirectUri, fetch } = options;
  const cookies: Cookies = new Map();
  let step: Step = { url: authorizationUrl };
  for (let steps = 0; steps < MOST_STEPS; steps++) {
    if (!isLoopback(step.url)) throw elsewhere(authorizationUrl, step.url.origin);
    const response = await request(step, cookies, fetch);
    const location = response.headers.get('location');
    const next: Step =
      location === null
        ? stepFrom(await response.text(), { ...step, status: response.status }, user, authorizationUrl)
        : { url: urlFrom(location, step.url, authorizationUrl) };
    await response.body?.cancel().catch(() => {});
    if (`${next.url.origin}${next.url.pathname}` === redirectUri) {
      // Not awaited: the listener answers when the code has been redeemed, which waits for this function's caller.
      void visit(next.url, fetch);
      return;
    }
    step = next;
  }
  throw new LoginError('refused', `${authorizationUrl.origin} redirects in circles. Start the demo again.`);
}

function urlFrom(location: string, base: URL, from: URL): URL {
  const url = URL.parse(location, base.href);
  if (url === null) throw elsewhere(from, location);
  return url;
}

function elsewhere({ origin }: URL, where: string): LoginError {
  return new LoginError(
    'not_the_demo',
    `${origin} leads to ${where}. --as works with the demo's identity provider only; leave it out to log in with a browser.`,
  );
}

/** What a person would do on a page: agree, choose a name, go on. */
function stepFrom(page: string, { url, form, status }: Step & { status: number }, user: string, start: URL): Step {
  const next =
    (url.origin === start.origin ? stepAtGateway(page, { url, form }, start) : undefined) ??
    (form === undefined && page.includes(DEMO_PAGE) ? choose(user, page, url) : undefined);
  if (next !== undefined) return next;
  throw new LoginError(
    'not_the_demo',
    `${url.origin} answered ${status} with a page that --as does not know. It works with the demo's identity provider only; leave it out to log in with a browser.`,
  );
}

function stepAtGateway(page: string, { url, form }: Step, start: URL): Step | undefined {
  const onward = /<meta http-equiv="refresh" content="0; url=([^"]+)"/.exec(page)?.[1];
  if (onward !== undefined) return { url: urlFrom(decode(onward), url, start) };
  const csrf = /<input type="hidden" name="csrf" value="([^"]+)"/.exec(page)?.[1];
  const action = /<form[^>]* action="([^"]+)"/.exec(page)?.[1];
  if (
    OWN_PAGES.some((title) => page.includes(title)) &&
    csrf !== undefined &&
    action !== undefined &&
    form === undefined
  ) {
    const answered = urlFrom(decode(action), url, start);
    if (answered.origin !== start.origin) throw elsewhere(start, answered.origin);
    return { url: answered, form: new URLSearchParams({ csrf: decode(csrf), action: 'continue' }) };
  }
  // A page that says why it ends here, and leads back to the client with it.
  const back = /<a class="button" href="([^"]*[?&](?:amp;)?told=1)"/.exec(page)?.[1];
  return back === undefined ? undefined : { url: urlFrom(decode(back), url, start) };
}

function choose(user: string, page: string, url: URL): Step {
  checkUser(user, page, url.origin);
  return { url, form: new URLSearchParams({ user }) };
}

function decode(text: string): string {
  return text.replaceAll('&amp;', '&');
}

function checkUser(user: string, page: string, origin: string): void {
  const offered = [...page.matchAll(/<button name="user" value="([a-z0-9-]+)">/g)].map(([, name]) => name ?? '');
  if (!offered.includes(user))
    throw new LoginError('no_such_user', `There is no "${user}" at ${origin}. Use --as ${offered.join(', ')}.`);
}

async function request({ url, form }: Step, all: Cookies, fetch: typeof globalThis.fetch): Promise<Response> {
  const cookies = all.get(url.origin) ?? new Map<string, Cookie>();
  all.set(url.origin, cookies);
  const sent = [...cookies]
    .filter(([, { path }]) => covers(path, url.pathname))
    .map(([name, { value }]) => `${name}=${value}`);
  let response: Response;
  try {
    response = await fetch(url, {
      method: form === undefined ? 'GET' : 'POST',
      headers: { accept: 'text/html', ...(sent.length > 0 && { cookie: sent.join('; ') }) },
      redirect: 'manual',
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
      ...(form !== undefined && { body: form }),
    });
  } catch (error) {
    throw new LoginError('unreachable', `${url.origin} could not be reached (${reason(error)}). Is the demo running?`, {
      cause: error,
    });
  }
  for (const line of response.headers.getSetCookie()) keep(line, url, cookies);
  return response;
}

/** RFC 6265, as much of it as one origin and one login need. */
function keep(line: string, url: URL, cookies: Map<string, Cookie>): void {
  const [pair = '', ...attributes] = line.split(';');
  const [name, value] = split(pair);
  let path = url.pathname.slice(0, Math.max(1, url.pathname.lastIndexOf('/')));
  let gone = false;
  for (const [attribute, given] of attributes.map(split)) {
    if (attribute.toLowerCase() === 'path' && given.startsWith('/')) path = given;
    if (attribute.toLowerCase() === 'max-age') gone ||= Number(given) <= 0;
    if (attribute.toLowerCase() === 'expires') gone ||= Date.parse(given) <= Date.now();
  }
  if (gone) cookies.delete(name);
  else cookies.set(name, { value, path });
}

function split(pair: string): [name: string, value: string] {
  const at = pair.indexOf('=');
  return at < 0 ? [pair.trim(), ''] : [pair.slice(0, at).trim(), pair.slice(at + 1).trim()];
}

function covers(path: string, requested: string): boolean {
  return requested === path || requested.startsWith(path.endsWith('/') ? path : `${path}/`);
}

async function visit(url: URL, fetch: typeof globalThis.fetch): Promise<void> {
  try {
    const response = await fetch(url, { redirect: 'manual', signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS) });
    await response.body?.cancel();
  } catch {
    // Whether the code arrived is for the listener to say: it waits with a time limit of its own.
  }
}
