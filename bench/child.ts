import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

export interface Child {
  pid: number;
  /** The next line of the process's stdout; rejects if the process ends first. */
  line(): Promise<string>;
  /** Writes a line to the process's stdin. */
  say(line: string): void;
  /** Asks the process to end and waits until it has. */
  stop(): Promise<void>;
}

async function stop(child: ChildProcess): Promise<void> {
  // What the process itself started may hold on to its pipes: the end of stdin tells it, and nothing waits for its stdout.
  child.stdin?.destroy();
  child.stdout?.destroy();
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  // A measured process that does not end in time must not outlive the measurement.
  const timer = setTimeout(() => child.kill('SIGKILL'), 5_000);
  await ended;
  clearTimeout(timer);
}

/**
 * Starts a process of the comparison. Its stderr goes to ours, so that its own words explain a failure, or to
 * the file descriptor given.
 *
 * @throws Error if the command can't be started.
 */
export async function startChild(
  command: string,
  args: string[],
  stderr: 'inherit' | number = 'inherit',
): Promise<Child> {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', stderr] });
  await once(child, 'spawn');
  const { stdin, stdout } = child;
  if (stdin === null || stdout === null) throw new Error('The child has no pipes.');
  const lines = createInterface({ input: stdout })[Symbol.asyncIterator]();
  return {
    pid: child.pid ?? 0,
    async line() {
      const { value, done } = await lines.next();
      if (done) throw new Error(`${command} ended without the line it owed`);
      return value;
    },
    say: (line) => void stdin.write(`${line}\n`),
    stop: () => stop(child),
  };
}
