/**
 * The tables of docs/clients.md and docs/servers.md are true: every client and every server is run again, and what comes
 * of it is what results.json says. `npm run compat` writes both anew.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clients } from './clients.ts';
import { pagesOf, readResults } from './results.ts';
import { runScenario } from './run.ts';
import type { Result, Scenario } from './scenario.ts';
import { servers } from './servers.ts';

const required = process.env.VERBATIM_REQUIRE_TOOLS === '1';
const results = await readResults();

function runAgain(kind: 'clients' | 'servers', scenarios: readonly Scenario[]): void {
  test(`${kind} behave as the table says`, { concurrency: 2 }, async (t) => {
    const expected = new Map(results[kind].map((result) => [result.id, result]));
    await Promise.all(
      scenarios.map((scenario) =>
        t.test(scenario.id, async (t) => {
          const run = await runScenario(scenario);
          if ('missing' in run) {
            assert.ok(!required, `VERBATIM_REQUIRE_TOOLS=1, but ${run.missing}`);
            return t.skip(`${run.missing}: this row of the table was NOT checked`);
          }
          const known = expected.get(scenario.id);
          if (run.error !== undefined && known?.outcome !== 'fails') throw run.error;
          assert.deepEqual(undated(run.result), undated(known));
        }),
      ),
    );
  });
}

const undated = (result: Result | undefined) => ({ ...result, date: '' });

runAgain('clients', clients);
runAgain('servers', servers);

test('the pages show these results', async () => {
  const ids = (kind: 'clients' | 'servers') => results[kind].map(({ id }) => id);
  assert.deepEqual(
    [...ids('clients'), ...ids('servers')],
    [...clients, ...servers].map(({ id }) => id),
  );
  for (const { is, shouldBe } of await pagesOf(results)) assert.equal(is, shouldBe);
});
