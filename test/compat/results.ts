import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { clients } from './clients.ts';
import type { Results } from './scenario.ts';
import { servers } from './servers.ts';
import { clientTable, serverTable, withTable } from './tables.ts';

const file = join(import.meta.dirname, 'results.json');
const pageOf = (name: string): string => fileURLToPath(new URL(`../../docs/${name}.md`, import.meta.url));

export async function readResults(): Promise<Results> {
  return JSON.parse(await readFile(file, 'utf8')) as Results;
}

export async function writeResults(results: Results): Promise<void> {
  await writeFile(file, `${JSON.stringify(results, undefined, 2)}\n`);
}

/** Each page as it is, and as the results would have it. */
export async function pagesOf(results: Results): Promise<{ path: string; is: string; shouldBe: string }[]> {
  const tables = { clients: clientTable(clients, results), servers: serverTable(servers, results) };
  return Promise.all(
    Object.entries(tables).map(async ([name, made]) => {
      const is = await readFile(pageOf(name), 'utf8');
      return { path: pageOf(name), is, shouldBe: withTable(is, made) };
    }),
  );
}
