/**
 * `verbatim …`. Each command's code is loaded when the command runs, so that help comes at once.
 *
 * Exit codes: 0 it is done or holds; 1 it failed or does not hold; 2 it was called wrongly.
 */
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { VERSION } from '../version.ts';
import { CommandError, type Context, createContext } from './context.ts';
import { endQuietlyWithoutReader, escapeForTerminal } from './terminal.ts';

/** Runs a command line (without `node` and the script) and sets the process's exit code. */
export async function run(args: readonly string[]): Promise<void> {
  endQuietlyWithoutReader(process.stdout, (code) => process.exit(code));
  endQuietlyWithoutReader(process.stderr, (code) => process.exit(code));
  const context = createContext(process);
  const program = createProgram(context, (code) => {
    process.exitCode = code;
  });
  try {
    await program.parseAsync(args, { from: 'user' });
  } catch (error) {
    process.exitCode = await failed(context, error);
  }
}

async function failed(context: Context, error: unknown): Promise<number> {
  // Commander has said what was wrong already. Its help and version "errors" are none.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  const words = causes(error).join('\n  because: ');
  await context.err.write(
    `${context.err.paint('red', 'verbatim:')} ${escapeForTerminal(words, { keepNewlines: true })}\n`,
  );
  return error instanceof CommandError ? error.exitCode : 1;
}

/** What an error and those behind it say, each once. */
function causes(error: unknown): string[] {
  const words: string[] = [];
  for (let one = error; one !== undefined && words.length < 5; one = one instanceof Error ? one.cause : undefined) {
    const text = one instanceof Error ? one.message : String(one);
    if (text !== '' && !words.some((said) => said.includes(text))) words.push(text);
  }
  return words;
}

type Finish = (code: number) => void;

function createProgram(context: Context, finish: Finish): Command {
  const program = new Command('verbatim')
    .description('Records MCP sessions byte for byte, and reads them back.')
    .version(VERSION)
    .exitOverride()
    .configureHelp({ showGlobalOptions: true, sortSubcommands: false })
    .showHelpAfterError('(npx verbatim --help tells more)')
    .addHelpText(
      'after',
      examples('npx verbatim demo', 'npx verbatim sessions', 'npx verbatim show latest', 'npx verbatim verify --all'),
    );
  addRunning(program, context, finish);
  addReading(program, context, finish);
  return program;
}

function addRunning(program: Command, context: Context, finish: Finish): void {
  program
    .command('gateway')
    .description('run the gateway')
    .requiredOption('--config <file>', 'its configuration (YAML)')
    .addOption(json('start-up and stop as JSON lines'))
    .addHelpText('after', examples('npx verbatim gateway --config gateway.yaml'))
    .action(async (options: { config: string; json?: boolean }) => {
      const { runGateway } = await import('./gateway.ts');
      await runGateway(options);
    });

  program
    .command('config')
    .description('look at a configuration')
    .command('check')
    .description('name every mistake in a configuration: its line, its key, its fix')
    .argument('<file>', 'the configuration (YAML)')
    .addOption(json())
    .addHelpText('after', examples('npx verbatim config check gateway.yaml'))
    .action(async (file: string, options: { json?: boolean }) => {
      const { runConfigCheck } = await import('./config-check.ts');
      finish(await runConfigCheck(context, file, options));
    });

  program
    .command('connection')
    .description('look at a connection')
    .command('check')
    .description('reach a connection’s MCP server with its credential and list its tools')
    .argument('<name>', 'the connection')
    .requiredOption('--config <file>', 'the configuration that has it')
    .addOption(json())
    .addHelpText('after', examples('npx verbatim connection check orders --config gateway.yaml'))
    .action(async (name: string, options: { config: string; json?: boolean }) => {
      const { runConnectionCheck } = await import('./connection-check.ts');
      finish(await runConnectionCheck(context, name, options));
    });

  program
    .command('demo')
    .description('run a gateway, an identity provider and an MCP server here, with a conversation')
    .option('--once', 'end after the conversation')
    .addOption(json('the first line of stdout, once ready, is a JSON object with addresses'))
    .option('--data-dir <folder>', 'keep everything here (default: .verbatim/demo)')
    .option('--port <number>', 'listen here; 0 takes any free port', parsePort)
    .option('--upstream <url>', 'your own MCP server, as a second connection')
    .addHelpText('after', examples('npx verbatim demo', 'npx verbatim demo --upstream http://127.0.0.1:9000/mcp'))
    .action(async (options: DemoOptions) => {
      const { runDemo } = await import('../../demo/demo.ts');
      await runDemo(options);
    });

  program
    .command('login')
    .description('log in for an MCP address of a gateway; the last line of stdout is the access token')
    .argument('<mcp-url>', 'the address that MCP clients get')
    .option('--as <user>', 'fill in the demo identity provider’s form as this person')
    .option('--client-id <id>', 'the OAuth client')
    .option('--no-browser', 'print the address instead of opening a browser')
    .addOption(json('{"token": "…"} on stdout'))
    .addHelpText('after', examples('npx verbatim login http://127.0.0.1:8080/orders/mcp --as ana'))
    .action(async (mcpUrl: string, options: { as?: string; clientId?: string; browser: boolean; json?: boolean }) => {
      const { login } = await import('./login.ts');
      const { openBrowser } = await import('./browser.ts');
      const token = await login({
        mcpUrl,
        ...(options.as === undefined ? {} : { as: options.as }),
        ...(options.clientId === undefined ? {} : { clientId: options.clientId }),
        ...(options.browser ? { openBrowser } : {}),
        write: (text: string) => void context.err.write(text.endsWith('\n') ? text : `${text}\n`),
      });
      await context.out.write(options.json === true ? `${JSON.stringify({ token })}\n` : `${token}\n`);
    });
}

