import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { type GoogleDouble, startGoogle, type Trouble } from '../../test/google/google.ts';
import { MARKS } from '../../test/google/model-armor.ts';
import { createGoogleIdentity } from '../google-identity.ts';
import { MOST_SCREENED } from '../policy/screened-text.ts';
import { createScreening, type Screening, type ScreenRequest } from './screening.ts';

const TEMPLATE = 'projects/verbatim/locations/europe-west4/templates/strict';
const LENIENT = 'projects/verbatim/locations/europe-west4/templates/lenient';

let google: GoogleDouble;
let screening: Screening;
let clock = 0;
let failures: string[] = [];
before(async () => {
  google = await startGoogle();
  for (const name of [TEMPLATE, LENIENT]) google.modelArmor.templates.add(name);
  google.modelArmor.lenient.add(LENIENT);
});
after(async () => {
  await screening.close();
  await google.close();
});
beforeEach(async () => {
  await screening?.close();
  google.trouble('modelArmor', undefined);
  google.modelArmor.asked.length = 0;
  google.calls.modelArmor = 0;
  failures = [];
  screening = createScreening({
    google: google.google,
    now: () => clock,
    identity: createGoogleIdentity(),
    failed: ({ template, words }) => void failures.push(`${template} ${words}`),
  });
});

const screen = (text: string, more: Partial<ScreenRequest> = {}) =>
  screening.screen({ template: TEMPLATE, part: 'results', text, timeout: 10_000, ...more });

test('prompts are screened as prompts, and all else as answers; matches are named', async () => {
  assert.deepEqual(await screen('Hello', { part: 'requests' }), { kind: 'clean' });
  for (const [part, text, filters] of [
    ['requests', MARKS.injection, ['pi_and_jailbreak']],
    ['results', `${MARKS.dangerous} ${MARKS.uri}`, ['malicious_uris', 'rai.dangerous']],
    ['descriptions', MARKS.sensitive, ['sdp']],
    ['resources', `${MARKS.partial} ${MARKS.uri}`, ['malicious_uris']],
  ] as const) {
    assert.deepEqual(await screen(text, { part }), { kind: 'match', filters }, part);
  }
  assert.deepEqual(
    google.modelArmor.asked.map(({ method }) => method),
    ['sanitizeUserPrompt', 'sanitizeUserPrompt', ...Array.from({ length: 3 }, () => 'sanitizeModelResponse')],
  );
  assert.deepEqual(failures, []);
});

test('filters that did not run: no verdict, unless the template says that they do not matter', async () => {
  assert.deepEqual(await screen(MARKS.partial), { kind: 'none', why: 'unavailable' });
  assert.deepEqual(await screen(MARKS.partial, { template: LENIENT }), { kind: 'clean' });
  assert.deepEqual(failures, [`${TEMPLATE} a filter did not run`]);
});

test('a verdict is remembered for a minute: of one template, part and text', async () => {
  await screen(MARKS.injection);
  await screen('clean');
  clock += 59_999;
  assert.deepEqual(await screen(MARKS.injection), { kind: 'match', filters: ['pi_and_jailbreak'] });
  assert.deepEqual(await screen('clean'), { kind: 'clean' });
  assert.equal(google.calls.modelArmor, 2);
  await screen('clean', { part: 'resources' });
  await screen('clean', { template: LENIENT });
  await screen('clean ');
  assert.equal(google.calls.modelArmor, 5);
  clock += 1;
  await screen('clean');
  assert.equal(google.calls.modelArmor, 6);
});

test('failures: what has to be changed, what may pass; asked twice at most, not remembered, no word of theirs', async () => {
  const host = new URL(google.url).host;
  for (const [trouble, why, calls, words] of [
    [400, 'refused', 1, `${host}: HTTP 400`],
    [403, 'refused', 1, `${host}: HTTP 403`],
    [404, 'refused', 1, `${host}: HTTP 404`],
    [429, 'unavailable', 1, `${host}: HTTP 429`],
    [500, 'unavailable', 1, `${host}: HTTP 500`],
    [503, 'unavailable', 2, `${host}: HTTP 503`],
    ['redirect', 'unavailable', 1, `${host}: HTTP 307`],
    ['garbage', 'unavailable', 1, 'its answer can not be read'],
    ['echo', 'refused', 1, `${host}: HTTP 400`],
  ] as const) {
    google.trouble('modelArmor', trouble satisfies Trouble);
    google.calls.modelArmor = 0;
    failures = [];
    assert.deepEqual(await screen(`CANARY ${trouble}`), { kind: 'none', why }, String(trouble));
    assert.deepEqual([google.calls.modelArmor, failures], [calls, [`${TEMPLATE} ${words}`]], String(trouble));
    google.trouble('modelArmor', undefined);
    assert.deepEqual(await screen(`CANARY ${trouble}`), { kind: 'clean' }, String(trouble));
  }
});

