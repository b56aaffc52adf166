/**
 * Our conditions against the official cases of CEL (cel-spec) and another implementation of it. What we refuse is no
 * danger; a value where they have another, or an error, is.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { celEnv, parse, plan } from '@bufbuild/cel';
import { getConformanceSuite, type IncrementalTestSuite } from '@bufbuild/cel-spec/testdata/tests.js';
import { createConditionCompiler } from './condition-compile.ts';
import { inputOf } from './fixture.ts';

type Result = boolean | 'error' | 'refused';

/** Of the suite, what is about the language that conditions have. */
const SECTIONS = new Set([
  'basic',
  'comparisons',
  'conversions',
  'fp_math',
  'integer_math',
  'lists',
  'logic',
  'macros',
  'string',
  'timestamps',
]);

/** Where the library gives a value and CEL an error, or another value: known, and said in docs/policies.md. */
const GAPS: ReadonlySet<string> = new Set([
  // Beyond 2^53, where strict JSON has no numbers either.
  'dyn(9223372036854775807) < 9223372036854775808.0',
  'dyn(9223372036854775807) >= 9223372036854775808.0',
  'dyn(9223372036854775808.0) <= 9223372036854775807',
  'dyn(9223372036854775808.0) > 9223372036854775807',
  // Times have milliseconds.
  "timestamp('0001-01-01T00:00:01.999999999Z') + duration('999999999ns') == timestamp('0001-01-01T00:00:02.999999998Z')",
]);

const compiler = createConditionCompiler(new Map());
const input = inputOf('tools/call', { name: 'x' });
const env = celEnv();

function ours(expression: string): Result {
  const compiled = compiler.compile(expression);
  if (!compiled.ok) return 'refused';
  const evaluated = compiled.condition.evaluate(input, { readings: new Map() });
  return 'value' in evaluated ? evaluated.value : 'error';
}

function theirs(expression: string): Result {
  try {
    const value = plan(env, parse(expression))({});
    return typeof value === 'boolean' ? value : 'error';
  } catch {
    return 'error';
  }
}

/** Cases that give a bool or an error, and need no variables. */
function* casesOf(suite: IncrementalTestSuite): Generator<{ expression: string; wanted: boolean | 'error' }> {
  for (const one of suite.suites) yield* casesOf(one);
  for (const { original } of suite.tests) {
    const { expr, bindings, container, typeEnv, resultMatcher } = original;
    if (Object.keys(bindings).length > 0 || container !== '' || typeEnv.length > 0) continue;
    if (resultMatcher.case === 'evalError') yield { expression: expr, wanted: 'error' };
    else if (resultMatcher.case === 'value' && resultMatcher.value.kind.case === 'boolValue') {
      yield { expression: expr, wanted: resultMatcher.value.kind.value };
    }
  }
}

test('no case of CEL has a wrong value here', () => {
  const suites = getConformanceSuite().suites.filter(({ name }) => SECTIONS.has(name));
  const cases = suites.flatMap((suite) => [...casesOf(suite)]);
  const results = cases.map(({ expression, wanted }) => ({
    expression,
    wanted,
    is: ours(expression),
    other: theirs(expression),
  }));
  const isWrong = ({ is, wanted }: { is: Result; wanted: Result }) => typeof is === 'boolean' && is !== wanted;
  assert.deepEqual(
    results
      .filter(isWrong)
      .map(({ expression }) => expression)
      .sort(),
    [...GAPS].sort(),
  );
  // The other implementation is there to judge what no case says: it has to agree with the cases first.
  const disagrees = results.filter(({ other, wanted }) => other !== wanted);
  assert.ok(disagrees.length <= 3, JSON.stringify(disagrees.map(({ expression }) => expression)));
  // Of what conditions have, nearly all is the same. What is an error there may be found at load here.
  const subset = results.filter(({ expression }) => !/\du\b|b['"]|uint|bytes|google|optional/.test(expression));
  const same = subset.filter(({ is, wanted }) => is === wanted || (is === 'refused' && wanted === 'error'));
  assert.ok(subset.length > 350 && same.length / subset.length > 0.94, `${same.length} of ${subset.length}`);
});

test('what people write in rules means the same in both', () => {
  const texts = ['"abc"', '"ABC"', '"a.b"', '"\\u00e9"', '"a\\nb"', '""', '"x-1"'];
  const parts = ['"a"', '"abc"', '""', '"."', '"B"'];
  const operations = ['contains', 'startsWith', 'endsWith', 'matches'];
  for (const text of texts) {
    for (const part of parts) {
      for (const operation of operations) {
        const expression = `${text}.${operation}(${part})`;
        assert.equal(ours(expression), theirs(expression), expression);
      }
      for (const expression of [
        `${text} == ${part}`,
        `${text} < ${part}`,
        `${text} in [${part}, "x"]`,
        `size(${text}) > size(${part})`,
      ]) {
        assert.equal(ours(expression), theirs(expression), expression);
      }
    }
  }
  const bools = ['true', 'false', '(1/0 == 1)'];
  for (const one of bools) {
    for (const other of bools) {
      for (const expression of [
        `${one} && ${other}`,
        `${one} || ${other}`,
        `!${one} && ${other}`,
        `${one} ? ${other} : true`,
        `[1, 2].all(x, ${one} || x > 1) && ${other}`,
        `[1, 2].exists(x, ${one} && x > 1) || ${other}`,
        `(${one}) == (${other})`,
      ]) {
        assert.equal(ours(expression), theirs(expression), expression);
      }
    }
  }
});
