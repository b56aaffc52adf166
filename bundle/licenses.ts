/** The notices of what is in a bundle: their licences ask that copies carry them. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const NOTICE = /^(licen[cs]e|copying|notice)([.-].*)?$/i;

/**
 * One text with the licence of each package that a file of `inputs` (paths below `root`) belongs to, sorted by name.
 *
 * @throws Error where a package names no licence: somebody has to ask what that means before it is passed on.
 */
export function licensesOf(root: string, inputs: Iterable<string>): string {
  const folders = new Set([...inputs].map(packageFolder).filter((folder) => folder !== undefined));
  const packages = [...folders].map((folder) => readPackage(join(root, folder)));
  // Two copies of one version say the same.
  const texts = new Map(packages.map(({ title, text }) => [title, text]));
  return [...texts]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([title, text]) => `${title}\n${'='.repeat(title.length)}\n\n${text}\n`)
    .join('\n');
}

/** `node_modules/a/node_modules/@b/c/lib/d.js` belongs to `node_modules/a/node_modules/@b/c`. */
function packageFolder(input: string): string | undefined {
  return /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(input)?.[0];
}

function readPackage(folder: string): { title: string; text: string } {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
    name: string;
    version: string;
    license?: unknown;
  };
  if (typeof license !== 'string' || license === '') throw new Error(`${name} ${version} names no licence.`);
  const notices = readdirSync(folder)
    .filter((file) => NOTICE.test(file))
    .sort()
    .map((file) => readFileSync(join(folder, file), 'utf8').trim());
  return {
    title: `${name} ${version} (${license})`,
    text: notices.join('\n\n') || 'The package holds no file with its text.',
  };
}
