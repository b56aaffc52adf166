import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { startGoogle } from '../test/google/google.ts';

// In a process of its own: Google's libraries read their variables, and remember what they found, when they are loaded.
const PROGRAM = `
  import { createRequire } from 'node:module';
  const { createGoogleIdentity } = await import(${JSON.stringify(import.meta.resolve('./google-identity.ts'))});
  await import(${JSON.stringify(import.meta.resolve('./proxy/upstream.ts'))});
  const loaded = () => Object.keys(createRequire(import.meta.url).cache).some((path) => path.includes('google-auth'));
  const before = loaded();
  const token = await createGoogleIdentity().accessToken();
  console.log(JSON.stringify({ before, after: loaded(), length: token.length }));
`;

test('the library is loaded when it is needed, prints no token, and starts no program', async (t) => {
  const google = await startGoogle();
  t.after(() => google.close());
  const folder = mkdtempSync(join(tmpdir(), 'verbatim-identity-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const started = join(folder, 'started');
  writeFileSync(join(folder, 'gcloud'), `#!/bin/sh\necho started > '${started}'\n`);
  chmodSync(join(folder, 'gcloud'), 0o755);
  const { stdout, stderr } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', PROGRAM], {
    env: {
      ...process.env,
      PATH: `${folder}${delimiter}${process.env.PATH}`,
      GOOGLE_SDK_NODE_LOGGING: '*',
    },
  });
  assert.deepEqual(JSON.parse(stdout), { before: false, after: true, length: 23 });
  assert.equal(stderr, '');
  assert.ok(!existsSync(started));
});
