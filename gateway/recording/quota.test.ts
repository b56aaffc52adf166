import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Holding, overQuota } from './quota.ts';

/** Of a capacity of 1000: 200 are reserved for all of a kind together. */
const ALONE: Holding = { used: 0, capacity: 1000, own: 0, others: [], holders: 1 };

const CASES: [string, Partial<Holding>, ReturnType<typeof overQuota>][] = [
  ['who is alone may take all', { used: 940, own: 940 }, 'nothing'],
  ['who holds nothing is served as long as anybody is', { used: 949, own: 0, others: [949], holders: 2 }, 'nothing'],
  ['so is who is within their share', { used: 949, own: 99, others: [850], holders: 2 }, 'nothing'],
  ['also where the shares of others wait', { used: 940, own: 50, others: [890, 0], holders: 3 }, 'nothing'],
  ['the noisy one ends where the share of the other begins', { used: 750, own: 750, others: [0], holders: 2 }, 'calls'],
  ['and not before', { used: 749, own: 749, others: [0], holders: 2 }, 'nothing'],
  ['its answers go on a little longer', { used: 799, own: 799, others: [0], holders: 2 }, 'calls'],
  ['and end before the share of the other', { used: 800, own: 800, others: [0], holders: 2 }, 'answers'],
  ['a share that is used is not held back twice', { used: 849, own: 749, others: [100], holders: 2 }, 'nothing'],
  ['a share waits for who has not come yet', { used: 750, own: 750, others: [], holders: 2 }, 'calls'],
  ['many small shares are as much as few large ones', { used: 652, own: 652, others: [], holders: 100 }, 'calls'],
];

for (const [what, holding, over] of CASES) {
  test(what, () => assert.equal(overQuota({ ...ALONE, ...holding }), over));
}

test('however many take more than their share, who is new comes before the mark at which sessions end', () => {
  for (const noisy of [1, 4, 30]) {
    const held = Array.from({ length: noisy }, () => 0);
    const used = (): number => held.reduce((sum, one) => sum + one, 0);
    const isServed = (at: number): boolean => {
      const others = held.filter((_, other) => other !== at);
      // As principals are counted: one more than there are.
      return overQuota({ used: used(), capacity: 1e5, own: held[at] ?? 0, others, holders: noisy + 1 }) === 'nothing';
    };
    for (let served = true; served; ) {
      served = false;
      for (const at of held.keys()) {
        if (!isServed(at)) continue;
        held[at] = (held[at] ?? 0) + 100;
        served = true;
      }
    }
    assert.ok(used() < 0.85e5 && used() > 0.7e5, `${noisy}: ${used()}`);
  }
});

test('whatever one takes, everybody else gets their share', () => {
  for (const holders of [2, 3, 10, 50]) {
    const share = 200 / holders;
    let own = 0;
    const quiet = Array.from({ length: holders - 1 }, () => 0);
    while (overQuota({ used: own, capacity: 1000, own, others: quiet, holders }) === 'nothing') own++;
    // Then each of the others comes and takes theirs, call by call.
    for (const [index] of quiet.entries()) {
      for (let taken = 0; taken < Math.floor(share); taken++) {
        const used = own + quiet.reduce((sum, held) => sum + held, 0);
        assert.ok(used < 950, 'the journal is not full for all');
        const others = [own, ...quiet.filter((_, other) => other !== index)];
        assert.equal(overQuota({ used, capacity: 1000, own: taken, others, holders }), 'nothing');
        quiet[index] = taken + 1;
      }
    }
  }
});
