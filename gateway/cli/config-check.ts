/** `verbatim config check`: every mistake in a configuration, with its place and its fix. */
import { loadConfigFile } from '../config-file.ts';
import { loadPolicies } from '../policies.ts';
import { type FileProblem, problemWords } from '../yaml-file.ts';
import type { Context } from './context.ts';
import { escapeForTerminal } from './terminal.ts';

export async function runConfigCheck(context: Context, file: string, options: { json?: boolean }): Promise<number> {
  const loaded = load(file);
  if (options.json === true) {
    const result = loaded.ok
      ? { ok: true, file, digest: loaded.digest, policy: loaded.policy }
      : { ok: false, file, problems: loaded.problems };
    await context.out.write(`${JSON.stringify(result, null, 2)}\n`);
    return loaded.ok ? 0 : 1;
  }
  if (loaded.ok) {
    await context.out.write(
      escapeForTerminal(`${file}: good. Configuration ${loaded.digest}, policy ${loaded.policy}.`).concat('\n'),
    );
    return 0;
  }
  for (const problem of loaded.problems) {
    const words = problemWords(file, problem);
    const { file: where = file } = problem;
    const place = problem.line === 0 ? where : `${where}:${problem.line}:${problem.column}`;
    const rest = escapeForTerminal(words.slice(place.length));
    await context.out.write(`${context.out.paint('bold', escapeForTerminal(place))}${rest}\n`);
  }
  return 1;
}

type Checked =
  | { readonly ok: true; readonly digest: string; readonly policy: string }
  | { readonly ok: false; readonly problems: readonly FileProblem[] };

/** With the policy that it names: the gateway starts with neither or with both. */
function load(file: string): Checked {
  const loaded = loadConfigFile(file);
  if (!loaded.ok) return loaded;
  const policies = loadPolicies(loaded.config);
  return policies.ok ? { ok: true, digest: loaded.digest, policy: policies.policy.set.digest } : policies;
}
