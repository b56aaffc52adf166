/** What is kept of a version: `test/stores/<version>/` holds its stores, its disk, what is in them, and its bundle. */
import { cp, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { brotliDecompressSync } from 'node:zlib';
import { z } from 'zod';

export const KEPT_FOLDERS = ['disk', 'store', 'store-audit', 'store-state'] as const;
export const EXPECTED = 'expected.json';
/** The bundle, brotli. */
export const BUNDLE = 'verbatim.mjs.br';

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const exchange = z.object({ request: sha256, released: sha256 });
const expected = z.object({
  version: z.string(),
  /** Of the ledger's first key. */
  verifierKey: z.string(),
  ledger: z.string(),
  /** So many of `exchanges` are sealed; the others lie in the journal. */
  sealed: z.int().positive(),
  /** Bodies of requests and what clients were given, in their order. */
  exchanges: z.array(exchange),
  /** The body of a request whose answer had not ended. */
  open: sha256,
});
export type Expected = z.infer<typeof expected>;
export type ExpectedExchange = z.infer<typeof exchange>;

const HERE = import.meta.dirname;

/** Folders of kept versions, the oldest first. */
export async function keptVersions(): Promise<{ readonly version: string; readonly folder: string }[]> {
  const entries = await readdir(HERE, { withFileTypes: true });
  return entries
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => ({ version: name, folder: join(HERE, name) }))
    .sort((a, b) => a.version.localeCompare(b.version, 'en', { numeric: true }));
}

export async function readExpected(folder: string): Promise<Expected> {
  return expected.parse(JSON.parse(await readFile(join(folder, EXPECTED), 'utf8')));
}

/** A copy of the stores and the disk, for somebody to go on with. */
export async function copyKept(folder: string, to: string): Promise<void> {
  for (const name of KEPT_FOLDERS) await cp(join(folder, name), join(to, name), { recursive: true });
}

/** The version's bundle as a file that runs. */
export async function unpackBundle(folder: string, file: string): Promise<void> {
  await writeFile(file, brotliDecompressSync(await readFile(join(folder, BUNDLE))));
}
