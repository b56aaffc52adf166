// For the tests of detectors.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { createDetection } from './detect.ts';
import type { BuiltIn } from './detector.ts';

/** Each sample with what is found in it between `⟦` and `⟧`: exactly that is found, and nothing where there are none. */
export function testSamples(name: BuiltIn, samples: readonly string[]): void {
  const detection = createDetection([{ name }]);
  for (const sample of samples) {
    test(`${name}: ${sample.slice(0, 90)}`, () => {
      const text = sample.replace(/[⟦⟧]/g, '');
      let marked = '';
      let at = 0;
      for (const { start, end } of detection.find(text)) {
        marked += `${text.slice(at, start)}⟦${text.slice(start, end)}⟧`;
        at = end;
      }
      assert.equal(marked + text.slice(at), sample);
    });
  }
}

/**
 * Hostile text costs in proportion to its length: four times as much may cost three times four. What is short is measured
 * until it took long enough to measure.
 */
export function testGrowth(name: BuiltIn, shapes: Readonly<Record<string, string>>): void {
  const detection = createDetection([{ name }]);
  for (const [shape, piece] of Object.entries(shapes)) {
    test(`${name}: time grows with the text's length, not faster: ${shape}`, () => {
      const few = piece.repeat(Math.ceil(50_000 / piece.length));
      const many = few.repeat(4);
      // The first one is for the compiler.
      detection.find(few);
      const small = Math.min(
        cost(() => detection.find(few)),
        cost(() => detection.find(few)),
      );
      assert.ok(cost(() => detection.find(many)) < small * 12 + 50);
    });
  }
}

/** Milliseconds of CPU. */
function cost(run: () => void): number {
  const start = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1000;
}
