/** The commands about policies. */
import type { Command } from 'commander';
import type { Context } from './context.ts';
import { examples, type Finish } from './options.ts';
import type { PolicyPinOptions } from './policy-pin.ts';

export function addPolicies(program: Command, context: Context, finish: Finish): void {
  const policy = program.command('policy').description('look at policies');

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
