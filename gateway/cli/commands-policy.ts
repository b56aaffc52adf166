/** The commands that look at policies. */
import { type Command, Option } from 'commander';
import type { Context } from './context.ts';
import { examples, type Finish, json } from './options.ts';
import type { PolicyCheckOptions } from './policy-check.ts';
import type { PolicyExplainOptions } from './policy-explain.ts';
import type { PolicyPinOptions } from './policy-pin.ts';
import type { PolicyTestOptions } from './policy-test.ts';

const FOLDER = 'the folder with access/ and tools/ (default: that of --config, or policies)';

export function addPolicies(program: Command, context: Context, finish: Finish): void {
  const policy = program.command('policy').description('look at policies: rules, golden decisions, pinned tools');

  policy
    .command('check')
    .description('name every mistake in policies, and what is most likely one')
    .argument('[folder]', FOLDER)
    .option('--config <file>', 'check them against the connections of this configuration')
    .option('--strict', 'a warning is a mistake')
    .addOption(json())
    .addHelpText('after', examples('npx verbatim policy check', 'npx verbatim policy check --config gateway.yaml'))
    .action(async (folder: string | undefined, options: PolicyCheckOptions) => {
      const { runPolicyCheck } = await import('./policy-check.ts');
      const { withParts } = await import('./policy-readers.ts');
      finish(await withParts((parts) => runPolicyCheck(context, folder, options, parts)));
    });

  policy
    .command('test')
    .description('run the golden decisions beside the rules')
    .argument('[folder]', FOLDER)
    .option('--config <file>', 'take the folder from this configuration')
    .addOption(json())
    .addHelpText('after', examples('npx verbatim policy test', 'npx verbatim policy test --config gateway.yaml'))
    .action(async (folder: string | undefined, options: PolicyTestOptions) => {
      const { runPolicyTest } = await import('./policy-test.ts');
      const { withParts } = await import('./policy-readers.ts');
      finish(await withParts((parts) => runPolicyTest(context, folder, options, parts)));
    });

  policy
    .command('explain')
    .description('show each rule’s part in the decision on one message')
    .argument('[folder]', FOLDER)
    .requiredOption('--message <json>', 'the JSON-RPC message: itself, a file, or - for what is piped in')
    .requiredOption('--principal <json>', 'who sends it: itself or a file')
    .requiredOption('--connection <name>', 'the connection that it is sent on')
    .addOption(new Option('--from <side>', 'who sends it').choices(['client', 'upstream']).default('client'))
    .addOption(
      new Option('--access <access>', 'how the session came to be').choices(['standing', 'justInTime', 'breakGlass']),
    )
    .addOption(
      new Option('--dialect <dialect>', 'of SQL on the connection').choices([
        'postgresql',
        'mysql',
        'bigquery',
        'sqlite',
      ]),
    )
    .option('--config <file>', 'take the connection and its dialect from this configuration')
    .addOption(json())
    .addHelpText(
      'after',
      examples(
        'npx verbatim policy explain --connection orders --principal \'{"kind":"human","groups":["analysts"]}\' \\\n    --message \'{"method":"tools/call","params":{"name":"query","arguments":{"sql":"SELECT 1"}}}\'',
      ),
    )
    .action(async (folder: string | undefined, options: PolicyExplainOptions) => {
      const { runPolicyExplain } = await import('./policy-explain.ts');
      const { withParts } = await import('./policy-readers.ts');
      finish(await withParts((parts) => runPolicyExplain(context, folder, options, parts)));
    });

  policy
    .command('pin')
    .description('pin the tools that a connection’s server lists now, to be reviewed as a commit')
    .argument('<name>', 'the connection')
    .option('--config <file>', 'the configuration that has it (default: the demo’s of this folder)')
    .option('--out <folder>', 'where the file goes (default: tools/ in the configuration’s policies)')
    .option('--group <name>', 'with the credential of this group')
    .option('--check', 'write nothing; exit 1 with a list where the tools are not as pinned')
    .addHelpText(
      'after',
      examples(
        'npx verbatim policy pin orders --config gateway.yaml',
        'npx verbatim policy pin orders --config gateway.yaml --check',
      ),
    )
    .action(async (name: string, options: PolicyPinOptions) => {
      const { runPolicyPin } = await import('./policy-pin.ts');
      finish(await runPolicyPin(context, name, options));
    });
}
