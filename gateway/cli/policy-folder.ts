/** The policy that a command looks at, and its mistakes in words. */

import { readPoliciesFolder } from '../policies-folder.ts';
import { type CompilePattern, loadPolicy, type PolicyFile } from '../policy/load.ts';
import type { PolicyProblem, PolicySet } from '../policy/policy-set.ts';
import { problemWords } from '../yaml-file.ts';
import { CommandError, type Context } from './context.ts';
import { escapeForTerminal } from './terminal.ts';

export type OpenedPolicy =
  | { readonly ok: true; readonly files: readonly PolicyFile[]; readonly set: PolicySet }
  | { readonly ok: false; readonly problems: readonly PolicyProblem[] };

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
  throw new CommandError(1, `${folder} has mistakes. Name them with: npx verbatim policy check ${folder}`);
}

export async function writeProblem(context: Context, folder: string, problem: PolicyProblem): Promise<void> {
  const { level, file, line, key, problem: words, fix } = problem;
  const { paint } = context.out;
  const told = level === 'error' ? paint('red', 'error') : paint('yellow', 'warning');
  const where = file === '' ? folder : `${folder}/${file}`;
  const text =
    line === 0
      ? `${where}: ${key === '' ? '' : `${key} `}${words}. Fix: ${fix}`
      : problemWords(where, { ...problem, file: where });
  await context.out.write(`${told} ${escapeForTerminal(text)}\n`);
}
