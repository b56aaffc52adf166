/** Where the demo is: its folder and its ports, each refused in words before anything is started. */
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { dirname } from 'node:path';
import { CommandError } from '../gateway/cli/context.ts';
import { listenWords } from '../gateway/listening.ts';

const HOST = '127.0.0.1';
const HIGHEST_PORT = 65535;

/** Ports of the demo's parts; 0 takes any free one. The gateway's is always a number, since it is part of its name. */
export interface Ports {
  readonly gateway: number;
  readonly idp: number;
  readonly orders: number;
  /** Of the visitor's stdio server. */
  readonly yours: number;
}

/**
 * Four ports in a row from `first`, or free ones for 0.
 *
 * @throws CommandError where one of them can not be listened on.
 */
export async function choosePorts(first: number): Promise<Ports> {
  if (first === 0) return { gateway: await tryPort(0), idp: 0, orders: 0, yours: 0 };
  const ports = { gateway: first, idp: first + 1, orders: first + 2, yours: first + 3 };
  if (ports.yours > HIGHEST_PORT) {
    throw new CommandError(2, `--port: the demo takes four ports in a row, so ${HIGHEST_PORT - 3} is the highest.`);
  }
  for (const port of Object.values(ports)) await tryPort(port);
  return ports;
}

/** The secret in a file (mode 0600), which is made where there is none. */
export async function secretInFile(path: string): Promise<string> {
  const made = randomBytes(32).toString('base64url');
  await writeFile(path, `${made}\n`, { flag: 'wx', mode: 0o600 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
  return (await readFile(path, 'utf8')).trim();
}

/** Listens there for a moment; the port that it was. */
async function tryPort(port: number): Promise<number> {
  const server = createServer();
  await new Promise<void>((done, fail) => {
    server.once('error', (error) => fail(portError(error, port)));
    server.listen(port, HOST, done);
  });
  const address = server.address();
  await new Promise<void>((done) => server.close(() => done()));
  if (address === null || typeof address === 'string') throw new Error('No free port was found.');
  return address.port;
}

function portError(error: Error, port: number): Error {
  if ('code' in error && error.code === 'EADDRINUSE') {
    return new CommandError(
      1,
      `Port ${port} is taken. Is a demo running already? \`npm start -- --port 0 --data-dir DIR\` starts a second one.`,
      { cause: error },
    );
  }
  const words = listenWords(error, { host: HOST, port }, 'with --port');
  return words === undefined ? error : new CommandError(1, words, { cause: error });
}

/**
 * Makes the folder and those above it, for this user alone; one that is there already stays as it is.
 *
 * @throws CommandError where there can be none.
 */
export async function makeFolder(path: string): Promise<void> {
  try {
    await make(path);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    throw new CommandError(
      1,
      `--data-dir ${path}: ${WORDS[code] ?? `it can not be made (${code || error}).`} Choose another folder.`,
    );
  }
}

const WORDS: Record<string, string> = {
  ENOTDIR: 'there is a file of this name, or above it.',
  EACCES: 'this user may not write there.',
  EPERM: 'this user may not write there.',
  EROFS: 'nothing can be written there.',
};

/**
 * Not `mkdir` with `recursive`: where a file system has a folder and says "no such file" to a new one in it, as /proc
 * does, that one tries without end.
 */
async function make(path: string): Promise<void> {
  const there = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (there?.isDirectory() === true) return;
  if (there !== undefined) throw Object.assign(new Error('It is no folder.'), { code: 'ENOTDIR' });
  await make(dirname(path));
  await mkdir(path, { mode: 0o700 }).catch(async (error: NodeJS.ErrnoException) => {
    // Two demos may start at once.
    if (error.code !== 'EEXIST' || !(await stat(path)).isDirectory()) throw error;
  });
}
