/**
 * Which headers, paths and queries pass the gateway: pure, by allow-list in both directions. Raw headers are flat lists
 * `[name, value, name, value, …]` as Node and undici give them; order, spelling and duplicates are kept.
 */
import { GatewayError } from '../errors.ts';
import type { RecordedHeader } from '../recording/frame.ts';

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const CONTROL = /[\u0000-\u0008\u000a-\u001f\u007f]/;

/** Two of one of these mean two things to two parsers. `mcp-*` are singletons too. */
const SINGLETONS = new Set([
  'host',
  'content-type',
  'content-length',
  'content-encoding',
  'transfer-encoding',
  'authorization',
  'origin',
  'user-agent',
  'last-event-id',
  'expect',
  'te',
  'traceparent',
]);

/** What a `Connection` header may name. Anything else would have a proxy drop a header that this gateway relies on. */
const CONNECTION_OPTIONS = new Set(['keep-alive', 'close', 'te']);

/**
 * Refuses what two HTTP parsers could read in two ways, or what the gateway does not speak (RFC 9112, sections 6 and 7;
 * RFC 9110, sections 7.6.1 and 7.8). `undefined`: acceptable.
 */
export function checkRequestHeaders(rawHeaders: readonly string[], httpVersion: string): GatewayError | undefined {
  if (httpVersion !== '1.1' && httpVersion !== '1.0') return bad('Send HTTP/1.1.');
  const values = new Map<string, string>();
  for (const [name, value] of pairs(rawHeaders)) {
    if (!TOKEN.test(name)) return bad('A header name holds characters that it must not hold.');
    if (CONTROL.test(value)) return bad('A header value holds control characters.');
    const lower = name.toLowerCase();
    if (values.has(lower) && (SINGLETONS.has(lower) || lower.startsWith('mcp-')))
      return bad('A header is there twice.');
    const before = values.get(lower);
    values.set(lower, before === undefined ? value : `${before},${value}`);
  }
  const connection = (values.get('connection') ?? '').split(',').map((option) => option.trim().toLowerCase());
  if (values.has('upgrade') || connection.includes('upgrade')) return new GatewayError('upgrade_refused');
  if (connection.some((option) => option !== '' && !CONNECTION_OPTIONS.has(option))) {
    return bad('Connection names a header that must reach the gateway.');
  }
  return checkFraming(values, httpVersion);
}

function checkFraming(values: ReadonlyMap<string, string>, httpVersion: string): GatewayError | undefined {
  const encoding = values.get('transfer-encoding');
  const length = values.get('content-length');
  if (httpVersion === '1.1' && !values.get('host')) return bad('The Host header is missing.');
  if (encoding !== undefined) {
    if (httpVersion === '1.0') return bad('HTTP/1.0 has no Transfer-Encoding.');
    if (length !== undefined) return bad('Transfer-Encoding and Content-Length contradict one another.');
    if (encoding.trim().toLowerCase() !== 'chunked') return bad('Transfer-Encoding is not chunked.');
  }
  if (length !== undefined && !/^\d{1,15}$/.test(length)) return bad('Content-Length is not a length.');
  if (values.has('trailer')) return bad('Trailers are not supported.');
  if ((values.get('te')?.trim().toLowerCase() ?? 'trailers') !== 'trailers') return bad('TE is not trailers.');
  if ((values.get('expect')?.trim().toLowerCase() ?? '100-continue') !== '100-continue')
    return bad('Expect is not 100-continue.');
  return undefined;
}

/**
 * Besides `mcp-*`. `baggage` stays out: it carries whatever an application put there (tenants, user ids) to a server of
 * another trust domain. `origin` too: the gateway has checked it, and an upstream would refuse one that is not its own.
 */
const REQUEST_PASSES = new Set([
  'accept',
  'accept-language',
  'content-type',
  'user-agent',
  'last-event-id',
  'traceparent',
  'tracestate',
]);

/**
 * The headers that go upstream: what may pass, then what the gateway sets (`set`, which wins over the client's of the
 * same name) and `accept-encoding: identity`, so that what is recorded is what can be read. `hidden` (in lower case) stay
 * out: they hold what a mask takes out.
 */
export function requestHeadersForUpstream(
  rawHeaders: readonly string[],
  set: readonly (readonly [string, string])[],
  hidden: ReadonlySet<string> = NOTHING_HIDDEN,
): string[] {
  const own = new Set(['mcp-session-id', ...set.map(([name]) => name.toLowerCase())]);
  const passed = pairs(rawHeaders).filter(([name]) => {
    const lower = name.toLowerCase();
    return !own.has(lower) && !hidden.has(lower) && (REQUEST_PASSES.has(lower) || lower.startsWith('mcp-'));
  });
  const identity = own.has('accept-encoding') ? [] : ['accept-encoding', 'identity'];
  return [...passed.flat(), ...set.flat(), ...identity];
}

const RESPONSE_PASSES = new Set([
  'content-type',
  'content-language',
  'cache-control',
  'retry-after',
  'x-accel-buffering',
  'allow',
]);

