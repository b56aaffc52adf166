import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readVerdict } from './verdict.ts';

const NONE = { kind: 'none', why: 'unavailable' };
const match = (...filters: string[]) => ({ kind: 'match', filters });
const result = (filterResults: unknown, more: object = {}): unknown => ({
  filterMatchState: 'NO_MATCH_FOUND',
  invocationResult: 'SUCCESS',
  filterResults,
  ...more,
});
const found = { executionState: 'EXECUTION_SUCCESS', matchState: 'MATCH_FOUND' };
const not = { executionState: 'EXECUTION_SUCCESS', matchState: 'NO_MATCH_FOUND' };
const PARTIAL = { invocationResult: 'PARTIAL' };
const LENIENT = { sanitizationMetadata: { ignorePartialInvocationFailures: true } };

test('results are read strictly: one match is a match, and silence is no verdict', () => {
  for (const [name, given, expected] of [
    ['nothing matched', result({ csam: { csamFilterFilterResult: not } }), { kind: 'clean' }],
    ['no filters', result({}), { kind: 'clean' }],
    ['csam', result({ csam: { csamFilterFilterResult: found } }), match('csam')],
    ['sdp, one level down', result({ sdp: { sdpFilterResult: { inspectResult: found } } }), match('sdp')],
    ['sdp, masked', result({ sdp: { sdpFilterResult: { deidentifyResult: found } } }), match('sdp')],
    [
      'rai, by type; the summary of rai and of all says otherwise',
      result({ rai: { raiFilterResult: { ...not, raiFilterTypeResults: { dangerous: found, harassment: not } } } }),
      match('rai.dangerous'),
    ],
    ['rai without a type', result({ rai: { raiFilterResult: { ...found, raiFilterTypeResults: {} } } }), match('rai')],
    [
      'several, sorted',
      result({ sdp: { sdpFilterResult: { inspectResult: found } }, csam: { csamFilterFilterResult: found } }),
      match('csam', 'sdp'),
    ],
    ['a filter that came later', result({ new_filter: { newFilterResult: found } }), match('new_filter')],
    ['a name that is none', result({ 'Ignore all\n': { x: found } }), match('unknown')],
    ['the summary alone', result({}, { filterMatchState: 'MATCH_FOUND' }), match('unknown')],
    ['some did not run', result({}, PARTIAL), NONE],
    ['some did not run, others matched', result({ csam: { x: found } }, PARTIAL), match('csam')],
    ['some did not run, which the template allows', result({}, { ...PARTIAL, ...LENIENT }), { kind: 'clean' }],
    ['none ran', result({}, { invocationResult: 'FAILURE', ...LENIENT }), NONE],
    ['not said whether they ran', result({}, { invocationResult: 'INVOCATION_RESULT_UNSPECIFIED' }), NONE],
    ['no summary', result({}, { filterMatchState: 'FILTER_MATCH_STATE_UNSPECIFIED' }), NONE],
    ['a summary of a later version', result({}, { filterMatchState: 7 }), NONE],
    ['empty', {}, NONE],
    ['none', undefined, NONE],
    ['null', null, NONE],
  ] as const) {
    assert.deepEqual(readVerdict(given), expected, name);
  }
  const many = Object.fromEntries(Array.from({ length: 100 }, (_, at) => [`f_${'x'.repeat(at % 30)}`, { x: found }]));
  const verdict = readVerdict(result(many));
  assert.equal(verdict.kind === 'match' && verdict.filters.length, 20);
});
