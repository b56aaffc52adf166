/** The policy that a configuration names: whole, or not at all with every mistake of its files. */
import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from './config.ts';
import { readPoliciesFolder } from './policies-folder.ts';
import { ALLOW_ALL } from './policy/allow-all.ts';
import { type CheckedConnection, checkAgainst } from './policy/check.ts';
import { createPolicy, type Policy } from './policy/decide.ts';
import { loadPolicy } from './policy/load.ts';
import { compilePattern } from './policy/masks/pattern.ts';
import type { FileProblem } from './yaml-file.ts';

/** A mistake in a file of the policy: `file` is its whole path. */
export type PoliciesProblem = FileProblem & { readonly file: string };

export type LoadedPolicies =
  | { readonly ok: true; readonly policy: Policy }
  | { readonly ok: false; readonly problems: readonly PoliciesProblem[] };

/** Warnings are for `verbatim policy check`: they keep nothing from taking force. */
export function loadPolicies({ policies, connections }: Config): LoadedPolicies {
  if (policies === 'allow-all') return { ok: true, policy: createPolicy(ALLOW_ALL) };
  const folder = readPoliciesFolder(policies);
  if (!folder.ok) {
    const found = folder.problems.map((one) => ({ line: 0, column: 0, key: '', ...one, file: at(policies, one.file) }));
    return { ok: false, problems: found };
  }
  const loaded = loadPolicy(folder.files, compilePattern);
  if (!loaded.ok)
    return { ok: false, problems: loaded.problems.map((one) => ({ ...one, file: at(policies, one.file) })) };
  const errors = checkAgainst(loaded.set, checkedConnections(connections)).filter(({ level }) => level === 'error');
  if (errors.length > 0)
    return { ok: false, problems: errors.map((one) => ({ ...one, file: at(policies, one.file) })) };
  return { ok: true, policy: createPolicy(loaded.set) };
}

/** What a policy has to know of the connections that it is for. */
export function checkedConnections(connections: Config['connections']): Record<string, CheckedConnection> {
  const checked = Object.values(connections).map(({ name, dialect, data, groups, changedTools }) => [
    name,
    { groups, changedTools, ...(dialect === undefined ? {} : { dialect }), ...(data === 'ordinary' ? {} : { data }) },
  ]);
  return Object.fromEntries(checked);
}

function at(folder: string, file: string): string {
  return file === '' ? folder : join(folder, file);
}

/** Differs where a file of the policy has come, gone or been written: by names, sizes and times. */
export function policiesStamp(folder: string): string {
  if (folder === 'allow-all') return '';
  return ['access', 'tools'].map((name) => stampOf(join(folder, name))).join('\n');
}

function stampOf(folder: string): string {
  try {
    const names = readdirSync(folder).sort();
    return names
      .map((name) => {
        const { mtimeMs, size, ino } = lstatSync(join(folder, name));
        return JSON.stringify([name, mtimeMs, size, ino]);
      })
      .join('\n');
  } catch (error) {
    return String((error as NodeJS.ErrnoException).code);
  }
}
