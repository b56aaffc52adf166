import assert from 'node:assert/strict';
import { test } from 'node:test';

import { heldOut } from './masking-held-out.ts';
import { measureMasking, missedGoals } from './masking-measure.ts';

test('the goals of masking hold on text that was not tuned on', () => {
  const masking = measureMasking(heldOut, 11, 2000, false);
  assert.deepEqual(missedGoals(masking), []);
  assert.ok(masking.rows.every(({ values }) => values > 10));
});
