/** One gateway process, from its start to its death. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { type Death, type Order, word } from './death.ts';

export interface Life {
  /** Resolves when its code is loaded, or when it has ended. */
  readonly loaded: Promise<void>;
  /** Resolves when it listens; undefined where it ended before. */
  begin(start: Extract<Order, { start: object }>['start']): Promise<{ url: string; key: string } | undefined>;
  /** It dies at this step, when it comes to it. */
  die(death: Death): void;
  kill(): void;
  /** Resolves, once it has ended, when that was and the step at which it killed itself. */
  readonly ended: Promise<{ at: number; signal: string | null; died?: Death }>;
}

/** This Node with other arguments; its errors go to the descriptor. */
export function startProcess(
  args: string[],
  stderr: number | 'inherit',
): { child: ChildProcess; stdin: Writable; stdout: Readable } {
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', stderr] });
  const { stdin, stdout } = child;
  if (stdin === null || stdout === null) throw new Error('The child has no pipes.');
  return { child, stdin, stdout };
}

/** Starts the process, whose log goes to the descriptor. */
export function startLife(logFd: number): Life {
  const program = fileURLToPath(new URL('./killable.ts', import.meta.url));
  const { child, stdin, stdout } = startProcess(['--disable-warning=ExperimentalWarning', program], logFd);
  const listening = Promise.withResolvers<{ url: string; key: string } | undefined>();
  const loaded = Promise.withResolvers<void>();
  let died: Death | undefined;
  createInterface({ input: stdout }).on('line', (line) => {
    const said = word.parse(JSON.parse(line));
    if ('loaded' in said) loaded.resolve();
    else if ('url' in said) listening.resolve(said);
    else died = said.died;
  });
  const exited = once(child, 'exit').then(() => Date.now());
  // A pipe to a process that is gone.
  stdin.on('error', () => {});
  const say = (order: Order): void => void stdin.write(`${JSON.stringify(order)}\n`);
  // `close` comes behind its last words.
  const ended = once(child, 'close').then(async ([, signal]) => {
    loaded.resolve();
    listening.resolve(undefined);
    return { at: await exited, signal: signal as string | null, ...(died === undefined ? {} : { died }) };
  });
  return {
    loaded: loaded.promise,
    begin(start) {
      say({ start });
      return listening.promise;
    },
    die: (death) => say({ die: death }),
    kill: () => void child.kill('SIGKILL'),
    ended,
  };
}
