/**
 * A token of those who approve, for one command: authorization code with PKCE S256 (RFC 7636) on a loopback redirect (RFC
 * 8252), with a code that the terminal and the gateway's page both show.
 */
import { randomBytes } from 'node:crypto';
import * as oidc from 'openid-client';
import { z } from 'zod';
import { confirmationCode } from '../identity/server/confirmation-code.ts';
import { inTime } from './login.ts';
import { loginAs } from './login-as.ts';
import { listenForCallback } from './login-callback.ts';
import { LoginError, reason } from './login-error.ts';
import { escapeForTerminal } from './terminal.ts';

export interface ApproverTokenOptions {
  /** Origin of the gateway. Already checked to be safe to send a token to. */
  readonly gateway: string;
  /** What the page says that asks: the command as it was typed. */
  readonly command: string;
  /** `decide` asks the person to log in anew. */
  readonly scope: 'read' | 'decide';
  /** Chooses this person at the demo's identity provider, without a browser. */
  readonly as?: string | undefined;
  readonly openBrowser?: ((url: URL) => Promise<void>) | undefined;
  /** Takes one line of progress, without its newline. */
  readonly write: (line: string) => void;
  readonly fetch?: typeof globalThis.fetch | undefined;
  /** Milliseconds; default five minutes. */
  readonly timeout?: number | undefined;
}

const LOGIN_TIMEOUT_MS = 5 * 60_000;
const REQUEST_TIMEOUT_MS = 10_000;
const MOST_COMMAND = 300;
const Token = z.looseObject({ access_token: z.string().regex(/^[A-Za-z0-9_-]{43}$/), token_type: z.literal('Bearer') });

/** @throws LoginError with a stable code and words for the person at the terminal. */
export async function approverToken(options: ApproverTokenOptions): Promise<string> {
  const { gateway, scope, fetch = globalThis.fetch } = options;
  const verifier = oidc.randomPKCECodeVerifier();
  const challenge = await oidc.calculatePKCECodeChallenge(verifier);
  const state = randomBytes(16).toString('base64url');
  const callback = await listenForCallback(state);
  try {
    const url = new URL(`${gateway}/approvals/authorize`);
    const asked = {
      response_type: 'code',
      redirect_uri: callback.redirectUri,
      state,
      code_challenge: challenge,
      code_challenge_method: 'S256',
      scope,
      command: options.command.slice(0, MOST_COMMAND),
    };
    for (const [name, value] of Object.entries(asked)) url.searchParams.set(name, value);
    if (options.as === undefined) await show(url, confirmationCode(challenge), options);
    else await loginAs(options.as, { authorizationUrl: url, redirectUri: callback.redirectUri, fetch });
    const answer = await inTime(callback.answer, options.timeout ?? LOGIN_TIMEOUT_MS);
    const token = await redeem(options, codeIn(answer, gateway), {
      verifier,
      redirectUri: callback.redirectUri,
      fetch,
    });
    callback.finish('done');
    return token;
  } catch (error) {
    callback.finish('failed');
    throw error;
  } finally {
    callback.close();
  }
}

async function show(url: URL, code: string, { openBrowser, write }: ApproverTokenOptions): Promise<void> {
  write(openBrowser === undefined ? 'Open this page and log in:' : 'Log in with your browser. If it does not open:');
  write(escapeForTerminal(url.href));
  write(`The page shows this code, if it is ours: ${code}`);
  try {
    await openBrowser?.(url);
  } catch (error) {
    write(`The browser could not be opened (${escapeForTerminal(reason(error))}). Open the page above yourself.`);
  }
}

function codeIn({ searchParams }: URL, gateway: string): string {
  // RFC 9207: what began at one gateway does not end at another.
  if (searchParams.get('iss') !== `${gateway}/approvals`)
    throw new LoginError(
      'bad_issuer',
      `The answer is of ${searchParams.get('iss') ?? 'nobody'}, not of ${gateway}. Use the address that the gateway calls its own.`,
    );
  const [code, another] = searchParams.getAll('code');
  if (code === undefined || another !== undefined)
    throw new LoginError('refused', `${gateway} did not let this command in: it was cancelled there.`);
  return code;
}

async function redeem(
  { gateway }: ApproverTokenOptions,
  code: string,
  { verifier, redirectUri, fetch }: { verifier: string; redirectUri: string; fetch: typeof globalThis.fetch },
): Promise<string> {
  try {
    const body = { grant_type: 'authorization_code', code, code_verifier: verifier, redirect_uri: redirectUri };
    const response = await fetch(`${gateway}/approvals/token`, {
      method: 'POST',
      body: new URLSearchParams(body),
      redirect: 'error',
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    });
    return Token.parse(await response.json()).access_token;
  } catch (error) {
    // What it says of itself may hold what was sent.
    const why = error instanceof z.ZodError || error instanceof SyntaxError ? 'it is no token' : reason(error);
    throw new LoginError('exchange_failed', `${gateway} gave no token (${why}). Run the command again.`);
  }
}
