import * as oidc from 'openid-client';
import { loginAs } from './login-as.ts';
import { type LoginCallback, listenForCallback } from './login-callback.ts';
import { LoginError, reason } from './login-error.ts';
import { isLoopback, isSafe, mcpAddress, protectedResource } from './login-metadata.ts';
import { escapeForTerminal } from './terminal.ts';

/** Milliseconds that a person has for the browser. */
const LOGIN_TIMEOUT_MS = 5 * 60_000;
/** Seconds for one request to the authorization server. */
const REQUEST_TIMEOUT = 10;

export interface LoginOptions {
  /** The connection's address, compared to the letter with what its metadata says. */
  mcpUrl: string;
  /** Chooses this person at the demo's identity provider, without a browser. */
  as?: string | undefined;
  /** A public client of the authorization server with a loopback redirect. Default: `verbatim-cli`. */
  clientId?: string | undefined;
  /** Shows the login page; absent where the person opens the printed URL. A failure is a line, not the end. */
  openBrowser?: ((url: URL) => Promise<void>) | undefined;
  /** Takes one line of progress, without its newline. */
  write: (line: string) => void;
  fetch?: typeof globalThis.fetch | undefined;
  /** Milliseconds; default five minutes. */
  timeout?: number | undefined;
}

/**
 * Logs a person in for one MCP server and returns the access token: authorization code with PKCE S256 (RFC 7636) on a
 * loopback redirect (RFC 8252), for one resource (RFC 8707), at the authorization server that the resource's own
 * metadata names (RFC 9728); `state` and `iss` (RFC 9207) are checked.
 *
 * @throws LoginError with a stable code and words for the person at the terminal.
 */
export async function login(options: LoginOptions): Promise<string> {
  const { mcpUrl, clientId = 'verbatim-cli', write, fetch = globalThis.fetch } = options;
  const resource = await protectedResource(mcpUrl, fetch);
  write(`${mcpAddress(mcpUrl).origin} trusts ${resource.issuer.origin}.`);
  const server = await discover(resource.issuer, clientId, fetch);

  const verifier = oidc.randomPKCECodeVerifier();
  const state = oidc.randomState();
  const callback = await listenForCallback(state);
  try {
    const authorizationUrl = oidc.buildAuthorizationUrl(server, {
      redirect_uri: callback.redirectUri,
      scope: scopes(server, resource.scopes),
      resource: mcpUrl,
      state,
      code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
    });
    if (options.as === undefined) await show(authorizationUrl, options);
    else await loginAs(options.as, { authorizationUrl, redirectUri: callback.redirectUri, fetch });
    const answer = await inTime(callback.answer, options.timeout ?? LOGIN_TIMEOUT_MS);
    const token = await redeem(server, answer, { state, verifier, resource: mcpUrl });
    callback.finish('done');
    return token;
  } catch (error) {
    callback.finish('failed');
    throw error;
  } finally {
    callback.close();
  }
}

async function discover(issuer: URL, clientId: string, fetch: typeof globalThis.fetch): Promise<oidc.Configuration> {
  const attempt = (algorithm: 'oidc' | 'oauth2') =>
    oidc.discovery(issuer, clientId, undefined, oidc.None(), {
      algorithm,
      timeout: REQUEST_TIMEOUT,
      [oidc.customFetch]: (url, init) => fetch(url, init as RequestInit),
      // The demo's issuer has no TLS; nothing but this machine can be it.
      execute: isLoopback(issuer) ? [oidc.allowInsecureRequests] : [],
    });
  let server: oidc.Configuration;
  try {
    server = await attempt('oidc').catch(() => attempt('oauth2'));
  } catch (error) {
    throw new LoginError(
      'discovery_failed',
      `The authorization server ${issuer.href} does not describe itself (${reason(error)}). Is it running there, and does its metadata name exactly this issuer?`,
      { cause: error },
    );
  }
  const metadata = server.serverMetadata();
  if (!metadata.supportsPKCE('S256'))
    throw new LoginError(
      'pkce_missing',
      `${issuer.href} does not offer PKCE with S256, without which codes can be stolen.`,
    );
  for (const endpoint of [metadata.authorization_endpoint, metadata.token_endpoint]) {
    const url = URL.parse(endpoint ?? '');
    if (url === null || !isSafe(url))
      throw new LoginError(
        'discovery_failed',
        `${issuer.href} has an endpoint that is not an https URL. Tell its owner.`,
      );
  }
  return server;
}

function scopes(server: oidc.Configuration, ofResource: readonly string[]): string {
  const offered = server.serverMetadata().scopes_supported ?? ['openid'];
  return [...new Set([...(offered.includes('openid') ? ['openid'] : []), ...ofResource])].join(' ');
}

async function show(url: URL, { openBrowser, write }: LoginOptions): Promise<void> {
  write(openBrowser === undefined ? 'Open this page to log in:' : 'Log in with your browser. If it does not open:');
  write(escapeForTerminal(url.href));
  try {
    await openBrowser?.(url);
  } catch (error) {
    write(`The browser could not be opened (${escapeForTerminal(reason(error))}). Open the page above yourself.`);
  }
}

/** The answer, or a LoginError `timed_out`. */
export async function inTime(answer: LoginCallback['answer'], milliseconds: number): Promise<URL> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(
      () =>
        reject(
          new LoginError(
            'timed_out',
            `Nobody logged in within ${Math.ceil(milliseconds / 1000)} s. Run the command again.`,
          ),
        ),
      milliseconds,
    );
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}

async function redeem(
  server: oidc.Configuration,
  answer: URL,
  { state, verifier, resource }: { state: string; verifier: string; resource: string },
): Promise<string> {
  const { issuer } = server.serverMetadata();
  try {
    const tokens = await oidc.authorizationCodeGrant(
      server,
      answer,
      { expectedState: state, pkceCodeVerifier: verifier },
      { resource },
    );
    return tokens.access_token;
  } catch (error) {
    if (error instanceof oidc.AuthorizationResponseError)
      throw new LoginError(
        'refused',
        `${issuer} did not log you in: ${said(error.error, error.error_description)}.${adviceOn(error.error, resource)}`,
        { cause: error },
      );
    if (error instanceof oidc.ResponseBodyError)
      throw new LoginError(
        'exchange_failed',
        `${issuer} gave no token: ${said(error.error, error.error_description)}.${adviceOn(error.error, resource) || ' Run the command again.'}`,
        { cause: error },
      );
    throw new LoginError(
      'exchange_failed',
      `The answer of ${issuer} is not acceptable (${reason(error)}). Run the command again; if it stays so, tell its owner.`,
      { cause: error },
    );
  }
}

/** RFC 8707, section 2: the authorization server gives no tokens for the address that was asked for. */
function adviceOn(code: string, resource: string): string {
  if (code !== 'invalid_target') return '';
  return ` It gives no tokens for ${resource}. Tell the owner of ${new URL(resource).origin}.`;
}

function said(code: string, description: string | undefined): string {
  return description === undefined ? code : `${description} (${code})`;
}
