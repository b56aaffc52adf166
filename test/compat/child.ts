/** Programs that are not ours, run so that nothing of them is left: own process group, own home, a deadline. */
import { type ChildProcess, type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';

/** Long enough for a busy machine with two cores; all of these need about two seconds. */
const DEADLINE = 30_000;
const MOST_OUTPUT = 1024 * 1024;

export interface Command {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** The child's home and working directory. */
  readonly home: string;
  /** Told of each line that it writes, but for the messages of a conversation. */
  readonly heard?: (line: string) => void;
}

/** A folder that stands for a person's home directory and is gone afterwards. */
export async function createHome(): Promise<{ path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), 'verbatim-compat-'));
  // What a killed program had open may take a moment to be let go.
  const dispose = () => rm(path, { recursive: true, force: true, maxRetries: 5 });
  return { path, [Symbol.asyncDispose]: dispose };
}

/** Nothing of this process's environment but where programs are. Whoever heeds proxies gets no further than this host. */
function environment({ env, home }: Command): NodeJS.ProcessEnv {
  const nowhere = 'http://127.0.0.1:9';
  return {
    PATH: [dirname(process.execPath), process.env.PATH].join(delimiter),
    HOME: home,
    USERPROFILE: home,
    TMPDIR: home,
    XDG_CONFIG_HOME: join(home, '.config'),
    XDG_CACHE_HOME: join(home, '.cache'),
    LANG: 'C.UTF-8',
    NO_COLOR: '1',
    HTTP_PROXY: nowhere,
    HTTPS_PROXY: nowhere,
    NO_PROXY: '127.0.0.1,localhost',
    ...env,
  };
}

function start(command: Command): ChildProcessWithoutNullStreams {
  return spawn(command.command, command.args, {
    stdio: 'pipe',
    detached: true,
    cwd: command.home,
    env: environment(command),
  });
}

/** Ends a whole process group; it may be over already. */
function kill(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch (error) {
    // macOS says EPERM of a group that has only dead members left.
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ESRCH' && code !== 'EPERM') throw error;
  }
}

/** Runs a program to its end. Throws with the end of what it said where it fails or takes too long. */
export async function run(command: Command): Promise<string> {
  const child = start(command);
  child.stdin.end();
  const said = collect(child);
  hear(child.stdout, command);
  hear(child.stderr, command);
  const closed = once(child, 'close');
  const deadline = setTimeout(() => kill(child), DEADLINE);
  try {
    const [code] = await closed;
    if (code === 0) return said.stdout();
    throw new Error(`${command.command} ended with ${code}: ${said.end()}`);
  } finally {
    clearTimeout(deadline);
    kill(child);
  }
}

export interface Conversation extends AsyncDisposable {
  notify(method: string, params?: object): void;
  /** The whole answer of a JSON-RPC request. Rejects where the program ends or takes too long first. */
  ask(method: string, params?: object): Promise<{ result?: unknown; error?: unknown }>;
}

/** Speaks JSON-RPC with a program, a message a line. */
export function converse(command: Command): Conversation {
  const child = start(command);
  const said = collect(child, 'stderr');
  hear(child.stderr, command);
  const closed = once(child, 'close');
  const waiting = new Map<number, (answer: { result?: unknown; error?: unknown }) => void>();
  const over = Promise.withResolvers<never>();
  over.promise.catch(() => undefined);
  createInterface({ input: child.stdout }).on('line', (line) => {
    try {
      const { id, method, ...answer } = JSON.parse(line) as { id?: number; method?: string };
      if (id !== undefined && method === undefined) waiting.get(id)?.(answer);
    } catch (error) {
      over.reject(error);
    }
  });
  const deadline = setTimeout(() => kill(child), DEADLINE);
  void closed.then(
    () => over.reject(new Error(`${command.command} ended before it answered: ${said.end()}`)),
    over.reject,
  );
  // A program that is over takes no more lines; `closed` says so.
  child.stdin.on('error', () => undefined);
  let serial = 0;
  const write = (message: object) => child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
  return {
    notify: (method, params) => void write({ method, ...(params === undefined ? {} : { params }) }),
    ask(method, params = {}) {
      const id = serial++;
      const answered = Promise.withResolvers<{ result?: unknown; error?: unknown }>();
      waiting.set(id, answered.resolve);
      write({ id, method, params });
      return Promise.race([answered.promise, over.promise]);
    },
    async [Symbol.asyncDispose]() {
      clearTimeout(deadline);
      kill(child);
      await closed.catch(() => undefined);
    },
  };
}

/** Starts a server, and resolves when it takes connections on its port. */
export async function serve(command: Command, port: number): Promise<AsyncDisposable> {
  const child = start(command);
  const said = collect(child);
  child.stdin.end();
  const closed = once(child, 'close').catch(() => undefined);
  const dispose = async () => {
    kill(child);
    await closed;
  };
  const until = Date.now() + DEADLINE;
  while (!(await takesConnections(port))) {
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null && Date.now() < until) {
      await pause(25);
      continue;
    }
    await dispose();
    throw new Error(`${command.command} does not listen: ${said.end()}`);
  }
  return { [Symbol.asyncDispose]: dispose };
}

function takesConnections(port: number): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      done(true);
    });
    socket.once('error', () => done(false));
  });
}

function hear(input: Readable, { heard }: Command): void {
  if (heard !== undefined) createInterface({ input }).on('line', heard);
}

/** Keeps what a program says, so that its failure can be told. */
function collect(child: ChildProcessWithoutNullStreams, only?: 'stderr') {
  let out = '';
  let all = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    all = (all + text).slice(-MOST_OUTPUT);
  });
  if (only === undefined) {
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      out = (out + text).slice(0, MOST_OUTPUT);
      all = (all + text).slice(-MOST_OUTPUT);
    });
  }
  return { stdout: () => out, end: () => all.slice(-2000) };
}
