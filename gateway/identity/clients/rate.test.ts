import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRate } from './rate.ts';

function rateAt(options: { perMinute?: number; burst?: number; overall?: number } = {}) {
  let at = 1_000_000;
  const rate = createRate({ perMinute: 6, burst: 3, overall: 1000, ...options, now: () => at });
  const taken = (address: string, times: number) =>
    Array.from({ length: times }, () => rate.take(address)).filter(Boolean).length;
  return { rate, taken, pass: (ms: number) => (at += ms) };
}

test('a burst, then as much as a minute allows', () => {
  const { taken, pass } = rateAt();
  assert.equal(taken('192.0.2.1', 10), 3);
  assert.equal(taken('192.0.2.2', 1), 1);
  pass(9_999);
  assert.equal(taken('192.0.2.1', 10), 0);
  pass(1);
  assert.equal(taken('192.0.2.1', 10), 1);
  pass(3_600_000);
  assert.equal(taken('192.0.2.1', 10), 3);
});

test('one address does not use up what is there for the others', () => {
  const { taken, pass } = rateAt({ overall: 5 });
  assert.equal(taken('192.0.2.1', 1000), 3);
  assert.equal(taken('192.0.2.2', 1000), 2);
  assert.equal(taken('192.0.2.3', 1000), 0);
  pass(60_000);
  // Nothing was taken from the third while all together had too much.
  assert.equal(taken('192.0.2.3', 1000), 3);
});

test('many addresses have one limit, and no more memory', () => {
  const { rate, taken } = rateAt({ overall: 500 });
  const before = process.memoryUsage().heapUsed;
  let passed = 0;
  for (let n = 0; n < 200_000; n++) if (rate.take(`10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`)) passed++;
  assert.equal(passed, 500);
  assert.ok(process.memoryUsage().heapUsed - before < 50 * 1024 * 1024);
  assert.equal(taken('192.0.2.1', 1), 0);
});

test('the address used last is kept, the oldest goes', () => {
  const { rate, taken } = rateAt({ overall: 100_000 });
  assert.equal(taken('192.0.2.1', 3), 3);
  for (let n = 0; n < 9_999; n++) rate.take(`10.0.${n >> 8}.${n & 255}`);
  assert.equal(taken('192.0.2.1', 1), 0);
  for (let n = 0; n < 9_999; n++) rate.take(`10.1.${n >> 8}.${n & 255}`);
  assert.equal(taken('192.0.2.1', 1), 0);
  for (let n = 0; n < 10_000; n++) rate.take(`10.2.${n >> 8}.${n & 255}`);
  assert.equal(taken('192.0.2.1', 1), 1);
});

test('IPv6 counts by /64, IPv4 in IPv6 as IPv4, anything else as one', () => {
  const { taken } = rateAt();
  assert.equal(taken('2001:db8:1:2::1', 2), 2);
  assert.equal(taken('2001:db8:1:2:ffff:ffff:ffff:ffff', 2), 1);
  assert.equal(taken('2001:0DB8:0001:0002::9%eth0', 1), 0);
  assert.equal(taken('2001:db8:1:3::1', 1), 1);
  assert.equal(taken('192.0.2.7', 2), 2);
  assert.equal(taken('::ffff:192.0.2.7', 2), 1);
  assert.equal(taken('::ffff:c000:207', 1), 0);
  assert.equal(taken('::ffff:192.0.2.8', 1), 1);
  assert.equal(taken('', 1), 1);
  assert.equal(taken('x'.repeat(100_000), 1), 1);
  assert.equal(taken('unknown', 5), 1);
});

test('a clock that goes back fills nothing', () => {
  const { taken, pass } = rateAt();
  assert.equal(taken('192.0.2.1', 3), 3);
  pass(-600_000);
  assert.equal(taken('192.0.2.1', 1), 0);
  pass(10_000);
  assert.equal(taken('192.0.2.1', 2), 1);
});
