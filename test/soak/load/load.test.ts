import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AttackKind } from './attacks.ts';
import { type LoadReport, runLoad } from './run.ts';
import { verdictOf } from './verdict.ts';

const ATTACKS: readonly AttackKind[] = [
  'slowReaders',
  'slowHeads',
  'slowBodies',
  'headerFloods',
  'halfOpen',
  'unauthenticated',
  'denied',
  'connections',
  'endless',
  'neverRead',
  'junk',
];

test('the short form of npm run soak:load: others are served all the while, and nothing is left behind', async (t) => {
  const report = await runLoad(
    {
      idle: 20,
      busy: 4,
      seconds: 0.4,
      settle: 0.1,
      attacks: [ATTACKS],
      attackSeconds: 0.3,
      attackScale: 0.01,
      world: { sessionIdle: '300ms', upstreamIdle: 2500 },
    },
    () => {},
  );
  assert.deepEqual(verdictOf(report, { timed: false }).problems, []);
  const [attack] = report.attacks;
  assert.ok((attack?.counts.answers['401'] ?? 0) > 0 && (attack?.counts.answers['431'] ?? 0) > 0);
  await t.test('what is wrong is said', () => saysWhatIsWrong(report));
});

function saysWhatIsWrong(report: LoadReport): void {
  const { steady, idle, attacks } = report;
  const left = { ...idle[0], descriptors: idle[0].descriptors + 1 };
  const rising = Array.from({ length: 60 }, (_, at) => ({ at, value: 100e6 + at * 1e6 }));
  const fine = { ...steady, delay: { p50: 1, p99: 2, max: 3 }, resident: [] };
  const wrong: Record<string, LoadReport> = {
    deaf: { ...report, steady: { ...fine, deaf: 1 } },
    broken: { ...report, steady: { ...fine, broken: 1 } },
    missing: { ...report, steady: { ...fine, opened: 19 } },
    failed: { ...report, steady: { ...fine, calls: { ...steady.calls, failed: 1, errors: ['x'] } } },
    silent: { ...report, steady: { ...fine, calls: { ...steady.calls, calls: 0 } } },
    late: { ...report, steady: { ...fine, delay: { p50: 1, p99: 50, max: 60 } } },
    growing: { ...report, steady: { ...fine, resident: rising } },
    leaking: { ...report, steady: fine, idle: [idle[0], left, idle[2]] },
    'left by an attack': { ...report, steady: fine, attacks: attacks.map((one) => ({ ...one, left })) },
    'unserved in an attack': {
      ...report,
      steady: fine,
      attacks: attacks.map((one) => ({ ...one, during: { ...one.during, calls: 0 } })),
    },
    'an error': { ...report, steady: fine, errors: { call_failed: 1 } },
    'a crash': { ...report, steady: fine, stop: { code: null, seconds: 0 } },
  };
  // On a machine that does much else the attacks alone may be late.
  const judge = (one: LoadReport): readonly string[] =>
    verdictOf(
      { ...one, attacks: one.attacks.map((each) => ({ ...each, during: { ...each.during, max: 1 } })) },
      { timed: true },
    ).problems;
  assert.deepEqual(judge({ ...report, steady: fine }), []);
  for (const [what, one] of Object.entries(wrong)) assert.equal(judge(one).length, 1, what);
}
