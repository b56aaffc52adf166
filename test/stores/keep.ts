/** `npm run release:keep`: keeps what the present version leaves behind, and its bundle, in `test/stores/<version>/`. */
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { brotliCompressSync, constants } from 'node:zlib';
import { bundleProgram } from '../../bundle/bundle.ts';
import { VERSION } from '../../gateway/version.ts';
import { BUNDLE } from './kept.ts';
import { writeStores } from './write-stores.ts';

/** Where kept versions were made: it stands in configurations that are stored, so it is the same on each machine. */
const ROOT = '/tmp/verbatim-kept';
const MOST_STORE_BYTES = 300_000;

const repository = join(import.meta.dirname, '..', '..');
const out = join(import.meta.dirname, VERSION);

function refuse(words: string): never {
  console.error(words);
  process.exit(1);
}

if (VERSION.includes('-')) refuse(`${VERSION} is no release. Raise the version in package.json first.`);
if (existsSync(out)) refuse(`${relative(repository, out)} is there. What a version left behind is never made again.`);
if (existsSync(ROOT)) refuse(`${ROOT} is there, from a run that was broken off. Remove it.`);

const dist = await mkdtemp(join(tmpdir(), 'verbatim-bundle-'));
try {
  await writeStores({ root: ROOT, out });
  const { file, sha256 } = await bundleProgram('verbatim', { root: repository, out: dist });
  const bytes = await readFile(file);
  const params = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length };
  await writeFile(join(out, BUNDLE), brotliCompressSync(bytes, { params }));
  let size = 0;
  let files = 0;
  for (const entry of await readdir(out, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || entry.name === BUNDLE) continue;
    const path = join(entry.parentPath, entry.name);
    size += (await stat(path)).size;
    files++;
    if ((await readFile(path)).includes(repository)) refuse(`${path} names ${repository}. Nothing is to be committed.`);
  }
  if (size > MOST_STORE_BYTES) refuse(`It holds ${size} bytes without the bundle; ${MOST_STORE_BYTES} is the most.`);
  console.log(`${relative(repository, out)}: ${files} files of ${size} bytes, and the bundle, sha256:${sha256}.`);
  console.log('Commit it as it is.');
} finally {
  await rm(dist, { recursive: true, force: true });
}
