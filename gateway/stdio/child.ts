/** One running stdio server: its lines in and out, and its end together with all processes that it started. */
import { spawn } from 'node:child_process';
import type { Log } from '../log.ts';
import { StdioFailure } from './failure.ts';
import { createLineSplitter } from './lines.ts';
import { endProcesses } from './processes.ts';
import { createStderrLog } from './stderr-log.ts';

const MOST_LINE = 16 * 1024 ** 2;
/** What may wait for a child that does not read; a single message always may. */
const MOST_WAITING = 16 * 1024 ** 2;
/** How long what a child wrote before its end may take to arrive; a grandchild may hold the pipe open. */
const LAST_WORDS_MS = 1000;

/** What is run. It comes from the host's command line alone: nothing of a request can reach it. */
export interface Program {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Milliseconds between SIGTERM and SIGKILL. */
  readonly grace: number;
}

export interface Child {
  readonly pid: number | undefined;
  /** One line with its LF. False where the child has not read what it got before: nothing was written. */
  write(line: Buffer): boolean;
  /** Reads no more of its output until `resume`; the pipe then holds the child back. */
  pause(): void;
  resume(): void;
  /** Ends it and its processes. `onEnd` is called at once. */
  end(failure: StdioFailure): void;
  /** Resolves when its processes are gone; false where some could not be ended. */
  readonly gone: Promise<boolean>;
}

export interface ChildEvents {
  line(line: Buffer): void;
  /** Called once: from now on no line comes, and none can be written. */
  end(failure: StdioFailure): void;
}

/** Starts a server. A program that can't be started ends, or throws, with `not_started`. `log` names the child. */
export function startChild(program: Program, log: Log, events: ChildEvents): Child {
  const { command, args, env, grace } = program;
  // No shell: arguments stay what they are. Detached: leader of its own session and group.
  const child = spawn(command, args, { env, stdio: 'pipe', shell: false, detached: true, windowsHide: true });
  const { stdin, stdout, stderr, pid } = child;
  child.on('error', (error: NodeJS.ErrnoException) => {
    if (pid === undefined && stdin !== undefined) end(new StdioFailure('not_started', error.code, { cause: error }));
  });
  // The types do not tell: without descriptors there are no pipes.
  if (stdin === undefined) throw new StdioFailure('not_started', 'Too many files are open.');
  const gone = Promise.withResolvers<boolean>();
  let ended = false;
  let ending = false;
  let exit: string | undefined;

  function endGroup(): void {
    if (ending) return;
    ending = true;
    stdin.destroy();
    if (pid === undefined) gone.resolve(true);
    else void endProcesses(pid, grace).then(gone.resolve, () => gone.resolve(false));
    // What got away from its session may hold the pipes open; it must not hold the host.
    void gone.promise.then(() => later(() => void [stdout, stderr].map((output) => output.destroy())));
  }

  function end(failure: StdioFailure): void {
    endGroup();
    if (ended) return;
    ended = true;
    // Read on, so that a child that writes before its end is not held up, but hear nothing more.
    stdout.removeAllListeners('data').resume();
    events.end(failure);
  }

  const splitter = createLineSplitter(MOST_LINE);
  stdout.on('data', (chunk: Buffer) => {
    try {
      for (const line of splitter.push(chunk)) if (!ended) events.line(line);
    } catch (error) {
      end(error instanceof StdioFailure ? error : new StdioFailure('internal', undefined, { cause: error }));
    }
  });
  // A child that exits closes its pipes first; its exit says more, and comes within a moment.
  const closed = (): void =>
    later(() => {
      if (exit === undefined) end(new StdioFailure('closed_stream'));
    });
  stdout.on('end', closed);
  stdin.on('error', closed);
  const said = createStderrLog({
    line: (text) => log.info({ event: 'stdio_stderr', text }, 'The server wrote to stderr.'),
    dropped: (lines) => log.warn({ event: 'stdio_stderr_dropped', lines }, 'Lines of stderr were dropped.'),
    now: () => performance.now(),
  });
  stderr.on('data', said.push);
  stderr.on('end', said.end);
  for (const output of [stdout, stderr]) output.on('error', () => {});

  child.on('exit', (code, signal) => {
    exit = signal === null ? `Its exit code was ${code}.` : `It was ended by ${signal}.`;
    log.info({ event: 'stdio_child_exited', code, signal }, 'A server ended.');
    endGroup();
    stdout.resume();
    later(() => end(new StdioFailure('exited', exit)));
  });
  child.on('close', () => end(new StdioFailure('exited', exit)));

  return {
    pid,
    write(line) {
      if (ended || (stdin.writableLength > 0 && stdin.writableLength + line.length > MOST_WAITING)) return false;
      stdin.write(line);
      return true;
    },
    pause: () => void (ended || stdout.pause()),
    resume: () => void stdout.resume(),
    end,
    gone: gone.promise,
  };
}

function later(act: () => void): void {
  setTimeout(act, LAST_WORDS_MS).unref();
}
