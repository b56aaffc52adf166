/** `verbatim config check`: every mistake in a configuration, with its place and its fix. */
import { loadConfigFile } from '../config-file.ts';
import { problemWords } from '../yaml-file.ts';
import type { Context } from './context.ts';
import { escapeForTerminal } from './terminal.ts';

export async function runConfigCheck(context: Context, file: string, options: { json?: boolean }): Promise<number> {
  const loaded = await loadConfigFile(file);
  if (options.json === true) {
    const result = loaded.ok
      ? { ok: true, file, digest: loaded.digest }
      : { ok: false, file, problems: loaded.problems };
    await context.out.write(`${JSON.stringify(result, null, 2)}\n`);
    return loaded.ok ? 0 : 1;
  }
  if (loaded.ok) {
    await context.out.write(escapeForTerminal(`${file}: good. Configuration ${loaded.digest}.`).concat('\n'));
    return 0;
  }
  for (const problem of loaded.problems) {
    const words = problemWords(file, problem);
    const place = problem.line === 0 ? file : `${file}:${problem.line}:${problem.column}`;
    const rest = escapeForTerminal(words.slice(place.length));
    await context.out.write(`${context.out.paint('bold', escapeForTerminal(place))}${rest}\n`);
  }
  return 1;
}
