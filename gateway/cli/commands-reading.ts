/** The commands that read recordings, and the one that stops calls. */
import { type Command, Option } from 'commander';
import type { Context } from './context.ts';
import { examples, type Finish, json, reading } from './options.ts';

export function addReading(program: Command, context: Context, finish: Finish): void {
  reading(program, 'sessions')
    .description('list sessions, newest first')
    .option('--user <who>', 'e-mail or subject')
    .option('--connection <name>', 'only this connection')
    .option(
      '--credential <version>',
      'only where this version of the upstream’s credential acted, or one that begins so',
    )
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

export function addFreezing(program: Command, context: Context, finish: Finish): void {
  program
    .command('freeze')
    .description('refuse calls on every gateway within 5 s, without a deployment; list or lift that')
    .option('--connection <name>', 'calls on this connection')
    .option('--user <who>', 'calls by this e-mail or subject')
    .option('--tool <glob>', "calls of these tools: delete_orders, 'delete_*'")
    .option('--all', 'all calls')
    .option('--reason <text>', 'why: recorded; that of a freeze is told to clients')
    .option('--for <time>', 'how long: 30m, 24h, 7d (default: 24h)')
    .option('--until-lifted', 'with no end of its own')
    .option('--actor <who>', 'who freezes or lifts (default: os: and the login name)')
    .option('--list', 'what is frozen')
    .option('--lift <id>', 'end this freeze: its id, or the beginning of it')
    .option('--config <file>', 'the configuration of the gateways (default: the demo’s of this folder)')
    .option('--state <url>', 'their state store, where there is no --config')
    .option('--audit <url>', 'their audit store, where there is no --config')
    .addOption(json())
    .addHelpText(
      'after',
      examples(
        'npx verbatim freeze --connection orders --reason "leaked credential" --config gateway.yaml',
        'npx verbatim freeze --tool \'delete_*\' --user ana@example.com --for 2h --reason "agent runs wild"',
        'npx verbatim freeze --list',
        'npx verbatim freeze --lift ID --reason "credential changed"',
      ),
    )
    .action(async (options) => {
      const { runFreeze } = await import('./freeze.ts');
      finish(await runFreeze(context, options));
    });

  program
    .command('revoke')
    .description('end a session on every gateway within 5 s, or keep a principal out; list or lift that')
    .argument('[session]', 'its id')
    .option(
      '--principal <who>',
      'block this e-mail or subject: its sessions end, and it opens none until that is lifted',
    )
    .option('--issuer <issuer>', 'only the principal of this issuer: its URL, or its name in the configuration')
    .option('--reason <text>', 'why: recorded')
    .option('--actor <who>', 'who revokes or lifts (default: os: and the login name)')
    .option('--list', 'who is blocked')
    .option('--lift [id]', 'let a principal in again: the block’s id or the beginning of it, or those of --principal')
    .option('--config <file>', 'the configuration of the gateways (default: the demo’s of this folder)')
    .option('--state <url>', 'their state store, where there is no --config')
    .option('--audit <url>', 'their audit store, where there is no --config')
    .addOption(json())
    .addHelpText(
      'after',
      examples(
        'npx verbatim revoke SESSION --reason "laptop stolen" --config gateway.yaml',
        'npx verbatim revoke --principal repo:acme/orders:ref:refs/heads/main --issuer github --reason "leaked"',
        'npx verbatim revoke --lift --principal ana@example.com --reason "laptop found"',
      ),
    )
    .action(async (session: string | undefined, options) => {
      const { runRevoke } = await import('./revoke.ts');
      finish(await runRevoke(context, session, options));
    });
}
