import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import modelArmor from '@google-cloud/modelarmor';
import { type GoogleDouble, startGoogle } from './google.ts';
import { MARKS } from './model-armor.ts';

const NAME = 'projects/verbatim/locations/europe-west4/templates/strict';

let double: GoogleDouble;
let client: modelArmor.v1.ModelArmorClient;
before(async () => {
  double = await startGoogle();
  double.modelArmor.templates.add(NAME);
  const { hostname, port } = new URL(double.url);
  // As anybody would use it: with Google's own authentication, against the double's metadata server.
  const options = { apiEndpoint: hostname, port: Number(port), protocol: 'http', fallback: true, projectId: 'x' };
  client = new modelArmor.v1.ModelArmorClient(options);
});
after(async () => {
  await client.close();
  await double.close();
});

test('the official client takes its answers: of prompts and of responses, clean and matched', async () => {
  const [clean] = await client.sanitizeUserPrompt({ name: NAME, userPromptData: { text: 'Hello' } });
  const { filterMatchState, invocationResult, filterResults } = clean.sanitizationResult ?? {};
  assert.deepEqual([filterMatchState, invocationResult], ['NO_MATCH_FOUND', 'SUCCESS']);
  assert.deepEqual(Object.keys(filterResults ?? {}), ['csam', 'malicious_uris', 'pi_and_jailbreak', 'rai', 'sdp']);
  const text = `${MARKS.injection} ${MARKS.dangerous}`;
  const [matched] = await client.sanitizeModelResponse({ name: NAME, modelResponseData: { text } });
  const results = matched.sanitizationResult?.filterResults ?? {};
  assert.equal(matched.sanitizationResult?.filterMatchState, 'MATCH_FOUND');
  assert.equal(results.pi_and_jailbreak?.piAndJailbreakFilterResult?.matchState, 'MATCH_FOUND');
  assert.deepEqual(results.rai?.raiFilterResult?.raiFilterTypeResults?.dangerous, {
    filterType: 'DANGEROUS',
    confidenceLevel: 'HIGH',
    matchState: 'MATCH_FOUND',
  });
  assert.equal(results.sdp?.sdpFilterResult?.inspectResult?.matchState, 'NO_MATCH_FOUND');
});

test('filters that did not run make the answer partial', async () => {
  for (const text of [MARKS.partial, 'x'.repeat(40_001)]) {
    const [answer] = await client.sanitizeUserPrompt({ name: NAME, userPromptData: { text } });
    const { invocationResult, filterMatchState, filterResults } = answer.sanitizationResult ?? {};
    assert.deepEqual([invocationResult, filterMatchState], ['PARTIAL', 'NO_MATCH_FOUND']);
    const { executionState } = filterResults?.pi_and_jailbreak?.piAndJailbreakFilterResult ?? {};
    assert.equal(executionState, 'EXECUTION_SKIPPED');
  }
});

test('a template that is not there, and a text in the wrong field, are refused', async () => {
  const other = NAME.replace('strict', 'other');
  await assert.rejects(client.sanitizeUserPrompt({ name: other, userPromptData: { text: 'x' } }), { code: 404 });
  await assert.rejects(client.sanitizeUserPrompt({ name: NAME }), { code: 400 });
  await assert.rejects(client.sanitizeModelResponse({ name: NAME, modelResponseData: {}, userPrompt: 'x' }), {
    code: 400,
  });
});

test('without the way to ask for numbers, enumerations are names', async () => {
  const answer = await fetch(`${double.url}/v1/${NAME}:sanitizeUserPrompt`, {
    method: 'POST',
    headers: { authorization: 'Bearer ya29.CANARY-own-token-1', 'content-type': 'application/json' },
    body: JSON.stringify({ userPromptData: { text: 'x' } }),
  });
  const { sanitizationResult } = (await answer.json()) as { sanitizationResult: Record<string, unknown> };
  assert.equal(sanitizationResult.filterMatchState, 'NO_MATCH_FOUND');
});
