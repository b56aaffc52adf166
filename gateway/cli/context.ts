/** What a command may touch of the process that runs it. The environment and the clock enter here. */
import { createTerminal, type Screen, type Terminal } from './terminal.ts';

export interface Context {
  readonly out: Terminal;
  readonly err: Terminal;
  readonly env: Record<string, string | undefined>;
  readonly cwd: string;
  /** Milliseconds since the epoch. */
  now(): number;
}

/** Ends the command with words for stderr. Exit code 1: it failed or is not so; 2: it was called wrongly. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly exitCode: 1 | 2;

  constructor(exitCode: 1 | 2, words: string, options?: ErrorOptions) {
    super(words, options);
    this.exitCode = exitCode;
  }
}

export function createContext(process: {
  stdout: Screen;
  stderr: Screen;
  env: Record<string, string | undefined>;
  cwd(): string;
}): Context {
  return {
    out: createTerminal(process.stdout, process.env),
    err: createTerminal(process.stderr, process.env),
    env: process.env,
    cwd: process.cwd(),
    now: () => Date.now(),
  };
}
