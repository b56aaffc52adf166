/** What commands have in common on the command line. */
import { type Command, InvalidArgumentError, Option } from 'commander';

/** Sets the process's exit code. */
export type Finish = (code: number) => void;

/** A command that reads recordings. */
export function reading(program: Command, name: string): Command {
  return program
    .command(name)
    .option(
      '--store <url>',
      'file:///absolute/path or gs://BUCKET (default: VERBATIM_STORE, or the demo’s of this folder)',
    );
}

export function json(description = 'the result as JSON'): Option {
  return new Option('--json', description);
}

export function examples(...commands: readonly string[]): string {
  return `\nExamples:\n${commands.map((command) => `  ${command}`).join('\n')}`;
}

export function parsePort(text: string): number {
  const port = Number(text);
  if (/^\d{1,5}$/.test(text) && port <= 65535) return port;
  throw new InvalidArgumentError('Write a number from 0 to 65535.');
}
