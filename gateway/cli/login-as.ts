import { LoginError, reason } from './login-error.ts';

const REQUEST_TIMEOUT_MS = 10_000;
const MOST_STEPS = 12;
/** What the login page of the demo's identity provider carries, and no other page. */
const DEMO_PAGE = '<meta name="verbatim-demo" content="login">';

interface Cookie {
  readonly value: string;
  readonly path: string;
}

/**
 * Logs in at the demo's identity provider without a browser: chooses `user` on its login page, then follows it to the
 * loopback redirect. It stays within the provider's origin until then, so that no redirect can send it elsewhere.
 *
 * @throws LoginError `not_the_demo`, `no_such_user`, `refused`, `unreachable`
 */
export async function loginAs(
  user: string,
  options: { authorizationUrl: URL; redirectUri: string; fetch: typeof globalThis.fetch },
): Promise<void> {
  const { authorizationUrl, redirectUri, fetch } = options;
  const cookies = new Map<string, Cookie>();
  let url = authorizationUrl;
  let form: URLSearchParams | undefined;

  for (let steps = 0; steps < MOST_STEPS; steps++) {
    const response = await request(url, form, cookies, fetch);
    const location = response.headers.get('location');
    if (location === null) {
      const page = await response.text();
      if (form !== undefined || response.status !== 200 || !page.includes(DEMO_PAGE)) throw unexpected(url, response);
      checkUser(user, page, url.origin);
      form = new URLSearchParams({ user });
      continue;
    }
    await response.body?.cancel();
    const next = URL.parse(location, url.href);
    if (next !== null && `${next.origin}${next.pathname}` === redirectUri) {
      // Not awaited: the listener answers when the code has been redeemed, which waits for this function's caller.
      void visit(next, fetch);
      return;
    }
    if (next?.origin !== authorizationUrl.origin)
      throw new LoginError(
        'not_the_demo',
        `${authorizationUrl.origin} redirects to ${next?.origin ?? location}. --as works at the demo's identity provider only; leave it out to log in with a browser.`,
      );
    url = next;
    form = undefined;
  }
  throw new LoginError('refused', `${authorizationUrl.origin} redirects in circles. Start the demo again.`);
}

function unexpected(url: URL, response: Response): LoginError {
  return new LoginError(
    'not_the_demo',
    `${url.origin} answered ${response.status} with a page that is not the demo's login. --as works at the demo's identity provider only; leave it out to log in with a browser.`,
  );
}

function checkUser(user: string, page: string, origin: string): void {
  const offered = [...page.matchAll(/<button name="user" value="([a-z]+)">/g)].map(([, name]) => name ?? '');
  if (!offered.includes(user))
    throw new LoginError('no_such_user', `There is no "${user}" at ${origin}. Use --as ${offered.join(', ')}.`);
}

async function request(
  url: URL,
  form: URLSearchParams | undefined,
  cookies: Map<string, Cookie>,
  fetch: typeof globalThis.fetch,
): Promise<Response> {
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
