/** The visitor's stdio server: `verbatim stdio` as a process of its own, since a gateway never starts one. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { CommandError } from '../gateway/cli/context.ts';
import { checkProgram, checkVariables } from '../gateway/cli/stdio.ts';
import { splitCommand } from './command-line.ts';

export interface DemoStdioHost {
  /** Its MCP address. */
  readonly url: URL;
  close(): Promise<void>;
}

/**
 * The words of a command that can be started here.
 *
 * @throws CommandError what to write instead.
 */
export function readStdioCommand(command: string, variables: readonly string[]): string[] {
  checkVariables(process.env, variables);
  try {
    const words = splitCommand(command);
    checkProgram(words[0] ?? '', process.env, 'give its absolute path.');
    return words;
  } catch (error) {
    const example = error instanceof CommandError ? '' : ' For example: --stdio "npx -y my-mcp-server".';
    throw new CommandError(2, `--stdio: ${(error as Error).message}${example}`);
  }
}

export async function startDemoStdioHost(options: {
  readonly words: readonly string[];
  readonly env: readonly string[];
  readonly port: number;
  /** Public address of the gateway, and the connection's name there. */
  readonly gateway: string;
  readonly connection: string;
  /** The file that its log goes to, with what the server writes to stderr. */
  readonly log: string;
}): Promise<DemoStdioHost> {
  const flags = ['--listen', `127.0.0.1:${options.port}`, '--gateway', options.gateway, '--json'];
  const env = options.env.flatMap((name) => ['--env', name]);
  const self = [...process.execArgv, process.argv[1] ?? '', 'stdio', ...flags];
  const log = openSync(options.log, 'a', 0o600);
  const before = fstatSync(log).size;
  const child = spawn(process.execPath, [...self, '--connection', options.connection, ...env, '--', ...options.words], {
    stdio: ['ignore', 'pipe', log],
  });
  closeSync(log);
  const exit = once(child, 'exit');
  const { stdout } = child;
  if (stdout === null) throw new Error('A pipe was asked for.');
  for await (const line of createInterface({ input: stdout })) {
    const url = addressIn(line);
    if (url === undefined) continue;
    stdout.resume();
    return {
      url,
      async close() {
        child.kill('SIGTERM');
        await exit;
      },
    };
  }
  throw new CommandError(1, `--stdio: the server could not be served. ${lastWords(options.log, before)}`);
}

/** What the command said of its failure, after that many bytes of the file; the other lines are its log. */
function lastWords(log: string, before: number): string {
  const words = readFileSync(log)
    .subarray(before)
    .toString('utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('{'))
    .join(' ')
    .replace(/^verbatim: /, '');
  return words === '' ? `See ${log}.` : words;
}

/** Its first line is its address; log lines are JSON as well. */
function addressIn(line: string): URL | undefined {
  try {
    const { url } = JSON.parse(line) as { url?: unknown };
    return typeof url === 'string' && URL.canParse(url) ? new URL(url) : undefined;
  } catch {
    return undefined;
  }
}