/**
 * The headers that go to the client: what may pass, then `set`. Answers are for one person, so that one without
 * `cache-control` becomes `no-store, no-transform`.
 * Throws `GatewayError('upstream_broken', 'outcome_withheld')` where the upstream's headers are not acceptable: a
 * control character in any value, or two content types.
 */
export function responseHeadersForClient(
  rawHeaders: readonly (Buffer | string)[],
  set: readonly (readonly [string, string])[],
): string[] {
  const received = pairs(rawHeaders);
  const types = received.filter(([name]) => name.toLowerCase() === 'content-type');
  if (types.length > 1 || received.some(([name, value]) => !TOKEN.test(name) || CONTROL.test(value))) {
    throw new GatewayError('upstream_broken', 'outcome_withheld', 'Its headers are not acceptable.');
  }
  const own = new Set(['mcp-session-id', ...set.map(([name]) => name.toLowerCase())]);
  const passed = received.filter(([name]) => {
    const lower = name.toLowerCase();
    return !own.has(lower) && (RESPONSE_PASSES.has(lower) || lower.startsWith('mcp-'));
  });
  const cached = own.has('cache-control') || passed.some(([name]) => name.toLowerCase() === 'cache-control');
  return [...passed.flat(), ...set.flat(), ...(cached ? [] : ['cache-control', 'no-store, no-transform'])];
}

/** The content codings of a message in lower case, joined by `, `; `undefined` where it is as it is. */
export function contentEncodingOf(rawHeaders: readonly (Buffer | string)[]): string | undefined {
  const codings = pairs(rawHeaders)
    .filter(([name]) => name.toLowerCase() === 'content-encoding')
    .flatMap(([, value]) => value.split(','))
    .map((coding) => coding.trim().toLowerCase())
    .filter((coding) => coding !== '' && coding !== 'identity');
  return codings.length === 0 ? undefined : codings.join(', ');
}

const NOTHING_HIDDEN: ReadonlySet<string> = new Set();
const CREDENTIAL =
  /cookie|authorization|token|secret|passw|credential|assertion|signature|jwt|api[-_]?key|access[-_]?key|private[-_]?key|(^|[-_])auth([-_]|$)/i;

/**
 * Headers as a recording holds them: a credential-bearing value becomes its fingerprint. `mcp-session-id` stays: it is
 * sealed, and of no use to another principal. The name alone decides, so that recordings do not depend on values; only
 * `hidden` (in lower case) are those whose values hold what a mask takes out.
 */
export function recordHeaders(
  rawHeaders: readonly (Buffer | string)[],
  fingerprint: (value: string) => string,
  hidden: ReadonlySet<string> = NOTHING_HIDDEN,
): RecordedHeader[] {
  return pairs(rawHeaders).map(([name, value]) =>
    CREDENTIAL.test(name) || hidden.has(name.toLowerCase())
      ? { name, fingerprint: fingerprint(value) }
      : { name, value },
  );
}

/**
 * Refuses query parameters that a connection does not list, two of one name, names in another spelling, and `;`, which
 * some servers read as `&`. `search` is as in a URL: empty, or from `?` on.
 */
export function checkQuery(search: string, allowed: readonly string[]): GatewayError | undefined {
  if (search === '') return undefined;
  if (!search.startsWith('?') || !isVisible(search) || /[;#\\]/.test(search)) return bad('The query is malformed.');
  const seen = new Set<string>();
  for (const pair of search.slice(1).split('&')) {
    const [name = ''] = pair.split('=', 1);
    if (!allowed.includes(name)) return bad('A query parameter may not pass here.');
    if (seen.has(name)) return bad('A query parameter is there twice.');
    seen.add(name);
  }
  return undefined;
}

/**
 * Refuses request targets that two parsers could take to two places: not in origin form (RFC 9112, section 3.2.1), with
 * a fragment, backslash, empty or dot segment, or with a separator, dot, percent sign or control character encoded.
 */
export function checkPath(rawUrl: string): GatewayError | undefined {
  if (!rawUrl.startsWith('/')) return bad('The request target is not a path.');
  if (!isVisible(rawUrl) || /[#\\]/.test(rawUrl))
    return bad('The request target holds characters that it must not hold.');
  const [path = ''] = rawUrl.split('?', 1);
  if (path.includes('//')) return bad('The path has an empty segment.');
  if (path.split('/').some((segment) => segment === '.' || segment === '..')) return bad('The path has a dot segment.');
  if (/%(2e|2f|5c|25|3f|23|3b|[01][0-9a-f]|7f)/i.test(path)) return bad('The path has an encoded separator.');
  return undefined;
}

/** Visible ASCII alone, with every `%` before two hexadecimal digits. */
function isVisible(text: string): boolean {
  return /^[\x21-\x7e]*$/.test(text) && !/%(?![0-9a-f]{2})/i.test(text);
}

/** Bytes of a header are ISO 8859-1 to HTTP and to Node: nothing is lost on the way through. */
function pairs(rawHeaders: readonly (Buffer | string)[]): [string, string][] {
  const found: [string, string][] = [];
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const [name = '', value = ''] = rawHeaders.slice(index, index + 2);
    found.push([name.toString('latin1'), value.toString('latin1')]);
  }
  return found;
}

function bad(detail: string): GatewayError {
  return new GatewayError('bad_http', 'not_forwarded', detail);
}
