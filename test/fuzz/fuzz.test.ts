import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { type FuzzReport, fuzz, PROPERTIES } from './fuzz.ts';

const run = (...args: string[]) =>
  spawnSync(process.execPath, [fileURLToPath(new URL('./run.ts', import.meta.url)), ...args], { encoding: 'utf8' });

test('the short form finds nothing, and says so in one line', () => {
  const { status, stdout, stderr } = run('--runs', '2000', '--json');
  assert.equal(status, 0, stderr);
  const report = JSON.parse(stdout) as FuzzReport;
  assert.equal(stdout.trimEnd().split('\n').length, 1);
  assert.ok(Math.abs(report.runs - 2000) < Object.keys(PROPERTIES).length);
  assert.deepEqual(report.failures, []);
  assert.deepEqual(
    report.properties.map(({ name }) => name),
    Object.keys(PROPERTIES),
  );
});

test('what fails is shrunk, and fails again with its seed', () => {
  const property = fc.property(fc.nat(), (number) => assert.ok(number < 700));
  const properties = { fine: { share: 1, property: fc.property(fc.nat(), () => true) }, fails: { share: 1, property } };
  const [failure, ...others] = fuzz({ runs: 20_000, seed: 5 }, () => {}, properties).failures;
  assert.ok(failure !== undefined && others.length === 0);
  assert.equal(failure.property, 'fails');
  assert.match(failure.report, /Counterexample: \[700\]/);
  const again = fuzz({ runs: failure.runs, seed: failure.seed, only: 'fails' }, () => {}, properties);
  assert.equal(again.failures[0]?.report, failure.report);
  assert.deepEqual(
    again.properties.map(({ name }) => name),
    ['fails'],
  );
});

test('what is wrong in its arguments is said', () => {
  for (const args of [
    ['--runs', '0'],
    ['--runs', 'x'],
    ['--seed', '1.5'],
    ['--only', 'nothing'],
  ]) {
    assert.equal(run(...args).status, 2, args.join(' '));
  }
});
