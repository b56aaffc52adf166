/** `verbatim policy test`: the golden decisions of a folder, against all of its rules. */

import { createPolicy, type Policy } from '../policy/decide.ts';
import type { Decision } from '../policy/decision.ts';
import { differences, type GoldenCase, readGolden } from '../policy/golden.ts';
import { isAccess, isDecisions } from '../policy/load.ts';
import type { Readings } from '../policy/statement.ts';
import type { Context } from './context.ts';
import { folderOf, openGoodPolicy, writeProblem } from './policy-folder.ts';
import { decideWhole, type PolicyParts } from './policy-parts.ts';
import { escapeForTerminal } from './terminal.ts';

export interface PolicyTestOptions {
  readonly config?: string;
  readonly json?: boolean;
}

interface Failure {
  readonly file: string;
  readonly line: number;
  readonly name: string;
  readonly differences: readonly string[];
  readonly words: string;
}

export async function runPolicyTest(
  context: Context,
  given: string | undefined,
  options: PolicyTestOptions,
  parts: PolicyParts,
): Promise<number> {
  const folder = folderOf(given, options.config);
  const { files, set } = openGoodPolicy(folder, parts.compilePattern);
  const read = files.filter(({ path }) => isDecisions(path)).map(readGolden);
  const problems = read.flatMap((one) => one.problems);
  const cases = read.flatMap((one) => one.cases);
  const tested = new Set(cases.map(({ file }) => file));
  const untested = files
    .map(({ path }) => path)
    .filter((path) => isAccess(path) && !tested.has(path.replace(/\.yaml$/, '.decisions.yaml')));
  const policy = createPolicy(set);
  const failures: Failure[] = [];
  for (const one of cases) {
    const failure = await failureOf(one, policy, parts);
    if (failure !== undefined) failures.push(failure);
  }
  const ok = failures.length === 0 && problems.length === 0;
  if (options.json === true) {
    const result = {
      ok,
      folder,
      digest: set.digest,
      passed: cases.length - failures.length,
      failures,
      untested,
      problems,
    };
    await context.out.write(`${JSON.stringify(result, null, 2)}\n`);
    return ok ? 0 : 1;
  }
  for (const problem of problems) await writeProblem(context, folder, problem);
  for (const failure of failures) await writeFailure(context, folder, failure);
  const warning = context.out.paint('yellow', 'warning');
  for (const path of untested) {
    await context.out.write(`${warning} ${escapeForTerminal(`${folder}/${path}`)} has no golden decisions.\n`);
  }
  if (problems.length > 0 && cases.length === 0) return 1;
  const told =
    cases.length === 0
      ? `There are no golden decisions in ${escapeForTerminal(folder)}/access: nothing was tested.`
      : `${cases.length - failures.length} of ${cases.length} decisions are as they should be.`;
  await context.out.write(`${told}\n`);
  return ok ? 0 : 1;
}

async function failureOf(one: GoldenCase, policy: Policy, { read }: PolicyParts): Promise<Failure | undefined> {
  const { file, line, name, input, dialect, expect } = one;
  const decide = (readings: Readings) => policy.decide(input, readings, dialect);
  const decision: Decision = await decideWhole(decide, read);
  const found = differences(decision, expect);
  return found.length === 0 ? undefined : { file, line, name, differences: found, words: decision.words };
}

async function writeFailure(context: Context, folder: string, failure: Failure): Promise<void> {
  const { paint } = context.out;
  const { file, line, name, words } = failure;
  const lines = [
    `${paint('red', 'failed')} ${escapeForTerminal(`${folder}/${file}:${line} ${name}`)}`,
    ...failure.differences.map((one) => `    ${escapeForTerminal(one)}`),
    `    ${paint('dim', escapeForTerminal(words))}`,
  ];
  await context.out.write(`${lines.join('\n')}\n`);
}
