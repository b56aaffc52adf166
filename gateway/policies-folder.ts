/** A folder of policies on disk: `access/*.yaml`, `tools/*.json`, and nothing that nobody would read. */
import {
  closeSync,
  constants,
  type Dirent,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  realpathSync,
} from 'node:fs';
import { basename, join, resolve } from 'node:path';
import type { PolicyFile } from './policy/load.ts';
import { MAX_FILE } from './yaml-file.ts';

export type ReadFolder =
  | { readonly ok: true; readonly files: readonly PolicyFile[] }
  | { readonly ok: false; readonly problems: readonly FolderProblem[] };

/** What is wrong with a file itself. `file` is relative to the folder, and empty where it is the folder. */
export interface FolderProblem {
  readonly file: string;
  readonly problem: string;
  readonly fix: string;
}

const NAMES: Readonly<Record<string, { readonly is: RegExp; readonly fix: string }>> = {
  access: {
    is: /^[a-z0-9][a-z0-9-]{0,62}(\.decisions)?\.yaml$/,
    fix: 'Rules are in NAME.yaml, golden decisions in NAME.decisions.yaml: lower-case letters, digits and -.',
  },
  tools: { is: /^[a-z][a-z0-9-]{0,62}\.json$/, fix: 'Pins are in CONNECTION.json.' },
};
const FOLDERS = Object.keys(NAMES);
/** Beside them: what the project has there that is no policy of the gateway, and what editors and Git leave. */
const PASSED_OVER = new Set(['compliance', 'README.md', '.gitkeep', '.DS_Store']);
const MOST_FILES = 1000;

/**
 * Files in the order of their names. A file that is not read is refused, not passed over: who put it there believes that
 * it is in force. No link is followed out of the folder.
 */
export function readPoliciesFolder(path: string): ReadFolder {
  const problems: FolderProblem[] = [];
  const files: PolicyFile[] = [];
  const top = entriesOf(path);
  if (top === undefined) {
    const problem = {
      file: '',
      problem: 'is no folder that can be read',
      fix: 'Name the folder that has access/; rules are in access/NAME.yaml.',
    };
    return { ok: false, problems: [problem] };
  }
  const wrong = wrongFolder(path, top);
  if (wrong !== undefined) return { ok: false, problems: [wrong] };
  for (const { name } of top) {
    if (FOLDERS.includes(name) || PASSED_OVER.has(name)) continue;
    problems.push({ file: name, problem: 'is not known here', fix: 'Rules are in access/, pins of tools in tools/.' });
  }
  const root = realpathSync(path);
  for (const folder of FOLDERS) {
    if (!top.some(({ name }) => name === folder)) continue;
    const inside = join(root, folder);
    const entries = realPathOf(inside) === inside ? entriesOf(inside) : undefined;
    if (entries === undefined) {
      problems.push({ file: folder, problem: 'is no folder of this one', fix: 'Make it a plain folder.' });
      continue;
    }
    for (const entry of entries) {
      const file = `${folder}/${entry.name}`;
      if (PASSED_OVER.has(entry.name)) continue;
      const read = readEntry(root, folder, entry.name);
      if (typeof read === 'string') files.push({ path: file, text: read });
      else problems.push({ file, ...read });
    }
  }
  if (files.length > MOST_FILES) {
    problems.push({ file: '', problem: `has more than ${MOST_FILES} files`, fix: 'Say rules together.' });
  }
  return problems.length > 0 ? { ok: false, problems } : { ok: true, files };
}

/** Who names the folder above or below is told so, not that each file in it is unknown. */
function wrongFolder(path: string, top: readonly Dirent[]): FolderProblem | undefined {
  const has = (wanted: string) => top.some(({ name }) => name === wanted);
  if (FOLDERS.some(has)) return undefined;
  const of = (problem: string, fix: string): FolderProblem => ({ file: '', problem, fix });
  if (basename(resolve(path)) === 'access') return of('is access/ itself', 'Name the folder that it is in.');
  if (has('policies')) return of('has no access/, but a folder policies/', 'Name that one.');
  const isEmpty = top.every(({ name }) => PASSED_OVER.has(name));
  return isEmpty ? undefined : of('has no access/', 'Name the folder that has it; rules are in access/NAME.yaml.');
}

function readEntry(root: string, folder: string, name: string): string | { problem: string; fix: string } {
  const rule = NAMES[folder];
  if (rule === undefined || !rule.is.test(name)) {
    return { problem: 'has a name that nobody reads', fix: rule?.fix ?? '' };
  }
  let descriptor: number | undefined;
  try {
    // O_NOFOLLOW: what is named here is what is read, whoever may write beside it.
    descriptor = openSync(join(root, folder, name), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const stat = fstatSync(descriptor);
    if (!stat.isFile()) return { problem: 'is not a file', fix: 'Take it out.' };
    if (stat.size > MAX_FILE) return { problem: 'is larger than 1 MiB', fix: 'Split it.' };
    return new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(descriptor));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ERR_ENCODING_INVALID_ENCODED_DATA') return { problem: 'is not UTF-8', fix: 'Save it as UTF-8.' };
    if (code === 'ELOOP') return { problem: 'is a link', fix: 'Put the file itself there.' };
    return { problem: `can not be read (${code ?? 'unknown error'})`, fix: 'Let the user that runs this read it.' };
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

function entriesOf(path: string): Dirent[] | undefined {
  try {
    return readdirSync(path, { withFileTypes: true }).sort((one, other) => (one.name < other.name ? -1 : 1));
  } catch {
    return undefined;
  }
}

function realPathOf(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
}
