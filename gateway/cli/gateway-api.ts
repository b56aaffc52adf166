/** What the commands of approvals and access have in common: the gateway, a login for one command, its API. */
import { z } from 'zod';
import { approverToken } from './approver-token.ts';
import { CommandError, type Context } from './context.ts';
import { reason } from './login-error.ts';
import { isSafe } from './login-metadata.ts';

export interface GatewayOptions {
  readonly gateway?: string;
  readonly as?: string;
  /** Commander's `--no-browser`. */
  readonly browser?: boolean;
  readonly json?: boolean;
}

/** A gateway that a person has logged in to, for one command. */
export interface GatewayApi {
  get(path: string): Promise<unknown>;
  post(path: string, body: unknown): Promise<unknown>;
}

const TIMEOUT_MS = 30_000;
/** Arguments of a call may be as long as a request. */
const MOST_BYTES = 64 * 1024 ** 2;
const Refusal = z.looseObject({ error: z.string(), words: z.string() });

/** Logs in for a command and gives what it may call. `command`: as it was typed, without its options. */
export async function openGateway(
  context: Context,
  options: GatewayOptions,
  command: string,
  scope: 'read' | 'decide',
): Promise<GatewayApi> {
  const gateway = gatewayOf(context, options);
  const { openBrowser } = await import('./browser.ts');
  const token = await approverToken({
    gateway,
    command,
    scope,
    ...(options.as === undefined ? {} : { as: options.as }),
    ...(options.browser === false ? {} : { openBrowser }),
    write: (line) => void context.err.write(`${line}\n`),
  });

  async function ask(path: string, init: RequestInit): Promise<unknown> {
    let response: Response;
    let body: unknown;
    try {
      response = await fetch(`${gateway}/approvals/api${path}`, {
        ...init,
        headers: { ...init.headers, authorization: `Bearer ${token}`, accept: 'application/json' },
        redirect: 'error',
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      body = JSON.parse(await limitedText(response));
    } catch (error) {
      const why = error instanceof SyntaxError ? 'its answer is not JSON' : reason(error);
      throw new CommandError(1, `${gateway} could not be asked (${why}). Is it running there?`);
    }
    if (response.ok) return body;
    const refusal = Refusal.safeParse(body);
    const words = refusal.success ? refusal.data.words : `${gateway} answered ${response.status}.`;
    throw new CommandError(1, words);
  }

  return {
    get: (path) => ask(path, {}),
    post: (path, body) =>
      ask(path, { method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
  };
}

/** An origin that a token may be sent to: https, or http on this machine. */
function gatewayOf({ env }: Context, options: GatewayOptions): string {
  const text = options.gateway ?? env.VERBATIM_GATEWAY;
  if (text === undefined) {
    throw new CommandError(2, 'Which gateway? Give --gateway https://mcp.example.com or set VERBATIM_GATEWAY.');
  }
  const url = URL.parse(text);
  if (url === null || !isSafe(url) || url.origin !== url.href.replace(/\/$/, '')) {
    throw new CommandError(2, '--gateway: write the address of the gateway alone, such as https://mcp.example.com.');
  }
  return url.origin;
}

async function limitedText(response: Response): Promise<string> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of response.body ?? []) {
    length += piece.byteLength;
    if (length > MOST_BYTES) throw new Error('its answer is too long');
    pieces.push(piece);
  }
  return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(pieces));
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** An id as it is part of an address: whole, and nothing else. */
export function wholeId(id: string): string {
  if (UUID.test(id)) return id;
  throw new CommandError(2, 'Write the whole id, as the list and the link show it.');
}

/** What the gateway said, as what it has to be. */
export function understood<T>(schema: z.ZodType<T>, said: unknown): T {
  const read = schema.safeParse(said);
  if (read.success) return read.data;
  throw new CommandError(1, 'The gateway answered what this command does not understand. Are both of one version?');
}

/**
 * The code of what is decided: given, or typed by somebody who has just read it. Nobody approves what they did not look at.
 */
export async function confirmed(
  context: Context,
  given: string | undefined,
  { code, what }: { readonly code: string; readonly what: string },
  question: (words: string) => Promise<string> = ask,
): Promise<string> {
  if (given === undefined && !context.err.interactive) {
    throw new CommandError(2, `To ${what} give its code: --code XXXX-XXXX, as the link and the list show it.`);
  }
  const typed = given ?? (await question(`Type the code to ${what}: `));
  const plain = typed.trim().toUpperCase();
  if (plain === code) return plain;
  throw new CommandError(1, 'That is another code. Nothing was decided.');
}

async function ask(words: string): Promise<string> {
  const { createInterface } = await import('node:readline/promises');
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return await terminal.question(words);
  } finally {
    terminal.close();
  }
}
