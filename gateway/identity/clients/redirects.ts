/**
 * Where a client may send a person, and with them an authorization code. What is accepted here is compared letter by
 * letter later, so a URI has one spelling: what a browser would rewrite is refused.
 */
import { classifyHost } from '../../proxy/address.ts';
import { isListedHost } from './host-list.ts';

/**
 * `accepted`, or why not. `elsewhere`: well-formed and not allowed here, a host or a scheme that is not listed; a client
 * that names several may go on without it. `refused`: nobody means well with it.
 */
export type RedirectVerdict = 'accepted' | 'elsewhere' | 'refused';

/** Hosts for `https:`, as `login.redirectHosts` has them; `any` for what the operator wrote by hand. */
export type RedirectHosts = readonly string[] | 'any';

const MOST_CHARACTERS = 512;
/** RFC 3986's own, without `#` (RFC 6749, section 3.1.2: no fragment), space, control characters, quotes and `\`. */
const CHARACTERS = /^[A-Za-z0-9\-._~:/?[\]@!$&'()*+,;=%]+$/;
/** A `%` that encodes nothing, a control character or a backslash: whoever decodes it sees another URI. */
const BAD_ESCAPE = /%(?![0-9a-f]{2})|%[01][0-9a-f]|%7f|%5c/i;
const LOOPBACK = new Set(['127.0.0.1', '[::1]', 'localhost']);
/** Run or read by the browser itself, or by a program that it starts on its own. */
const NEVER = new Set(['javascript:', 'vbscript:', 'data:', 'blob:', 'file:', 'about:', 'filesystem:', 'view-source:']);
/** RFC 8252, section 7.1: a domain that the program's author owns, backwards. */
const PRIVATE_USE = /^[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+:$/;
/** In use by MCP clients without being a domain backwards. */
const KNOWN_SCHEMES = new Set(['cursor:']);

/** Judges a URI for registration. Pure; any length and any characters are cheap to refuse. */
export function judgeRedirect(uri: string, hosts: RedirectHosts): RedirectVerdict {
  if (uri.length > MOST_CHARACTERS || !CHARACTERS.test(uri) || BAD_ESCAPE.test(uri)) return 'refused';
  const url = URL.parse(uri);
  if (url === null || url.username !== '' || url.password !== '') return 'refused';
  // VS Code and others register `http://127.0.0.1:33418`, without the slash that a URL has.
  if (url.href !== uri && url.href !== `${uri}/`) return 'refused';
  if (url.protocol === 'http:') return LOOPBACK.has(url.hostname) ? 'accepted' : 'refused';
  if (url.protocol === 'https:') return judgeHttps(url, hosts);
  if (NEVER.has(url.protocol) || !uri.startsWith(`${url.protocol}/`)) return 'refused';
  return PRIVATE_USE.test(url.protocol) || KNOWN_SCHEMES.has(url.protocol) ? 'accepted' : 'elsewhere';
}

/** A program on this machine has no certificate; oidc-provider refuses these for native clients as well. */
function judgeHttps(url: URL, hosts: RedirectHosts): RedirectVerdict {
  if (classifyHost(url.hostname) === 'loopback') return 'refused';
  return hosts === 'any' || isListedHost(url.host, hosts) ? 'accepted' : 'elsewhere';
}

/**
 * The URIs of a client that are accepted, each once. undefined where one is refused or none is left: a client is taken
 * with fewer URIs than it asked for (Cursor registers five at once, of web, desktop and a sister product), never with
 * one that is not allowed here.
 */
export function acceptedRedirects(uris: readonly string[], hosts: RedirectHosts): readonly string[] | undefined {
  const judged = [...new Set(uris)].map((uri) => ({ uri, verdict: judgeRedirect(uri, hosts) }));
  const accepted = judged.filter(({ verdict }) => verdict === 'accepted').map(({ uri }) => uri);
  return accepted.length === 0 || judged.some(({ verdict }) => verdict === 'refused') ? undefined : accepted;
}

/**
 * Whether a request may use this URI by that registration: letter by letter, but for the port of a loopback address,
 * which a program gets from its system when it starts to listen (RFC 8252, section 7.3). `localhost` counts as one
 * against section 8.3, because MCP clients register it (Claude Code, Cursor, mcp-remote); it does not stand for
 * `127.0.0.1`, nor the other way round. oidc-provider decides the same for native clients; a test compares the two.
 */
export function sameRedirect(registered: string, asked: string): boolean {
  if (registered === asked) return true;
  const bare = withoutLoopbackPort(registered);
  return bare !== undefined && bare === withoutLoopbackPort(asked);
}

function withoutLoopbackPort(uri: string): string | undefined {
  const found = /^(http:\/\/(?:127\.0\.0\.1|localhost|\[::1\]))(?::(\d{1,5}))?([/?].*)?$/.exec(uri);
  if (found === null || Number(found[2] ?? 0) > 65_535) return undefined;
  return `${found[1]}${found[3] ?? ''}`;
}

/**
 * Who gets the code, for the consent page, from a URI that was accepted: a host (`claude.ai`, in ASCII, so that no
 * letter only looks like another), a loopback name without its port, or a program's scheme (`cursor:`).
 */
export function redirectHostOf(uri: string): string {
  const url = new URL(uri);
  if (url.protocol === 'http:') return url.hostname;
  return url.protocol === 'https:' ? url.host : url.protocol;
}
