import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { GoogleApi } from './google-api.ts';
import { createGoogleSecrets } from './google-secret.ts';

function answering(name: unknown, payload: unknown): GoogleApi {
  return { call: async () => ({ name, payload }) };
}
const DATA = { data: Buffer.from('value').toString('base64') };
const NAMED = 'projects/1/secrets/orders/versions/7';

test('the project may be its number; a version may be what `latest` stood for', async () => {
  for (const asked of ['projects/p/secrets/orders/versions/latest', 'projects/p/secrets/orders/versions/7']) {
    const { bytes, name } = await createGoogleSecrets(answering(NAMED, DATA)).access(asked);
    assert.deepEqual([bytes.toString(), name], ['value', NAMED]);
  }
});

for (const [what, name, payload] of [
  ['another secret', 'projects/1/secrets/other/versions/7', DATA],
  ['another version', 'projects/1/secrets/orders/versions/8', DATA],
  ['no number', 'projects/1/secrets/orders/versions/latest', DATA],
  ['a line end in the name', `${NAMED}\n`, DATA],
  ['no name', undefined, DATA],
  ['no payload', NAMED, undefined],
  ['no data', NAMED, { dataCrc32c: '0' }],
  ['another checksum', NAMED, { ...DATA, dataCrc32c: '1' }],
] as const) {
  test(`refused: ${what}`, async () => {
    const access = createGoogleSecrets(answering(name, payload)).access('projects/p/secrets/orders/versions/7');
    await assert.rejects(access, { code: 'credential_unavailable' });
  });
}
