import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
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

const WITHOUT = `
  const { createGoogleIdentity } = await import(${JSON.stringify(import.meta.resolve('./google-identity.ts'))});
  const reason = await createGoogleIdentity().accessToken().catch((error) => error.cause.message);
  process.emitWarning('kept', 'AnotherWarning');
  console.log(reason);
`;

test('no identity at all: one sentence, and of warnings only the one about the metadata server is kept back', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'verbatim-identity-'));
  t.after(() => rmSync(folder, { recursive: true }));
  // A metadata server that hangs up is what the library warns of; a file that is named and not there, what it quotes.
  const silent = createServer((socket) => socket.destroy());
  await new Promise<void>((done) => silent.listen(0, '127.0.0.1', done));
  t.after(() => silent.close());
  const GCE_METADATA_HOST = `127.0.0.1:${(silent.address() as AddressInfo).port}`;
  const run = (more: Record<string, string>) =>
    promisify(execFile)(process.execPath, ['--input-type=module', '--eval', WITHOUT], {
      env: { PATH: folder, HOME: folder, GCE_METADATA_HOST, ...more },
    });
  const { stdout, stderr } = await run({});
  assert.equal(
    stdout,
    'This machine has no Google identity. On Google Cloud attach a service account to it; elsewhere set GOOGLE_APPLICATION_CREDENTIALS.\n',
  );
  assert.doesNotMatch(stderr, /Metadata/);
  assert.match(stderr, /AnotherWarning: kept/);
  const named = await run({ GOOGLE_APPLICATION_CREDENTIALS: join(folder, 'none.json') });
  assert.match(named.stdout, /^The file that GOOGLE_APPLICATION_CREDENTIALS names can not be read/);
});
