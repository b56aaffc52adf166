import assert from 'node:assert/strict';
import { test } from 'node:test';

import { array, assert as check, constantFrom, oneof, property, string, tuple } from 'fast-check';

import { createDetection } from './detect.ts';
import { BUILT_IN, type BuiltIn, type Detector } from './detector.ts';

const all = createDetection(BUILT_IN.map((name) => ({ name })));
const encode = (value: string) => Buffer.from(value).toString('base64url');

/** One that every detector has to find wherever it stands. */
const CANONICAL: Readonly<Record<BuiltIn, string>> = {
  email: 'jane.doe@example.com',
  phone: '+1 415 555 2671',
  card: '4111 1111 1111 1111',
  iban: 'DE89 3704 0044 0532 0130 00',
  ssn: '123-45-6789',
  ip: '203.0.113.9',
  secret: 'ghp_Ab1Cd2Ef3Gh4Ij5Kl6Mn7Op8Qr9St0Uv1Wx2',
  privateKey: '-----BEGIN PRIVATE KEY-----\nMIIEpAIBAAKCAQEA0Z3VS5JJcds3xfn\n-----END PRIVATE KEY-----',
  jwt: `${encode('{"alg":"HS256"}')}.${encode('{"sub":"1"}')}.c2lnbmF0dXJl`,
};

/** Text that is full of what detectors look for, and of what they trip over. */
const pieces = constantFrom(
  ...[
    '@',
    '%40',
    ':',
    '::',
    '=',
    '-',
    '.',
    ' ',
    '(',
    ')',
    '+',
    '/',
    '"',
    '\\n',
    '\n',
    '%3D',
    '0',
    '1',
    '4111',
    '12',
    '555',
  ],
  ...[
    'eyJ',
    'sk-',
    'ghp_',
    'token',
    'password',
    'phone',
    'card',
    'order',
    'DE89',
    '-----BEGIN ',
    'PRIVATE KEY-----',
    '://',
  ],
  ...[
    '\u200b',
    '\u00a0',
    '\u2011',
    '４',
    '٣',
    '\ud835',
    '\ud835\udfd2',
    '\udfd2',
    'é',
    '漢',
    '😀',
    'a',
    'Z',
    'f',
    '_',
    'x',
  ],
);
const hostile = array(
  oneof(
    { weight: 5, arbitrary: pieces },
    string({ unit: 'binary', maxLength: 4 }),
    constantFrom(...Object.values(CANONICAL)),
  ),
  {
    maxLength: 60,
  },
).map((parts) => parts.join(''));

test('whatever the text, findings are sorted, apart, and inside of it', () => {
  check(
    property(hostile, string({ maxLength: 12 }), (text, before) => {
      let last = 0;
      for (const { start, end } of all.find(text, before)) {
        assert.ok(start >= last && end > start && end <= text.length, JSON.stringify({ text, start, end, last }));
        last = end;
      }
    }),
    { numRuns: 3000 },
  );
});

test('nothing that one detector finds is left over by all', () => {
  const single = BUILT_IN.map((name) => createDetection([{ name }]));
  check(
    property(hostile, (text) => {
      const found = all.find(text);
      for (const detection of single) {
        for (const { start, end } of detection.find(text)) {
          assert.ok(
            found.some((finding) => finding.start <= start && end <= finding.end),
            JSON.stringify(text),
          );
        }
      }
    }),
    { numRuns: 1000 },
  );
});

for (const name of BUILT_IN) {
  test(`${name} finds its canonical value between words`, () => {
    const detection = createDetection([{ name }]);
    const value = CANONICAL[name];
    const words = string({ unit: constantFrom(...'abc xyzäñ,;!?\n漢'), maxLength: 40 });
    check(
      property(tuple(words, words), ([before, after]) => {
        const text = `${before}\n${value} ;${after}`;
        const start = before.length + 1;
        assert.ok(
          detection.find(text).some((finding) => finding.start <= start && finding.end >= start + value.length),
          JSON.stringify(text),
        );
      }),
      { numRuns: 300 },
    );
  });
}

const digits: Detector = { name: 'digits', pattern: { find: (text) => matches(/\d+/g, text) } };
const everything: Detector = { name: 'line', pattern: { find: (text) => matches(/.+/g, text) } };

const nothing: Detector = { name: 'nothing', pattern: { find: () => [{ start: 3, end: 3 }] } };

function matches(pattern: RegExp, text: string) {
  return [...text.matchAll(pattern)].map(({ index, 0: match }) => ({ start: index, end: index + match.length }));
}

test('where two overlap the better one has all of it', () => {
  for (const [detectors, text, expected] of [
    [[{ name: 'email' }, { name: 'ip' }], 'root@[192.0.2.1]', ['0-16 email']],
    [[{ name: 'phone' }, { name: 'card' }], 'tel 4111 1111 1111 1111', ['4-23 card']],
    [[{ name: 'secret' }, { name: 'jwt' }], `token=${CANONICAL.jwt}`, [`6-${6 + CANONICAL.jwt.length} jwt`]],
    [[digits, { name: 'email' }], 'a1@b2.example', ['0-13 digits']],
    [[everything, { name: 'email' }], 'to a@b.example\na@b.example', ['0-14 line', '15-26 line']],
    [[{ name: 'email' }, { name: 'email' }], 'a@b.example', ['0-11 email']],
    [[nothing], 'a@b.example', []],
    [[], 'a@b.example', []],
  ] as const satisfies readonly (readonly [readonly Detector[], string, readonly string[]])[]) {
    const found = createDetection(detectors).find(text);
    assert.deepEqual(
      found.map(({ start, end, detector }) => `${start}-${end} ${detector}`),
      expected,
      text,
    );
  }
});

test('a name that is no detector is refused', () => {
  assert.throws(() => createDetection([{ name: 'emial' as 'email' }]), TypeError);
});
