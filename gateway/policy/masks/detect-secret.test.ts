import assert from 'node:assert/strict';
import { test } from 'node:test';

import { createDetection } from './detect.ts';
import { testGrowth, testSamples } from './samples.ts';
import { TOKENS } from './secret-tokens.ts';

const a = 'Ab1Cd2Ef3Gh4Ij5Kl6Mn7Op8Qr9St0Uv1Wx2Yz3';

testSamples('secret', [
  'postgres://app:⟦s3cr3t⟧@db.internal:5432/app?x=1',
  'redis://:⟦pa:ss⟧@host:6379/0, amqp://u:⟦p@ss/w⟧@mq/v',
  'https://u:⟦pw⟧@host/?to=a@b.example',
  'password=⟦hunter22⟧&x=1',
  "DB_PASSWORD='⟦x y z!⟧'",
  '{"password":"⟦correct horse battery⟧"}',
  '{\\"password\\":\\"⟦correct horse⟧\\"}',
  'Passwort: ⟦Geheim12⟧',
  `api_key: "⟦${a}⟧", apiKey = ⟦${a}⟧`,
  'Authorization: Basic ⟦dXNlcjpwYXNzd29yZA==⟧',
  `curl -H 'authorization: Bearer ⟦${a}+/==⟧'`,
  `Bearer ⟦${a}⟧`,
  'aws_secret_access_key = ⟦wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY⟧',
  `\\n⟦ghp_${a.slice(0, 36)}⟧\\n`,
  `https://x.example/?k=⟦AIza${a.slice(0, 35)}⟧&n=1`,
  `%3D⟦ghp_${a.slice(0, 36)}⟧%26`,
  'bot ⟦1234567890:AAF-abcdefghijklmnopqrstuvwxyz12345⟧',
  'bot ⟦1234567890:AAF-abcdefghijklmnopqrstuvwxyzabcde⟧',
  `⟦0a1B~8Q~${a.slice(0, 34)}⟧`.replace('0a1B~8Q~', 'aB~8Q~'),
  `⟦${'0123456789abcdef'.repeat(2)}-us12⟧`,
  `AccountKey=⟦${a}${a}==⟧;EndpointSuffix=core.windows.net`,
  `https://⟦hooks.slack.com/services/T00000000/B00000000/${a.slice(0, 24)}⟧`,
  // Nobody's.
  'password must be longer than 8 characters; password: required',
  // biome-ignore lint/suspicious/noTemplateCurlyInString: a placeholder as it is written in files.
  'password=${DB_PASSWORD} token={{ token }} secret=<your-secret>',
  'max_tokens: 4096, token: identifier, primary_key: users_id_0123456789',
  'http://localhost:8080/a@b, https://example.com/x:y@z',
  'sk-learn-some-long-package-name, npm_config_registry, key-value',
  'xghp_Ab1Cd2Ef3Gh4Ij5Kl6Mn7Op8Qr9St0Uv1Wx2, AKIAxxxx',
  'const token = getToken(request), token = createAccessToken2(user)',
  'password: [secret:3f2a91c4]',
]);

test('every vendor is found by its format, and by no shorter one', () => {
  const detection = createDetection([{ name: 'secret' }]);
  assert.ok(TOKENS.length > 100);
  for (const { prefix, set, least } of TOKENS) {
    const body = (set === 'h' ? '0a1b2c3d' : set === 'u' ? 'A1B2C3D4' : set === 'd' ? '01234567' : 'aB3dE5g7').repeat(
      20,
    );
    const token = prefix + body.slice(0, least);
    assert.deepEqual(detection.find(`(${token})`), [{ start: 1, end: 1 + token.length, detector: 'secret' }], prefix);
  }
});

test('what the key before a text says counts, and is not of it', () => {
  const detection = createDetection([{ name: 'secret' }, { name: 'card' }, { name: 'phone' }]);
  for (const [text, before, detector] of [
    ['correct horse', 'password', 'secret'],
    ['correct horse', 'title', undefined],
    ['5551234567', 'phoneNumber', 'phone'],
    ['5551234567', 'orderNumber', undefined],
    ['6759649826438453', 'card_number', 'card'],
    ['6759649826438453', '', undefined],
  ] as const) {
    assert.deepEqual(
      detection.find(text, before),
      detector ? [{ start: 0, end: text.length, detector }] : [],
      `${before} ${text}`,
    );
  }
});

testGrowth('secret', {
  'token=': 'token=',
  'password=a': 'password=a',
  '://': 'a://a:',
  '=': '=',
  'a=': 'a=',
  'sk-': 'sk-',
  ghp_: 'ghp_ ',
  bearer: 'bearer ',
  'Q~': '8Q~',
  'one long value': 'token: a1',
});
