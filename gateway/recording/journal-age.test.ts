import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createJournalAge } from './journal-age.ts';

test('the oldest line is as old as it is, whatever is sealed', () => {
  const age = createJournalAge();
  assert.equal(age.oldest(), undefined);
  age.add({ file: 1, offset: 10 }, 1_000);
  age.add({ file: 1, offset: 20 }, 1_500);
  age.add({ file: 1, offset: 30 }, 2_500);
  age.sealed({ file: 1, offset: 10 });
  assert.equal(age.oldest(), 1_000, 'lines of one second count as its first');
  age.sealed({ file: 1, offset: 20 });
  assert.equal(age.oldest(), 2_500);
  age.sealed({ file: 2, offset: 0 });
  assert.equal(age.oldest(), undefined);
});

test('an outage of a week costs a bounded number of marks, and takes no line for younger than it is', () => {
  const age = createJournalAge();
  const seconds = 7 * 24 * 3600;
  for (let second = 0; second < seconds; second++) age.add({ file: 1, offset: second + 1 }, second * 1_000);
  assert.equal(age.oldest(), 0);
  let marks = 0;
  for (let sealed = 0; sealed < seconds; sealed += 61) {
    const before = age.oldest() ?? Number.POSITIVE_INFINITY;
    age.sealed({ file: 1, offset: sealed });
    const oldest = age.oldest() ?? Number.POSITIVE_INFINITY;
    if (oldest !== before) marks++;
    assert.ok(oldest <= sealed * 1_000, `sealed through ${sealed}: ${oldest}`);
  }
  assert.ok(marks <= 2048, `${marks}`);
  age.sealed({ file: 1, offset: seconds });
  assert.equal(age.oldest(), undefined);
});
