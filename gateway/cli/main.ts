/**
 * `verbatim …`. Each command's code is loaded when the command runs, so that help comes at once.
 *
 * Exit codes: 0 it is done or holds; 1 it failed or does not hold; 2 it was called wrongly.
 */
import { Command, CommanderError } from 'commander';
import { VERSION } from '../version.ts';
import { addApproving } from './commands-approving.ts';
import { addPolicies } from './commands-policy.ts';
import { addFreezing, addReading } from './commands-reading.ts';
import { addRunning } from './commands-running.ts';
import { CommandError, type Context, createContext } from './context.ts';
import { examples, type Finish } from './options.ts';
import { endQuietlyWithoutReader, escapeForTerminal } from './terminal.ts';

/** Runs a command line (without `node` and the script) and sets the process's exit code. */
export async function run(args: readonly string[]): Promise<void> {
  endQuietlyWithoutReader(process.stdout, (code) => process.exit(code));
  endQuietlyWithoutReader(process.stderr, (code) => process.exit(code));
  const context = createContext(process);
  const program = createProgram(context, (code) => {
    process.exitCode = code;
  });
  try {
    await program.parseAsync(args, { from: 'user' });
  } catch (error) {
    process.exitCode = await failed(context, error);
  }
}

async function failed(context: Context, error: unknown): Promise<number> {
  // Commander has said what was wrong already. Its help and version "errors" are none.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  const words = causes(error).join('\n  because: ');
  await context.err.write(
    `${context.err.paint('red', 'verbatim:')} ${escapeForTerminal(words, { keepNewlines: true })}\n`,
  );
  return error instanceof CommandError ? error.exitCode : 1;
}

/** What an error and those behind it say, each once. */
function causes(error: unknown): string[] {
  if (!(error instanceof Error)) return [String(error)];
  const words: string[] = [];
  // A cause that is no error is a library's raw material: an answer, a query with its state.
  for (let one: unknown = error; one instanceof Error && words.length < 5; one = one.cause) {
    const text = one.message;
    if (text !== '' && !words.some((said) => said.includes(text))) words.push(text);
  }
  return words;
}

function createProgram(context: Context, finish: Finish): Command {
  const program = new Command('verbatim')
    .description('Records MCP sessions byte for byte, and reads them back.')
    .version(VERSION)
    .exitOverride()
    .configureHelp({ showGlobalOptions: true, sortSubcommands: false })
    .addHelpText(
      'after',
      examples('npx verbatim demo', 'npx verbatim sessions', 'npx verbatim show latest', 'npx verbatim verify --all'),
    );
  addRunning(program, context, finish);
  addPolicies(program, context, finish);
  addReading(program, context, finish);
  addFreezing(program, context, finish);
  addApproving(program, context, finish);
  pointToHelp(program, 'npx verbatim');
  return program;
}

/** What was typed wrongly is explained by the help of the command that it was typed for. */
function pointToHelp(command: Command, typed: string): void {
  command.showHelpAfterError(`(${typed} --help tells more)`);
  for (const own of command.commands) pointToHelp(own, `${typed} ${own.name()}`);
}
