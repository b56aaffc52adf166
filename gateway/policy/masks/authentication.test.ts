import assert from 'node:assert/strict';
import { test } from 'node:test';

import { findAuthenticationData } from './authentication.ts';

for (const [text, kind, value] of [
  ['%B4111111111111111^DOE/JANE^27121010000000000000?', 'track', '4111111111111111^DOE/JANE^27121010000000000000'],
  [';4111111111111111=27121010000000000000?', 'track', '4111111111111111=27121010000000000000'],
  ['57 4111111111111111D27121010000000000000F', 'track', '4111111111111111D27121010000000000000'],
  ['cvv: 123', 'cvv', '123'],
  ['"cvv":"123"', 'cvv', '123'],
  ['{"securityCode": 1234}', 'cvv', '1234'],
  ['CVC2=123&x', 'cvv', '123'],
  ['The CVV code is 987.', 'cvv', '987'],
  ['Prüfnummer: 123', 'cvv', '123'],
  ['cvv １２３', 'cvv', '１２３'],
  ['Amex card 378282246310005, CID 1234', 'cvv', '1234'],
  ['pinBlock=041234FEDCBA9876', 'pinBlock', '041234FEDCBA9876'],
  ['"encrypted_pin": "A1B2C3D4E5F60718"', 'pinBlock', 'A1B2C3D4E5F60718'],
  ['card PIN 1234', 'pinBlock', '1234'],
] as const) {
  test(`authentication data: ${text}`, () => {
    const found = findAuthenticationData(text);
    assert.deepEqual(
      found.map((one) => [one.kind, text.slice(one.start, one.end)]),
      [[kind, value]],
    );
  });
}

for (const text of [
  'card 4111111111111111 exp 12/27',
  '4111111111111111=2713101',
  'a=1234567890123456&b=2712101',
  ';4111111111111112=27121010000000000000?',
  'cid=1234, session 123',
  'cvv is on the back, call 123',
  'cvv required; page 123',
  'cvv: 12345',
  'PIN code 110001, pin 1234 to the board',
  'trace A1B2C3D4E5F60718',
  'pinBlock=041234FEDCBA98765',
  'error code 123, status 404',
]) {
  test(`no authentication data: ${text}`, () => assert.deepEqual(findAuthenticationData(text), []));
}

test('the key before a text says what it is', () => {
  assert.deepEqual(findAuthenticationData('123', 'cvv'), [{ kind: 'cvv', start: 0, end: 3 }]);
  assert.deepEqual(findAuthenticationData('123', 'count'), []);
});
