/** `verbatim stdio`: runs until SIGINT or SIGTERM, then ends every server with its processes. */
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { parseDuration, parseSize } from '../config-units.ts';
import { parseSafeUrl } from '../config-values.ts';
import { listenWords } from '../listening.ts';
import { createLog } from '../log.ts';
import { childEnvironment } from '../stdio/environment.ts';
import { type StdioHost, type StdioHostOptions, startStdioHost } from '../stdio/host.ts';
import { CommandError, type Context } from './context.ts';
import { stopSignal } from './gateway.ts';

/** As Commander hands them over: text, not checked yet. */
export interface StdioOptions {
  readonly listen: string;
  readonly path: string;
  readonly gateway?: string;
  readonly connection?: string;
  readonly identityHeader: string;
  readonly env?: readonly string[];
  readonly idle: string;
  readonly startLimit: string;
  readonly memory: string;
  readonly children: string;
  readonly json?: boolean;
}

/** Between SIGTERM and SIGKILL. */
const GRACE_MS = 5000;
/** setTimeout takes less than 25 days. */
const LONGEST_MS = 24 * 86_400_000;

export async function runStdio(context: Context, command: readonly string[], options: StdioOptions): Promise<void> {
  if (process.platform === 'win32') throw new CommandError(1, 'verbatim stdio needs process groups: run it in WSL.');
  const read = readStdioOptions(context.env, command, options);
  const host: StdioHost = await startStdioHost({ ...read, log: createLog() }).catch((error: unknown) => {
    const cause = error instanceof Error ? error.cause : undefined;
    const words = listenWords(cause, read, 'with --listen') ?? (error instanceof Error ? error.message : String(error));
    throw new CommandError(1, words, { cause: cause ?? error });
  });
  if (options.json === true) await context.out.write(`${JSON.stringify({ url: host.url })}\n`);
  await stopSignal();
  await host.close();
  if (options.json === true) await context.out.write(`${JSON.stringify({ stopped: true })}\n`);
}

/** What the host is started with. Throws `CommandError` with what to write instead. */
export function readStdioOptions(
  env: Readonly<Record<string, string | undefined>>,
  words: readonly string[],
  options: StdioOptions,
): Omit<StdioHostOptions, 'log'> {
  const [command, ...args] = words;
  if (command === undefined) {
    throw new CommandError(
      2,
      'Which server? Write its command after --, for example: verbatim stdio -- npx -y my-mcp-server',
    );
  }
  const named = options.env ?? [];
  checkVariables(env, named);
  checkProgram(command, env, 'write its absolute path after --. There is no shell: pipes, && and ~ do not work.');
  if (!/^\/[A-Za-z0-9._~/-]*$/.test(options.path) || options.path === '/healthz') {
    throw wrong('--path', 'a path, for example /mcp');
  }
  if (!/^[A-Za-z][A-Za-z0-9-]{0,63}$/.test(options.identityHeader)) {
    throw wrong('--identity-header', 'the name of a header, for example X-Verbatim-Identity');
  }
  const gateway = readGateway(options);
  return {
    ...readListen(options.listen),
    path: options.path,
    program: { command, args, env: childEnvironment(env, named), grace: GRACE_MS },
    limits: {
      children: readCount(options.children),
      idle: readDuration('--idle', options.idle),
      startLimit: readDuration('--start-limit', options.startLimit),
      memory: readSize(options.memory),
    },
    ...(gateway === undefined ? {} : { gateway }),
    identityHeader: options.identityHeader,
  };
}

function wrong(option: string, wanted: string): CommandError {
  return new CommandError(2, `${option}: write ${wanted}.`);
}

function readListen(text: string): { host: string; port: number } {
  const match = /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):(\d{1,5})$/.exec(text);
  const port = Number(match?.[2]);
  if (match?.[1] === undefined || port > 65535) throw wrong('--listen', 'HOST:PORT, for example 127.0.0.1:8090');
  return { host: match[1].replace(/^\[|\]$/g, ''), port };
}

function readGateway({ gateway, connection }: StdioOptions): { url: string; connection: string } | undefined {
  if (gateway === undefined && connection === undefined) return undefined;
  if (gateway === undefined || connection === undefined) {
    throw new CommandError(2, '--gateway and --connection belong together: who signs, and for which connection.');
  }
  const url = parseSafeUrl(gateway);
  if (url === undefined || url.search !== '') {
    throw wrong('--gateway', 'the public https address of the gateway, for example https://mcp.example.com');
  }
  if (!/^[a-z][a-z0-9-]{0,62}$/.test(connection))
    throw wrong('--connection', 'the name of the connection at the gateway');
  return { url: gateway.replace(/\/$/, ''), connection };
}

function readDuration(option: string, text: string): number {
  const duration = parseDuration(text);
  if (duration === undefined || duration === 0 || duration > LONGEST_MS)
    throw wrong(option, 'a duration, for example 30s or 10m');
  return duration;
}

function readSize(text: string): number {
  const size = parseSize(text);
  if (size === undefined || size === 0) throw wrong('--memory', 'a size, for example 512MiB');
  return size;
}

function readCount(text: string): number {
  const count = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (count === 0) throw wrong('--children', 'a number from 1 to 9999');
  return count;
}

/** Throws for a name that is none, or that has no value here. */
export function checkVariables(env: Readonly<Record<string, string | undefined>>, names: readonly string[]): void {
  for (const name of names) {
    // A value on the command line would be shown to everybody who lists processes.
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) throw wrong('--env', 'the name of a variable, without its value');
    if (env[name] === undefined)
      throw new CommandError(2, `--env ${name}: the variable is not set here. Set it or leave it out.`);
  }
}

/** Found now and not at the first call: a host that can start nothing should say so when it is started itself. */
export function checkProgram(command: string, env: Readonly<Record<string, string | undefined>>, orElse: string): void {
  const inPath = (env.PATH ?? '').split(delimiter).map((folder) => join(folder, command));
  const named = command.includes('/');
  const found = (named ? [command] : inPath).filter((place) => statSync(place, { throwIfNoEntry: false })?.isFile());
  if (found.length === 0) {
    throw new CommandError(2, `${command} was not found${named ? '' : ' in PATH'}. Install it, or ${orElse}`);
  }
  if (!found.some(isExecutable))
    throw new CommandError(2, `${command} may not be executed by this user. Try chmod +x.`);
}

function isExecutable(place: string): boolean {
  try {
    accessSync(place, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
