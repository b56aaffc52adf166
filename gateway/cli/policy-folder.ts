/** The policy that a command looks at, and its mistakes in words. */

import { readPoliciesFolder } from '../policies-folder.ts';
import { type CompilePattern, loadPolicy, type PolicyFile } from '../policy/load.ts';
import type { PolicyProblem, PolicySet } from '../policy/policy-set.ts';
import { problemWords } from '../yaml-file.ts';
import { loadChosen } from './chosen-configuration.ts';
import { CommandError, type Context } from './context.ts';
import { escapeForTerminal } from './terminal.ts';

export type OpenedPolicy =
  | { readonly ok: true; readonly files: readonly PolicyFile[]; readonly set: PolicySet }
  | { readonly ok: false; readonly problems: readonly PolicyProblem[] };

/** The folder that was named, else that of the configuration, else `policies`. */
export function folderOf(given: string | undefined, config?: string): string {
  if (given !== undefined) return given;
  if (config === undefined) return 'policies';
  const { policies } = loadChosen(config);
  if (policies !== 'allow-all') return policies;
  throw new CommandError(2, `${config} has policies: allow-all, so there are no rules. Name a folder to look at one.`);
}

export function openPolicy(folder: string, compilePattern: CompilePattern): OpenedPolicy {
  const read = readPoliciesFolder(folder);
  if (!read.ok) {
    const problems = read.problems.map((one) => ({ level: 'error' as const, line: 0, column: 0, key: '', ...one }));
    return { ok: false, problems };
  }
  const loaded = loadPolicy(read.files, compilePattern);
  return loaded.ok ? { ...loaded, files: read.files } : loaded;
}

/** For commands that need a good one. */
export function openGoodPolicy(folder: string, compilePattern: CompilePattern) {
  const opened = openPolicy(folder, compilePattern);
  if (opened.ok) return opened;
  const { problems } = opened;
  const more = problems.length > MOST_NAMED ? ['All of them: npx verbatim policy check'] : [];
  const named = problems.slice(0, MOST_NAMED).map((problem) => wordsOf(folder, problem));
  throw new CommandError(1, [`${folder} has mistakes, so nothing is decided by it.`, ...named, ...more].join('\n'));
}

/** Mistakes that are named by a command that was asked for something else. */
const MOST_NAMED = 5;

export async function writeProblem(context: Context, folder: string, problem: PolicyProblem): Promise<void> {
  const { paint } = context.out;
  const told = problem.level === 'error' ? paint('red', 'error') : paint('yellow', 'warning');
  await context.out.write(`${told} ${escapeForTerminal(wordsOf(folder, problem))}\n`);
}

function wordsOf(folder: string, problem: PolicyProblem): string {
  const { file, line, key, problem: words, fix } = problem;
  const where = file === '' ? folder : `${folder}/${file}`;
  return line === 0
    ? `${where}: ${key === '' ? '' : `${key} `}${words}. Fix: ${fix}`
    : problemWords(where, { ...problem, file: where });
}
