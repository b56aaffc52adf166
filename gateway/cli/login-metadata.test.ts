import assert from 'node:assert/strict';
import { test } from 'node:test';
import { challengeParameter } from './login-metadata.ts';

for (const [header, expected] of [
  ['Bearer resource_metadata="https://a/x"', 'https://a/x'],
  ['bearer error="invalid_token" , Resource_Metadata = "https://a/x", scope="a b"', 'https://a/x'],
  ['Bearer resource_metadata=token', 'token'],
  ['Basic realm="x", Bearer resource_metadata="https://a/x"', 'https://a/x'],
  ['Bearer error_description="say \\"hi\\"", resource_metadata="a\\\\b"', 'a\\b'],
  ['Bearer error_description=", resource_metadata=\\"https://evil/x\\""', undefined],
  ['Basic resource_metadata="https://evil/x"', undefined],
  ['Bearer', undefined],
  ['', undefined],
] as const) {
  test(`WWW-Authenticate: ${header}`, () => {
    assert.equal(challengeParameter(header, 'resource_metadata'), expected);
  });
}
