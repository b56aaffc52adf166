/** The demo's log lies beside its data: the terminal is for what a visitor reads, such as what became of their edits. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { DestinationStream } from 'pino';
import { escapeForTerminal } from '../gateway/cli/terminal.ts';

export function createDemoLog(folder: string, tell: (lines: string) => void): DestinationStream {
  const path = join(folder, 'gateway.log');
  return {
    write(line) {
      // A handful of lines a minute: opened and closed for each, so that there is nothing to flush at the end.
      void writeFile(path, line, { flag: 'a', mode: 0o600 }).catch(() => {});
      const told = editWords(line);
      if (told !== undefined) tell(told);
    },
  };
}

/** What a line of the log says to who has just saved a file of rules; nothing otherwise. */
function editWords(line: string): string | undefined {
  const { event, problems = [] } = JSON.parse(line) as { event?: string; problems?: readonly string[] };
  if (event === 'configuration_loaded') return 'Edited: what was changed is in force.\n';
  if (event !== 'configuration_refused') return undefined;
  const named = problems.map((problem) => `  ${escapeForTerminal(problem)}\n`).join('');
  return `Edited: not taken, and what was in force before still is.\n${named}`;
}
