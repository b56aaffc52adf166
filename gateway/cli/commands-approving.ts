/** The commands with which people approve, and get access for a time. */
import type { Command, CommandOptions } from 'commander';
import type { EnterOptions, WordsOptions } from './access.ts';
import type { DecideOptions } from './approvals.ts';
import type { Context } from './context.ts';
import type { GatewayOptions } from './gateway-api.ts';
import { examples, type Finish, json } from './options.ts';

/** A command that logs in at a gateway. */
function atGateway(parent: Command, name: string, how: CommandOptions = {}): Command {
  return parent
    .command(name, how)
    .option('--gateway <url>', 'the gateway (default: VERBATIM_GATEWAY)')
    .option('--as <user>', 'fill in the demo identity provider’s form as this person')
    .option('--no-browser', 'print the address instead of opening a browser')
    .addOption(json());
}

function deciding(parent: Command, name: string): Command {
  return atGateway(parent, name)
    .argument('<id>', 'its id')
    .option('--reason <text>', 'why: recorded, and told to who asked')
    .option('--code <code>', 'the code of what you have read, in the place of typing it');
}

export function addApproving(program: Command, context: Context, finish: Finish): void {
  const approvals = program.command('approvals').description('calls that wait for a person: list, read, decide');

  atGateway(approvals, 'list', { isDefault: true })
    .description('those that wait for you')
    .action(async (options: GatewayOptions) => {
      const { listApprovals } = await import('./approvals.ts');
      finish(await listApprovals(context, options));
    });
  atGateway(approvals, 'show')
    .description('one of them, whole')
    .argument('<id>', 'its id')
    .action(async (id: string, options: GatewayOptions) => {
      const { showApproval } = await import('./approvals.ts');
      finish(await showApproval(context, id, options));
    });
  for (const verdict of ['approve', 'deny'] as const) {
    deciding(approvals, verdict)
      .description(verdict === 'approve' ? 'approve one call, once, after reading it' : 'deny one call')
      .action(async (id: string, options: DecideOptions) => {
        const { decideApproval } = await import('./approvals.ts');
        finish(await decideApproval(context, verdict, id, options));
      });
  }
  approvals.addHelpText(
    'after',
    examples(
      'npx verbatim approvals list --gateway https://mcp.example.com',
      'npx verbatim approvals approve ID',
      'npx verbatim approvals deny ID --reason "the order is paid already"',
    ),
  );
  addAccess(program, context, finish);
}

function addAccess(program: Command, context: Context, finish: Finish): void {
  const access = program.command('access').description('access to a connection for a time: ask, decide, end, review');

  atGateway(access, 'list', { isDefault: true })
    .description('your requests and access windows, and those that you decide of')
    .action(async (options: GatewayOptions) => {
      const { listAccess } = await import('./access.ts');
      finish(await listAccess(context, options));
    });
  for (const [name, words] of [
    ['request', 'ask for access to a connection'],
    ['break-glass', 'get in at once in an emergency: alerts people, and has to be reviewed'],
  ] as const) {
    atGateway(access, name)
      .description(words)
      .argument('<connection>', 'its name')
      .option('--reason <text>', 'what for: recorded, and read by who decides')
      .option('--for <time>', 'how long: 30m, 2h')
      .action(async (connection: string, options: EnterOptions) => {
        const { breakGlass, requestAccess } = await import('./access.ts');
        finish(await (name === 'request' ? requestAccess : breakGlass)(context, connection, options));
      });
  }
  for (const verdict of ['approve', 'deny'] as const) {
    deciding(access, verdict)
      .description(verdict === 'approve' ? 'let somebody in, for as long as they asked' : 'deny a request')
      .action(async (id: string, options: DecideOptions) => {
        const { decideAccess } = await import('./access.ts');
        finish(await decideAccess(context, verdict, id, options));
      });
  }
  atGateway(access, 'revoke')
    .description('end an access window now')
    .argument('<id>', 'its id')
    .option('--reason <text>', 'why: recorded')
    .action(async (id: string, options: WordsOptions) => {
      const { revokeAccess } = await import('./access.ts');
      finish(await revokeAccess(context, id, options));
    });
  atGateway(access, 'review')
    .description('record that you reviewed what was done in an emergency')
    .argument('<id>', 'its id')
    .option('--words <text>', 'what you found: recorded')
    .action(async (id: string, options: WordsOptions) => {
      const { reviewAccess } = await import('./access.ts');
      finish(await reviewAccess(context, id, options));
    });
  access.addHelpText(
    'after',
    examples(
      'npx verbatim access request orders --reason "ticket 4711" --for 2h --gateway https://mcp.example.com',
      'npx verbatim access approve ID',
      'npx verbatim access break-glass orders --reason "outage" --for 30m',
      'npx verbatim access review ID --words "read two orders, changed none"',
    ),
  );
}
