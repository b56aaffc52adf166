/** `verbatim policy check`: every mistake in a folder of policies, and what is most likely one. */
import { checkedConnections } from '../policies.ts';
import { checkAgainst, lint } from '../policy/check.ts';
import { readGolden } from '../policy/golden.ts';
import { isDecisions } from '../policy/load.ts';
import type { PolicyProblem } from '../policy/policy-set.ts';
import { loadChosen } from './chosen-configuration.ts';
import type { Context } from './context.ts';
import { folderOf, openPolicy, writeProblem } from './policy-folder.ts';
import type { PolicyParts } from './policy-parts.ts';
import { escapeForTerminal } from './terminal.ts';

export interface PolicyCheckOptions {
  readonly config?: string;
  readonly strict?: boolean;
  readonly json?: boolean;
}

export async function runPolicyCheck(
  context: Context,
  given: string | undefined,
  options: PolicyCheckOptions,
  { compilePattern }: PolicyParts,
): Promise<number> {
  const folder = folderOf(given, options.config);
  const opened = openPolicy(folder, compilePattern);
  const problems: PolicyProblem[] = opened.ok ? lint(opened.set) : [...opened.problems];
  if (opened.ok) {
    problems.push(...opened.files.filter(({ path }) => isDecisions(path)).flatMap((file) => readGolden(file).problems));
    if (options.config !== undefined)
      problems.push(...checkAgainst(opened.set, checkedConnections(loadChosen(options.config).connections)));
  }
  const ok = problems.every(({ level }) => level === 'warning' && options.strict !== true);
  const digest = opened.ok ? opened.set.digest : undefined;
  if (options.json === true) {
    await context.out.write(`${JSON.stringify({ ok, folder, ...(digest && { digest }), problems }, null, 2)}\n`);
    return ok ? 0 : 1;
  }
  for (const problem of problems) await writeProblem(context, folder, problem);
  if (ok && opened.ok) {
    const rules = opened.set.rules.length === 1 ? '1 rule' : `${opened.set.rules.length} rules`;
    await context.out.write(escapeForTerminal(`${folder}: good. ${rules}. Policy ${digest}.`).concat('\n'));
  }
  return ok ? 0 : 1;
}
