/** The visitor's stdio server: `verbatim stdio` as a process of its own, since a gateway never starts one. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { CommandError } from '../gateway/cli/context.ts';
import { splitCommand } from './command-line.ts';

export interface DemoStdioHost {
  /** Its MCP address. */
  readonly url: URL;
  close(): Promise<void>;
}

export async function startDemoStdioHost(options: {
  readonly command: string;
  readonly env: readonly string[];
  readonly port: number;
  /** Public address of the gateway, and the connection's name there. */
  readonly gateway: string;
  readonly connection: string;
}): Promise<DemoStdioHost> {
  const words = wordsOf(options.command);
  const flags = ['--listen', `127.0.0.1:${options.port}`, '--gateway', options.gateway, '--json'];
  const env = options.env.flatMap((name) => ['--env', name]);
  const self = [...process.execArgv, process.argv[1] ?? '', 'stdio', ...flags];
  const child = spawn(process.execPath, [...self, '--connection', options.connection, ...env, '--', ...words], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exit = once(child, 'exit');
  const said: string[] = [];
  child.stderr.on('data', (chunk: Buffer) => said.length < 20 && said.push(chunk.toString()));
  for await (const line of createInterface({ input: child.stdout })) {
    const url = addressIn(line);
    if (url === undefined) continue;
    child.stdout.resume();
    return {
      url,
      async close() {
        child.kill('SIGTERM');
        await exit;
      },
    };
  }
  throw new CommandError(1, `--stdio: the server could not be served. ${said.join('').trim()}`);
}

function wordsOf(command: string): string[] {
  try {
    return splitCommand(command);
  } catch (error) {
    throw new CommandError(2, `--stdio: ${(error as Error).message} For example: --stdio "npx -y my-mcp-server".`);
  }
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
