/** Screening on the data path: requests, results, tool descriptions and resources, by a double that speaks as Model Armor does. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { type GoogleDouble, startGoogle } from './google/google.ts';
import { MARKS } from './google/model-armor.ts';
import { type Policed, startPoliced } from './policed.ts';
import { exchangesOf, framesOf } from './recorded.ts';

const TEMPLATE = 'projects/verbatim/locations/europe-west4/templates/strict';
const screenOf = (onMatch: string, mode: string, of: string) =>
  `screen: { modelArmor: { template: ${TEMPLATE}, of: [${of}], onMatch: ${onMatch}, timeout: 5s, mode: ${mode} } }`;
const RULES = `
rules:
  - { name: strict, principals: any, connections: [fixture], tools: [strict], masks: [email], effect: allow, ${screenOf('deny', 'enforce', 'requests, results, descriptions')} }
  - { name: flagged, principals: any, connections: [fixture], tools: [flagged], methods: [tools/call], effect: allow, ${screenOf('flag', 'inspect', 'requests, results')} }
  - { name: files, principals: any, connections: [fixture], resources: ["orders://*"], methods: [resources/read], effect: allow, ${screenOf('deny', 'enforce', 'resources')} }
`;
const text = (value: string) => ({ content: [{ type: 'text', text: value }] });
const call = (name: string, value: string) => ({ name, arguments: { value } });

let google: GoogleDouble;
let policed: Policed;
before(async () => {
  google = await startGoogle();
  google.modelArmor.templates.add(TEMPLATE);
  policed = await startPoliced(RULES, { config: { google: google.google } });
});
after(async () => {
  await policed.close();
  await google.close();
});
beforeEach(() => {
  google.trouble('modelArmor', undefined);
  google.modelArmor.asked.length = 0;
  policed.answer(() => text('fine'));
});

test('what matches is refused: a request before it goes out, an answer before it is released', async () => {
  const before = policed.reached.length;
  const asked = await policed.send('tools/call', call('strict', MARKS.injection));
  assert.deepEqual([asked.code, policed.reached.length], ['screened', before]);
  assert.match(asked.said.error?.message ?? '', /Rule strict: pi_and_jailbreak\./);
  policed.answer(() => text(`then ${MARKS.dangerous}`));
  const answered = await policed.send('tools/call', call('strict', 'harmless'));
  assert.equal(answered.code, 'screened');
  assert.ok(!answered.body.includes(MARKS.dangerous));
  policed.answer(() => ({ tools: [{ name: 'strict', description: MARKS.injection, inputSchema: {} }] }));
  assert.equal((await policed.send('tools/list')).code, 'screened');
  policed.answer(() => ({ contents: [{ uri: 'orders://a', text: MARKS.uri }] }));
  assert.equal((await policed.send('resources/read', { uri: 'orders://a' })).code, 'screened');
});

test('what is clean passes, with its verdict in the recording; masks come first', async () => {
  policed.answer(() => text('mail maya@example.com'));
  const { code, body } = await policed.send('tools/call', call('strict', 'hello'));
  assert.equal(code, undefined);
  assert.match(body, /\[email:[0-9a-f]{8}\]/);
  const exchange = (await exchangesOf(policed.gateway)).at(-1);
  const verdict = (part: string) => ({ rule: 'strict', part, verdict: 'clean' });
  assert.deepEqual(exchange?.request?.messages[0]?.decision.screened, [verdict('requests')]);
  assert.deepEqual(
    exchange?.data.flatMap((frame) => frame.screened ?? []),
    [verdict('results')],
  );
  assert.ok(google.modelArmor.asked.every((one) => !one.text.includes('maya@example.com')));
});

test('flag records a match and lets it pass', async () => {
  policed.answer(() => text(MARKS.sensitive));
  assert.equal((await policed.send('tools/call', call('flagged', MARKS.injection))).code, undefined);
  const exchange = (await exchangesOf(policed.gateway)).at(-1);
  assert.deepEqual(exchange?.request?.messages[0]?.decision.screened, [
    { rule: 'flagged', part: 'requests', verdict: 'match', details: ['pi_and_jailbreak'] },
  ]);
});

test('without a verdict enforce refuses, inspect lets pass, and both are recorded', async () => {
  google.trouble('modelArmor', 503);
  const before = policed.reached.length;
  const refused = await policed.send('tools/call', call('strict', 'one'));
  assert.deepEqual([refused.code, policed.reached.length], ['screening_unavailable', before]);
  assert.equal((await policed.send('tools/call', call('flagged', 'two'))).code, undefined);
  const request = (await framesOf(policed.gateway)).findLast((frame) => frame.type === 'request');
  assert.ok(request?.type === 'request');
  assert.deepEqual(request.messages[0]?.decision.screened, [
    { rule: 'flagged', part: 'requests', verdict: 'none', details: ['unavailable'] },
  ]);
  assert.ok(policed.gateway.logged.some((line) => line.includes('screening_failed')));
});