test('an answer that is too large is none', async () => {
  google.trouble('modelArmor', 'huge');
  assert.deepEqual(await screen('x'), { kind: 'none', why: 'unavailable' });
  assert.match(failures.join(), /sent more than 524288 bytes$/);
});

test('a silent service: no verdict when the time is over, or when nobody waits any more', {
  timeout: 20_000,
}, async () => {
  google.trouble('modelArmor', 'stall');
  assert.deepEqual(await screen('x', { timeout: 50 }), { kind: 'none', why: 'timeout' });
  const gone = new AbortController();
  const waiting = screen('y', { signal: gone.signal, timeout: 600_000 });
  gone.abort();
  assert.deepEqual(await waiting, { kind: 'none', why: 'timeout' });
  assert.deepEqual(await screen('z', { signal: gone.signal, timeout: 600_000 }), { kind: 'none', why: 'timeout' });
  google.trouble('modelArmor', undefined);
  assert.deepEqual(await screen('x'), { kind: 'clean' });
  // It was our time that was over, not their failure; nothing was asked again, nor for who had left.
  assert.deepEqual([failures, google.calls.modelArmor], [[], 2]);
});

test('a token that was revoked is replaced', async () => {
  await screen('before');
  google.revokeOwnToken();
  assert.deepEqual(await screen('after'), { kind: 'clean' });
});

test('without an identity, or with an address that is not Google’s, there is no verdict', async () => {
  google.trouble('metadata', 404);
  assert.deepEqual(await screen('x'), { kind: 'none', why: 'unavailable' });
  google.trouble('metadata', undefined);
  const elsewhere = createScreening({
    google: { ...google.google, modelArmor: 'https://modelarmor.example.com' },
    now: () => clock,
    failed: ({ words }) => void failures.push(words),
  });
  const asked = { template: TEMPLATE, part: 'results' as const, text: 'x', timeout: 5000 };
  assert.deepEqual(await elsewhere.screen(asked), { kind: 'none', why: 'refused' });
  assert.equal(failures.at(-1), "google.modelArmor is not Google's");
  await elsewhere.close();
});

test('what is no template is not asked about', async () => {
  for (const template of [
    '',
    'strict',
    `${TEMPLATE}/x`,
    `${TEMPLATE}:sanitizeUserPrompt?`,
    'projects/a/locations/evil.example.com#/templates/t',
    'projects/a/locations/eu/../templates/t',
  ]) {
    assert.deepEqual(await screen('x', { template }), { kind: 'none', why: 'refused' }, template);
  }
  assert.equal(google.calls.modelArmor, 0);
});

test('a long text goes in pieces that overlap: what stands on a cut is found', async () => {
  const at = (place: number): string => {
    const text = 'lorem '.repeat(25_000).slice(0, MOST_SCREENED);
    return text.slice(0, place) + MARKS.injection + text.slice(place + MARKS.injection.length);
  };
  for (const place of [0, 9995, 9505, MOST_SCREENED - MARKS.injection.length]) {
    assert.deepEqual(await screen(at(place)), { kind: 'match', filters: ['pi_and_jailbreak'] }, String(place));
  }
  google.modelArmor.asked.length = 0;
  assert.deepEqual(await screen('lorem '.repeat(25_000)), { kind: 'clean' });
  assert.equal(google.modelArmor.asked.length, 16);
  assert.ok(google.modelArmor.asked.every(({ text }) => text.length <= 10_000));
});

test('one piece without a verdict: none on the whole; but a match stands', async () => {
  const filler = 'x'.repeat(30_000);
  assert.deepEqual(await screen(`${MARKS.partial}${filler}`), { kind: 'none', why: 'unavailable' });
  const found = await screen(`${MARKS.partial}${filler}${MARKS.uri}`);
  assert.deepEqual(found, { kind: 'match', filters: ['malicious_uris'] });
});

test('more than is screened, and nothing to screen, are not sent', async () => {
  assert.deepEqual(await screen('x'.repeat(MOST_SCREENED + 1)), { kind: 'none', why: 'too_long' });
  assert.deepEqual(await screen(''), { kind: 'clean' });
  assert.equal(google.calls.modelArmor, 0);
});