interface DemoOptions {
  readonly once?: boolean;
  readonly json?: boolean;
  readonly dataDir?: string;
  readonly port?: number;
  readonly upstream?: string;
}

function addReading(program: Command, context: Context, finish: Finish): void {
  reading(program, 'sessions')
    .description('list sessions, newest first')
    .option('--user <who>', 'e-mail or subject')
    .option('--connection <name>', 'only this connection')
    .option('--since <when>', 'started then or later: 2026-11-22, 2026-11-22T18:00Z, 2h, 3d')
    .option('--denied', 'only with a denied message')
    .option('--live', 'only those that have not ended')
    .option('--system', 'what belongs to no session: start and stop, logins, refusals')
    .addOption(json('one array of objects'))
    .addHelpText('after', examples('npx verbatim sessions --since 2h --denied', 'npx verbatim sessions --json'))
    .action(async (options) => {
      const { runSessions } = await import('./sessions.ts');
      finish(await runSessions(context, options));
    });

  reading(program, 'show')
    .description('read a session back')
    .argument('<session>', 'its id, the beginning of it, or latest')
    .addOption(json('the frames exactly as recorded, one a line'))
    .option('--full', 'cut nothing')
    .option('--raw', 'the exact bytes of bodies')
    .option('--exchange <id>', 'with --raw: only this exchange')
    .addOption(
      new Option('--side <side>', 'with --raw: only what was received or what was released').choices([
        'request',
        'response',
      ]),
    )
    .addHelpText(
      'after',
      examples(
        'npx verbatim show latest',
        'npx verbatim show 019ab --json | jq -c .type',
        'npx verbatim show latest --raw --exchange ID --side response > body',
      ),
    )
    .action(async (session: string, options) => {
      const { runShow } = await import('./show.ts');
      finish(await runShow(context, session, options));
    });

  reading(program, 'tail')
    .description('follow what happens until Ctrl-C')
    .argument('[session]', 'only this session: its id, the beginning of it, or latest')
    .addOption(json('the frames exactly as recorded, one a line'))
    .addHelpText('after', examples('npx verbatim tail', 'npx verbatim tail latest --json'))
    .action(async (session: string | undefined, options) => {
      const { runTail } = await import('./tail.ts');
      const ended = new AbortController();
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => ended.abort());
      finish(await runTail(context, session, options, ended.signal));
    });

  reading(program, 'verify')
    .description('prove that what is stored is what was recorded')
    .option('--all', 'everything in the store')
    .option('--key <vkey...>', 'trust these verifier keys (name+hash+key), and no other')
    .option(
      '--audit-store <url>',
      'where ledgers’ openings are (default: VERBATIM_AUDIT_STORE, or the store’s address with -audit)',
    )
    .addOption(json())
    .addHelpText('after', examples('npx verbatim verify --all', 'npx verbatim verify --all --key "$(cat key)" --json'))
    .action(async (options) => {
      const { runVerify } = await import('./verify.ts');
      finish(await runVerify(context, options));
    });
}

function reading(program: Command, name: string): Command {
  return program
    .command(name)
    .option('--store <url>', 'file:///absolute/path (default: VERBATIM_STORE, or the demo’s of this folder)');
}

function json(description = 'the result as JSON'): Option {
  return new Option('--json', description);
}

function examples(...commands: readonly string[]): string {
  return `\nExamples:\n${commands.map((command) => `  ${command}`).join('\n')}`;
}

function parsePort(text: string): number {
  const port = Number(text);
  if (/^\d{1,5}$/.test(text) && port <= 65535) return port;
  throw new InvalidArgumentError('Write a number from 0 to 65535.');
}
