/** `verbatim verify --all`: whether what is stored is what was recorded. */
import { VerificationError } from '../ledger/verification-error.ts';
import type { Verification } from '../recording/read-verify.ts';
import type { StoreError } from '../store/store-error.ts';
import { openChosenStore, type StoreOptions } from './chosen-store.ts';
import { CommandError, type Context } from './context.ts';
import { createProgress, escapeForTerminal } from './terminal.ts';

export interface VerifyCommandOptions extends StoreOptions {
  readonly all?: boolean;
  readonly key?: readonly string[];
  readonly json?: boolean;
}

export async function runVerify(context: Context, options: VerifyCommandOptions): Promise<number> {
  if (options.all !== true) throw new CommandError(2, 'Say what to verify: npx verbatim verify --all.');
  // Who brings the keys needs no audit store, but should know what was not looked at.
  const withoutAudit = async (error: StoreError): Promise<void> => {
    await context.err.write(`${escapeForTerminal(`The audit store was left out: ${error.message}`)}\n`);
  };
  const { url, recordings } = openChosenStore(
    context,
    options,
    (options.key ?? []).length > 0 ? withoutAudit : undefined,
  );
  const progress = createProgress(context.err);
  let result: Verification;
  try {
    result = await recordings.verifyAll({
      verifierKeys: options.key ?? [],
      onProgress: (done, total) => progress.show('Verifying segments', done, total),
      now: context.now(),
    });
  } catch (error) {
    if (!(error instanceof VerificationError)) throw error;
    throw new CommandError(2, `--key: ${error.words}`, { cause: error });
  } finally {
    progress.clear();
  }
  if (options.json === true) await context.out.write(`${JSON.stringify({ store: url, ...result }, null, 2)}\n`);
  else await context.out.write(`${describe(context, url, result).join('\n')}\n`);
  return result.ok ? 0 : 1;
}

function describe(context: Context, url: string, result: Verification): string[] {
  const { paint } = context.out;
  const lines = [`Store ${escapeForTerminal(url)}`];
  for (const report of result.ledgers) {
    const state = report.ok ? paint('green', 'holds') : paint('red', 'does not hold');
    const facts = [
      counted(report.checkpoints, 'checkpoint'),
      counted(report.leaves, 'manifest'),
      counted(report.heartbeats, 'heartbeat'),
      counted(report.gaps, 'recorded gap'),
      ...(report.newest === undefined ? [] : [`newest ${report.newest}`]),
      ...(report.closed === undefined ? [] : [`closed ${report.closed}`]),
    ];
    lines.push(escapeForTerminal(`Ledger ${report.ledger} `) + state);
    lines.push(escapeForTerminal(`  ${facts.join(', ')}`));
    if (report.root !== undefined) lines.push(`  root ${report.root}`);
    if (report.key !== undefined) {
      const from = report.key.from === 'given' ? 'given by you' : 'from the audit store';
      lines.push(escapeForTerminal(`  key ${report.key.verifierKey}, ${from}`));
    }
    for (const { verifierKey, checkpoint } of report.keys.length > 1 ? report.keys : []) {
      lines.push(escapeForTerminal(`  from checkpoint ${checkpoint} on signed by ${verifierKey}`));
    }
  }
  const counts = `${counted(result.segments, 'segment')} with ${counted(result.frames, 'frame')}`;
  if (result.pending > 0) {
    lines.push(`${counted(result.pending, 'object')} stored and not yet under a checkpoint: not yet evidence.`);
  }
  for (const { code, object, words } of result.problems) {
    lines.push(`${paint('red', code)} ${escapeForTerminal(object)}: ${escapeForTerminal(words)}`);
  }
  lines.push(
    result.ok
      ? paint('green', `Verified: ${counts}. Hashes, sequence, tree and signatures hold.`)
      : paint('red', `Not verified: ${counted(result.problems.length, 'problem')} in ${counts}.`),
  );
  if (result.ledgers.some((report) => report.key?.from === 'audit')) {
    lines.push(
      'The keys came from the audit store (trust on first use). To rest on a key that you keep: npx verbatim verify --all --key VKEY',
    );
  }
  return lines;
}

function counted(count: number, noun: string): string {
  return `${count.toLocaleString('en')} ${noun}${count === 1 ? '' : 's'}`;
}
