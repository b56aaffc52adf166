/**
 * Programs that are no dependency of Verbatim, installed on demand into a cache outside the checkout, each keyed by the
 * hash of its lock files. VERBATIM_TOOLS names another cache.
 *
 * Each folder here that has a lock is a tool: npm/<name>/package-lock.json, requirements.txt with hashes, go.sum.
 */
import { type ExecFileOptions, execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';

export type Tool =
  | 'claude-code'
  | 'codex'
  | 'gemini-cli'
  | 'go'
  | 'inspector'
  | 'mcp-remote'
  | 'python'
  | 'python-1'
  | 'toolbox';

const exec = promisify(execFile);
const MINUTE = 60_000;
const LOCKS = ['package.json', 'package-lock.json', 'requirements.txt', 'go.mod', 'go.sum', 'main.go'];

/** This tool could not be had here: without `go`, without a registry, on a platform that it has no build for. */
export class ToolMissing extends Error {}

function sourceOf(tool: Tool): string {
  const inPlace = join(import.meta.dirname, tool);
  return existsSync(inPlace) ? inPlace : join(import.meta.dirname, 'npm', tool);
}

function cacheFolder(): string {
  const base = process.env.XDG_CACHE_HOME || join(homedir(), '.cache');
  return process.env.VERBATIM_TOOLS || join(base, 'verbatim-tools');
}

async function keyOf(source: string): Promise<string> {
  const hash = createHash('sha256').update(`${process.platform} ${process.arch} ${await pythonOf(source)}\0`);
  for (const name of LOCKS) {
    if (!existsSync(join(source, name))) continue;
    hash.update(`${name}\0`).update(await readFile(join(source, name)));
  }
  return hash.digest('hex').slice(0, 16);
}

/** Wheels are for one Python: `cpython-311`. */
async function pythonOf(source: string): Promise<string> {
  if (!existsSync(join(source, 'requirements.txt'))) return '';
  return obtain('python3', ['-c', 'import sys; print(sys.implementation.cache_tag)']);
}

const installed = new Map<Tool, Promise<string>>();

/** The folder where a tool is installed. @throws {ToolMissing} */
export function install(tool: Tool): Promise<string> {
  const known = installed.get(tool);
  if (known !== undefined) return known;
  const folder = installInto(tool);
  installed.set(tool, folder);
  return folder;
}

async function installInto(tool: Tool): Promise<string> {
  const source = sourceOf(tool);
  const folder = join(cacheFolder(), `${tool}-${await keyOf(source)}`);
  if (existsSync(folder)) return folder;
  await mkdir(cacheFolder(), { recursive: true });
  const fresh = await mkdtemp(join(cacheFolder(), `.${tool}-`));
  try {
    await fill(fresh, source);
    // A whole folder appears at once. Where another run was first, its folder holds the same.
    await rename(fresh, folder).catch((error: unknown) => {
      if (!existsSync(folder)) throw error;
    });
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
  return folder;
}

async function fill(folder: string, source: string): Promise<void> {
  if (existsSync(join(source, 'go.mod'))) return buildGo(folder, source);
  if (existsSync(join(source, 'requirements.txt'))) return installPython(folder, source);
  for (const name of ['package.json', 'package-lock.json']) await cp(join(source, name), join(folder, name));
  // None of these needs its install scripts.
  await obtain('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], {
    cwd: folder,
    env: { ...process.env, PATH: [dirname(process.execPath), process.env.PATH].join(delimiter) },
  });
}

async function buildGo(folder: string, source: string): Promise<void> {
  const pinned = { GOTOOLCHAIN: 'local', GOFLAGS: '-mod=readonly -buildvcs=false', GOWORK: 'off', CGO_ENABLED: '0' };
  const options = { cwd: source, env: { ...process.env, ...pinned } };
  await obtain('go', ['mod', 'download'], options);
  // What does not build is not missing, it is broken.
  await exec('go', ['build', '-o', join(folder, 'client'), '.'], options);
}

async function installPython(folder: string, source: string): Promise<void> {
  const flags = ['--quiet', '--no-deps', '--require-hashes', '--only-binary=:all:', '--disable-pip-version-check'];
  const requirements = join(source, 'requirements.txt');
  await obtain('python3', ['-m', 'pip', 'install', ...flags, '--target', folder, '-r', requirements]);
}

/** What a lock file and what was got contradict one another: never a reason to skip. */
const BROKEN = /EINTEGRITY|EUSAGE|DO NOT MATCH THE HASHES|SECURITY ERROR/;

/** Runs a program without which nothing can be had. Resolves with what it said. */
async function obtain(command: string, args: readonly string[], options: ExecFileOptions = {}): Promise<string> {
  const given = { timeout: 10 * MINUTE, maxBuffer: 64 * 1024 * 1024, ...options };
  try {
    return String((await exec(command, args, given)).stdout);
  } catch (error) {
    const said = String((error as { stderr?: string }).stderr || error);
    if (BROKEN.test(said)) throw error;
    const reason = said.split('\n').find((line) => /err/i.test(line)) ?? said.slice(0, 200);
    throw new ToolMissing(`${command} could not get it: ${reason.trim()}`);
  }
}

/** The version that an installed npm package gives itself. */
export function packageVersion(packageFolder: string): string {
  return (JSON.parse(readFileSync(join(packageFolder, 'package.json'), 'utf8')) as { version: string }).version;
}
