import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { inspect } from 'node:util';
import { GatewayError } from './errors.ts';
import type { GoogleSecrets } from './google-secret.ts';
import { readReferenced, readSecret } from './secret-ref.ts';

const folder = mkdtempSync(join(tmpdir(), 'verbatim-secret-'));
after(() => rmSync(folder, { recursive: true }));

function file(name: string, content: string | Buffer): string {
  writeFileSync(join(folder, name), content);
  return `file:${join(folder, name)}`;
}

test('a value without its one trailing line end, from both schemes', async () => {
  process.env.VERBATIM_TEST_SECRET = 'a-secret-of-more-than-16';
  const fromEnv = await readSecret('env:VERBATIM_TEST_SECRET');
  assert.equal(fromEnv.value, 'a-secret-of-more-than-16');
  assert.match(fromEnv.version, /^[0-9a-f]{12}$/);
  assert.deepEqual(await readSecret(file('lf', 'a-secret-of-more-than-16\n')), fromEnv);
  assert.deepEqual(await readSecret(file('crlf', 'a-secret-of-more-than-16\r\n')), fromEnv);
  assert.notEqual((await readSecret(file('other', 'another-secret-of-more'))).version, fromEnv.version);
});

test('a short value never becomes a hash', async () => {
  const ref = file('short', 'hunter2');
  utimesSync(ref.slice(5), 1000, 2000);
  assert.deepEqual(await readSecret(ref), { value: 'hunter2', version: 'mtime-2000000' });
  process.env.VERBATIM_TEST_SHORT = 'hunter2';
  assert.equal((await readSecret('env:VERBATIM_TEST_SHORT')).version, 'unversioned');
});

const REFUSED: readonly [string, string | Buffer][] = [
  ['empty', ''],
  ['newline alone', '\n'],
  ['line end inside', 'hunter2\nhunter3'],
  ['two line ends', 'hunter2\n\n'],
  ['tab', 'hunter\t2'],
  ['nul', 'hunter2\0'],
  ['not UTF-8', Buffer.from([0x68, 0xff])],
  ['too long', 'h'.repeat(64 * 1024 + 1)],
];
for (const [name, content] of REFUSED) {
  test(`refused: ${name}`, async () => {
    await assert.rejects(readSecret(file('bad', content)), (error) => {
      assert.ok(error instanceof GatewayError);
      assert.equal(error.code, 'credential_unavailable');
      assert.doesNotMatch(inspect(error, { depth: 9 }), /hunter|hhhh/);
      assert.ok(!error.message.includes(folder));
      return true;
    });
  });
}

test('refused: what is not there, a directory, another scheme', async () => {
  for (const ref of [`file:${folder}/none`, `file:${folder}`, 'env:VERBATIM_TEST_UNSET', 'hunter2']) {
    await assert.rejects(readSecret(ref), (error) => {
      assert.ok(error instanceof GatewayError && error.code === 'credential_unavailable');
      assert.doesNotMatch(inspect(error), /hunter2/);
      return true;
    });
  }
});

test('64 KiB is accepted; a text with lines is read as it stands', async () => {
  assert.equal((await readSecret(file('full', 'h'.repeat(64 * 1024)))).value.length, 64 * 1024);
  assert.equal(await readReferenced(file('pem', '-----BEGIN\nx\n')), '-----BEGIN\nx\n');
});

test('gcp-secret: the version is the resource that was read, and the same values are refused', async () => {
  const name = 'projects/1/secrets/orders/versions/7';
  const asked: string[] = [];
  const secretsOf = (bytes: Buffer): GoogleSecrets => ({
    async access(resource) {
      asked.push(resource);
      return { bytes, name };
    },
  });
  const ref = 'gcp-secret:projects/p/secrets/orders/versions/latest';
  const secrets = secretsOf(Buffer.from('hunter2\n'));
  assert.deepEqual(await readSecret(ref, { secrets }), { value: 'hunter2', version: name });
  assert.equal(await readReferenced(ref, { secrets }), 'hunter2\n');
  assert.deepEqual(asked, [ref.slice(11), ref.slice(11)]);
  for (const [reason, content] of REFUSED) {
    const refused = readSecret(ref, { secrets: secretsOf(Buffer.from(content)) });
    await assert.rejects(refused, { code: 'credential_unavailable' }, reason);
  }
  await assert.rejects(readSecret(ref), { code: 'credential_unavailable' });
});
