/** Which configuration a command looks at. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from '../config.ts';
import { loadConfigFile } from '../config-file.ts';
import { problemWords } from '../yaml-file.ts';
import { CommandError, type Context } from './context.ts';

/** That of `--config`, or the demo's of this folder. `question` is asked where there is neither. */
export function chosenFile({ cwd }: Context, given: string | undefined, question: string): string {
  if (given !== undefined) return given;
  const demo = join(cwd, '.verbatim', 'demo', 'verbatim.yaml');
  if (existsSync(demo)) return demo;
  throw new CommandError(2, `${question} (There is no demo in this folder: npx verbatim demo makes one.)`);
}

/** `otherwise`: what else may be given in the place of a configuration with mistakes. */
export function loadChosen(file: string, otherwise = ''): Config {
  const loaded = loadConfigFile(file);
  if (loaded.ok) return loaded.config;
  const [first] = loaded.problems;
  if (first?.line === 0) throw new CommandError(1, problemWords(file, first));
  throw new CommandError(1, `${file} has mistakes. Name them with: npx verbatim config check ${file}${otherwise}`);
}
