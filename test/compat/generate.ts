/** Runs every client and every server, writes what came of it to results.json, and the tables into the pages. */
import { writeFile } from 'node:fs/promises';
import { clients } from './clients.ts';
import { pagesOf, writeResults } from './results.ts';
import { runScenario } from './run.ts';
import type { Result, Scenario } from './scenario.ts';
import { servers } from './servers.ts';

async function resultsOf(kind: string, scenarios: readonly Scenario[]): Promise<Result[]> {
  const results: Result[] = [];
  for (const scenario of scenarios) {
    const run = await runScenario(scenario);
    if ('missing' in run) throw new Error(`${run.missing}. The tables are made where every tool is at hand.`);
    if (run.error !== undefined) console.error(`${kind} ${scenario.id} fails:`, run.error);
    else console.log(`${kind} ${scenario.id}: ${run.result.call}, ${run.result.revision}`);
    results.push(run.result);
  }
  return results;
}

const results = { clients: await resultsOf('client', clients), servers: await resultsOf('server', servers) };
await writeResults(results);
for (const { path, shouldBe } of await pagesOf(results)) await writeFile(path, shouldBe);
