import { z } from 'zod';
import { LoginError, reason } from './login-error.ts';

const REQUEST_TIMEOUT_MS = 10_000;
const MOST_METADATA_BYTES = 64 * 1024;

/** What RFC 9728, section 2 calls protected resource metadata: the part that a login needs. */
const Metadata = z.looseObject({
  resource: z.string(),
  authorization_servers: z.array(z.string()).min(1),
  scopes_supported: z.array(z.string().regex(/^[\x21\x23-\x5B\x5D-\x7E]+$/)).default([]),
});

export interface ProtectedResource {
  readonly issuer: URL;
  readonly scopes: readonly string[];
}

/** An MCP URL that a token may be sent to: https, or http on loopback (OAuth 2.1, section 1.5). Throws `bad_url`. */
export function mcpAddress(text: string): URL {
  const url = URL.parse(text);
  const example = 'Give the address of a connection, such as http://127.0.0.1:8080/orders/mcp.';
  if (url === null) throw new LoginError('bad_url', `"${text}" is not a URL. ${example}`);
  if (!isSafe(url))
    throw new LoginError('bad_url', `${url.origin} would get a token without encryption or not over HTTP. Use https.`);
  if (url.username !== '' || url.password !== '' || url.hash !== '')
    throw new LoginError('bad_url', `An MCP URL holds no user name, password or #fragment. ${example}`);
  return url;
}

/** https, or http to this machine. */
export function isSafe(url: URL): boolean {
  return url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(url));
}

export function isLoopback(url: URL): boolean {
  return ['127.0.0.1', '[::1]', 'localhost'].includes(url.hostname);
}

/**
 * Asks an MCP server who issues its tokens (RFC 9728, sections 3 and 5).
 *
 * @throws LoginError `unreachable`, `no_metadata`, `resource_mismatch`, `bad_issuer`
 */
export async function protectedResource(mcpUrl: string, fetch: typeof globalThis.fetch): Promise<ProtectedResource> {
  const address = mcpAddress(mcpUrl);
  const at = (await namedByChallenge(address, fetch)) ?? wellKnown(address);
  const metadata = await readMetadata(at, fetch);
  // The comparison is what keeps one server from getting a token for another (RFC 9728, section 3.3).
  if (metadata.resource !== mcpUrl)
    throw new LoginError(
      'resource_mismatch',
      `${at.href} describes ${metadata.resource}, not ${mcpUrl}. Log in with the URL that it names, to the letter, if that is the server that you mean.`,
    );
  const issuer = URL.parse(metadata.authorization_servers[0] ?? '');
  if (issuer === null || !isSafe(issuer) || issuer.search !== '' || issuer.hash !== '')
    throw new LoginError(
      'bad_issuer',
      `${at.href} names ${metadata.authorization_servers[0]} as its authorization server, which is not an https URL. Tell the owner of ${address.origin}.`,
    );
  return { issuer, scopes: metadata.scopes_supported };
}

/** The metadata URL in the 401 of a call without a token, or undefined where the server answers otherwise. */
async function namedByChallenge(address: URL, fetch: typeof globalThis.fetch): Promise<URL | undefined> {
  // GET, since it changes nothing; the body may be an endless stream and is never read.
  const response = await ask(address, 'application/json, text/event-stream', fetch);
  await response.body?.cancel();
  if (response.status !== 401) return undefined;
  const value = challengeParameter(response.headers.get('www-authenticate') ?? '', 'resource_metadata');
  if (value === undefined) return undefined;
  const url = URL.parse(value);
  // Who issues tokens for an origin is that origin's to say.
  if (url?.origin !== address.origin)
    throw new LoginError(
      'no_metadata',
      `${address.origin} keeps its metadata at ${value}, which is another origin. Tell its owner.`,
    );
  return url;
}

function wellKnown({ origin, pathname, search }: URL): URL {
  return new URL(`${origin}/.well-known/oauth-protected-resource${pathname === '/' ? '' : pathname}${search}`);
}

/**
 * A parameter of a Bearer challenge (RFC 9110, section 11.6.1): token or quoted string. Read token by token, so that
 * what stands inside another parameter's quotes is never taken for a parameter.
 */
export function challengeParameter(header: string, name: string): string | undefined {
  const token = /\s*,?\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+)))?/y;
  let scheme = '';
  for (let match = token.exec(header); match !== null; match = token.exec(header)) {
    const [, word = '', quoted, bare] = match;
    if (quoted === undefined && bare === undefined) scheme = word.toLowerCase();
    else if (scheme === 'bearer' && word.toLowerCase() === name) return bare ?? quoted?.replaceAll(/\\(.)/g, '$1');
  }
  return undefined;
}

async function readMetadata(at: URL, fetch: typeof globalThis.fetch): Promise<z.infer<typeof Metadata>> {
  const response = await ask(at, 'application/json', fetch);
  if (response.status !== 200) {
    await response.body?.cancel();
    throw new LoginError(
      'no_metadata',
      `${at.href} answered ${response.status} instead of OAuth metadata (RFC 9728). Is this the address of a connection of Verbatim, path included?`,
    );
  }
  try {
    return Metadata.parse(JSON.parse(await limitedText(response)));
  } catch {
    throw new LoginError(
      'no_metadata',
      `${at.href} is not OAuth protected resource metadata (RFC 9728: JSON with resource and authorization_servers). Tell the owner of the server.`,
    );
  }
}

async function limitedText(response: Response): Promise<string> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of response.body ?? []) {
    length += piece.byteLength;
    if (length > MOST_METADATA_BYTES) throw new Error('too long');
    pieces.push(piece);
  }
  return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(pieces));
}

async function ask(url: URL, accept: string, fetch: typeof globalThis.fetch): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, {
      headers: { accept },
      redirect: 'manual',
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    });
  } catch (error) {
    throw new LoginError('unreachable', `${url.origin} could not be reached (${reason(error)}). Is it running there?`, {
      cause: error,
    });
  }
  if (response.status !== 421) return response;
  // RFC 9110, section 15.5.20: the gateway is there, but not under this name.
  await response.body?.cancel();
  throw new LoginError(
    'no_metadata',
    `The gateway does not know the host ${url.hostname}. Use the address that it prints.`,
  );
}
