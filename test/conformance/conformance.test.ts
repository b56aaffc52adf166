import assert from 'node:assert/strict';
import { test } from 'node:test';

import { revisions, runDirect, runThroughGateway, runThroughShim } from './compare.ts';
import type { SuiteResult } from './suite.ts';

/** Every check with its outcome: two ways to a server are alike when these are equal, not when their sums are. */
const outcomes = ({ checks }: SuiteResult) =>
  checks.map(({ scenario, id, name, status }) => [scenario, id, name, status]);

/**
 * Task ids that nobody was given: the gateway answers them itself, with -32602, before the server could say that it has no
 * tasks. No revision requires these checks.
 */
const answeredByTheGateway: Record<string, string> = {
  'sep-2663-tasks-get-invalid-task-id-32602': 'SUCCESS',
  'sep-2663-tasks-result-removed-method-not-found': 'FAILURE',
};

const totals: Record<string, [number, number]> = { '2025-11-25': [84, 84], '2026-07-28': [152, 152] };

for (const revision of revisions) {
  test(`${revision}: the fixture passes, and the gateway changes no check`, async () => {
    const [direct, shim, gateway] = await Promise.all([
      runDirect(revision),
      runThroughShim(revision),
      runThroughGateway(revision),
    ]);
    assert.deepEqual(direct.failures, []);
    assert.deepEqual([direct.passed, direct.total], totals[revision]);
    assert.deepEqual(outcomes(shim), outcomes(direct));
    assert.deepEqual(gateway.failures, []);
    const expected = direct.checks.map((check) => ({
      ...check,
      status: answeredByTheGateway[check.id] ?? check.status,
    }));
    assert.deepEqual(outcomes(gateway), outcomes({ ...direct, checks: expected }));
  });
}
