import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { type GoogleDouble, startGoogle } from '../test/google/google.ts';
import type { KmsFault } from '../test/google/kms.ts';
import { createGoogleApi } from './google-api.ts';
import { createGoogleIdentity } from './google-identity.ts';
import { createGoogleKms, type GoogleKms, KmsError } from './google-kms.ts';
import { formatCheckpoint, openCheckpoint, signCheckpoint } from './ledger/checkpoint.ts';

let double: GoogleDouble;
let kms: GoogleKms;
let version = '';
const TEXT = formatCheckpoint({ ledger: 'l', size: 1, root: Buffer.alloc(32, 1) });

before(async () => {
  double = await startGoogle();
  kms = createGoogleKms(createGoogleApi({ google: double.google, identity: createGoogleIdentity() }));
  version = double.kms.add('checkpoints');
});
after(() => double.close());
afterEach(() => {
  double.kms.fault(undefined);
  for (const api of ['kmsSign', 'kmsPublicKey'] as const) double.trouble(api, undefined);
  for (const one of ['useToSign', 'viewPublicKey'] as const) double.kms.granted.add(one);
});

async function signer() {
  return kms.signer('verbatim/l', await kms.publicKey(version));
}

/** The code of why it failed. Its words begin with the version, and none of them is a token or what was signed. */
async function codeOf(work: Promise<unknown>, of = version): Promise<string> {
  const error = await work.then(
    () => assert.fail('it worked'),
    (caught: unknown) => caught,
  );
  assert.ok(error instanceof KmsError);
  assert.ok(error.message.startsWith(`${of}: `), error.message);
  for (const secret of [...double.secrets, Buffer.from(TEXT).toString('base64')]) {
    assert.ok(!error.message.includes(secret));
  }
  return error.code;
}

test('a version signs a checkpoint that opens with its verifier key', async () => {
  const one = await signer();
  const note = await signCheckpoint(TEXT, one);
  assert.equal(openCheckpoint(note, one.verifierKey).size, 1);
  assert.deepEqual(double.kms.signed, [TEXT]);
  // Ed25519 is deterministic: asking again after an answer that was lost changes nothing.
  assert.equal(await signCheckpoint(TEXT, one), note);
});

test('an own token that was revoked is asked for anew', async () => {
  const one = await signer();
  double.revokeOwnToken();
  await one.sign(Buffer.from(TEXT));
});

for (const fault of ['signature', 'signature checksum', 'data not verified', 'another version'] satisfies KmsFault[]) {
  test(`no signature where the answer has ${fault}`, async () => {
    const one = await signer();
    double.kms.fault(fault);
    assert.equal(await codeOf(one.sign(Buffer.from(TEXT))), 'answer_wrong');
  });
}

for (const fault of ['key checksum', 'another key', 'another version'] satisfies KmsFault[]) {
  test(`no key where the answer has ${fault}`, async () => {
    double.kms.fault(fault);
    assert.equal(await codeOf(kms.publicKey(version)), 'answer_wrong');
  });
}

test('another algorithm is refused, and named', async () => {
  const other = double.kms.add('p256', 'EC_SIGN_P256_SHA256');
  assert.equal(await codeOf(kms.publicKey(other), other), 'algorithm_wrong');
  await assert.rejects(kms.publicKey(other), /EC_SIGN_P256_SHA256/);
});

for (const trouble of [429, 500, 503, 'stall', 'redirect', 'huge', 'garbage', 'echo'] as const) {
  test(`trouble of the service, ${trouble}: it fails within its time, in our own words`, async () => {
    const key = await kms.publicKey(version);
    // Only what never answers runs into a short time.
    const api = createGoogleApi({ google: double.google, identity: createGoogleIdentity() });
    const asked = trouble === 'stall' ? createGoogleKms(api, 100) : kms;
    double.trouble('kmsSign', trouble);
    assert.equal(await codeOf(asked.signer('verbatim/l', key).sign(Buffer.from(TEXT))), 'unavailable');
    double.trouble('kmsPublicKey', trouble);
    assert.equal(await codeOf(asked.publicKey(version)), 'unavailable');
  });
}

test('what may not be used, is disabled, destroyed or not there has a code each', async () => {
  const one = await signer();
  const signing = () => codeOf(one.sign(Buffer.from(TEXT)));
  double.kms.granted.delete('useToSign');
  assert.equal(await signing(), 'permission_denied');
  double.kms.granted.delete('viewPublicKey');
  assert.equal(await codeOf(kms.publicKey(version)), 'permission_denied');
  for (const permission of ['useToSign', 'viewPublicKey'] as const) double.kms.granted.add(permission);
  for (const state of ['DISABLED', 'DESTROYED'] as const) {
    double.kms.setState(version, state);
    assert.equal(await signing(), 'version_not_enabled');
    if (state === 'DISABLED') double.kms.setState(version, 'ENABLED');
  }
  assert.throws(() => double.kms.setState(version, 'ENABLED'));
  const missing = version.replace(/1$/, '9');
  assert.equal(await codeOf(kms.publicKey(missing), missing), 'version_missing');
});
