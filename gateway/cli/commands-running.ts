/** The commands that run something, and those that look at what would be run. */
import type { Command } from 'commander';
import type { Context } from './context.ts';
import { examples, type Finish, json, parsePort } from './options.ts';
import type { SealCommandOptions } from './seal.ts';
import type { StdioOptions } from './stdio.ts';

export function addRunning(program: Command, context: Context, finish: Finish): void {
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
    .command('stdio')
    .description('serve a stdio MCP server over Streamable HTTP, a process for each session')
    .argument('[command...]', 'after --: the server’s program and its arguments')
    .option('--listen <host:port>', 'where; port 0 takes any free one', '127.0.0.1:8090')
    .option('--path <path>', 'the MCP path', '/mcp')
    .option('--gateway <url>', 'serve only requests that this gateway signed, and stateless ones too')
    .option('--connection <name>', 'with --gateway: the connection that this server is there')
    .option('--identity-header <name>', 'the header with the gateway’s signature', 'X-Verbatim-Identity')
    .option('--env <name...>', 'give the server these variables too, besides PATH, HOME, LANG, LC_*, TZ and TMPDIR')
    .option('--idle <duration>', 'end a server after this long without a request', '10m')
    .option('--start-limit <duration>', 'end a server that says nothing for this long', '20s')
    .option('--memory <size>', 'end a server whose processes hold more (Linux)', '512MiB')
    .option(
      '--children <number>',
      'servers at once; one session, or all callers without --gateway, get a quarter',
      '32',
    )
    .addOption(json('start-up and stop as JSON lines'))
    .addHelpText(
      'after',
      examples(
        'npx verbatim stdio -- npx -y @modelcontextprotocol/server-everything stdio',
        'npx verbatim stdio --env API_KEY --listen 127.0.0.1:0 --json -- ./server --read-only',
        'npx verbatim stdio --listen 0.0.0.0:8090 --gateway https://mcp.example.com --connection orders -- ./server',
      ),
    )
    .action(async (command: string[], options: StdioOptions) => {
      const { runStdio } = await import('./stdio.ts');
      await runStdio(context, command, options);
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
    .option('--config <file>', 'the configuration that has it (default: the demo’s of this folder)')
    .option('--group <name>', 'with the credential of this group')
    .addOption(json())
    .addHelpText('after', examples('npx verbatim connection check orders --config gateway.yaml'))
    .action(async (name: string, options: { config?: string; group?: string; json?: boolean }) => {
      const { runConnectionCheck } = await import('./connection-check.ts');
      finish(await runConnectionCheck(context, name, options));
    });

  program
    .command('seal')
    .description('seal by hand what is on a disk that no gateway uses')
    .argument('<dir>', 'the disk: what was the gateway’s data')
    .option('--store <url>', 'into this store (default: VERBATIM_STORE)')
    .option('--audit-store <url>', 'the store of audit objects (default: the one beside the store)')
    .option('--config <file>', 'take both, and the signing key, from the gateway’s configuration')
    .option('--dry-run', 'only say what is there and what would be done')
    .option('--accept-loss', 'where the journal is damaged: seal what is whole, tell the rest as a gap')
    .option('--retire <reason>', 'also end every recording and close the ledger: no gateway uses the disk again')
    .addOption(json())
    .addHelpText(
      'after',
      examples(
        'npx verbatim seal /mnt/old-disk --dry-run',
        'npx verbatim seal /mnt/old-disk --config gateway.yaml',
        'npx verbatim seal /mnt/old-disk --config gateway.yaml --retire "zone b is given up"',
      ),
    )
    .action(async (dir: string, options: SealCommandOptions) => {
      const { runSeal } = await import('./seal.ts');
      finish(await runSeal(context, dir, options));
    });

  program
    .command('demo')
    .description('run a gateway, an identity provider and an MCP server here, with a conversation')
    .option('--once', 'end after the conversation')
    .addOption(json('the first line of stdout, once ready, is a JSON object with addresses'))
    .option('--data-dir <folder>', 'keep everything here (default: .verbatim/demo)')
    .option('--port <number>', 'listen here; 0 takes any free port', parsePort)
    .option('--upstream <url>', 'your own MCP server, as a second connection')
    .option('--bearer <reference>', 'the key that your server wants, for example env:API_KEY; never the key itself')
    .option('--stdio <command>', 'the same, as the command of a stdio server')
    .option('--env <name...>', 'give the stdio server these variables too')
    .addHelpText(
      'after',
      examples(
        'npx verbatim demo',
        'npx verbatim demo --upstream http://127.0.0.1:9000/mcp',
        'npx verbatim demo --stdio "npx -y @modelcontextprotocol/server-everything stdio"',
      ),
    )
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
  readonly bearer?: string;
  readonly stdio?: string;
  readonly env?: readonly string[];
}
