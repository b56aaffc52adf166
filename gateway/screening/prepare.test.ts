import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { createScreening } from './screening.ts';

test('the client is loaded when it is asked for, not before', async () => {
  const isLoaded = (): boolean =>
    Object.keys(createRequire(import.meta.url).cache).some((path) => path.includes('modelarmor'));
  const screening = createScreening({ google: {}, now: () => 0 });
  assert.equal(isLoaded(), false);
  await screening.prepare();
  assert.equal(isLoaded(), true);
  await screening.close();
});
