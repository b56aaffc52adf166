/**
 * The demo's parts as a program, for compose.yaml: what `verbatim demo` starts around its gateway, without that gateway.
 *
 * Exit codes: 0 done; 1 it failed; 2 it was called wrongly.
 */
import { readFile } from 'node:fs/promises';
import { Command, CommanderError, InvalidArgumentError } from 'commander';
import type { Place } from './serve.ts';

/** Runs a command line (without `node` and the script) and sets the process's exit code. */
export async function run(args: readonly string[]): Promise<void> {
  try {
    await createProgram().parseAsync(args, { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) {
      process.exitCode = error.exitCode === 0 ? 0 : 2;
      return;
    }
    process.stderr.write(`demo: ${causes(error).join('\n  because: ')}\n`);
    process.exitCode = 1;
  }
}

function causes(error: unknown): string[] {
  if (!(error instanceof Error)) return [String(error)];
  return [error.message, ...(error.cause === undefined ? [] : causes(error.cause))];
}

function createProgram(): Command {
  const program = new Command('demo')
    .description('The demo’s parts around a gateway. Everybody who reaches them may be anybody: for one machine only.')
    .exitOverride();
  program
    .command('serve')
    .description('run the identity provider and the MCP server on loopback; addresses on stdout as JSON, then silence')
    .requiredOption(
      '--callback <url...>',
      'where logins come back to: <publicUrl>/oauth/callback/<name> of the gateway',
    )
    .requiredOption('--client-secret <file>', 'holds what the gateway shows to the identity provider')
    .requiredOption('--idp-port <number>', 'of the identity provider', parsePort)
    .requiredOption('--orders-port <number>', 'of the MCP server', parsePort)
    .option('--relay <host:port>', 'reach the identity provider here too', parsePlace)
    .action(serve);
  program
    .command('converse')
    .description('ana’s sample conversation through a gateway')
    .argument('<mcp-url>', 'the address that MCP clients get')
    .action(converse);
  return program;
}

async function serve(options: {
  callback: string[];
  clientSecret: string;
  idpPort: number;
  ordersPort: number;
  relay?: Place;
}) {
  const stop = new Promise<void>((done) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => done());
  });
  const { serveDemo } = await import('./serve.ts');
  const { callback: callbacks, clientSecret: file, ...rest } = options;
  const clientSecret = (await readFile(file, 'utf8')).trim();
  const demo = await serveDemo({ callbacks, clientSecret, ...rest });
  process.stdout.write(`${JSON.stringify({ idp: demo.idp, orders: demo.orders })}\n`);
  await stop;
  await demo.close();
}

async function converse(mcpUrl: string) {
  const [{ login }, { converse }, { approveAs, leadAmong }, { builtInPeople }] = await Promise.all([
    import('../gateway/cli/login.ts'),
    import('./conversation.ts'),
    import('./lead.ts'),
    import('./people.ts'),
  ]);
  const token = await login({ mcpUrl, as: 'ana', write: () => {} });
  const name = leadAmong(builtInPeople);
  const { origin: gateway } = new URL(mcpUrl);
  await converse({
    mcpUrl,
    token,
    approve: name === undefined ? undefined : (waiting) => approveAs({ gateway, name }, waiting),
  });
  process.stdout.write(`Ana’s conversation with ${mcpUrl} is over, and in the recording.\n`);
}

function parsePort(text: string): number {
  const port = Number(text);
  if (/^\d{1,5}$/.test(text) && port <= 65535) return port;
  throw new InvalidArgumentError('Write a number from 0 to 65535.');
}

function parsePlace(text: string): Place {
  const [, host = '', port = ''] = /^([0-9A-Za-z.-]+):(\d{1,5})$/.exec(text) ?? [];
  if (host === '') throw new InvalidArgumentError('Write an address and a port, for example 0.0.0.0:8412.');
  return { host, port: parsePort(port) };
}
